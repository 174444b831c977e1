//! Modules as they are kept.

use jiff::Timestamp;
use serde_json::Value;
use svc_stores::relational::{Migration, Row, Scope, Transaction};
use svc_stores::{Database, Result, StoreError, TenantId, values};
use uuid::Uuid;

use crate::domain::Status;

/// The schema.
pub(crate) const MIGRATIONS: &[Migration] =
    &[Migration::new(1, "modules", include_str!("../migrations/0001_modules.sql"))];

/// Now, in whole microseconds: the database keeps no more, and an answer must not change when it is read again.
pub(crate) fn now() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now)
}

/// A module as it is kept.
#[derive(Clone, Debug)]
pub(crate) struct StoredModule {
    pub id: Uuid,
    pub name: String,
    pub version: String,
    pub status: Status,
    pub error: String,
    pub manifest: Value,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub activated_at: Option<Timestamp>,
}

/// Which modules of a tenant are wanted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Filter {
    pub status: Option<Status>,
    pub after: Option<Uuid>,
    pub limit: u32,
}

pub(crate) async fn insert(
    transaction: &mut Transaction,
    module: &StoredModule,
    idempotency_key: Option<&str>,
) -> Result<()> {
    let sql =
        "INSERT INTO modules (id, tenant_id, name, version, status, manifest, idempotency_key, created_at,
            updated_at)
        VALUES ($2, $1, $3, $4, $5, $6, $7, $8, $8)";
    let values = values![
        module.id,
        &module.name,
        &module.version,
        module.status.as_str(),
        &module.manifest,
        idempotency_key,
        module.created_at
    ];
    transaction.execute(sql, values).await.map(|_| ())
}

/// Writes the state of a module. Says whether it still stood where the caller had read it.
pub(crate) async fn save_state(
    transaction: &mut Transaction,
    module: &StoredModule,
    before: Status,
) -> Result<bool> {
    let sql = "UPDATE modules SET status = $3, error = $4, updated_at = $5, activated_at = $6
        WHERE tenant_id = $1 AND id = $2 AND status = $7";
    let values = values![
        module.id,
        module.status.as_str(),
        &module.error,
        module.updated_at,
        module.activated_at,
        before.as_str()
    ];
    Ok(transaction.execute(sql, values).await? == 1)
}

/// What was registered under this key before.
pub(crate) async fn by_key(transaction: &mut Transaction, key: &str) -> Result<Option<StoredModule>> {
    let sql = "SELECT * FROM modules WHERE tenant_id = $1 AND idempotency_key = $2";
    transaction.fetch_optional(sql, values![key]).await?.as_ref().map(read).transpose()
}

/// How many modules of the tenant are not disabled.
pub(crate) async fn count(transaction: &mut Transaction) -> Result<i64> {
    let sql = "SELECT COUNT(*) AS modules FROM modules WHERE tenant_id = $1 AND status <> 'disabled'";
    transaction.fetch_one(sql, values![]).await?.get("modules")
}

pub(crate) async fn module(scope: &Scope, id: Uuid) -> Result<Option<StoredModule>> {
    let sql = "SELECT * FROM modules WHERE tenant_id = $1 AND id = $2";
    scope.fetch_optional(sql, values![id]).await?.as_ref().map(read).transpose()
}

pub(crate) async fn active_by_name(scope: &Scope, name: &str) -> Result<Option<StoredModule>> {
    let sql = "SELECT * FROM modules WHERE tenant_id = $1 AND name = $2 AND status = 'active'";
    scope.fetch_optional(sql, values![name]).await?.as_ref().map(read).transpose()
}

/// Oldest first.
pub(crate) async fn list(scope: &Scope, filter: Filter) -> Result<Vec<StoredModule>> {
    let sql = "SELECT * FROM modules WHERE tenant_id = $1 AND id > $2 AND ($3 = '' OR status = $3)
        ORDER BY id LIMIT $4";
    let values =
        values![filter.after.unwrap_or(Uuid::nil()), filter.status.map_or("", Status::as_str), filter.limit];
    scope.fetch_all(sql, values).await?.iter().map(read).collect()
}

/// Modules of every tenant whose installation is not finished, oldest first.
pub(crate) async fn unfinished(database: &Database, limit: u32) -> Result<Vec<(TenantId, StoredModule)>> {
    let sql = "SELECT * FROM modules WHERE status IN ('pending', 'installing') ORDER BY id LIMIT $1";
    let rows = database.system().fetch_all(sql, values![limit]).await?;
    rows.iter().map(|row| Ok((row.get("tenant_id")?, read(row)?))).collect()
}

fn read(row: &Row) -> Result<StoredModule> {
    let status: String = row.get("status")?;
    let status = Status::parse(&status).ok_or_else(|| StoreError::Corrupt {
        what: "the status of a module".to_owned(),
        problem: format!("`{status}` is unknown"),
    })?;
    Ok(StoredModule {
        id: row.get("id")?,
        name: row.get("name")?,
        version: row.get("version")?,
        status,
        error: row.get("error")?,
        manifest: row.get("manifest")?,
        created_at: row.get("created_at")?,
        updated_at: row.get("updated_at")?,
        activated_at: row.get("activated_at")?,
    })
}
