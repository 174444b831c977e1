//! The rows of the hub: providers, and calls that were given up on.

pub mod dead_letters;
pub mod providers;

use svc_stores::StoreError;

fn corrupt(what: &str, problem: impl Into<String>) -> StoreError {
    StoreError::Corrupt { what: what.to_owned(), problem: problem.into() }
}
