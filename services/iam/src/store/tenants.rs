//! Tenants and what is above them.

use svc_stores::{
    Result, StoreError,
    relational::{Row, Transaction},
    values,
};
use uuid::Uuid;

use super::IdentityStore;
use crate::domain::{Tenant, TenantStatus, Tier};

const COLUMNS: &str = "t.id, t.name, t.tier, t.status, t.parent_id, t.created_at, t.updated_at";

impl IdentityStore {
    /// A tenant.
    ///
    /// # Errors
    ///
    /// Whatever the database says.
    pub async fn tenant(&self, id: Uuid) -> Result<Option<Tenant>> {
        let sql = format!("SELECT {COLUMNS} FROM tenants t WHERE t.id = $1");
        self.database.system().fetch_optional(&sql, values![id]).await?.as_ref().map(tenant_of).transpose()
    }

    /// The tenants that a user belongs to, oldest first.
    ///
    /// # Errors
    ///
    /// Whatever the database says.
    pub async fn tenants_of(&self, user: Uuid) -> Result<Vec<Tenant>> {
        let sql = format!(
            "SELECT {COLUMNS} FROM members m JOIN tenants t ON t.id = m.tenant_id WHERE m.user_id = $1 ORDER BY t.id"
        );
        self.database.system().fetch_all(&sql, values![user]).await?.iter().map(tenant_of).collect()
    }

    /// A tenant, if it is `top` or below it.
    ///
    /// # Errors
    ///
    /// Whatever the database says.
    pub async fn tenant_within(&self, top: Uuid, id: Uuid) -> Result<Option<Tenant>> {
        let sql = format!(
            "SELECT {COLUMNS} FROM tenant_ancestry a JOIN tenants t ON t.id = a.descendant_id
             WHERE a.ancestor_id = $1 AND a.descendant_id = $2"
        );
        self.database
            .system()
            .fetch_optional(&sql, values![top, id])
            .await?
            .as_ref()
            .map(tenant_of)
            .transpose()
    }

    /// A tenant and all below it, after `after`, oldest first.
    ///
    /// # Errors
    ///
    /// Whatever the database says.
    pub async fn tenants_within(&self, top: Uuid, after: Option<Uuid>, limit: u32) -> Result<Vec<Tenant>> {
        let after = after.unwrap_or(Uuid::nil());
        let sql = format!(
            "SELECT {COLUMNS} FROM tenant_ancestry a JOIN tenants t ON t.id = a.descendant_id
             WHERE a.ancestor_id = $1 AND a.descendant_id > $2 ORDER BY a.descendant_id LIMIT $3"
        );
        let rows = self.database.system().fetch_all(&sql, values![top, after, limit]).await?;
        rows.iter().map(tenant_of).collect()
    }

    /// Whether a tenant, or one above it, is blocked.
    ///
    /// # Errors
    ///
    /// Whatever the database says.
    pub async fn is_blocked(&self, tenant: Uuid) -> Result<bool> {
        let sql = "SELECT 1 AS blocked FROM tenant_ancestry a JOIN tenants t ON t.id = a.ancestor_id
            WHERE a.descendant_id = $1 AND t.status = 'blocked' LIMIT 1";
        Ok(self.database.system().fetch_optional(sql, values![tenant]).await?.is_some())
    }

    /// The platform's own tenant, once it is set up.
    ///
    /// # Errors
    ///
    /// Whatever the database says.
    pub async fn platform(&self) -> Result<Option<Uuid>> {
        let sql = "SELECT id FROM tenants WHERE tier = 'platform'";
        self.database.system().fetch_optional(sql, values![]).await?.map(|row| row.get("id")).transpose()
    }
}

/// Adds a tenant below its parent. A second platform is a unique conflict.
pub(crate) async fn insert(transaction: &mut Transaction, tenant: &Tenant) -> Result<()> {
    let sql = "INSERT INTO tenants (id, name, tier, status, parent_id, created_at, updated_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7)";
    let values = values![
        tenant.id,
        &tenant.name,
        tenant.tier.as_str(),
        tenant.status.as_str(),
        tenant.parent,
        tenant.created_at,
        tenant.updated_at
    ];
    transaction.system().execute(sql, values).await?;
    let own = "INSERT INTO tenant_ancestry (ancestor_id, descendant_id, depth) VALUES ($1, $1, 0)";
    transaction.system().execute(own, values![tenant.id]).await?;
    let above = "INSERT INTO tenant_ancestry (ancestor_id, descendant_id, depth)
        SELECT ancestor_id, $1, depth + 1 FROM tenant_ancestry WHERE descendant_id = $2";
    transaction.system().execute(above, values![tenant.id, tenant.parent]).await?;
    Ok(())
}

/// A tenant, if it is `top` or below it, as it is inside of the transaction.
pub(crate) async fn within(transaction: &mut Transaction, top: Uuid, id: Uuid) -> Result<Option<Tenant>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM tenant_ancestry a JOIN tenants t ON t.id = a.descendant_id
         WHERE a.ancestor_id = $1 AND a.descendant_id = $2"
    );
    transaction.system().fetch_optional(&sql, values![top, id]).await?.as_ref().map(tenant_of).transpose()
}

/// Keeps the name and the status of a tenant.
pub(crate) async fn update(transaction: &mut Transaction, tenant: &Tenant) -> Result<()> {
    let sql = "UPDATE tenants SET name = $2, status = $3, updated_at = $4 WHERE id = $1";
    let values = values![tenant.id, &tenant.name, tenant.status.as_str(), tenant.updated_at];
    transaction.system().execute(sql, values).await.map(|_| ())
}

/// Whether there are tenants below one.
pub(crate) async fn has_below(transaction: &mut Transaction, id: Uuid) -> Result<bool> {
    let sql = "SELECT 1 AS below FROM tenant_ancestry WHERE ancestor_id = $1 AND depth > 0 LIMIT 1";
    Ok(transaction.system().fetch_optional(sql, values![id]).await?.is_some())
}

/// Deletes a tenant with its members, roles, sessions and invitations.
pub(crate) async fn delete(transaction: &mut Transaction, id: Uuid) -> Result<()> {
    let of_tenant = [
        "DELETE FROM refresh_tokens WHERE session_id IN (SELECT id FROM sessions WHERE tenant_id = $1)",
        "DELETE FROM sessions WHERE tenant_id = $1",
        "DELETE FROM member_roles WHERE tenant_id = $1",
        "DELETE FROM members WHERE tenant_id = $1",
        "DELETE FROM roles WHERE tenant_id = $1",
        "DELETE FROM letters WHERE tenant_id = $1",
        "DELETE FROM onboarding WHERE tenant_id = $1",
        "DELETE FROM tenant_ancestry WHERE descendant_id = $1",
        "DELETE FROM tenants WHERE id = $1",
    ];
    for sql in of_tenant {
        transaction.system().execute(sql, values![id]).await?;
    }
    Ok(())
}

fn tenant_of(row: &Row) -> Result<Tenant> {
    let (tier, status): (String, String) = (row.get("tier")?, row.get("status")?);
    let corrupt =
        |problem: &str| StoreError::Corrupt { what: "tenant".to_owned(), problem: problem.to_owned() };
    Ok(Tenant {
        id: row.get("id")?,
        name: row.get("name")?,
        tier: Tier::parse(&tier).ok_or_else(|| corrupt("unknown tier"))?,
        status: TenantStatus::parse(&status).ok_or_else(|| corrupt("unknown status"))?,
        parent: row.get("parent_id")?,
        created_at: row.get("created_at")?,
        updated_at: row.get("updated_at")?,
    })
}
