//! PostgreSQL.
//!
//! - **Whose rows.** Each transaction, also that of a single statement, sets `app.tenant_id` for itself: to the tenant
//!   of its door, or to `*` at the platform's. Every table with a `tenant_id` has a policy that compares the two, and
//!   nothing is seen where nobody set it. A role that row-level security does not bind is not taken.
//! - **One writer**, as the port promises: a transaction that may write takes an advisory lock of the database first.
//!   So what it read stays true until it commits, in every instance, and migrations of several instances run once.
//! - **Nothing waits forever.** The server ends statements; a server that does not answer is left after the deadline,
//!   and so is the connection. Until `COMMIT` was sent nothing has happened, and the error is transient; when the answer
//!   to `COMMIT` is lost nobody knows, and the error is none that invites to do it again.

use std::str::FromStr as _;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection as _, Postgres};

use super::{Backend, BackendTransaction, Dialect, Row, Value, beginning};
use crate::error::{ConflictKind, Result, StoreError};
use crate::tenant::TenantId;
use crate::url::Store;

mod wire;

/// The value of `app.tenant_id` at the platform's door.
const EVERY_TENANT: &str = "*";
/// The advisory lock of whoever writes; the number has no meaning but must never change.
const WRITER_LOCK: i64 = 0x6b65_726e_656c;
const READERS: u32 = 4;
/// How often a single statement is tried whose connection was lost, or which the server gave up in favour of another.
const ATTEMPTS: u32 = READERS + 2;
const FORM: &str = "postgres://<user>:<password>@<host>:<port>/<database>";

/// A policy for every table of ours that has a `tenant_id` and none yet. `FORCE`, because we own the tables.
const PROTECT: &str = "DO $protect$
DECLARE name TEXT;
BEGIN
    FOR name IN
        SELECT c.relname FROM pg_class c
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped
        WHERE c.relkind IN ('r', 'p') AND NOT c.relforcerowsecurity
            AND c.relnamespace = current_schema()::regnamespace
    LOOP
        EXECUTE format('CREATE POLICY tenant_isolation ON %I USING (current_setting(''app.tenant_id'', true)
            IN (tenant_id::text, ''*''))', name);
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
    END LOOP;
END $protect$";

/// Whether a URL is one for this adapter.
pub(crate) fn is_for(url: &str) -> bool {
    let scheme = url.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
    matches!(scheme.as_deref(), Some("postgres" | "postgresql"))
}

/// Checks a URL without connecting.
///
/// # Errors
/// [`StoreError::Configuration`], without the value.
pub(crate) fn check(url: &str) -> Result<()> {
    options(url).map(|_| ())
}

fn wrong(problem: String) -> StoreError {
    StoreError::Configuration { variable: Store::Database.variable(), problem }
}

fn options(url: &str) -> Result<PgConnectOptions> {
    let options = PgConnectOptions::from_str(url.trim())
        .map_err(|_| wrong(format!("is not a URL of PostgreSQL; use {FORM}")))?;
    let parsed = url::Url::parse(url.trim()).map_err(|_| wrong(format!("is not a URL; use {FORM}")))?;
    if parsed.host_str().is_none_or(str::is_empty) || parsed.path().trim_matches('/').is_empty() {
        return Err(wrong(format!("names no host or no database; use {FORM}")));
    }
    Ok(options)
}

/// How long things may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// A connection, or the turn to write.
    pub(crate) turn: Duration,
    /// The answer to one statement. The server ends it then; two seconds later we do not wait for the server either.
    pub(crate) statement: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { turn: Duration::from_secs(30), statement: Duration::from_secs(30) }
    }
}

/// What errors say about the server, and how long it has.
#[derive(Clone, Debug)]
struct Server {
    host: String,
    limits: Limits,
}

#[derive(Debug)]
pub(crate) struct PostgresBackend {
    writer: PgPool,
    readers: PgPool,
    server: Arc<Server>,
}

impl PostgresBackend {
    pub(crate) async fn open(url: &str, limits: Limits) -> Result<Self> {
        let options = options(url)?;
        let database = options.get_database().unwrap_or_default();
        let host = format!("{}:{}/{database}", options.get_host(), options.get_port());
        let server = Arc::new(Server { host, limits });
        let milliseconds = limits.statement.as_millis().to_string();
        let options = options.application_name("platform").options([
            ("statement_timeout", milliseconds.as_str()),
            ("lock_timeout", milliseconds.as_str()),
            ("idle_in_transaction_session_timeout", "60000"),
        ]);
        // A connection that died while it was idle is noticed at `BEGIN`, which is then sent on another one.
        let pool = |connections: u32| {
            PgPoolOptions::new()
                .max_connections(connections)
                .acquire_timeout(limits.turn)
                .test_before_acquire(false)
                // The pool asks a connection for a sign of life when it comes back, and would wait for it forever.
                .after_release(move |connection, _| {
                    let alive = tokio::time::timeout(limits.turn, connection.ping());
                    Box::pin(async move { Ok(matches!(alive.await, Ok(Ok(())))) })
                })
        };
        let backend = Self {
            writer: pool(1).connect_lazy_with(options.clone()),
            readers: pool(READERS).connect_lazy_with(options),
            server,
        };
        backend.check_role().await?;
        Ok(backend)
    }

    /// A role that sees every tenant's rows makes the policies worthless.
    async fn check_role(&self) -> Result<()> {
        let host = &self.server.host;
        let sql =
            "SELECT rolname, rolsuper OR rolbypassrls AS bypasses FROM pg_roles WHERE rolname = current_user";
        let rows = self.fetch(None, sql, Vec::new(), false).await.map_err(|error| match error {
            StoreError::Unavailable { problem, .. } => wrong(problem),
            StoreError::Failed { source, .. } => wrong(format!("{host}: {source}")),
            other => wrong(format!("{host}: {other}")),
        })?;
        let row = rows.first().ok_or_else(|| wrong(format!("{host}: the role is unknown")))?;
        if row.get::<bool>("bypasses")? {
            let role: String = row.get("rolname")?;
            return Err(wrong(format!(
                "{host}: row-level security does not bind the role `{role}`; use a role without SUPERUSER and BYPASSRLS"
            )));
        }
        Ok(())
    }

    /// Begins on a connection that lives. Nothing has happened yet, so a lost connection is only replaced.
    async fn begin_as(&self, tenant: Option<TenantId>, writes: bool) -> Result<PostgresTransaction> {
        let pool = if writes { &self.writer } else { &self.readers };
        let setting = setting(tenant);
        let begin = if writes {
            format!("BEGIN; {setting}; SELECT pg_advisory_xact_lock({WRITER_LOCK})")
        } else {
            format!("BEGIN READ ONLY; {setting}")
        };
        let mut attempt = 1;
        loop {
            let connection = pool.acquire().await.map_err(|error| self.server.translate("BEGIN", error))?;
            let mut transaction = PostgresTransaction {
                connection: Some(connection),
                server: Arc::clone(&self.server),
                tenant,
                savepoint: false,
                busy: false,
                aborted: false,
            };
            match transaction.send(&begin).await {
                Ok(()) => return Ok(transaction),
                Err(Lost::Connection(_)) if attempt < ATTEMPTS => attempt += 1,
                Err(lost) => return Err(lost.into()),
            }
        }
    }

    /// One statement in a transaction of its own, again when it was lost before `COMMIT`.
    async fn single(
        &self,
        tenant: Option<TenantId>,
        sql: &str,
        values: &[Value],
        wanted: Wanted,
    ) -> Result<(Vec<Row>, u64)> {
        let mut attempt = 1;
        loop {
            let mut transaction = self.begin_as(tenant, wanted != Wanted::Rows { written: false }).await?;
            let answer = match wanted {
                Wanted::Rows { .. } => transaction.rows(sql, values).await.map(|rows| (rows, 0)),
                Wanted::Changes => transaction.changes(sql, values).await.map(|count| (Vec::new(), count)),
            };
            match answer {
                Ok(answer) => {
                    Box::new(transaction).commit().await?;
                    return Ok(answer);
                }
                Err(Lost::Connection(_) | Lost::Turn(_)) if attempt < ATTEMPTS => attempt += 1,
                Err(lost) => return Err(lost.into()),
            }
        }
    }
}

/// What a single statement is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    Rows { written: bool },
    Changes,
}

fn setting(tenant: Option<TenantId>) -> String {
    // A UUID needs no quoting beyond this.
    let value = tenant.map_or(EVERY_TENANT.to_owned(), |tenant| tenant.to_string());
    format!("SET LOCAL app.tenant_id = '{value}'")
}

#[async_trait]
impl Backend for PostgresBackend {
    async fn fetch(
        &self,
        tenant: Option<TenantId>,
        sql: &str,
        values: Vec<Value>,
        writes: bool,
    ) -> Result<Vec<Row>> {
        let (rows, _) = self.single(tenant, sql, &values, Wanted::Rows { written: writes }).await?;
        Ok(rows)
    }

    async fn execute(&self, tenant: Option<TenantId>, sql: &str, values: Vec<Value>) -> Result<u64> {
        let (_, count) = self.single(tenant, sql, &values, Wanted::Changes).await?;
        Ok(count)
    }

    async fn begin(&self) -> Result<Box<dyn BackendTransaction>> {
        Ok(Box::new(self.begin_as(None, true).await?))
    }

    async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }

    fn dialect(&self) -> Dialect {
        Dialect::Postgres
    }
}

/// Why a statement failed, by what may be done about it.
enum Lost {
    /// The connection broke. Before `COMMIT` nothing has happened.
    Connection(StoreError),
    /// The server gave it up in favour of another transaction.
    Turn(StoreError),
    /// The server said no, or did not answer in time.
    Statement(StoreError),
}

impl From<Lost> for StoreError {
    fn from(lost: Lost) -> Self {
        match lost {
            Lost::Connection(error) | Lost::Turn(error) | Lost::Statement(error) => error,
        }
    }
}

struct PostgresTransaction {
    connection: Option<PoolConnection<Postgres>>,
    server: Arc<Server>,
    /// Whose rows the database was told to show.
    tenant: Option<TenantId>,
    savepoint: bool,
    /// A statement is under way, or its answer never came: the connection cannot be used again.
    busy: bool,
    /// A statement failed that no savepoint stood before: the server would answer `COMMIT` with a rollback.
    aborted: bool,
}

impl PostgresTransaction {
    /// Waits for an answer. Until it is there, and when it never comes, the connection counts as busy.
    async fn answer<T>(
        &mut self,
        sql: &str,
        work: impl AsyncFnOnce(&mut sqlx::PgConnection) -> sqlx::Result<T>,
    ) -> Result<T, Lost> {
        let server = Arc::clone(&self.server);
        let closed = || server.unavailable(beginning(sql), "the connection is closed");
        if self.busy {
            return Err(Lost::Connection(closed()));
        }
        let Some(connection) = self.connection.as_mut() else { return Err(Lost::Connection(closed())) };
        self.busy = true;
        let patience = server.limits.statement + Duration::from_secs(2);
        match tokio::time::timeout(patience, work(&mut *connection)).await {
            Err(_) => {
                let problem = format!("no answer within {} seconds", patience.as_secs());
                Err(Lost::Statement(server.unavailable(beginning(sql), &problem)))
            }
            Ok(Ok(answer)) => {
                self.busy = false;
                Ok(answer)
            }
            Ok(Err(error)) => {
                let code = error.as_database_error().and_then(|error| error.code()).unwrap_or_default();
                let (ended, turn) = (ends_session(&code), matches!(&*code, "40001" | "40P01"));
                let in_database = matches!(error, sqlx::Error::Database(_));
                let broken =
                    matches!(error, sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_));
                self.busy = ended || broken;
                self.aborted |= in_database;
                let error = server.translate(sql, error);
                Err(if self.busy {
                    Lost::Connection(error)
                } else if turn {
                    Lost::Turn(error)
                } else {
                    Lost::Statement(error)
                })
            }
        }
    }

    /// Statements without values, several at once.
    async fn send(&mut self, sql: &str) -> Result<(), Lost> {
        let text = AssertSqlSafe(sql.to_owned());
        self.answer(sql, async |connection| sqlx::raw_sql(text).execute(connection).await.map(|_| ())).await
    }

    async fn rows(&mut self, sql: &str, values: &[Value]) -> Result<Vec<Row>, Lost> {
        let arguments = wire::arguments(values).map_err(Lost::Statement)?;
        let query = sqlx::query_with(AssertSqlSafe(sql.to_owned()), arguments);
        let rows = self.answer(sql, async |connection| query.fetch_all(connection).await).await?;
        wire::rows(&rows).map_err(Lost::Statement)
    }

    async fn changes(&mut self, sql: &str, values: &[Value]) -> Result<u64, Lost> {
        let arguments = wire::arguments(values).map_err(Lost::Statement)?;
        let query = sqlx::query_with(AssertSqlSafe(sql.to_owned()), arguments);
        let done = self.answer(sql, async |connection| query.execute(connection).await).await?;
        Ok(done.rows_affected())
    }

    /// Says whose rows come next, and where to go back to when the next statement fails: as with SQLite, a statement
    /// that breaks a rule undoes itself and not the whole transaction.
    async fn prepare(&mut self, tenant: Option<TenantId>) -> Result<(), Lost> {
        let mut sql = String::new();
        if self.savepoint {
            sql.push_str("RELEASE SAVEPOINT statement; ");
        }
        if tenant != self.tenant {
            sql.push_str(&setting(tenant));
            sql.push_str("; ");
        }
        sql.push_str("SAVEPOINT statement");
        self.send(&sql).await?;
        self.tenant = tenant;
        self.savepoint = true;
        Ok(())
    }

    async fn settle<T>(&mut self, answer: Result<T, Lost>) -> Result<T> {
        if matches!(answer, Err(Lost::Statement(_))) && !self.busy && self.aborted {
            self.send("ROLLBACK TO SAVEPOINT statement").await?;
            self.aborted = false;
        }
        answer.map_err(StoreError::from)
    }
}

#[async_trait]
impl BackendTransaction for PostgresTransaction {
    async fn fetch(&mut self, tenant: Option<TenantId>, sql: &str, values: Vec<Value>) -> Result<Vec<Row>> {
        self.prepare(tenant).await?;
        let answer = self.rows(sql, &values).await;
        self.settle(answer).await
    }

    async fn execute(&mut self, tenant: Option<TenantId>, sql: &str, values: Vec<Value>) -> Result<u64> {
        self.prepare(tenant).await?;
        let answer = self.changes(sql, &values).await;
        self.settle(answer).await
    }

    async fn script(&mut self, sql: &str) -> Result<()> {
        self.send(sql).await?;
        Ok(self.send(PROTECT).await?)
    }

    async fn commit(mut self: Box<Self>) -> Result<()> {
        if self.aborted {
            return Err(StoreError::failed("COMMIT", "a statement before it failed; nothing of it happened"));
        }
        let sent = self.send("COMMIT").await;
        match sent {
            Ok(()) => {
                self.connection = None;
                Ok(())
            }
            Err(Lost::Statement(error)) if !self.busy => Err(error),
            Err(Lost::Turn(error)) => Err(error),
            Err(Lost::Connection(error) | Lost::Statement(error)) => {
                Err(StoreError::failed("COMMIT; nobody knows whether it happened", error))
            }
        }
    }

    async fn rollback(mut self: Box<Self>) -> Result<()> {
        self.send("ROLLBACK").await?;
        self.connection = None;
        Ok(())
    }
}

impl Drop for PostgresTransaction {
    fn drop(&mut self) {
        let Some(mut connection) = self.connection.take() else { return };
        // The server undoes what a closed connection left open.
        let (false, Ok(runtime)) = (self.busy, tokio::runtime::Handle::try_current()) else {
            drop(connection.detach());
            return;
        };
        let patience = self.server.limits.statement;
        runtime.spawn(async move {
            let undone = sqlx::raw_sql("ROLLBACK").execute(&mut *connection);
            if !matches!(tokio::time::timeout(patience, undone).await, Ok(Ok(_))) {
                drop(connection.detach());
            }
        });
    }
}

/// Whether the server ends the session with this error: it is shut down, or ended it for being idle.
fn ends_session(code: &str) -> bool {
    code.starts_with("57P") || code.starts_with("08") || matches!(code, "25P03" | "25P04")
}

impl Server {
    fn unavailable(&self, attempted: String, problem: &str) -> StoreError {
        StoreError::Unavailable { attempted, problem: format!("{}: {problem}", self.host) }
    }

    fn translate(&self, sql: &str, error: sqlx::Error) -> StoreError {
        let attempted = beginning(sql);
        match error {
            sqlx::Error::PoolTimedOut => {
                let problem = format!("no connection within {} seconds", self.limits.turn.as_secs());
                self.unavailable(attempted, &problem)
            }
            sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => {
                self.unavailable(attempted, "it is closed")
            }
            sqlx::Error::Io(error) => self.unavailable(attempted, &error.to_string()),
            // What a connection looks like that breaks while it is made.
            sqlx::Error::Protocol(problem) => self.unavailable(attempted, &problem),
            sqlx::Error::Tls(error) => self.unavailable(attempted, &error.to_string()),
            sqlx::Error::Database(database) => {
                // https://www.postgresql.org/docs/17/errcodes-appendix.html
                let code = database.code().unwrap_or_default().into_owned();
                let problem = database.message().to_owned();
                let conflict = match code.as_str() {
                    "23505" => Some(ConflictKind::Unique),
                    "23503" => Some(ConflictKind::Reference),
                    // A trigger's RAISE EXCEPTION is P0001.
                    "23502" | "23514" | "23P01" | "P0001" => Some(ConflictKind::Check),
                    _ => None,
                };
                if let Some(kind) = conflict {
                    return StoreError::Conflict { attempted, kind, problem };
                }
                let passes = ["53", "57"].iter().any(|class| code.starts_with(class))
                    || ends_session(&code)
                    || matches!(code.as_str(), "40001" | "40P01" | "55P03");
                if passes {
                    return self.unavailable(attempted, &problem);
                }
                StoreError::failed(attempted, sqlx::Error::Database(database))
            }
            other => StoreError::failed(attempted, other),
        }
    }
}

#[cfg(test)]
mod tests;
