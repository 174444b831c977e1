//! Strict fake engine, conformance suite, redaction. Development dependency only.
