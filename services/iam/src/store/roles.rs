//! Roles of a tenant; the built-in ones stand in the domain.

use svc_stores::{
    Result, StoreError,
    relational::{Row, Transaction},
    values,
};
use uuid::Uuid;

use super::IdentityStore;
use crate::domain::{BUILT_IN, PLATFORM_OWNER, Role, Scope};

pub(super) const ALL: &str = "SELECT id, tenant_id, name, description, permissions, created_by, created_at
    FROM roles WHERE tenant_id = $1 ORDER BY id";

impl IdentityStore {
    /// The roles with these ids that a tenant knows, in their order.
    ///
    /// # Errors
    ///
    /// Whatever the database says.
    pub async fn roles(&self, tenant: Uuid, ids: &[Uuid]) -> Result<Vec<Role>> {
        let own = self.database.tenant(tenant).fetch_all(ALL, values![]).await?;
        Ok(pick(ids, &roles_of_rows(&own)?))
    }

    /// The built-in roles and a tenant's own, in the order of their ids.
    ///
    /// # Errors
    ///
    /// Whatever the database says.
    pub async fn all_roles(&self, tenant: Uuid) -> Result<Vec<Role>> {
        let own = self.database.tenant(tenant).fetch_all(ALL, values![]).await?;
        let mut roles: Vec<Role> = BUILT_IN.iter().map(|role| role()).collect();
        roles.extend(roles_of_rows(&own)?);
        roles.sort_by_key(|role| role.id);
        Ok(roles)
    }
}

/// Adds a role. A taken name is a unique conflict.
pub(crate) async fn insert(transaction: &mut Transaction, tenant: Uuid, role: &Role) -> Result<()> {
    let sql = "INSERT INTO roles (id, tenant_id, name, description, permissions, created_by, created_at)
        VALUES ($2, $1, $3, $4, $5, $6, $7)";
    let permissions = serde_json::Value::from(role.permissions.clone());
    let values =
        values![role.id, &role.name, &role.description, permissions, role.created_by, role.created_at];
    transaction.for_tenant(tenant).execute(sql, values).await.map(|_| ())
}

/// The roles with these ids that a tenant knows, as they are inside of the transaction.
pub(crate) async fn some(transaction: &mut Transaction, tenant: Uuid, ids: &[Uuid]) -> Result<Vec<Role>> {
    let own = transaction.for_tenant(tenant).fetch_all(ALL, values![]).await?;
    Ok(pick(ids, &roles_of_rows(&own)?))
}

/// A tenant's own role, as it is inside of the transaction.
pub(crate) async fn own(transaction: &mut Transaction, tenant: Uuid, id: Uuid) -> Result<Option<Role>> {
    let own = transaction.for_tenant(tenant).fetch_all(ALL, values![]).await?;
    Ok(roles_of_rows(&own)?.into_iter().find(|role| role.id == id))
}

/// Changes name, description and permissions of a role. A taken name is a unique conflict.
pub(crate) async fn update(transaction: &mut Transaction, tenant: Uuid, role: &Role) -> Result<()> {
    let sql =
        "UPDATE roles SET name = $3, description = $4, permissions = $5 WHERE tenant_id = $1 AND id = $2";
    let permissions = serde_json::Value::from(role.permissions.clone());
    let values = values![role.id, &role.name, &role.description, permissions];
    transaction.for_tenant(tenant).execute(sql, values).await.map(|_| ())
}

/// Deletes a role that nobody has.
pub(crate) async fn delete(transaction: &mut Transaction, tenant: Uuid, id: Uuid) -> Result<()> {
    let sql = "DELETE FROM roles WHERE tenant_id = $1 AND id = $2";
    transaction.for_tenant(tenant).execute(sql, values![id]).await.map(|_| ())
}

pub(super) fn pick(ids: &[Uuid], own: &[Role]) -> Vec<Role> {
    let built_in: Vec<Role> = BUILT_IN.iter().chain([&PLATFORM_OWNER]).map(|role| role()).collect();
    ids.iter().filter_map(|id| built_in.iter().chain(own).find(|role| role.id == *id).cloned()).collect()
}

pub(super) fn roles_of_rows(rows: &[Row]) -> Result<Vec<Role>> {
    rows.iter().map(role_of).collect()
}

fn role_of(row: &Row) -> Result<Role> {
    let permissions: serde_json::Value = row.get("permissions")?;
    let permissions = serde_json::from_value(permissions).map_err(|error| StoreError::Corrupt {
        what: "permissions of a role".to_owned(),
        problem: error.to_string(),
    })?;
    Ok(Role {
        id: row.get("id")?,
        name: row.get("name")?,
        description: row.get("description")?,
        permissions,
        scope: Scope::Tenant,
        tenant: row.get("tenant_id")?,
        created_by: row.get("created_by")?,
        created_at: row.get("created_at")?,
    })
}
