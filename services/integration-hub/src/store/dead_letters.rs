//! Calls that were given up on, kept for 30 days. They hold what the caller sent, never a provider's credentials.

use std::time::Duration;

use jiff::Timestamp;
use svc_stores::relational::Row;
use svc_stores::{Database, Result, values};
use uuid::Uuid;

use super::corrupt;
use crate::request::CallRequest;

/// How long a dead letter is kept.
pub const KEPT_FOR: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// A call that was given up on.
#[derive(Clone, Debug)]
pub struct DeadLetter {
    /// UUID v7.
    pub id: Uuid,
    /// The provider.
    pub provider: Uuid,
    /// Its name at that time.
    pub provider_name: String,
    /// What was asked.
    pub request: CallRequest,
    /// Why it was given up.
    pub error: String,
    /// How often it was tried, retries by hand included.
    pub attempts: u32,
    /// When it was given up.
    pub created: Timestamp,
    /// When it was last tried by hand.
    pub last_retry: Option<Timestamp>,
}

const COLUMNS: &str = "id, provider_id, provider_name, request, error, attempts, created_at, last_retry_at";

/// Keeps a dead letter.
pub async fn insert(database: &Database, tenant: Uuid, letter: &DeadLetter) -> Result<()> {
    let sql =
        "INSERT INTO integration_dlq (tenant_id, id, provider_id, provider_name, request, error, attempts,
            created_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    let request =
        serde_json::to_value(&letter.request).map_err(|error| corrupt("request", error.to_string()))?;
    let values = values![
        letter.id,
        letter.provider,
        &letter.provider_name,
        request,
        &letter.error,
        letter.attempts,
        letter.created
    ];
    database.tenant(tenant).execute(sql, values).await.map(|_| ())
}

/// One dead letter of a tenant.
pub async fn get(database: &Database, tenant: Uuid, id: Uuid) -> Result<Option<DeadLetter>> {
    let sql = format!("SELECT {COLUMNS} FROM integration_dlq WHERE tenant_id = $1 AND id = $2");
    let row = database.tenant(tenant).fetch_optional(&sql, values![id]).await?;
    row.as_ref().map(letter_of).transpose()
}

/// Dead letters of a tenant, newest first, older than `before`.
pub async fn list(
    database: &Database,
    tenant: Uuid,
    before: Option<Uuid>,
    limit: u32,
) -> Result<Vec<DeadLetter>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM integration_dlq WHERE tenant_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3"
    );
    let rows = database.tenant(tenant).fetch_all(&sql, values![before.unwrap_or(Uuid::max()), limit]).await?;
    rows.iter().map(letter_of).collect()
}

/// Takes a dead letter to try it again. Says whether it was ours to take: somebody else may have been faster.
pub async fn claim(database: &Database, tenant: Uuid, letter: &DeadLetter, now: Timestamp) -> Result<bool> {
    let sql = "UPDATE integration_dlq SET last_retry_at = $3
        WHERE tenant_id = $1 AND id = $2 AND last_retry_at IS NOT DISTINCT FROM $4";
    Ok(database.tenant(tenant).execute(sql, values![letter.id, now, letter.last_retry]).await? > 0)
}

/// Notes that another try failed too.
pub async fn failed_again(
    database: &Database,
    tenant: Uuid,
    id: Uuid,
    error: &str,
    attempts: u32,
) -> Result<()> {
    let sql =
        "UPDATE integration_dlq SET error = $3, attempts = attempts + $4 WHERE tenant_id = $1 AND id = $2";
    database.tenant(tenant).execute(sql, values![id, error, attempts]).await.map(|_| ())
}

/// Removes a dead letter. Says whether there was one.
pub async fn delete(database: &Database, tenant: Uuid, id: Uuid) -> Result<bool> {
    let sql = "DELETE FROM integration_dlq WHERE tenant_id = $1 AND id = $2";
    Ok(database.tenant(tenant).execute(sql, values![id]).await? > 0)
}

/// Removes dead letters of every tenant that are older than [`KEPT_FOR`]. Says how many.
pub async fn sweep(database: &Database, now: Timestamp) -> Result<u64> {
    let before = now.saturating_sub(KEPT_FOR).unwrap_or(Timestamp::MIN);
    database.system().execute("DELETE FROM integration_dlq WHERE created_at < $1", values![before]).await
}

fn letter_of(row: &Row) -> Result<DeadLetter> {
    let request: serde_json::Value = row.get("request")?;
    Ok(DeadLetter {
        id: row.get("id")?,
        provider: row.get("provider_id")?,
        provider_name: row.get("provider_name")?,
        request: serde_json::from_value(request).map_err(|error| corrupt("request", error.to_string()))?,
        error: row.get("error")?,
        attempts: row.get("attempts")?,
        created: row.get("created_at")?,
        last_retry: row.get("last_retry_at")?,
    })
}
