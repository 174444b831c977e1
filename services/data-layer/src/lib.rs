//! Generated create, retrieve, list, update and delete for the models of modules.
