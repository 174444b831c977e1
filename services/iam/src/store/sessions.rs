//! Sessions, their refresh tokens, and the question "which tenant?".

use jiff::Timestamp;
use svc_stores::{Result, relational::Transaction, values};
use uuid::Uuid;

use super::IdentityStore;
use crate::domain::RefreshRecord;

/// A session that a login opens.
#[derive(Debug, Clone)]
pub struct NewSession {
    /// UUID v7.
    pub id: Uuid,
    /// Whose.
    pub user: Uuid,
    /// Where.
    pub tenant: Uuid,
}

/// A refresh token that was found by its digest.
#[derive(Debug, Clone)]
pub struct FoundToken {
    /// Its session.
    pub session: NewSession,
    /// What decides about it.
    pub record: RefreshRecord,
}

impl IdentityStore {
    /// Deletes what ended before `before`, letters too, and sessions without a token.
    ///
    /// # Errors
    ///
    /// Whatever the database says.
    pub async fn forget_ended(&self, before: Timestamp) -> Result<u64> {
        let mut transaction = self.begin().await?;
        let mut door = transaction.system();
        let mut gone =
            door.execute("DELETE FROM refresh_tokens WHERE expires_at < $1", values![before]).await?;
        gone += door.execute("DELETE FROM tenant_choices WHERE expires_at < $1", values![before]).await?;
        gone += door.execute("DELETE FROM letters WHERE expires_at < $1", values![before]).await?;
        let empty = "DELETE FROM sessions WHERE id NOT IN (SELECT session_id FROM refresh_tokens)";
        gone += door.execute(empty, values![]).await?;
        transaction.commit().await?;
        Ok(gone)
    }
}

/// Opens a session.
pub(crate) async fn open(transaction: &mut Transaction, session: &NewSession, now: Timestamp) -> Result<()> {
    let sql = "INSERT INTO sessions (id, user_id, tenant_id, created_at) VALUES ($1, $2, $3, $4)";
    let values = values![session.id, session.user, session.tenant, now];
    transaction.system().execute(sql, values).await.map(|_| ())
}

/// Ends a session: all of its tokens are dead.
pub(crate) async fn revoke(transaction: &mut Transaction, session: Uuid, now: Timestamp) -> Result<()> {
    let sql = "UPDATE sessions SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL";
    transaction.system().execute(sql, values![session, now]).await.map(|_| ())
}

/// Ends every session of a user.
pub(crate) async fn revoke_all(transaction: &mut Transaction, user: Uuid, now: Timestamp) -> Result<()> {
    let sql = "UPDATE sessions SET revoked_at = $2 WHERE user_id = $1 AND revoked_at IS NULL";
    transaction.system().execute(sql, values![user, now]).await?;
    let asked = "DELETE FROM tenant_choices WHERE user_id = $1";
    transaction.system().execute(asked, values![user]).await.map(|_| ())
}

/// Ends the sessions of a user in one tenant.
pub(crate) async fn revoke_in(
    transaction: &mut Transaction,
    tenant: Uuid,
    user: Uuid,
    now: Timestamp,
) -> Result<()> {
    let sql =
        "UPDATE sessions SET revoked_at = $3 WHERE tenant_id = $1 AND user_id = $2 AND revoked_at IS NULL";
    transaction.for_tenant(tenant).execute(sql, values![user, now]).await.map(|_| ())
}

/// Adds a refresh token.
pub(crate) async fn add_token(
    transaction: &mut Transaction,
    session: Uuid,
    digest: &str,
    now: Timestamp,
    expires_at: Timestamp,
) -> Result<()> {
    let sql =
        "INSERT INTO refresh_tokens (digest, session_id, created_at, expires_at) VALUES ($1, $2, $3, $4)";
    transaction.system().execute(sql, values![digest, session, now, expires_at]).await.map(|_| ())
}

/// Finds a refresh token.
pub(crate) async fn find_token(transaction: &mut Transaction, digest: &str) -> Result<Option<FoundToken>> {
    let sql = "SELECT t.session_id, t.expires_at, t.used_at, s.user_id, s.tenant_id, s.revoked_at
        FROM refresh_tokens t JOIN sessions s ON s.id = t.session_id WHERE t.digest = $1";
    let Some(row) = transaction.system().fetch_optional(sql, values![digest]).await? else { return Ok(None) };
    let session =
        NewSession { id: row.get("session_id")?, user: row.get("user_id")?, tenant: row.get("tenant_id")? };
    let revoked: Option<Timestamp> = row.get("revoked_at")?;
    let record = RefreshRecord {
        expires_at: row.get("expires_at")?,
        used_at: row.get("used_at")?,
        revoked: revoked.is_some(),
    };
    Ok(Some(FoundToken { session, record }))
}

/// Notes the first use of a refresh token.
pub(crate) async fn use_token(transaction: &mut Transaction, digest: &str, now: Timestamp) -> Result<()> {
    let sql = "UPDATE refresh_tokens SET used_at = $2 WHERE digest = $1";
    transaction.system().execute(sql, values![digest, now]).await.map(|_| ())
}

/// Asks a user which tenant is meant.
pub(crate) async fn ask_tenant(
    transaction: &mut Transaction,
    digest: &str,
    user: Uuid,
    expires_at: Timestamp,
) -> Result<()> {
    let sql = "INSERT INTO tenant_choices (digest, user_id, expires_at) VALUES ($1, $2, $3)";
    transaction.system().execute(sql, values![digest, user, expires_at]).await.map(|_| ())
}

/// Takes the answer, once: who was asked, if it was not too long ago.
pub(crate) async fn take_choice(
    transaction: &mut Transaction,
    digest: &str,
    now: Timestamp,
) -> Result<Option<Uuid>> {
    let sql = "DELETE FROM tenant_choices WHERE digest = $1 RETURNING user_id, expires_at";
    let Some(row) = transaction.system().fetch_optional(sql, values![digest]).await? else { return Ok(None) };
    let expires_at: Timestamp = row.get("expires_at")?;
    Ok(if now < expires_at { Some(row.get("user_id")?) } else { None })
}
