//! The relational port: rows with transactions, where no query can be written without a tenant.
//!
//! A [`Database`] gives two doors. [`Database::tenant`] is the usual one: its statements get the tenant as `$1`,
//! and one that does not hold to `tenant_id = $1` is refused. [`Database::system`] is for what belongs to the
//! platform itself: global users, the outbox, sweeps over all tenants. Its name is what a reviewer looks for.
//!
//! Statements are written in the SQL that PostgreSQL and SQLite share, with `$1`, `$2`, … as placeholders.

mod migration;
#[cfg(feature = "postgres")]
pub(crate) mod postgres;
mod sqlite;
mod statement;
mod value;

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Notify;

pub use migration::Migration;
pub use value::{FromValue, Row, Value};

use crate::error::{Result, StoreError};
use crate::observe;
use crate::opened;
use crate::outbox;
use crate::tenant::TenantId;
use crate::url::{Store, StoreUrl};
use statement::Shape;

/// The SQL that a database speaks, for the few statements that PostgreSQL and SQLite do not share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// PostgreSQL.
    Postgres,
    /// SQLite.
    Sqlite,
}

/// What an adapter of a real database has to do. The tenant of each statement's door comes with it: a database that
/// guards its rows by itself is told whose they are. Statements arrive checked, with all of their values.
#[async_trait]
pub(crate) trait Backend: Send + Sync + fmt::Debug {
    async fn fetch(
        &self,
        tenant: Option<TenantId>,
        sql: &str,
        values: Vec<Value>,
        writes: bool,
    ) -> Result<Vec<Row>>;
    async fn execute(&self, tenant: Option<TenantId>, sql: &str, values: Vec<Value>) -> Result<u64>;
    async fn begin(&self) -> Result<Box<dyn BackendTransaction>>;
    async fn close(&self);
    fn dialect(&self) -> Dialect;
}

/// An open transaction of an adapter. Dropping it rolls it back.
#[async_trait]
pub(crate) trait BackendTransaction: Send {
    async fn fetch(&mut self, tenant: Option<TenantId>, sql: &str, values: Vec<Value>) -> Result<Vec<Row>>;
    async fn execute(&mut self, tenant: Option<TenantId>, sql: &str, values: Vec<Value>) -> Result<u64>;
    async fn script(&mut self, sql: &str) -> Result<()>;
    async fn commit(self: Box<Self>) -> Result<()>;
    async fn rollback(self: Box<Self>) -> Result<()>;
}

/// A database. Cheap to clone; all clones share the connections.
#[derive(Clone, Debug)]
pub struct Database {
    backend: Arc<dyn Backend>,
    outbox: Arc<Notify>,
}

impl Database {
    /// Opens the database that `DATABASE_URL` names, making the file and its folder if they do not exist.
    ///
    /// # Errors
    /// [`StoreError::Configuration`] when the URL has no adapter or the file cannot be opened.
    pub async fn connect(url: &str) -> Result<Self> {
        Self::connect_as(Store::Database, url).await
    }

    pub(crate) async fn connect_as(store: Store, url: &str) -> Result<Self> {
        let backend = open(store, url).await?;
        opened::note(&backend);
        Ok(Self { backend: observe::backend(backend), outbox: Arc::new(Notify::new()) })
    }

    /// Brings the schema of `service` up to date, and the outbox's with it. Call it before readiness.
    ///
    /// # Errors
    /// [`StoreError::Migration`] when a migration fails, was changed after it ran, or when the database was
    /// written by a newer program.
    pub async fn migrate(&self, service: &str, migrations: &[Migration]) -> Result<()> {
        migration::run(&*self.backend, "svc-stores.outbox", outbox::MIGRATIONS).await?;
        migration::run(&*self.backend, service, migrations).await
    }

    pub(crate) async fn migrate_store(&self, store: &str, migrations: &[Migration]) -> Result<()> {
        migration::run(&*self.backend, store, migrations).await
    }

    /// The rows of one tenant. Statements get the tenant as `$1`; their own values begin at `$2`.
    #[must_use]
    pub fn tenant(&self, tenant: impl Into<TenantId>) -> Scope {
        Scope { database: self.clone(), tenant: Some(tenant.into()) }
    }

    /// The rows of the platform itself, and of every tenant: statements are sent as they are, values from `$1`.
    #[must_use]
    pub fn system(&self) -> Scope {
        Scope { database: self.clone(), tenant: None }
    }

    /// Whether the database answers; for readiness.
    ///
    /// # Errors
    /// Whatever the database says.
    pub async fn check(&self) -> Result<()> {
        self.backend.fetch(None, "SELECT 1 AS one", Vec::new(), false).await.map(|_| ())
    }

    /// Closes every connection after the work in flight. Not needed for safety: a crash loses nothing either.
    pub async fn close(&self) {
        self.backend.close().await;
    }

    /// Which SQL this database speaks.
    #[must_use]
    pub fn dialect(&self) -> Dialect {
        self.backend.dialect()
    }

    pub(crate) fn outbox_notify(&self) -> &Notify {
        &self.outbox
    }
}

async fn open(store: Store, url: &str) -> Result<Arc<dyn Backend>> {
    #[cfg(feature = "postgres")]
    if store == Store::Database && postgres::is_for(url) {
        return Ok(Arc::new(postgres::PostgresBackend::open(url, postgres::Limits::default()).await?));
    }
    Ok(Arc::new(sqlite::SqliteBackend::open(&StoreUrl::parse(store, url)?).await?))
}

/// One of the two doors to a [`Database`]; each call is a statement of its own.
#[derive(Clone, Debug)]
pub struct Scope {
    database: Database,
    tenant: Option<TenantId>,
}

impl Scope {
    /// Runs a statement and says how many rows it changed. It is durable when this returns.
    ///
    /// # Errors
    /// [`StoreError::Refused`] when it does not hold to the tenant; [`StoreError::Conflict`] when a rule of the
    /// schema stands against it.
    pub async fn execute(&self, sql: &str, values: Vec<Value>) -> Result<u64> {
        let (_, values) = checked(self.tenant, sql, values)?;
        self.database.backend.execute(self.tenant, sql, values).await
    }

    /// All rows of a statement, which may also be an `INSERT`, `UPDATE` or `DELETE` with `RETURNING`.
    ///
    /// # Errors
    /// As [`Scope::execute`].
    pub async fn fetch_all(&self, sql: &str, values: Vec<Value>) -> Result<Vec<Row>> {
        let (writes, values) = checked(self.tenant, sql, values)?;
        self.database.backend.fetch(self.tenant, sql, values, writes).await
    }

    /// The first row, if there is one.
    ///
    /// # Errors
    /// As [`Scope::execute`].
    pub async fn fetch_optional(&self, sql: &str, values: Vec<Value>) -> Result<Option<Row>> {
        Ok(self.fetch_all(sql, values).await?.into_iter().next())
    }

    /// The first row.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is none, else as [`Scope::execute`].
    pub async fn fetch_one(&self, sql: &str, values: Vec<Value>) -> Result<Row> {
        self.fetch_optional(sql, values).await?.ok_or_else(|| nothing(sql))
    }

    /// Begins a transaction for writing. Nobody else writes until it is committed, rolled back or dropped, so
    /// wait for nothing but the transaction itself while you hold it: a write through a [`Scope`] would wait for you.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when it does not get its turn.
    pub async fn begin(&self) -> Result<Transaction> {
        let inner = self.database.backend.begin().await?;
        Ok(Transaction { inner, tenant: self.tenant, outbox: self.database.outbox.clone(), appended: false })
    }

    /// The tenant of this door, or `None` for the platform's.
    #[must_use]
    pub const fn tenant_id(&self) -> Option<TenantId> {
        self.tenant
    }
}

/// Several statements that happen together or not at all. Dropping it without [`Transaction::commit`] undoes it.
#[must_use = "a transaction that is not committed is rolled back"]
pub struct Transaction {
    inner: Box<dyn BackendTransaction>,
    tenant: Option<TenantId>,
    outbox: Arc<Notify>,
    appended: bool,
}

impl Transaction {
    /// As [`Scope::execute`], inside of the transaction.
    ///
    /// # Errors
    /// As [`Scope::execute`].
    pub async fn execute(&mut self, sql: &str, values: Vec<Value>) -> Result<u64> {
        let (_, values) = checked(self.tenant, sql, values)?;
        self.inner.execute(self.tenant, sql, values).await
    }

    /// As [`Scope::fetch_all`], inside of the transaction.
    ///
    /// # Errors
    /// As [`Scope::execute`].
    pub async fn fetch_all(&mut self, sql: &str, values: Vec<Value>) -> Result<Vec<Row>> {
        let (_, values) = checked(self.tenant, sql, values)?;
        self.inner.fetch(self.tenant, sql, values).await
    }

    /// As [`Scope::fetch_optional`], inside of the transaction.
    ///
    /// # Errors
    /// As [`Scope::execute`].
    pub async fn fetch_optional(&mut self, sql: &str, values: Vec<Value>) -> Result<Option<Row>> {
        Ok(self.fetch_all(sql, values).await?.into_iter().next())
    }

    /// As [`Scope::fetch_one`], inside of the transaction.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is no row, else as [`Scope::execute`].
    pub async fn fetch_one(&mut self, sql: &str, values: Vec<Value>) -> Result<Row> {
        self.fetch_optional(sql, values).await?.ok_or_else(|| nothing(sql))
    }

    /// The same transaction through the platform's door, for the few that write both (a tenant and its owner).
    pub fn system(&mut self) -> Door<'_> {
        Door { transaction: self, tenant: None }
    }

    /// The same transaction through the door of `tenant`.
    pub fn for_tenant(&mut self, tenant: impl Into<TenantId>) -> Door<'_> {
        Door { transaction: self, tenant: Some(tenant.into()) }
    }

    /// The tenant that this transaction was begun for, or `None` for the platform.
    #[must_use]
    pub const fn tenant_id(&self) -> Option<TenantId> {
        self.tenant
    }

    /// Makes it durable. When this returns, no crash can undo it.
    ///
    /// # Errors
    /// Whatever the database says; then nothing of it happened.
    pub async fn commit(self) -> Result<()> {
        self.inner.commit().await?;
        if self.appended {
            self.outbox.notify_one();
        }
        Ok(())
    }

    /// Undoes it and waits for that.
    ///
    /// # Errors
    /// Whatever the database says.
    pub async fn rollback(self) -> Result<()> {
        self.inner.rollback().await
    }

    pub(crate) fn wake_outbox(&mut self) {
        self.appended = true;
    }
}

impl fmt::Debug for Transaction {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Transaction").field("tenant", &self.tenant).finish_non_exhaustive()
    }
}

/// Another door to the same [`Transaction`].
#[derive(Debug)]
pub struct Door<'transaction> {
    transaction: &'transaction mut Transaction,
    tenant: Option<TenantId>,
}

impl Door<'_> {
    /// As [`Scope::execute`].
    ///
    /// # Errors
    /// As [`Scope::execute`].
    pub async fn execute(&mut self, sql: &str, values: Vec<Value>) -> Result<u64> {
        let (_, values) = checked(self.tenant, sql, values)?;
        self.transaction.inner.execute(self.tenant, sql, values).await
    }

    /// As [`Scope::fetch_all`].
    ///
    /// # Errors
    /// As [`Scope::execute`].
    pub async fn fetch_all(&mut self, sql: &str, values: Vec<Value>) -> Result<Vec<Row>> {
        let (_, values) = checked(self.tenant, sql, values)?;
        self.transaction.inner.fetch(self.tenant, sql, values).await
    }

    /// As [`Scope::fetch_optional`].
    ///
    /// # Errors
    /// As [`Scope::execute`].
    pub async fn fetch_optional(&mut self, sql: &str, values: Vec<Value>) -> Result<Option<Row>> {
        Ok(self.fetch_all(sql, values).await?.into_iter().next())
    }

    /// As [`Scope::fetch_one`].
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is no row, else as [`Scope::execute`].
    pub async fn fetch_one(&mut self, sql: &str, values: Vec<Value>) -> Result<Row> {
        self.fetch_optional(sql, values).await?.ok_or_else(|| nothing(sql))
    }
}

/// Runs `work` again when the store was only busy, up to three more times after 100, 200 and 400 ms. Let `work`
/// begin and commit its own transaction; it must change nothing else.
///
/// # Errors
/// The last error of `work`, or the first that is not transient.
pub async fn retry<T, E, F>(mut work: impl FnMut() -> F) -> std::result::Result<T, E>
where
    F: Future<Output = std::result::Result<T, E>>,
    E: Transient,
{
    for pause in [100, 200, 400] {
        match work().await {
            Err(error) if error.is_transient() => tokio::time::sleep(Duration::from_millis(pause)).await,
            other => return other,
        }
    }
    work().await
}

/// An error that knows whether the same work may succeed a little later.
pub trait Transient {
    /// True when it is worth another try.
    fn is_transient(&self) -> bool;
}

impl Transient for StoreError {
    fn is_transient(&self) -> bool {
        Self::is_transient(self)
    }
}

/// Checks a statement and puts the tenant before its values.
fn checked(tenant: Option<TenantId>, sql: &str, values: Vec<Value>) -> Result<(bool, Vec<Value>)> {
    let refused = |problem: String| StoreError::Refused { problem, statement: beginning(sql) };
    let shape = Shape::of(sql).map_err(refused)?;
    let values = match tenant {
        None => values,
        Some(tenant) => {
            shape.holds_to_tenant().map_err(refused)?;
            std::iter::once(Value::from(tenant)).chain(values).collect()
        }
    };
    if shape.placeholders != values.len() {
        let with_tenant = if tenant.is_some() { " (the tenant is $1)" } else { "" };
        return Err(refused(format!(
            "its highest placeholder is ${}, but it was given {} values{with_tenant}",
            shape.placeholders,
            values.len()
        )));
    }
    Ok((shape.writes, values))
}

/// The first words of a statement on one line, for messages.
fn beginning(sql: &str) -> String {
    let line = sql.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= 80 { line } else { line.chars().take(79).chain(['…']).collect() }
}

fn nothing(sql: &str) -> StoreError {
    StoreError::NotFound { what: format!("row for `{}`", beginning(sql)) }
}
