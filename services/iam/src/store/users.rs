//! Users.

use jiff::Timestamp;
use svc_stores::{
    Result,
    relational::{Row, Transaction},
    values,
};
use uuid::Uuid;

use super::IdentityStore;
use crate::domain::{Email, User};

const COLUMNS: &str =
    "u.id, u.email, u.name, u.email_verified, u.mfa_enabled, u.last_tenant_id, u.created_at, u.updated_at";

impl IdentityStore {
    /// A user with their password hash, by address.
    ///
    /// # Errors
    ///
    /// Whatever the database says.
    pub async fn user_by_email(&self, email: &Email) -> Result<Option<(User, Option<String>)>> {
        let sql = format!("SELECT {COLUMNS}, u.password_hash FROM users u WHERE u.email = $1");
        let row = self.database.system().fetch_optional(&sql, values![email.as_str()]).await?;
        row.map(|row| Ok((user_of(&row)?, row.get("password_hash")?))).transpose()
    }

    /// A user.
    ///
    /// # Errors
    ///
    /// Whatever the database says.
    pub async fn user(&self, id: Uuid) -> Result<Option<User>> {
        let sql = format!("SELECT {COLUMNS} FROM users u WHERE u.id = $1");
        self.database.system().fetch_optional(&sql, values![id]).await?.as_ref().map(user_of).transpose()
    }

    /// A user of a tenant.
    ///
    /// # Errors
    ///
    /// Whatever the database says.
    pub async fn user_in(&self, tenant: Uuid, id: Uuid) -> Result<Option<User>> {
        let sql = format!(
            "SELECT {COLUMNS} FROM members m JOIN users u ON u.id = m.user_id WHERE m.tenant_id = $1 AND m.user_id = $2"
        );
        self.database
            .tenant(tenant)
            .fetch_optional(&sql, values![id])
            .await?
            .as_ref()
            .map(user_of)
            .transpose()
    }

    /// The users of a tenant after `after`, oldest first.
    ///
    /// # Errors
    ///
    /// Whatever the database says.
    pub async fn users_in(&self, tenant: Uuid, after: Option<Uuid>, limit: u32) -> Result<Vec<User>> {
        let after = after.unwrap_or(Uuid::nil());
        let sql = format!(
            "SELECT {COLUMNS} FROM members m JOIN users u ON u.id = m.user_id
             WHERE m.tenant_id = $1 AND m.user_id > $2 ORDER BY m.user_id LIMIT $3"
        );
        self.database
            .tenant(tenant)
            .fetch_all(&sql, values![after, limit])
            .await?
            .iter()
            .map(user_of)
            .collect()
    }
}

/// Adds a user. A taken address is a unique conflict.
pub(crate) async fn insert(
    transaction: &mut Transaction,
    user: &User,
    password_hash: Option<String>,
) -> Result<()> {
    let sql = "INSERT INTO users (id, email, name, password_hash, email_verified, last_tenant_id, created_at, updated_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    let values = values![
        user.id,
        user.email.as_str(),
        &user.name,
        password_hash,
        user.email_verified,
        user.last_tenant,
        user.created_at,
        user.updated_at
    ];
    transaction.system().execute(sql, values).await.map(|_| ())
}

/// A user by address, as it is inside of the transaction.
pub(crate) async fn by_email(transaction: &mut Transaction, email: &Email) -> Result<Option<User>> {
    let sql = format!("SELECT {COLUMNS} FROM users u WHERE u.email = $1");
    let row = transaction.system().fetch_optional(&sql, values![email.as_str()]).await?;
    row.as_ref().map(user_of).transpose()
}

/// A user, as it is inside of the transaction.
pub(crate) async fn by_id(transaction: &mut Transaction, id: Uuid) -> Result<Option<User>> {
    let sql = format!("SELECT {COLUMNS} FROM users u WHERE u.id = $1");
    transaction.system().fetch_optional(&sql, values![id]).await?.as_ref().map(user_of).transpose()
}

/// Gives a user another name.
pub(crate) async fn rename(
    transaction: &mut Transaction,
    user: Uuid,
    name: &str,
    now: Timestamp,
) -> Result<()> {
    let sql = "UPDATE users SET name = $2, updated_at = $3 WHERE id = $1";
    transaction.system().execute(sql, values![user, name, now]).await.map(|_| ())
}

/// Notes that an address is its user's.
pub(crate) async fn verify_email(transaction: &mut Transaction, user: Uuid, now: Timestamp) -> Result<()> {
    let sql = "UPDATE users SET email_verified = $2, updated_at = $3 WHERE id = $1";
    transaction.system().execute(sql, values![user, true, now]).await.map(|_| ())
}

/// Gives a user another password.
pub(crate) async fn set_password(
    transaction: &mut Transaction,
    user: Uuid,
    hash: String,
    now: Timestamp,
) -> Result<()> {
    let sql = "UPDATE users SET password_hash = $2, updated_at = $3 WHERE id = $1";
    transaction.system().execute(sql, values![user, hash, now]).await.map(|_| ())
}

/// Remembers where the user was last.
pub(crate) async fn set_last_tenant(transaction: &mut Transaction, user: Uuid, tenant: Uuid) -> Result<()> {
    let sql = "UPDATE users SET last_tenant_id = $2 WHERE id = $1";
    transaction.system().execute(sql, values![user, tenant]).await.map(|_| ())
}

fn user_of(row: &Row) -> Result<User> {
    Ok(User {
        id: row.get("id")?,
        email: Email::from_store(row.get("email")?),
        name: row.get("name")?,
        email_verified: row.get("email_verified")?,
        mfa_enabled: row.get("mfa_enabled")?,
        last_tenant: row.get("last_tenant_id")?,
        created_at: row.get("created_at")?,
        updated_at: row.get("updated_at")?,
    })
}
