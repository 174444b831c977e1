//! When signing keys were made.

use jiff::Timestamp;
use svc_stores::{Result, values};

use super::IdentityStore;

impl IdentityStore {
    /// When this version of the signing key was made. One that was never heard of is made now.
    ///
    /// # Errors
    ///
    /// Whatever the database says.
    pub async fn signing_key_made_at(&self, version: u32, now: Timestamp) -> Result<Timestamp> {
        let known = "SELECT created_at FROM signing_keys WHERE version = $1";
        let door = self.database.system();
        if let Some(row) = door.fetch_optional(known, values![version]).await? {
            return row.get("created_at");
        }
        let add = "INSERT INTO signing_keys (version, created_at) VALUES ($1, $2) ON CONFLICT DO NOTHING";
        door.execute(add, values![version, now]).await?;
        door.fetch_one(known, values![version]).await?.get("created_at")
    }

    /// The newest version of the signing key that any instance heard of.
    ///
    /// # Errors
    ///
    /// Whatever the database says.
    pub async fn signing_key_version(&self) -> Result<u32> {
        let sql = "SELECT version FROM signing_keys ORDER BY version DESC LIMIT 1";
        let newest = self.database.system().fetch_optional(sql, values![]).await?;
        newest.map_or(Ok(0), |row| row.get("version"))
    }
}
