//! One suite of tests per port. An adapter passes it or is no adapter.
//!
//! Each suite takes a way to make a store that nobody else uses, runs every case against one of its own, and
//! panics with the name of the rule that was broken: it is meant to be called from a `#[tokio::test]`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a suite is a test: its panic is its report"
)]

mod relational;

pub use relational::relational;
