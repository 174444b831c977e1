//! The rows of host names.

use jiff::Timestamp;
use svc_stores::{Database, Result, StoreError, relational::Row, values};
use uuid::Uuid;

use crate::domain::{Hostname, Status, Token};

/// One host name of one tenant.
#[derive(Clone, Debug)]
pub struct Domain {
    /// UUID v7.
    pub id: Uuid,
    /// Whose it is.
    pub tenant: Uuid,
    /// The name.
    pub hostname: Hostname,
    /// Proves ownership.
    pub token: Token,
    /// Where it stands.
    pub status: Status,
    /// What the last look at the DNS found missing; empty when nothing.
    pub last_error: String,
    /// When it was added.
    pub created: Timestamp,
    /// When the DNS was last looked at.
    pub checked: Option<Timestamp>,
    /// When it was verified.
    pub verified: Option<Timestamp>,
}

const COLUMNS: &str =
    "id, tenant_id, hostname, token, status, last_error, created_at, checked_at, verified_at";

/// Adds a name. A unique conflict means that somebody, in whatever tenant, has it.
pub async fn insert(database: &Database, domain: &Domain) -> Result<()> {
    let sql = "INSERT INTO domains (tenant_id, id, hostname, token, status, last_error, created_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7)";
    let values = values![
        domain.id,
        domain.hostname.as_str(),
        domain.token.as_str(),
        domain.status.as_str(),
        &domain.last_error,
        domain.created
    ];
    database.tenant(domain.tenant).execute(sql, values).await.map(|_| ())
}

/// One name of a tenant.
pub async fn get(database: &Database, tenant: Uuid, id: Uuid) -> Result<Option<Domain>> {
    let sql = format!("SELECT {COLUMNS} FROM domains WHERE tenant_id = $1 AND id = $2");
    let row = database.tenant(tenant).fetch_optional(&sql, values![id]).await?;
    row.as_ref().map(domain_of).transpose()
}

/// Names of a tenant, newest first, older than `before`.
pub async fn list(
    database: &Database,
    tenant: Uuid,
    before: Option<Uuid>,
    limit: u32,
) -> Result<Vec<Domain>> {
    let sql =
        format!("SELECT {COLUMNS} FROM domains WHERE tenant_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3");
    let rows = database.tenant(tenant).fetch_all(&sql, values![before.unwrap_or(Uuid::max()), limit]).await?;
    rows.iter().map(domain_of).collect()
}

/// Removes a name. Says whether there was one.
pub async fn delete(database: &Database, tenant: Uuid, id: Uuid) -> Result<bool> {
    let sql = "DELETE FROM domains WHERE tenant_id = $1 AND id = $2";
    Ok(database.tenant(tenant).execute(sql, values![id]).await? > 0)
}

/// Pending names of all tenants, oldest first, after the one given.
pub async fn pending(
    database: &Database,
    after: Option<(Timestamp, Uuid)>,
    limit: u32,
) -> Result<Vec<Domain>> {
    let (created, id) = after.unwrap_or((Timestamp::UNIX_EPOCH, Uuid::nil()));
    let sql = format!(
        "SELECT {COLUMNS} FROM domains WHERE status = 'pending'
            AND (created_at > $1 OR (created_at = $1 AND id > $2))
        ORDER BY created_at, id LIMIT $3"
    );
    let rows = database.system().fetch_all(&sql, values![created, id, limit]).await?;
    rows.iter().map(domain_of).collect()
}

/// The verified name, in whatever tenant.
pub async fn verified(database: &Database, hostname: &Hostname) -> Result<Option<Domain>> {
    let sql = format!("SELECT {COLUMNS} FROM domains WHERE hostname = $1 AND status = 'verified'");
    let row = database.system().fetch_optional(&sql, values![hostname.as_str()]).await?;
    row.as_ref().map(domain_of).transpose()
}

/// Writes the outcome of a check, if the name is still there and pending.
pub async fn settle(database: &Database, domain: &Domain) -> Result<()> {
    let sql = "UPDATE domains SET status = $3, last_error = $4, checked_at = $5, verified_at = $6
        WHERE tenant_id = $1 AND id = $2 AND status = 'pending'";
    let values =
        values![domain.id, domain.status.as_str(), &domain.last_error, domain.checked, domain.verified];
    database.tenant(domain.tenant).execute(sql, values).await.map(|_| ())
}

fn domain_of(row: &Row) -> Result<Domain> {
    let corrupt = |what: &str, problem: String| StoreError::Corrupt { what: what.to_owned(), problem };
    let hostname: String = row.get("hostname")?;
    let status: String = row.get("status")?;
    Ok(Domain {
        id: row.get("id")?,
        tenant: row.get("tenant_id")?,
        hostname: Hostname::parse(&hostname).map_err(|error| corrupt("hostname", error.to_string()))?,
        token: Token::from_stored(row.get::<String>("token")?),
        status: Status::from_stored(&status).ok_or_else(|| corrupt("status", format!("is `{status}`")))?,
        last_error: row.get("last_error")?,
        created: row.get("created_at")?,
        checked: row.get("checked_at")?,
        verified: row.get("verified_at")?,
    })
}
