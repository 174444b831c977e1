//! The tasks port: work to do later, once it is certain. The embedded adapter is a durable queue table, the real one
//! RabbitMQ.
//!
//! A task is leased, done and completed. Whoever dies while holding a lease loses it when it runs out, and the task
//! comes again: work is done at least once, so make it harmless to do twice. What fails too often becomes a dead
//! letter, which stays until somebody revives or discards it.

mod rabbitmq;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::sync::Notify;
use tokio::time::Instant;
use uuid::Uuid;

use crate::error::{ConflictKind, Result, StoreError};
use crate::relational::{Database, Migration, Row};
use crate::tenant::TenantId;
use crate::url::{Store, StoreUrl};
use crate::values;

/// The most urgent priority. 0 is the least.
pub const HIGHEST_PRIORITY: u8 = 9;

/// A task to put into a queue.
#[derive(Clone, Debug, PartialEq)]
pub struct NewTask {
    /// The key against doing it twice. An adapter with an index does not queue again what it holds; one without, as a
    /// broker, may hold a task twice, so whoever does the work looks whether it is still to be done.
    pub id: Uuid,
    /// Whose work it is; `None` for the platform's own.
    pub tenant_id: Option<TenantId>,
    /// What to do.
    pub payload: serde_json::Value,
    /// 0 to 9; among those that are due, the highest goes first.
    pub priority: u8,
    /// Not before this much time has passed.
    pub delay: Duration,
    /// How often it is tried before it becomes a dead letter; at least 1.
    pub max_attempts: u32,
}

impl NewTask {
    /// A task of middle priority that is due at once and tried five times.
    #[must_use]
    pub fn new(payload: serde_json::Value) -> Self {
        Self {
            id: Uuid::now_v7(),
            tenant_id: None,
            payload,
            priority: 4,
            delay: Duration::ZERO,
            max_attempts: 5,
        }
    }
}

/// A task with its lease.
#[derive(Clone, Debug, PartialEq)]
pub struct LeasedTask {
    /// The task.
    pub id: Uuid,
    /// Whose work it is.
    pub tenant_id: Option<TenantId>,
    /// What to do.
    pub payload: serde_json::Value,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// Proves the lease.
    pub lease: Uuid,
}

/// A task that was given up.
#[derive(Clone, Debug, PartialEq)]
pub struct DeadTask {
    /// The task.
    pub id: Uuid,
    /// Whose work it was.
    pub tenant_id: Option<TenantId>,
    /// What was to be done.
    pub payload: serde_json::Value,
    /// How often it was tried.
    pub attempts: u32,
    /// Why the last attempt failed.
    pub error: String,
}

/// What became of a task whose attempt failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failed {
    /// It will be tried again.
    Again,
    /// It was tried often enough and is a dead letter now.
    Dead,
}

/// The tasks port.
#[async_trait]
pub trait TaskQueue: Send + Sync + fmt::Debug {
    /// Queues a task durably. `false` when a task of this id is known to be queued or dead already; a broker keeps no
    /// index to know that by, and queues it once more.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for a priority above 9 or no attempts.
    async fn enqueue(&self, queue: &str, task: &NewTask) -> Result<bool>;

    /// Leases up to `limit` tasks that are due, for `visibility`.
    ///
    /// # Errors
    /// Whatever the store says.
    async fn lease(&self, queue: &str, limit: u32, visibility: Duration) -> Result<Vec<LeasedTask>>;

    /// Resolves when there may be something to lease, at the latest after `longest`.
    ///
    /// # Errors
    /// Whatever the store says.
    async fn wait(&self, queue: &str, longest: Duration) -> Result<()>;

    /// The task is done and forgotten.
    ///
    /// # Errors
    /// A version conflict when the lease ran out and somebody else may have the task.
    async fn complete(&self, task: &LeasedTask) -> Result<()>;

    /// The attempt failed; try again after `delay`, unless it was the last.
    ///
    /// # Errors
    /// As [`TaskQueue::complete`].
    async fn fail(&self, task: &LeasedTask, error: &str, delay: Duration) -> Result<Failed>;

    /// The work takes longer: the lease runs for `visibility` from now.
    ///
    /// # Errors
    /// As [`TaskQueue::complete`].
    async fn extend(&self, task: &LeasedTask, visibility: Duration) -> Result<()>;

    /// The dead letters of a queue, oldest first.
    ///
    /// # Errors
    /// Whatever the store says.
    async fn dead(&self, queue: &str, limit: u32) -> Result<Vec<DeadTask>>;

    /// Puts a dead letter back with all its attempts before it; `false` when it is none.
    ///
    /// # Errors
    /// Whatever the store says.
    async fn revive(&self, id: Uuid) -> Result<bool>;

    /// Forgets a dead letter; `false` when it is none.
    ///
    /// # Errors
    /// Whatever the store says.
    async fn discard(&self, id: Uuid) -> Result<bool>;

    /// Whether tasks can be queued; for readiness.
    ///
    /// # Errors
    /// Whatever the store says.
    async fn check(&self) -> Result<()>;
}

/// Opens the queue that `TASKS_URL` names. A broker need not be there yet.
///
/// # Errors
/// [`StoreError::Configuration`] when the URL has no adapter or the file cannot be opened.
pub async fn connect(url: &str) -> Result<Arc<dyn TaskQueue>> {
    if let Some(remote) = StoreUrl::parse(Store::Tasks, url)?.remote() {
        return Ok(Arc::new(rabbitmq::RabbitMq::new(remote, rabbitmq::PREFIX, None)));
    }
    let database = Database::connect_as(Store::Tasks, url).await?;
    database.migrate_store("svc-stores.tasks", MIGRATIONS).await?;
    Ok(Arc::new(QueueTable { database, changed: Notify::new() }))
}

/// A place of its own on the broker, which goes away by itself.
#[cfg(test)]
pub(crate) fn connect_apart(url: &str, prefix: &str) -> Result<Arc<dyn TaskQueue>> {
    let url = StoreUrl::parse(Store::Tasks, url)?;
    let remote = url.remote().ok_or_else(|| StoreError::invalid("url", "is embedded"))?;
    Ok(Arc::new(rabbitmq::RabbitMq::new(remote, prefix, Some(Duration::from_secs(600)))))
}

const MIGRATIONS: &[Migration] = &[Migration::new(
    1,
    "tasks",
    "CREATE TABLE tasks (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT,
        id UUID NOT NULL UNIQUE,
        queue TEXT NOT NULL,
        tenant_id UUID,
        payload JSONB NOT NULL,
        priority BIGINT NOT NULL,
        attempts BIGINT NOT NULL DEFAULT 0,
        max_attempts BIGINT NOT NULL,
        due_at TIMESTAMPTZ NOT NULL,
        lease UUID,
        dead BOOLEAN NOT NULL DEFAULT FALSE,
        error TEXT
    );
    CREATE INDEX tasks_due ON tasks (queue, dead, due_at);",
)];

/// While a task is leased, `due_at` is when its lease runs out: the next lease finds it like any other that is due.
#[derive(Debug)]
struct QueueTable {
    database: Database,
    changed: Notify,
}

#[async_trait]
impl TaskQueue for QueueTable {
    async fn enqueue(&self, queue: &str, task: &NewTask) -> Result<bool> {
        allowed(queue, task)?;
        let sql = "INSERT INTO tasks (id, queue, tenant_id, payload, priority, max_attempts, due_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (id) DO NOTHING";
        let values = values![
            task.id,
            queue,
            task.tenant_id,
            &task.payload,
            u32::from(task.priority),
            task.max_attempts,
            after(task.delay)
        ];
        let added = self.database.system().execute(sql, values).await?;
        self.changed.notify_waiters();
        Ok(added == 1)
    }

    async fn lease(&self, queue: &str, limit: u32, visibility: Duration) -> Result<Vec<LeasedTask>> {
        let now = Timestamp::now();
        let due = "SELECT 1 AS due FROM tasks WHERE queue = $1 AND NOT dead AND due_at <= $2 LIMIT 1";
        if self.database.system().fetch_optional(due, values![queue, now]).await?.is_none() {
            return Ok(Vec::new());
        }
        let mut transaction = self.database.system().begin().await?;
        transaction
            .execute(
                "UPDATE tasks SET dead = TRUE, lease = NULL, error = 'its lease ran out at the last attempt'
                 WHERE queue = $1 AND NOT dead AND due_at <= $2 AND attempts >= max_attempts",
                values![queue, now],
            )
            .await?;
        let found = "SELECT id, tenant_id, payload, attempts FROM tasks
            WHERE queue = $1 AND NOT dead AND due_at <= $2 ORDER BY priority DESC, sequence LIMIT $3";
        let rows = transaction.fetch_all(found, values![queue, now, limit]).await?;
        let mut leased = Vec::with_capacity(rows.len());
        for row in rows {
            let task = LeasedTask {
                id: row.get("id")?,
                tenant_id: row.get("tenant_id")?,
                payload: row.get("payload")?,
                attempt: row.get::<u32>("attempts")? + 1,
                lease: Uuid::now_v7(),
            };
            transaction
                .execute(
                    "UPDATE tasks SET attempts = attempts + 1, lease = $2, due_at = $3 WHERE id = $1",
                    values![task.id, task.lease, after(visibility)],
                )
                .await?;
            leased.push(task);
        }
        transaction.commit().await?;
        Ok(leased)
    }

    async fn wait(&self, queue: &str, longest: Duration) -> Result<()> {
        let deadline = Instant::now() + longest;
        // Listen first, look then: what is queued between the two is not missed.
        let mut changed = std::pin::pin!(self.changed.notified());
        changed.as_mut().enable();
        let sql = "SELECT min(due_at) AS due_at FROM tasks WHERE queue = $1 AND NOT dead";
        let row = self.database.system().fetch_one(sql, values![queue]).await?;
        let until = match row.get::<Option<Timestamp>>("due_at")? {
            Some(due) => {
                let left = Duration::try_from(due.duration_since(Timestamp::now())).unwrap_or_default();
                deadline.min(Instant::now() + left)
            }
            None => deadline,
        };
        tokio::select! {
            () = changed => {}
            () = tokio::time::sleep_until(until) => {}
        }
        Ok(())
    }

    async fn complete(&self, task: &LeasedTask) -> Result<()> {
        let sql = "DELETE FROM tasks WHERE id = $1 AND lease = $2 AND NOT dead";
        held(task, self.database.system().execute(sql, values![task.id, task.lease]).await?)
    }

    async fn fail(&self, task: &LeasedTask, error: &str, delay: Duration) -> Result<Failed> {
        let sql = "UPDATE tasks SET lease = NULL, error = $3, due_at = $4, dead = (attempts >= max_attempts)
            WHERE id = $1 AND lease = $2 AND NOT dead RETURNING dead";
        let values = values![task.id, task.lease, error, after(delay)];
        let row = self.database.system().fetch_optional(sql, values).await?;
        let Some(row) = row else { return held(task, 0).map(|()| Failed::Again) };
        self.changed.notify_waiters();
        Ok(if row.get("dead")? { Failed::Dead } else { Failed::Again })
    }

    async fn extend(&self, task: &LeasedTask, visibility: Duration) -> Result<()> {
        let sql = "UPDATE tasks SET due_at = $3 WHERE id = $1 AND lease = $2 AND NOT dead";
        held(
            task,
            self.database.system().execute(sql, values![task.id, task.lease, after(visibility)]).await?,
        )
    }

    async fn dead(&self, queue: &str, limit: u32) -> Result<Vec<DeadTask>> {
        let sql = "SELECT id, tenant_id, payload, attempts, error FROM tasks
            WHERE queue = $1 AND dead ORDER BY sequence LIMIT $2";
        let rows = self.database.system().fetch_all(sql, values![queue, limit]).await?;
        rows.iter().map(dead_task).collect()
    }

    async fn revive(&self, id: Uuid) -> Result<bool> {
        let sql =
            "UPDATE tasks SET dead = FALSE, attempts = 0, lease = NULL, due_at = $2 WHERE id = $1 AND dead";
        let revived = self.database.system().execute(sql, values![id, Timestamp::now()]).await?;
        self.changed.notify_waiters();
        Ok(revived == 1)
    }

    async fn discard(&self, id: Uuid) -> Result<bool> {
        let sql = "DELETE FROM tasks WHERE id = $1 AND dead";
        Ok(self.database.system().execute(sql, values![id]).await? == 1)
    }

    async fn check(&self) -> Result<()> {
        self.database.check().await
    }
}

/// What every adapter refuses.
fn allowed(queue: &str, task: &NewTask) -> Result<()> {
    if queue.is_empty() || queue.len() > 100 {
        return Err(StoreError::invalid("queue", "is a name of 1 to 100 bytes"));
    }
    if task.priority > HIGHEST_PRIORITY {
        return Err(StoreError::invalid("priority", format!("{} is above 9", task.priority)));
    }
    if task.max_attempts == 0 {
        return Err(StoreError::invalid("max_attempts", "is 0; a task is tried at least once"));
    }
    Ok(())
}

fn held(task: &LeasedTask, changed: u64) -> Result<()> {
    if changed == 1 { Ok(()) } else { Err(lost(task)) }
}

fn lost(task: &LeasedTask) -> StoreError {
    StoreError::Conflict {
        attempted: format!("settle task {}", task.id),
        kind: ConflictKind::Version,
        problem: "its lease ran out, so somebody else may have it".to_owned(),
    }
}

fn dead_task(row: &Row) -> Result<DeadTask> {
    Ok(DeadTask {
        id: row.get("id")?,
        tenant_id: row.get("tenant_id")?,
        payload: row.get("payload")?,
        attempts: row.get("attempts")?,
        error: row.get::<Option<String>>("error")?.unwrap_or_default(),
    })
}

fn after(delay: Duration) -> Timestamp {
    Timestamp::now().checked_add(delay).unwrap_or(Timestamp::MAX)
}
