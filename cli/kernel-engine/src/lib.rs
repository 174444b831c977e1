//! The engine port and the executor that runs a plan over it.
