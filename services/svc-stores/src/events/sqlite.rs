//! The embedded log: rows of a SQLite file, written by one task that puts appends that wait into one commit.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::{mpsc, oneshot, watch};

use super::{Appended, Ends, EventLog, NewEvent, READ_LIMIT, StoredEvent, Topic, partition_of};
use crate::error::{Result, StoreError};
use crate::relational::{Database, Migration, Row, Transaction};
use crate::values;

const MIGRATIONS: &[Migration] = &[Migration::new(
    1,
    "event log",
    "CREATE TABLE event_topics (
        topic TEXT PRIMARY KEY, partitions BIGINT NOT NULL, retention_seconds BIGINT NOT NULL
    );
    CREATE TABLE event_partitions (
        topic TEXT NOT NULL REFERENCES event_topics (topic), partition_number BIGINT NOT NULL,
        next_offset BIGINT NOT NULL DEFAULT 0, PRIMARY KEY (topic, partition_number)
    );
    CREATE TABLE event_log (
        topic TEXT NOT NULL, partition_number BIGINT NOT NULL, event_offset BIGINT NOT NULL,
        event_id UUID NOT NULL, event_key TEXT NOT NULL, event_type TEXT NOT NULL, tenant_id UUID,
        payload BYTEA NOT NULL, appended_at TIMESTAMPTZ NOT NULL,
        PRIMARY KEY (topic, partition_number, event_offset), UNIQUE (topic, event_id)
    );
    CREATE INDEX event_log_by_time ON event_log (topic, partition_number, appended_at);
    CREATE TABLE event_positions (
        group_name TEXT NOT NULL, topic TEXT NOT NULL, partition_number BIGINT NOT NULL,
        next_offset BIGINT NOT NULL, PRIMARY KEY (group_name, topic, partition_number)
    );",
)];

const FIRST_CHUNK: u32 = 32;
/// How many waiting appends go into one commit.
const COMMIT_TOGETHER: usize = 64;

#[derive(Debug)]
pub(super) struct SqliteLog {
    database: Database,
    appends: mpsc::Sender<Append>,
    changes: watch::Sender<u64>,
    known: Known,
}

/// Topics with their partitions. Neither ever changes once it is there, so this never grows old.
#[derive(Clone, Debug, Default)]
struct Known(Arc<RwLock<HashMap<String, u32>>>);

impl Known {
    async fn partitions(&self, database: &Database, topic: &str) -> Result<u32> {
        let found = self.0.read().unwrap_or_else(PoisonError::into_inner).get(topic).copied();
        if let Some(partitions) = found {
            return Ok(partitions);
        }
        let sql = "SELECT partitions FROM event_topics WHERE topic = $1";
        let row =
            database.system().fetch_optional(sql, values![topic]).await?.ok_or_else(|| no_topic(topic))?;
        let partitions = row.get("partitions")?;
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(topic.to_owned(), partitions);
        Ok(partitions)
    }
}

struct Append {
    /// Each with its partition.
    events: Vec<(u32, NewEvent)>,
    reply: oneshot::Sender<Result<Vec<Appended>>>,
}

impl SqliteLog {
    pub(super) async fn open(database: Database) -> Result<Self> {
        database.migrate_store("svc-stores.events", MIGRATIONS).await?;
        let (appends, waiting) = mpsc::channel(1024);
        let changes = watch::Sender::new(0);
        tokio::spawn(write_appends(database.clone(), waiting, changes.clone()));
        Ok(Self { database, appends, changes, known: Known::default() })
    }

    async fn move_group(&self, sql: &str, group: &str, topic: &str, partition: u32, next: u64) -> Result<()> {
        let values = values![group, topic, partition, signed(next)?];
        self.database.system().execute(sql, values).await.map(|_| ())
    }
}

/// Ends when the log is dropped: no sender is left.
async fn write_appends(database: Database, mut waiting: mpsc::Receiver<Append>, changes: watch::Sender<u64>) {
    let mut batch = Vec::new();
    while waiting.recv_many(&mut batch, COMMIT_TOGETHER).await > 0 {
        let together: Vec<&[(u32, NewEvent)]> = batch.iter().map(|append| append.events.as_slice()).collect();
        match append_all(&database, &together).await {
            Ok(results) => {
                changes.send_modify(|change| *change += 1);
                for (append, result) in batch.drain(..).zip(results) {
                    let _ = append.reply.send(Ok(result));
                }
            }
            // One of them is at fault, and the others must not pay for it.
            Err(_) => {
                for append in batch.drain(..) {
                    let result = append_all(&database, &[&append.events]).await;
                    changes.send_modify(|change| *change += 1);
                    let _ = append.reply.send(result.map(|mut results| results.pop().unwrap_or_default()));
                }
            }
        }
    }
}

async fn append_all(database: &Database, batches: &[&[(u32, NewEvent)]]) -> Result<Vec<Vec<Appended>>> {
    let now = crate::now();
    let mut transaction = database.system().begin().await?;
    let mut results = Vec::with_capacity(batches.len());
    for events in batches {
        let mut appended = Vec::with_capacity(events.len());
        for (partition, event) in *events {
            appended.push(append_one(&mut transaction, *partition, event, now).await?);
        }
        results.push(appended);
    }
    transaction.commit().await?;
    Ok(results)
}

async fn append_one(
    transaction: &mut Transaction,
    partition: u32,
    event: &NewEvent,
    now: Timestamp,
) -> Result<Appended> {
    let known = "SELECT partition_number, event_offset FROM event_log WHERE topic = $1 AND event_id = $2";
    if let Some(row) = transaction.fetch_optional(known, values![&event.topic, event.id]).await? {
        let (partition, offset) = (row.get("partition_number")?, row.get("event_offset")?);
        return Ok(Appended { partition, offset, duplicate: true });
    }
    let sql = "UPDATE event_partitions SET next_offset = next_offset + 1
        WHERE topic = $1 AND partition_number = $2 RETURNING next_offset";
    let row = transaction.fetch_one(sql, values![&event.topic, partition]).await?;
    let offset = row.get::<u64>("next_offset")?.saturating_sub(1);
    let sql = "INSERT INTO event_log
        (topic, partition_number, event_offset, event_id, event_key, event_type, tenant_id, payload, appended_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
    let values = values![
        &event.topic,
        partition,
        signed(offset)?,
        event.id,
        &event.key,
        &event.event_type,
        event.tenant_id,
        event.payload.as_slice(),
        now
    ];
    transaction.execute(sql, values).await?;
    Ok(Appended { partition, offset, duplicate: false })
}

#[async_trait]
impl EventLog for SqliteLog {
    async fn create_topic(&self, topic: &Topic) -> Result<()> {
        if topic.partitions == 0 || topic.name.is_empty() {
            return Err(StoreError::invalid("topic", "needs a name and at least one partition"));
        }
        let retention = i64::try_from(topic.retention.as_secs()).unwrap_or(i64::MAX);
        let mut transaction = self.database.system().begin().await?;
        let sql = "INSERT INTO event_topics (topic, partitions, retention_seconds) VALUES ($1, $2, $3)
            ON CONFLICT (topic) DO UPDATE SET retention_seconds = $3 RETURNING partitions";
        let row = transaction.fetch_one(sql, values![&topic.name, topic.partitions, retention]).await?;
        let partitions: u32 = row.get("partitions")?;
        if partitions != topic.partitions {
            let problem = format!("`{}` has {partitions} partitions; that cannot be changed", topic.name);
            return Err(StoreError::invalid("topic", problem));
        }
        for partition in 0..partitions {
            let sql = "INSERT INTO event_partitions (topic, partition_number) VALUES ($1, $2) ON CONFLICT DO NOTHING";
            transaction.execute(sql, values![&topic.name, partition]).await?;
        }
        transaction.commit().await
    }

    async fn topics(&self) -> Result<Vec<Topic>> {
        let sql = "SELECT topic, partitions, retention_seconds FROM event_topics ORDER BY topic";
        let rows = self.database.system().fetch_all(sql, values![]).await?;
        rows.iter()
            .map(|row| {
                Ok(Topic {
                    name: row.get("topic")?,
                    partitions: row.get("partitions")?,
                    retention: std::time::Duration::from_secs(row.get("retention_seconds")?),
                })
            })
            .collect()
    }

    async fn partitions(&self, topic: &str) -> Result<u32> {
        self.known.partitions(&self.database, topic).await
    }

    async fn append(&self, events: Vec<NewEvent>) -> Result<Vec<Appended>> {
        let stopped = |_| StoreError::Unavailable {
            attempted: "append events".to_owned(),
            problem: "the log is closed".to_owned(),
        };
        // A missing topic is found here, so that it cannot spoil the commit of others.
        let mut placed = Vec::with_capacity(events.len());
        for event in events {
            let partitions = self.known.partitions(&self.database, &event.topic).await?;
            placed.push((partition_of(&event.key, partitions), event));
        }
        let events = placed;
        let (reply, answer) = oneshot::channel();
        self.appends.send(Append { events, reply }).await.map_err(|_| ()).map_err(stopped)?;
        answer.await.map_err(|_| ()).map_err(stopped)?
    }

    async fn read(&self, topic: &str, partition: u32, from: u64, limit: u32) -> Result<Vec<StoredEvent>> {
        let sql = "SELECT topic, partition_number, event_offset, event_id, event_key, event_type, tenant_id, payload, appended_at
            FROM event_log WHERE topic = $1 AND partition_number = $2 AND event_offset >= $3
            ORDER BY event_offset LIMIT $4";
        let mut events: Vec<StoredEvent> = Vec::new();
        let mut bytes = 0;
        let mut next = from;
        // How big events are shows only when they are read: a few first, then as many as the rest has room for.
        let mut chunk = FIRST_CHUNK;
        loop {
            let room = limit.saturating_sub(u32::try_from(events.len()).unwrap_or(u32::MAX)).min(chunk);
            let values = values![topic, partition, signed(next)?, room];
            let rows = self.database.system().fetch_all(sql, values).await?;
            for row in &rows {
                let event = stored(row)?;
                bytes += event.event.payload.len();
                next = event.offset + 1;
                events.push(event);
                if bytes >= READ_LIMIT {
                    return Ok(events);
                }
            }
            if room == 0 || rows.len() < usize::try_from(room).unwrap_or(usize::MAX) {
                return Ok(events);
            }
            let average = bytes / events.len().max(1) + 1;
            chunk = u32::try_from((READ_LIMIT - bytes) / average + 1).unwrap_or(u32::MAX);
        }
    }

    async fn ends(&self, topic: &str) -> Result<Vec<Ends>> {
        let sql = "SELECT p.partition_number, p.next_offset,
                (SELECT min(l.event_offset) FROM event_log l
                 WHERE l.topic = p.topic AND l.partition_number = p.partition_number) AS first_offset
            FROM event_partitions p WHERE p.topic = $1 ORDER BY p.partition_number";
        let rows = self.database.system().fetch_all(sql, values![topic]).await?;
        if rows.is_empty() {
            return Err(no_topic(topic));
        }
        rows.iter()
            .map(|row| {
                let next = row.get("next_offset")?;
                let first = row.get::<Option<u64>>("first_offset")?.unwrap_or(next);
                Ok(Ends { partition: row.get("partition_number")?, first, next })
            })
            .collect()
    }

    async fn offset_at(&self, topic: &str, partition: u32, time: Timestamp) -> Result<u64> {
        let sql = "SELECT min(event_offset) AS event_offset FROM event_log
            WHERE topic = $1 AND partition_number = $2 AND appended_at >= $3";
        let row = self.database.system().fetch_one(sql, values![topic, partition, time]).await?;
        if let Some(offset) = row.get("event_offset")? {
            return Ok(offset);
        }
        let ends = self.ends(topic).await?;
        let end = ends.iter().find(|ends| ends.partition == partition);
        end.map(|ends| ends.next).ok_or_else(|| no_topic(&format!("{topic}/{partition}")))
    }

    async fn positions(&self, group: &str, topic: &str) -> Result<Vec<(u32, u64)>> {
        let sql = "SELECT partition_number, next_offset FROM event_positions
            WHERE group_name = $1 AND topic = $2 ORDER BY partition_number";
        let rows = self.database.system().fetch_all(sql, values![group, topic]).await?;
        rows.iter().map(|row| Ok((row.get("partition_number")?, row.get("next_offset")?))).collect()
    }

    async fn commit(&self, group: &str, topic: &str, partition: u32, next: u64) -> Result<()> {
        let sql = "INSERT INTO event_positions (group_name, topic, partition_number, next_offset) VALUES ($1, $2, $3, $4)
            ON CONFLICT (group_name, topic, partition_number)
            DO UPDATE SET next_offset = $4 WHERE event_positions.next_offset < $4";
        self.move_group(sql, group, topic, partition, next).await
    }

    async fn seek(&self, group: &str, topic: &str, partition: u32, next: u64) -> Result<()> {
        let sql = "INSERT INTO event_positions (group_name, topic, partition_number, next_offset) VALUES ($1, $2, $3, $4)
            ON CONFLICT (group_name, topic, partition_number) DO UPDATE SET next_offset = $4";
        self.move_group(sql, group, topic, partition, next).await
    }

    async fn forget_group(&self, group: &str, topic: &str) -> Result<()> {
        let sql = "DELETE FROM event_positions WHERE group_name = $1 AND topic = $2";
        self.database.system().execute(sql, values![group, topic]).await.map(|_| ())
    }

    async fn prune(&self, now: Timestamp) -> Result<u64> {
        let mut pruned = 0;
        for topic in self.topics().await? {
            let retention = SignedDuration::try_from(topic.retention).unwrap_or(SignedDuration::MAX);
            let Ok(before) = now.checked_sub(retention) else { continue };
            let sql = "DELETE FROM event_log WHERE topic = $1 AND appended_at < $2";
            pruned += self.database.system().execute(sql, values![&topic.name, before]).await?;
        }
        Ok(pruned)
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }
}

fn stored(row: &Row) -> Result<StoredEvent> {
    Ok(StoredEvent {
        partition: row.get("partition_number")?,
        offset: row.get("event_offset")?,
        appended_at: row.get("appended_at")?,
        event: NewEvent {
            topic: row.get("topic")?,
            key: row.get("event_key")?,
            id: row.get("event_id")?,
            tenant_id: row.get("tenant_id")?,
            event_type: row.get("event_type")?,
            payload: row.get("payload")?,
        },
    })
}

fn no_topic(topic: &str) -> StoreError {
    StoreError::NotFound { what: format!("topic `{topic}`") }
}

fn signed(offset: u64) -> Result<i64> {
    i64::try_from(offset).map_err(|_| StoreError::invalid("offset", format!("{offset} is too large")))
}
