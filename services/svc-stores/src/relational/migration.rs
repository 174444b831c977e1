//! Migrations: versioned, checksummed, each in one transaction, never forgotten and never changed.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use super::{Backend, Dialect, Value};
use crate::error::{Result, StoreError};

/// One step of a schema. Write it in the SQL that PostgreSQL and SQLite share; it may hold several statements.
#[derive(Clone, Copy, Debug)]
pub struct Migration {
    /// Its place in the order, from 1 without gaps.
    pub version: u32,
    /// What it does, in a few words.
    pub name: &'static str,
    /// The statements.
    pub sql: &'static str,
    /// The statements for PostgreSQL, where the two have no common ones.
    pub postgres: Option<&'static str>,
}

impl Migration {
    /// A migration, usually with `include_str!("../migrations/0001_wallets.sql")`.
    #[must_use]
    pub const fn new(version: u32, name: &'static str, sql: &'static str) -> Self {
        Self { version, name, sql, postgres: None }
    }

    /// The same migration with statements of its own for PostgreSQL.
    #[must_use]
    pub const fn for_postgres(mut self, sql: &'static str) -> Self {
        self.postgres = Some(sql);
        self
    }

    fn statements(&self, dialect: Dialect) -> &'static str {
        match (dialect, self.postgres) {
            (Dialect::Postgres, Some(sql)) => sql,
            _ => self.sql,
        }
    }

    /// A digest that does not change with the line ends of a checkout.
    fn checksum(&self, dialect: Dialect) -> String {
        hex::encode(Sha256::digest(self.statements(dialect).replace("\r\n", "\n").as_bytes()))
    }
}

const TABLE: &str = "CREATE TABLE IF NOT EXISTS schema_migrations (
    service TEXT NOT NULL, version BIGINT NOT NULL, name TEXT NOT NULL, checksum TEXT NOT NULL,
    applied_at TIMESTAMPTZ NOT NULL, PRIMARY KEY (service, version))";

/// Brings the schema of `service` to the last of `migrations`.
pub(super) async fn run(backend: &dyn Backend, service: &str, migrations: &[Migration]) -> Result<()> {
    let wrong = |problem: String| StoreError::Migration { service: service.to_owned(), problem };
    for (index, migration) in migrations.iter().enumerate() {
        if usize::try_from(migration.version).ok() != Some(index + 1) {
            return Err(wrong(format!(
                "migration `{}` has version {}, but its place is {}",
                migration.name,
                migration.version,
                index + 1
            )));
        }
    }

    let dialect = backend.dialect();
    let mut transaction = backend.begin().await?;
    transaction.script(TABLE).await?;
    transaction.commit().await?;

    // Each migration takes the write lock first and then looks again: two processes that start at once do not
    // run the same one twice.
    loop {
        let mut transaction = backend.begin().await?;
        let rows = transaction
            .fetch(
                None,
                "SELECT version, name, checksum FROM schema_migrations WHERE service = $1",
                vec![Value::from(service)],
            )
            .await?;
        let mut applied = BTreeMap::new();
        for row in rows {
            applied.insert(
                row.get::<u32>("version")?,
                (row.get::<String>("name")?, row.get::<String>("checksum")?),
            );
        }
        for (version, (name, checksum)) in &applied {
            let own =
                usize::try_from(*version).ok().and_then(|version| migrations.get(version.wrapping_sub(1)));
            let Some(own) = own else {
                return Err(wrong(format!(
                    "the database has version {version} (`{name}`), which this program does not know; \
                     start a version that is at least as new as the one that wrote it"
                )));
            };
            if own.checksum(dialect) != *checksum {
                return Err(wrong(format!(
                    "version {version} (`{name}`) was changed after it ran; restore its text and add a new one"
                )));
            }
        }
        let Some(next) = migrations.iter().find(|migration| !applied.contains_key(&migration.version)) else {
            return transaction.rollback().await;
        };
        transaction.script(next.statements(dialect)).await.map_err(|error| {
            wrong(format!(
                "version {} (`{}`) failed and left nothing behind: {error}",
                next.version, next.name
            ))
        })?;
        transaction
            .execute(
                None,
                "INSERT INTO schema_migrations (service, version, name, checksum, applied_at)
                 VALUES ($1, $2, $3, $4, $5)",
                vec![
                    Value::from(service),
                    Value::from(next.version),
                    Value::from(next.name),
                    Value::from(next.checksum(dialect)),
                    Value::from(jiff::Timestamp::now()),
                ],
            )
            .await?;
        transaction.commit().await?;
        tracing::info!(service, version = next.version, name = next.name, "migration applied");
    }
}
