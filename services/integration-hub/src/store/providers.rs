//! Providers, without their credentials.

use std::time::Duration;

use svc_stores::relational::Row;
use svc_stores::{Database, Result, values};
use url::Url;
use uuid::Uuid;

use super::corrupt;
use crate::domain::{AuthType, Provider, ProviderConfig, ProviderType};

const COLUMNS: &str =
    "id, name, type, base_url, auth_type, timeout_ms, retries, headers, enabled, created_at, updated_at";

/// Adds a provider. A unique conflict means that the tenant has one of this name.
pub async fn insert(database: &Database, tenant: Uuid, provider: &Provider) -> Result<()> {
    let sql =
        "INSERT INTO providers (tenant_id, id, name, type, base_url, auth_type, timeout_ms, retries, headers,
            enabled, created_at, updated_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)";
    let values = values![
        provider.id,
        &provider.name,
        provider.provider_type.as_str(),
        provider.base_url.as_str(),
        provider.auth_type.as_str(),
        milliseconds(provider.config.timeout),
        provider.config.retries,
        headers_of(&provider.config),
        provider.enabled,
        provider.created,
        provider.updated
    ];
    database.tenant(tenant).execute(sql, values).await.map(|_| ())
}

/// Writes what can change, if the provider is still as it was at `read`. Says whether it was.
pub async fn update(
    database: &Database,
    tenant: Uuid,
    provider: &Provider,
    read: jiff::Timestamp,
) -> Result<bool> {
    let sql = "UPDATE providers SET name = $3, type = $4, base_url = $5, timeout_ms = $6, retries = $7,
            headers = $8, enabled = $9, updated_at = $10
        WHERE tenant_id = $1 AND id = $2 AND updated_at = $11";
    let values = values![
        provider.id,
        &provider.name,
        provider.provider_type.as_str(),
        provider.base_url.as_str(),
        milliseconds(provider.config.timeout),
        provider.config.retries,
        headers_of(&provider.config),
        provider.enabled,
        provider.updated,
        read
    ];
    Ok(database.tenant(tenant).execute(sql, values).await? > 0)
}

/// One provider of a tenant.
pub async fn get(database: &Database, tenant: Uuid, id: Uuid) -> Result<Option<Provider>> {
    let sql = format!("SELECT {COLUMNS} FROM providers WHERE tenant_id = $1 AND id = $2");
    let row = database.tenant(tenant).fetch_optional(&sql, values![id]).await?;
    row.as_ref().map(provider_of).transpose()
}

/// Providers of a tenant, newest first, older than `before`.
pub async fn list(
    database: &Database,
    tenant: Uuid,
    before: Option<Uuid>,
    limit: u32,
) -> Result<Vec<Provider>> {
    let sql =
        format!("SELECT {COLUMNS} FROM providers WHERE tenant_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3");
    let rows = database.tenant(tenant).fetch_all(&sql, values![before.unwrap_or(Uuid::max()), limit]).await?;
    rows.iter().map(provider_of).collect()
}

/// Removes a provider. Says whether there was one.
pub async fn delete(database: &Database, tenant: Uuid, id: Uuid) -> Result<bool> {
    let sql = "DELETE FROM providers WHERE tenant_id = $1 AND id = $2";
    Ok(database.tenant(tenant).execute(sql, values![id]).await? > 0)
}

fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

fn headers_of(config: &ProviderConfig) -> serde_json::Value {
    config
        .headers
        .iter()
        .map(|(name, value)| (name.clone(), value.clone().into()))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

fn provider_of(row: &Row) -> Result<Provider> {
    let provider_type: String = row.get("type")?;
    let base_url: String = row.get("base_url")?;
    let auth_type: String = row.get("auth_type")?;
    let headers: serde_json::Value = row.get("headers")?;
    Ok(Provider {
        id: row.get("id")?,
        name: row.get("name")?,
        provider_type: ProviderType::from_stored(&provider_type)
            .ok_or_else(|| corrupt("provider type", format!("is `{provider_type}`")))?,
        base_url: Url::parse(&base_url).map_err(|error| corrupt("base URL", error.to_string()))?,
        auth_type: AuthType::from_stored(&auth_type)
            .ok_or_else(|| corrupt("auth type", format!("is `{auth_type}`")))?,
        config: ProviderConfig {
            timeout: Duration::from_millis(row.get("timeout_ms")?),
            retries: row.get("retries")?,
            headers: serde_json::from_value(headers)
                .map_err(|error| corrupt("headers", error.to_string()))?,
        },
        enabled: row.get("enabled")?,
        created: row.get("created_at")?,
        updated: row.get("updated_at")?,
    })
}
