//! Wallets with double entry, holds, transfers, reversals.
//!
//! Owns balances and their history. The rules are in [`domain`]; the store keeps them a second time as `CHECK`s, so
//! that not even a mistake here makes a balance negative. Left to others: who may call (gateway), exchange rates and
//! payment providers (nobody yet).

pub mod domain;
