//! One suite of tests per port. An adapter passes it or is no adapter.
//!
//! Each suite takes a way to make a store, and panics with the rule that was broken: it is meant to be called from
//! a `#[tokio::test(flavor = "multi_thread")]`. Outside of this crate they need the feature `suite`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a suite is a test: its panic is its report"
)]

mod analytics;
mod cache;
#[cfg(test)]
mod embedded;
mod events;
mod flags;
mod objects;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(test)]
mod real;
mod relational;
mod secrets;
mod tasks;

pub use analytics::analytics;
pub use cache::cache;
pub use events::events;
pub use flags::{FLAGS, flags};
pub use objects::objects;
#[cfg(feature = "postgres")]
pub use postgres::TemporaryPostgres;
pub use relational::relational;
pub use secrets::secrets;
pub use tasks::tasks;
