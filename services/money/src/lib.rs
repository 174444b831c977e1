//! Wallets with double entry, holds, transfers, reversals.
//!
//! Owns balances and their history. The rules are in [`domain`]; the store keeps them a second time as `CHECK`s, so
//! that not even a mistake here makes a balance negative. Every mutation is one database transaction that holds the
//! movement, both entries, the event and the answer to its idempotency key: after a crash all of it is there or none.
//!
//! Left to others: who may call (gateway), exchange rates and payment providers (nobody yet, so `pending` is always 0).

mod api;
mod clock;
pub mod domain;
mod error;
mod ledger;
mod operations;
mod service;
mod store;
mod wire;
mod work;

pub use clock::{Clock, SystemClock};
pub use error::{MoneyError, Result};
pub use ledger::Ledger;
pub use service::{Config, Money};

/// The schema of the ledger, for [`svc_stores::Database::migrate`].
pub const MIGRATIONS: &[svc_stores::relational::Migration] = store::MIGRATIONS;
