//! Strict fake engine, conformance suite, redaction, what is said of tests that are left out. Development dependency only.
//!
//! What panics here is a test that reports.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

pub mod conformance;
mod fake;
mod left_out;
mod redact;
mod sample;

pub use fake::FakeEngine;
pub use left_out::left_out;
pub use redact::Redaction;
pub use sample::{Behaviour, Sample, name};
