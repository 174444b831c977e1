//! Who belongs to a tenant, with which roles.

use jiff::Timestamp;
use svc_stores::{Result, relational::Transaction, values};
use uuid::Uuid;

use super::{IdentityStore, roles};
use crate::domain::Role;

impl IdentityStore {
    /// The roles of a user in a tenant, or `None` when the user does not belong to it.
    ///
    /// # Errors
    ///
    /// Whatever the database says.
    pub async fn roles_of(&self, tenant: Uuid, user: Uuid) -> Result<Option<Vec<Role>>> {
        let scope = self.database.tenant(tenant);
        let member = "SELECT user_id FROM members WHERE tenant_id = $1 AND user_id = $2";
        if scope.fetch_optional(member, values![user]).await?.is_none() {
            return Ok(None);
        }
        let sql = "SELECT role_id FROM member_roles WHERE tenant_id = $1 AND user_id = $2 ORDER BY role_id";
        let rows = scope.fetch_all(sql, values![user]).await?;
        let ids = rows.iter().map(|row| row.get("role_id")).collect::<Result<Vec<Uuid>>>()?;
        // An id without a role was deleted meanwhile.
        self.roles(tenant, &ids).await.map(Some)
    }
}

/// Adds a user to a tenant with these roles. A known member is a unique conflict.
pub(crate) async fn insert(
    transaction: &mut Transaction,
    tenant: Uuid,
    user: Uuid,
    roles: &[Uuid],
    now: Timestamp,
) -> Result<()> {
    let sql = "INSERT INTO members (tenant_id, user_id, created_at) VALUES ($1, $2, $3)";
    transaction.for_tenant(tenant).execute(sql, values![user, now]).await?;
    set_roles(transaction, tenant, user, roles).await
}

/// Takes a user out of a tenant. False when they were not in it.
pub(crate) async fn remove(transaction: &mut Transaction, tenant: Uuid, user: Uuid) -> Result<bool> {
    let roles = "DELETE FROM member_roles WHERE tenant_id = $1 AND user_id = $2";
    transaction.for_tenant(tenant).execute(roles, values![user]).await?;
    let member = "DELETE FROM members WHERE tenant_id = $1 AND user_id = $2";
    Ok(transaction.for_tenant(tenant).execute(member, values![user]).await? > 0)
}

/// Who has a role in a tenant.
pub(crate) async fn with_role(transaction: &mut Transaction, tenant: Uuid, role: Uuid) -> Result<Vec<Uuid>> {
    let sql = "SELECT user_id FROM member_roles WHERE tenant_id = $1 AND role_id = $2 ORDER BY user_id";
    let rows = transaction.for_tenant(tenant).fetch_all(sql, values![role]).await?;
    rows.iter().map(|row| row.get("user_id")).collect()
}

/// Takes a role from everybody in a tenant.
pub(crate) async fn take_role(transaction: &mut Transaction, tenant: Uuid, role: Uuid) -> Result<()> {
    let sql = "DELETE FROM member_roles WHERE tenant_id = $1 AND role_id = $2";
    transaction.for_tenant(tenant).execute(sql, values![role]).await.map(|_| ())
}

/// Replaces the roles of a member.
pub(crate) async fn set_roles(
    transaction: &mut Transaction,
    tenant: Uuid,
    user: Uuid,
    roles: &[Uuid],
) -> Result<()> {
    let clear = "DELETE FROM member_roles WHERE tenant_id = $1 AND user_id = $2";
    transaction.for_tenant(tenant).execute(clear, values![user]).await?;
    for role in roles {
        let add = "INSERT INTO member_roles (tenant_id, user_id, role_id) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
        transaction.for_tenant(tenant).execute(add, values![user, role]).await?;
    }
    Ok(())
}

/// The roles of a member as they are inside of the transaction.
pub(crate) async fn roles_within(
    transaction: &mut Transaction,
    tenant: Uuid,
    user: Uuid,
) -> Result<Option<Vec<Role>>> {
    let member = "SELECT user_id FROM members WHERE tenant_id = $1 AND user_id = $2";
    if transaction.for_tenant(tenant).fetch_optional(member, values![user]).await?.is_none() {
        return Ok(None);
    }
    let sql = "SELECT role_id FROM member_roles WHERE tenant_id = $1 AND user_id = $2 ORDER BY role_id";
    let rows = transaction.for_tenant(tenant).fetch_all(sql, values![user]).await?;
    let ids = rows.iter().map(|row| row.get("role_id")).collect::<Result<Vec<Uuid>>>()?;
    let own = transaction.for_tenant(tenant).fetch_all(roles::ALL, values![]).await?;
    Ok(Some(roles::pick(&ids, &roles::roles_of_rows(&own)?)))
}
