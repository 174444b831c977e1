//! The embedded database: one SQLite file, one connection that writes, a few that read.
//!
//! What is acknowledged is durable: write-ahead log with `synchronous = FULL`, so that a commit returns only
//! after the log is on the disk. One writer means that nothing waits for a lock inside this process, and
//! `BEGIN IMMEDIATE` means that a transaction that has begun cannot fail because somebody else writes.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sqlx::sqlite::{
    SqliteArguments, SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteRow,
    SqliteSynchronous,
};
use sqlx::{Arguments, AssertSqlSafe, Column, Row as _, Sqlite, SqliteConnection, TypeInfo, ValueRef};

use super::{Backend, BackendTransaction, Dialect, Row, Value};
use crate::error::{ConflictKind, Result, StoreError};
use crate::files;
use crate::tenant::TenantId;
use crate::url::StoreUrl;

const READERS: u32 = 4;
/// How long a statement waits for another process that holds the file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a statement waits for its turn inside this process.
const TURN_TIMEOUT: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(super) struct SqliteBackend {
    writer: SqlitePool,
    readers: SqlitePool,
}

impl SqliteBackend {
    pub(super) async fn open(url: &StoreUrl) -> Result<Self> {
        let path = url.path();
        let opening = |error: sqlx::Error| StoreError::Configuration {
            variable: url.store().variable(),
            problem: format!("{} cannot be opened: {error}", path.display()),
        };
        if let Some(folder) = path.parent() {
            files::create_private_folder(folder).map_err(|error| StoreError::Configuration {
                variable: url.store().variable(),
                problem: format!("the folder {} cannot be made: {error}", folder.display()),
            })?;
        }
        // SQLite gives its log the mode of the file, and would give the file whatever the process' mask says.
        files::make_private(path).map_err(|error| opening(sqlx::Error::Io(error)))?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(BUSY_TIMEOUT)
            .pragma("temp_store", "MEMORY");
        let pool = |connections: u32| {
            SqlitePoolOptions::new()
                .max_connections(connections)
                .acquire_timeout(TURN_TIMEOUT)
                .idle_timeout(None)
                .max_lifetime(None)
                .test_before_acquire(false)
        };
        let writer = pool(1).min_connections(1).connect_with(options.clone()).await.map_err(opening)?;
        let readers = pool(READERS).connect_lazy_with(options.pragma("query_only", "ON"));
        Ok(Self { writer, readers })
    }
}

#[async_trait]
impl Backend for SqliteBackend {
    async fn fetch(
        &self,
        _: Option<TenantId>,
        sql: &str,
        values: Vec<Value>,
        writes: bool,
    ) -> Result<Vec<Row>> {
        let pool = if writes { &self.writer } else { &self.readers };
        let mut connection = pool.acquire().await.map_err(|error| translate(sql, error))?;
        fetch(&mut connection, sql, values).await
    }

    async fn execute(&self, _: Option<TenantId>, sql: &str, values: Vec<Value>) -> Result<u64> {
        let mut connection = self.writer.acquire().await.map_err(|error| translate(sql, error))?;
        execute(&mut connection, sql, values).await
    }

    async fn begin(&self) -> Result<Box<dyn BackendTransaction>> {
        let begun = self.writer.begin_with("BEGIN IMMEDIATE").await;
        Ok(Box::new(SqliteTransaction(begun.map_err(|error| translate("BEGIN", error))?)))
    }

    async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }

    fn dialect(&self) -> Dialect {
        Dialect::Sqlite
    }
}

/// Dropped without a commit, it is rolled back before the connection is used again.
struct SqliteTransaction(sqlx::Transaction<'static, Sqlite>);

#[async_trait]
impl BackendTransaction for SqliteTransaction {
    async fn fetch(&mut self, _: Option<TenantId>, sql: &str, values: Vec<Value>) -> Result<Vec<Row>> {
        fetch(&mut self.0, sql, values).await
    }

    async fn execute(&mut self, _: Option<TenantId>, sql: &str, values: Vec<Value>) -> Result<u64> {
        execute(&mut self.0, sql, values).await
    }

    async fn script(&mut self, sql: &str) -> Result<()> {
        let run = sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut *self.0).await;
        run.map(|_| ()).map_err(|error| translate(sql, error))
    }

    async fn commit(self: Box<Self>) -> Result<()> {
        self.0.commit().await.map_err(|error| translate("COMMIT", error))
    }

    async fn rollback(self: Box<Self>) -> Result<()> {
        self.0.rollback().await.map_err(|error| translate("ROLLBACK", error))
    }
}

async fn fetch(connection: &mut SqliteConnection, sql: &str, values: Vec<Value>) -> Result<Vec<Row>> {
    let query = sqlx::query_with(AssertSqlSafe(sql.to_owned()), arguments(values)?);
    let rows = query.fetch_all(connection).await.map_err(|error| translate(sql, error))?;
    let Some(first) = rows.first() else { return Ok(Vec::new()) };
    let columns: Arc<[String]> = first.columns().iter().map(|column| column.name().to_owned()).collect();
    rows.iter().map(|row| decode(row, &columns).map_err(|error| translate(sql, error))).collect()
}

async fn execute(connection: &mut SqliteConnection, sql: &str, values: Vec<Value>) -> Result<u64> {
    let query = sqlx::query_with(AssertSqlSafe(sql.to_owned()), arguments(values)?);
    let done = query.execute(connection).await.map_err(|error| translate(sql, error))?;
    Ok(done.rows_affected())
}

fn arguments(values: Vec<Value>) -> Result<SqliteArguments> {
    let mut arguments = SqliteArguments::default();
    for value in values {
        let added = match value {
            Value::Null => arguments.add(Option::<i64>::None),
            Value::Boolean(flag) => arguments.add(flag),
            Value::Integer(number) => arguments.add(number),
            Value::Real(number) => arguments.add(number),
            Value::Text(text) => arguments.add(text),
            Value::Bytes(bytes) => arguments.add(bytes),
            Value::Uuid(id) => arguments.add(id.to_string()),
            Value::Timestamp(time) => arguments.add(time.as_microsecond()),
            Value::Json(json) => arguments.add(json.to_string()),
        };
        added.map_err(|error| StoreError::failed("bind a value", error))?;
    }
    Ok(arguments)
}

fn decode(row: &SqliteRow, columns: &Arc<[String]>) -> Result<Row, sqlx::Error> {
    let mut values = Vec::with_capacity(columns.len());
    for index in 0..columns.len() {
        let raw = row.try_get_raw(index)?;
        let kind = if raw.is_null() { "NULL".to_owned() } else { raw.type_info().name().to_owned() };
        values.push(match kind.as_str() {
            "NULL" => Value::Null,
            "INTEGER" => Value::Integer(row.try_get_unchecked(index)?),
            "REAL" => Value::Real(row.try_get_unchecked(index)?),
            "BLOB" => Value::Bytes(row.try_get_unchecked(index)?),
            _ => Value::Text(row.try_get_unchecked(index)?),
        });
    }
    Ok(Row::new(columns.clone(), values))
}

fn translate(sql: &str, error: sqlx::Error) -> StoreError {
    let attempted = super::beginning(sql);
    let unavailable = |attempted: String, problem: String| StoreError::Unavailable { attempted, problem };
    match error {
        sqlx::Error::PoolTimedOut => {
            unavailable(attempted, format!("no turn within {} seconds", TURN_TIMEOUT.as_secs()))
        }
        sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => {
            unavailable(attempted, "it is closed".to_owned())
        }
        sqlx::Error::Database(database) => {
            // https://www.sqlite.org/rescode.html: the low byte is the primary code.
            let code = database.code().and_then(|code| code.parse::<i32>().ok()).unwrap_or_default();
            let problem = database.message().to_owned();
            let conflict =
                |kind| StoreError::Conflict { attempted: attempted.clone(), kind, problem: problem.clone() };
            match (code, code & 0xff) {
                (1555 | 2067 | 2579, _) => conflict(ConflictKind::Unique),
                (787, _) => conflict(ConflictKind::Reference),
                (_, 19) => conflict(ConflictKind::Check),
                (_, 5 | 6) => unavailable(attempted, problem),
                (_, 13) => unavailable(attempted, "the disk is full".to_owned()),
                _ => StoreError::failed(attempted, sqlx::Error::Database(database)),
            }
        }
        other => StoreError::failed(attempted, other),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use crate::{Database, values};

    #[tokio::test]
    async fn nobody_else_can_read_the_files() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let database =
            Database::connect(&format!("sqlite://{}/a.db", folder.path().display())).await.unwrap();
        database.system().execute("CREATE TABLE notes (id BIGINT PRIMARY KEY)", values![]).await.unwrap();
        let mut seen = 0;
        for entry in std::fs::read_dir(folder.path()).unwrap() {
            let entry = entry.unwrap();
            assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", entry.path());
            seen += 1;
        }
        assert!(seen >= 2, "the database and its log");
    }
}
