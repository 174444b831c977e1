//! Everything once more as with Docker 24: a newer Engine behaves as the older API when it is asked to. `support` reads the
//! version from this file's name.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]
// Each suite brings its own `support`.
#![allow(clippy::duplicate_mod)]

#[path = "compose_parity.rs"]
mod compose_parity;
#[path = "conformance.rs"]
mod conformance;
#[path = "rules.rs"]
mod rules;
