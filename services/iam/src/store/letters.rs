//! Letters with links.

use jiff::Timestamp;
use svc_stores::{
    Result, StoreError,
    relational::{Row, Transaction},
    values,
};
use uuid::Uuid;

use super::IdentityStore;
use crate::domain::{Email, Letter, Purpose};

const COLUMNS: &str = "id, purpose, email, tenant_id, role_ids, created_at, expires_at, attempts";

impl IdentityStore {
    /// A letter whose link is still good.
    ///
    /// # Errors
    ///
    /// Whatever the database says.
    pub async fn letter(&self, id: Uuid, now: Timestamp) -> Result<Option<Letter>> {
        let sql = format!("SELECT {COLUMNS} FROM letters WHERE id = $1 AND expires_at > $2");
        let row = self.database.system().fetch_optional(&sql, values![id, now]).await?;
        row.as_ref().map(letter_of).transpose()
    }

    /// Letters that are to be sent now, oldest first.
    ///
    /// # Errors
    ///
    /// Whatever the database says.
    pub async fn letters_to_send(&self, now: Timestamp, limit: u32) -> Result<Vec<Letter>> {
        let sql = format!(
            "SELECT {COLUMNS} FROM letters WHERE send_at <= $1 AND expires_at > $1 ORDER BY send_at, id LIMIT $2"
        );
        let rows = self.database.system().fetch_all(&sql, values![now, limit]).await?;
        rows.iter().map(letter_of).collect()
    }

    /// When the next letter is to be sent.
    ///
    /// # Errors
    ///
    /// Whatever the database says.
    pub async fn next_letter(&self, now: Timestamp) -> Result<Option<Timestamp>> {
        let sql = "SELECT send_at FROM letters WHERE send_at IS NOT NULL AND expires_at > $1 ORDER BY send_at LIMIT 1";
        self.database
            .system()
            .fetch_optional(sql, values![now])
            .await?
            .map(|row| row.get("send_at"))
            .transpose()
    }

    /// Notes that a letter was sent, or when to try again.
    ///
    /// # Errors
    ///
    /// Whatever the database says.
    pub async fn letter_tried(&self, id: Uuid, again: Option<Timestamp>) -> Result<()> {
        let sql = "UPDATE letters SET send_at = $2, attempts = attempts + 1 WHERE id = $1";
        self.database.system().execute(sql, values![id, again]).await.map(|_| ())
    }

    /// Forgets a letter that is not to be sent.
    ///
    /// # Errors
    ///
    /// Whatever the database says.
    pub async fn drop_letter(&self, id: Uuid) -> Result<()> {
        let sql = "DELETE FROM letters WHERE id = $1";
        self.database.system().execute(sql, values![id]).await.map(|_| ())
    }
}

/// Notes a letter that is to be sent at once.
pub(crate) async fn write(transaction: &mut Transaction, letter: &Letter) -> Result<()> {
    let sql = "INSERT INTO letters (id, purpose, email, tenant_id, role_ids, created_at, expires_at, send_at, attempts)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $6, 0)";
    let roles = letter.roles.iter().map(Uuid::to_string).collect::<Vec<_>>();
    let roles = letter.tenant.map(|_| serde_json::Value::from(roles));
    let values = values![
        letter.id,
        letter.purpose.as_str(),
        letter.email.as_str(),
        letter.tenant,
        roles,
        letter.created_at,
        letter.expires_at
    ];
    transaction.system().execute(sql, values).await.map(|_| ())
}

/// Takes a letter whose link is still good: it is good no more.
pub(crate) async fn take(transaction: &mut Transaction, id: Uuid, now: Timestamp) -> Result<Option<Letter>> {
    let sql = format!("DELETE FROM letters WHERE id = $1 AND expires_at > $2 RETURNING {COLUMNS}");
    transaction.system().fetch_optional(&sql, values![id, now]).await?.as_ref().map(letter_of).transpose()
}

/// Forgets the letters to an address that a newer state of its account makes worthless.
pub(crate) async fn forget(transaction: &mut Transaction, email: &Email, purpose: Purpose) -> Result<()> {
    let sql = "DELETE FROM letters WHERE email = $1 AND purpose = $2";
    transaction.system().execute(sql, values![email.as_str(), purpose.as_str()]).await.map(|_| ())
}

fn letter_of(row: &Row) -> Result<Letter> {
    let corrupt =
        |problem: &str| StoreError::Corrupt { what: "letter".to_owned(), problem: problem.to_owned() };
    let purpose: String = row.get("purpose")?;
    let roles: Option<serde_json::Value> = row.get("role_ids")?;
    let roles = roles.map_or(Ok(Vec::new()), serde_json::from_value);
    Ok(Letter {
        id: row.get("id")?,
        purpose: Purpose::parse(&purpose).ok_or_else(|| corrupt("unknown purpose"))?,
        email: Email::from_store(row.get("email")?),
        tenant: row.get("tenant_id")?,
        roles: roles.map_err(|_| corrupt("its roles are no list of ids"))?,
        created_at: row.get("created_at")?,
        expires_at: row.get("expires_at")?,
        attempts: row.get("attempts")?,
    })
}
