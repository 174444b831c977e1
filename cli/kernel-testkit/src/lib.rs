//! Strict fake engine, conformance suite, redaction. Development dependency only.
//!
//! What panics here is a test that reports.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

pub mod conformance;
mod fake;
mod redact;
mod sample;

pub use fake::FakeEngine;
pub use redact::Redaction;
pub use sample::{Behaviour, Sample, name};
