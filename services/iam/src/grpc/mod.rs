//! The wire: read the request, call [`accounts`](crate::accounts), answer.

mod auth;
mod convert;
mod internal;
mod roles;
mod tenants;
mod users;

use crate::accounts::Accounts;

/// The handlers of every service of iam.
#[derive(Clone)]
pub struct Handlers {
    /// What they call.
    pub accounts: Accounts,
}
