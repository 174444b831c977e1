//! Timing what stores do, for whoever collects metrics.
//!
//! A store that is connected inside of [`scope`] tells the observer of each statement and cache operation. Stores
//! know no metrics, services need no wiring, and two services in one process do not mix.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;

use crate::cache::{Cache, CacheKey};
use crate::error::Result;
use crate::relational::{Backend, BackendTransaction, Dialect, Row, Value};
use crate::tenant::TenantId;

/// Is told how long things took.
pub trait Observer: Send + Sync {
    /// A statement. `operation` is `select`, `insert`, `update`, `delete` or `other`; `table` is its first table.
    fn query(&self, operation: &'static str, table: &str, duration: Duration);
    /// A cache operation, by the name of its command.
    fn cache(&self, command: &'static str, duration: Duration);
}

tokio::task_local! {
    static CURRENT: Arc<dyn Observer>;
}

/// Stores that are connected while the future runs are observed, for as long as they live.
pub async fn scope<F: Future>(observer: Arc<dyn Observer>, future: F) -> F::Output {
    CURRENT.scope(observer, future).await
}

fn current() -> Option<Arc<dyn Observer>> {
    CURRENT.try_with(Arc::clone).ok()
}

/// The backend, observed when somebody wants to know.
pub(crate) fn backend(inner: Arc<dyn Backend>) -> Arc<dyn Backend> {
    match current() {
        Some(observer) => Arc::new(ObservedBackend { inner, observer }),
        None => inner,
    }
}

/// The cache, observed when somebody wants to know.
pub(crate) fn cache(inner: Arc<dyn Cache>) -> Arc<dyn Cache> {
    match current() {
        Some(observer) => Arc::new(ObservedCache { inner, observer }),
        None => inner,
    }
}

/// What a statement does, and to which table. A label must come from the code, never from a caller: this looks at
/// the text of the statement only.
fn describe(sql: &str) -> (&'static str, String) {
    let mut words =
        sql.split(|letter: char| letter.is_whitespace() || letter == '(').filter(|word| !word.is_empty());
    let operation = match words.clone().next().unwrap_or_default().to_ascii_lowercase().as_str() {
        "select" => "select",
        "insert" => "insert",
        "update" => "update",
        "delete" => "delete",
        _ => "other",
    };
    let before_table = if operation == "update" { "update" } else { "into" };
    let table = words
        .by_ref()
        .find(|word| word.eq_ignore_ascii_case("from") || word.eq_ignore_ascii_case(before_table))
        .and_then(|_| words.next())
        .map(|word| word.trim_matches(|letter: char| !letter.is_alphanumeric() && letter != '_'));
    (operation, table.unwrap_or_default().to_ascii_lowercase())
}

fn told(observer: &Arc<dyn Observer>, sql: &str, start: Instant) {
    let (operation, table) = describe(sql);
    observer.query(operation, &table, start.elapsed());
}

struct ObservedBackend {
    inner: Arc<dyn Backend>,
    observer: Arc<dyn Observer>,
}

impl fmt::Debug for ObservedBackend {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(formatter)
    }
}

#[async_trait]
impl Backend for ObservedBackend {
    async fn fetch(
        &self,
        tenant: Option<TenantId>,
        sql: &str,
        values: Vec<Value>,
        writes: bool,
    ) -> Result<Vec<Row>> {
        let start = Instant::now();
        let answer = self.inner.fetch(tenant, sql, values, writes).await;
        told(&self.observer, sql, start);
        answer
    }

    async fn execute(&self, tenant: Option<TenantId>, sql: &str, values: Vec<Value>) -> Result<u64> {
        let start = Instant::now();
        let answer = self.inner.execute(tenant, sql, values).await;
        told(&self.observer, sql, start);
        answer
    }

    async fn begin(&self) -> Result<Box<dyn BackendTransaction>> {
        let inner = self.inner.begin().await?;
        Ok(Box::new(ObservedTransaction { inner, observer: Arc::clone(&self.observer) }))
    }

    async fn close(&self) {
        self.inner.close().await;
    }

    fn dialect(&self) -> Dialect {
        self.inner.dialect()
    }
}

struct ObservedTransaction {
    inner: Box<dyn BackendTransaction>,
    observer: Arc<dyn Observer>,
}

#[async_trait]
impl BackendTransaction for ObservedTransaction {
    async fn fetch(&mut self, tenant: Option<TenantId>, sql: &str, values: Vec<Value>) -> Result<Vec<Row>> {
        let start = Instant::now();
        let answer = self.inner.fetch(tenant, sql, values).await;
        told(&self.observer, sql, start);
        answer
    }

    async fn execute(&mut self, tenant: Option<TenantId>, sql: &str, values: Vec<Value>) -> Result<u64> {
        let start = Instant::now();
        let answer = self.inner.execute(tenant, sql, values).await;
        told(&self.observer, sql, start);
        answer
    }

    async fn script(&mut self, sql: &str) -> Result<()> {
        self.inner.script(sql).await
    }

    async fn commit(self: Box<Self>) -> Result<()> {
        self.inner.commit().await
    }

    async fn rollback(self: Box<Self>) -> Result<()> {
        self.inner.rollback().await
    }
}

struct ObservedCache {
    inner: Arc<dyn Cache>,
    observer: Arc<dyn Observer>,
}

impl fmt::Debug for ObservedCache {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(formatter)
    }
}

impl ObservedCache {
    async fn timed<T>(&self, command: &'static str, work: impl Future<Output = T> + Send) -> T {
        let start = Instant::now();
        let answer = work.await;
        self.observer.cache(command, start.elapsed());
        answer
    }
}

#[async_trait]
impl Cache for ObservedCache {
    async fn get(&self, key: &CacheKey) -> Result<Option<Bytes>> {
        self.timed("get", self.inner.get(key)).await
    }

    async fn set(&self, key: &CacheKey, value: Bytes, ttl: Duration) -> Result<()> {
        self.timed("set", self.inner.set(key, value, ttl)).await
    }

    async fn delete(&self, key: &CacheKey) -> Result<bool> {
        self.timed("del", self.inner.delete(key)).await
    }

    async fn delete_under(&self, prefix: &CacheKey) -> Result<u64> {
        self.timed("scan", self.inner.delete_under(prefix)).await
    }

    async fn increment(&self, key: &CacheKey, by: i64, ttl: Duration) -> Result<i64> {
        self.timed("incrby", self.inner.increment(key, by, ttl)).await
    }

    async fn check(&self) -> Result<()> {
        self.inner.check().await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::{Database, values};

    #[test]
    fn a_statement_is_described_by_its_first_table() {
        for (sql, operation, table) in [
            ("SELECT a FROM wallets w WHERE tenant_id = $1", "select", "wallets"),
            ("INSERT INTO wallets (id) VALUES ($1)", "insert", "wallets"),
            ("insert into\n wallets(id) select id from old", "insert", "wallets"),
            ("UPDATE wallets SET a = $1", "update", "wallets"),
            ("DELETE FROM \"holds\" WHERE id = $1", "delete", "holds"),
            ("WITH x AS (SELECT 1 FROM y) SELECT * FROM x", "other", "y"),
            ("SELECT 1 AS one", "select", ""),
            ("", "other", ""),
        ] {
            assert_eq!(describe(sql), (operation, table.to_owned()), "{sql}");
        }
    }

    #[derive(Default)]
    struct Seen(Mutex<Vec<String>>);

    impl Observer for Seen {
        fn query(&self, operation: &'static str, table: &str, _: Duration) {
            self.0.lock().unwrap().push(format!("{operation} {table}"));
        }

        fn cache(&self, command: &'static str, _: Duration) {
            self.0.lock().unwrap().push(command.to_owned());
        }
    }

    #[tokio::test]
    async fn only_what_is_connected_inside_of_the_scope_is_observed() {
        let folder = tempfile::tempdir().unwrap();
        let url = |name: &str| format!("sqlite://{}/{name}.db", folder.path().display());
        let seen = Arc::new(Seen::default());
        let observer: Arc<dyn Observer> = seen.clone();
        let (database, cache) = scope(observer, async {
            (Database::connect(&url("seen")).await.unwrap(), crate::cache::connect("memory://").unwrap())
        })
        .await;
        database.migrate("example", &[]).await.unwrap();
        seen.0.lock().unwrap().clear();
        let mut transaction = database.system().begin().await.unwrap();
        transaction.fetch_all("SELECT event_id FROM outbox", values![]).await.unwrap();
        transaction.commit().await.unwrap();
        database.system().execute("DELETE FROM outbox", values![]).await.unwrap();
        cache.get(&CacheKey::platform(&["x"])).await.unwrap();
        assert_eq!(*seen.0.lock().unwrap(), ["select outbox", "delete outbox", "get"]);

        let other = Database::connect(&url("other")).await.unwrap();
        other.migrate("example", &[]).await.unwrap();
        assert_eq!(seen.0.lock().unwrap().len(), 3);
    }
}
