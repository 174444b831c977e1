//! Rows ↔ domain. Every statement of this service stands below this module.
//!
//! Users, tenants, sessions, second factors and letters belong to the platform and go through its door; members and roles belong to a tenant
//! and go through the tenant's.

pub(crate) mod letters;
pub(crate) mod members;
pub(crate) mod mfa;
pub(crate) mod onboarding;
pub(crate) mod roles;
pub(crate) mod sessions;
mod signing;
pub(crate) mod tenants;
pub(crate) mod users;

pub use mfa::Authenticator;
pub use onboarding::Onboarding;
pub use sessions::{FoundToken, NewSession};

use svc_stores::{Database, Result, relational::Migration};

/// The schema, in order.
pub const MIGRATIONS: &[Migration] = &[
    Migration::new(1, "identity", include_str!("../../migrations/0001_identity.sql")),
    Migration::new(2, "security", include_str!("../../migrations/0002_security.sql")),
];

/// The database of identity. Cheap to clone.
#[derive(Clone)]
pub struct IdentityStore {
    database: Database,
}

impl IdentityStore {
    /// Brings the schema up to date.
    ///
    /// # Errors
    ///
    /// When a migration fails.
    pub async fn open(database: Database) -> Result<IdentityStore> {
        database.migrate("iam", MIGRATIONS).await?;
        Ok(IdentityStore { database })
    }

    /// A transaction of the platform. Nobody else writes while it is open.
    ///
    /// # Errors
    ///
    /// When the database is busy for too long.
    pub async fn begin(&self) -> Result<svc_stores::relational::Transaction> {
        self.database.system().begin().await
    }
}
