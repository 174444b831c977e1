//! Second factors.

use jiff::Timestamp;
use svc_stores::{Result, relational::Transaction, values};
use uuid::Uuid;

use super::IdentityStore;

/// The authenticator of a user, whether it is switched on or not.
#[derive(Debug, Clone)]
pub struct Authenticator {
    /// The shared secret, sealed.
    pub sealed_secret: Vec<u8>,
    /// The time step of the last code that was taken.
    pub last_step: i64,
    /// The salt of the recovery codes.
    pub recovery_salt: String,
}

impl IdentityStore {
    /// The authenticator of a user.
    ///
    /// # Errors
    ///
    /// Whatever the database says.
    pub async fn authenticator(&self, user: Uuid) -> Result<Option<Authenticator>> {
        let sql = "SELECT sealed_secret, last_step, recovery_salt FROM authenticators WHERE user_id = $1";
        let Some(row) = self.database.system().fetch_optional(sql, values![user]).await? else {
            return Ok(None);
        };
        Ok(Some(Authenticator {
            sealed_secret: row.get("sealed_secret")?,
            last_step: row.get("last_step")?,
            recovery_salt: row.get("recovery_salt")?,
        }))
    }

    /// Takes the code of a time step. False when it, or a later one, was taken before.
    ///
    /// # Errors
    ///
    /// Whatever the database says.
    pub async fn use_step(&self, user: Uuid, step: i64) -> Result<bool> {
        let sql = "UPDATE authenticators SET last_step = $2 WHERE user_id = $1 AND last_step < $2";
        Ok(self.database.system().execute(sql, values![user, step]).await? > 0)
    }

    /// Takes a recovery code. False when there is none of this hash.
    ///
    /// # Errors
    ///
    /// Whatever the database says.
    pub async fn use_recovery_code(&self, user: Uuid, hash: &str) -> Result<bool> {
        let sql = "DELETE FROM recovery_codes WHERE user_id = $1 AND hash = $2";
        Ok(self.database.system().execute(sql, values![user, hash]).await? > 0)
    }
}

/// Gives a user another authenticator in place of the one before.
pub(crate) async fn replace(
    transaction: &mut Transaction,
    user: Uuid,
    new: &Authenticator,
    hashes: &[String],
    now: Timestamp,
) -> Result<()> {
    remove(transaction, user).await?;
    let sql = "INSERT INTO authenticators (user_id, sealed_secret, last_step, recovery_salt, created_at)
        VALUES ($1, $2, $3, $4, $5)";
    let values = values![user, new.sealed_secret.clone(), new.last_step, &new.recovery_salt, now];
    transaction.system().execute(sql, values).await?;
    add_recovery_codes(transaction, user, hashes).await
}

/// Gives a user other recovery codes in place of those before.
pub(crate) async fn replace_recovery_codes(
    transaction: &mut Transaction,
    user: Uuid,
    salt: &str,
    hashes: &[String],
) -> Result<()> {
    let sql = "UPDATE authenticators SET recovery_salt = $2 WHERE user_id = $1";
    transaction.system().execute(sql, values![user, salt]).await?;
    transaction.system().execute("DELETE FROM recovery_codes WHERE user_id = $1", values![user]).await?;
    add_recovery_codes(transaction, user, hashes).await
}

async fn add_recovery_codes(transaction: &mut Transaction, user: Uuid, hashes: &[String]) -> Result<()> {
    for hash in hashes {
        let sql = "INSERT INTO recovery_codes (user_id, hash) VALUES ($1, $2)";
        transaction.system().execute(sql, values![user, hash]).await?;
    }
    Ok(())
}

/// Switches the second factor of a user on or off. Off, it is forgotten.
pub(crate) async fn switch(transaction: &mut Transaction, user: Uuid, on: bool) -> Result<()> {
    if !on {
        remove(transaction, user).await?;
    }
    let sql = "UPDATE users SET mfa_enabled = $2 WHERE id = $1";
    transaction.system().execute(sql, values![user, on]).await.map(|_| ())
}

async fn remove(transaction: &mut Transaction, user: Uuid) -> Result<()> {
    transaction.system().execute("DELETE FROM recovery_codes WHERE user_id = $1", values![user]).await?;
    transaction.system().execute("DELETE FROM authenticators WHERE user_id = $1", values![user]).await?;
    Ok(())
}
