//! What new tenants still need at other services, and what is to be undone there for those that were deleted.

use jiff::Timestamp;
use svc_stores::{Result, relational::Transaction, values};
use uuid::Uuid;

use super::IdentityStore;

/// A tenant that is not complete yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Onboarding {
    /// The tenant.
    pub tenant: Uuid,
    /// Its Owner.
    pub user: Uuid,
    /// Whether it has its wallet.
    pub wallet_done: bool,
    /// Whether it has its subscription.
    pub subscription_done: bool,
}

impl IdentityStore {
    /// Tenants that are not complete, oldest first.
    ///
    /// # Errors
    ///
    /// Whatever the database says.
    pub async fn incomplete(&self, limit: u32) -> Result<Vec<Onboarding>> {
        let sql = "SELECT tenant_id, user_id, wallet_done, subscription_done FROM onboarding
            ORDER BY created_at LIMIT $1";
        let rows = self.database.system().fetch_all(sql, values![limit]).await?;
        let read = |row: &svc_stores::relational::Row| {
            Ok(Onboarding {
                tenant: row.get("tenant_id")?,
                user: row.get("user_id")?,
                wallet_done: row.get("wallet_done")?,
                subscription_done: row.get("subscription_done")?,
            })
        };
        rows.iter().map(read).collect()
    }

    /// Deleted tenants that are still to be undone at other services, oldest first.
    ///
    /// # Errors
    ///
    /// Whatever the database says.
    pub async fn farewells(&self, limit: u32) -> Result<Vec<Uuid>> {
        let sql = "SELECT tenant_id FROM farewells ORDER BY created_at LIMIT $1";
        let rows = self.database.system().fetch_all(sql, values![limit]).await?;
        rows.iter().map(|row| row.get("tenant_id")).collect()
    }

    /// Forgets a deleted tenant that was undone at other services.
    ///
    /// # Errors
    ///
    /// Whatever the database says.
    pub async fn forget_farewell(&self, tenant: Uuid) -> Result<()> {
        let sql = "DELETE FROM farewells WHERE tenant_id = $1";
        self.database.tenant(tenant).execute(sql, values![]).await.map(|_| ())
    }

    /// Keeps how far a tenant is; a complete one is forgotten.
    ///
    /// # Errors
    ///
    /// Whatever the database says.
    pub async fn save_onboarding(&self, state: &Onboarding) -> Result<()> {
        let door = self.database.tenant(state.tenant);
        if state.wallet_done && state.subscription_done {
            return door.execute("DELETE FROM onboarding WHERE tenant_id = $1", values![]).await.map(|_| ());
        }
        let sql = "UPDATE onboarding SET wallet_done = $2, subscription_done = $3 WHERE tenant_id = $1";
        door.execute(sql, values![state.wallet_done, state.subscription_done]).await.map(|_| ())
    }
}

/// Notes that a deleted tenant is to be undone at other services.
pub(crate) async fn part(transaction: &mut Transaction, tenant: Uuid, now: Timestamp) -> Result<()> {
    let sql = "INSERT INTO farewells (tenant_id, created_at) VALUES ($1, $2)";
    transaction.for_tenant(tenant).execute(sql, values![now]).await.map(|_| ())
}

/// Notes that a tenant is to be completed.
pub(crate) async fn begin(
    transaction: &mut Transaction,
    tenant: Uuid,
    user: Uuid,
    now: Timestamp,
) -> Result<()> {
    let sql = "INSERT INTO onboarding (tenant_id, user_id, wallet_done, subscription_done, created_at)
        VALUES ($1, $2, $3, $4, $5)";
    transaction.for_tenant(tenant).execute(sql, values![user, false, false, now]).await.map(|_| ())
}
