//! The transactional outbox: an event is written in the transaction that it tells of, and sent afterwards.
//!
//! So an event exists exactly when its change does, whatever is killed when. It is sent at least once; its id is
//! the key by which the receiver notices a second time. [`relay`] sends what is pending, in order, woken by each
//! commit; who publishes is behind [`Publisher`], because this crate knows no network.
//!
//! ```no_run
//! # use svc_stores::{outbox::{self, Event}, Database, TenantId};
//! # async fn example(database: Database, tenant: TenantId) -> svc_stores::Result<()> {
//! let mut transaction = database.tenant(tenant).begin().await?;
//! // … the change itself …
//! let event = Event::new("platform.money.events", "money.wallet.credited", "money", "wallet-1")
//!     .tenant(tenant)
//!     .data(serde_json::json!({ "walletId": "wallet-1", "amount": 500 }));
//! outbox::append(&mut transaction, &event).await?;
//! transaction.commit().await
//! # }
//! ```

use std::future::Future;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use uuid::Uuid;

use crate::error::Result;
use crate::relational::{Database, Migration, Row, Transaction};
use crate::tenant::TenantId;
use crate::values;

/// Part of every service's database: [`Database::migrate`] runs it first.
pub(crate) const MIGRATIONS: &[Migration] = &[Migration::new(
    1,
    "outbox",
    "CREATE TABLE outbox (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT,
        event_id UUID NOT NULL UNIQUE,
        topic TEXT NOT NULL,
        event_type TEXT NOT NULL,
        source TEXT NOT NULL,
        entity_id TEXT NOT NULL,
        tenant_id UUID,
        schema_version TEXT NOT NULL,
        occurred_at TIMESTAMPTZ NOT NULL,
        trace_id TEXT,
        data JSONB NOT NULL,
        sent_at TIMESTAMPTZ,
        refused TEXT
    );
    CREATE INDEX outbox_pending ON outbox (sequence) WHERE sent_at IS NULL AND refused IS NULL;
    CREATE INDEX outbox_sent ON outbox (sent_at) WHERE sent_at IS NOT NULL;",
)
.for_postgres(
    "CREATE TABLE outbox (
        sequence BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        event_id UUID NOT NULL UNIQUE,
        topic TEXT NOT NULL,
        event_type TEXT NOT NULL,
        source TEXT NOT NULL,
        entity_id TEXT NOT NULL,
        tenant_id UUID,
        schema_version TEXT NOT NULL,
        occurred_at TIMESTAMPTZ NOT NULL,
        trace_id TEXT,
        data JSONB NOT NULL,
        sent_at TIMESTAMPTZ,
        refused TEXT
    );
    CREATE INDEX outbox_pending ON outbox (sequence) WHERE sent_at IS NULL AND refused IS NULL;
    CREATE INDEX outbox_sent ON outbox (sent_at) WHERE sent_at IS NOT NULL;",
)];

/// Sent events are kept this long for whoever looks into what happened.
const KEPT_AFTER_SENDING: Duration = Duration::from_secs(24 * 3600);
const BATCH: u32 = 200;
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Another process may have written to the database without waking us.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// A fact that others may want to know, as the event-bus takes it.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// UUID v7; the receiver's key against doing it twice.
    pub id: Uuid,
    /// `platform.{domain}.events`.
    pub topic: String,
    /// `{domain}.{entity}.{past-verb}`.
    pub event_type: String,
    /// The service or module that it comes from.
    pub source: String,
    /// Events about one entity keep their order.
    pub entity_id: String,
    /// Whose data it is about; `None` for the platform's own.
    pub tenant_id: Option<TenantId>,
    /// The version of the form of `data`, such as `1.0`.
    pub schema_version: String,
    /// When it happened.
    pub occurred_at: Timestamp,
    /// W3C trace id of the request that caused it.
    pub trace_id: Option<String>,
    /// What happened, as a JSON object.
    pub data: serde_json::Value,
}

impl Event {
    /// An event that happens now, with a new id and empty data.
    #[must_use]
    pub fn new(topic: &str, event_type: &str, source: &str, entity_id: &str) -> Self {
        Self {
            id: Uuid::now_v7(),
            topic: topic.to_owned(),
            event_type: event_type.to_owned(),
            source: source.to_owned(),
            entity_id: entity_id.to_owned(),
            tenant_id: None,
            schema_version: "1.0".to_owned(),
            occurred_at: crate::now(),
            trace_id: None,
            data: serde_json::Value::Object(serde_json::Map::new()),
        }
    }

    /// The same event, about a tenant's data.
    #[must_use]
    pub fn tenant(mut self, tenant: impl Into<TenantId>) -> Self {
        self.tenant_id = Some(tenant.into());
        self
    }

    /// The same event with this data.
    #[must_use]
    pub fn data(mut self, data: serde_json::Value) -> Self {
        self.data = data;
        self
    }

    /// The same event with the trace of the request that caused it.
    #[must_use]
    pub fn trace(mut self, trace_id: Option<String>) -> Self {
        self.trace_id = trace_id;
        self
    }
}

/// Adds an event to the transaction. It will be sent once the transaction is committed, and only then.
///
/// # Errors
/// A unique conflict when an event with this id was appended before.
pub async fn append(transaction: &mut Transaction, event: &Event) -> Result<()> {
    let sql = "INSERT INTO outbox (event_id, topic, event_type, source, entity_id, tenant_id, schema_version,
            occurred_at, trace_id, data)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
    let values = values![
        event.id,
        &event.topic,
        &event.event_type,
        &event.source,
        &event.entity_id,
        event.tenant_id,
        &event.schema_version,
        event.occurred_at,
        event.trace_id.clone(),
        &event.data
    ];
    transaction.system().execute(sql, values).await?;
    transaction.wake_outbox();
    Ok(())
}

/// The oldest events that were not sent yet, in the order of their appending.
///
/// # Errors
/// Whatever the database says.
pub async fn pending(database: &Database, limit: u32) -> Result<Vec<Event>> {
    let sql = "SELECT event_id, topic, event_type, source, entity_id, tenant_id, schema_version, occurred_at, trace_id, data
        FROM outbox WHERE sent_at IS NULL AND refused IS NULL ORDER BY sequence LIMIT $1";
    let rows = database.system().fetch_all(sql, values![limit]).await?;
    rows.iter().map(event_of).collect()
}

/// Notes that these events were taken by the event-bus, and forgets those that were sent a day ago.
///
/// # Errors
/// Whatever the database says; then they will be sent again.
pub async fn mark_sent(database: &Database, events: &[Uuid]) -> Result<()> {
    let now = Timestamp::now();
    let mut transaction = database.system().begin().await?;
    for id in events {
        transaction.execute("UPDATE outbox SET sent_at = $2 WHERE event_id = $1", values![*id, now]).await?;
    }
    let long_ago = now.checked_sub(KEPT_AFTER_SENDING).unwrap_or(Timestamp::MIN);
    transaction.execute("DELETE FROM outbox WHERE sent_at < $1", values![long_ago]).await?;
    transaction.commit().await
}

/// Notes that the event-bus will never take this event, so that it does not hold up those behind it. The row
/// stays, with the reason.
///
/// # Errors
/// Whatever the database says.
pub async fn mark_refused(database: &Database, event: Uuid, reason: &str) -> Result<()> {
    let sql = "UPDATE outbox SET refused = $2 WHERE event_id = $1";
    database.system().execute(sql, values![event, reason]).await.map(|_| ())
}

/// Why events could not be published.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// Nobody answered, or asked to come back later. The same events are sent again.
    #[error("the event-bus is not available: {0}")]
    Unavailable(String),
    /// The event itself is at fault; sending it again will not help.
    #[error("the event-bus refused it: {0}")]
    Refused(String),
}

/// Whoever takes events to the event-bus.
#[async_trait]
pub trait Publisher: Send + Sync {
    /// Publishes all of the events or none. An event whose id was published before counts as published.
    async fn publish(&self, events: &[Event]) -> std::result::Result<(), PublishError>;
}

/// Sends pending events until `shutdown` resolves: at once after a commit, at the start for what a crash left
/// behind, and with pauses from 100 ms to 30 s while the event-bus is away.
pub async fn relay(database: Database, publisher: impl Publisher, shutdown: impl Future<Output = ()>) {
    let mut shutdown = std::pin::pin!(shutdown);
    let mut pause = FIRST_PAUSE;
    loop {
        let wait = match send_pending(&database, &publisher).await {
            Ok(sent) => {
                pause = FIRST_PAUSE;
                if sent == BATCH as usize {
                    continue;
                }
                LOOK_AGAIN
            }
            Err(problem) => {
                tracing::warn!(%problem, retry_in_ms = pause.as_millis(), "events wait in the outbox");
                let wait = pause;
                pause = (pause * 2).min(LONGEST_PAUSE);
                tokio::select! {
                    () = &mut shutdown => return,
                    () = tokio::time::sleep(wait) => continue,
                }
            }
        };
        tokio::select! {
            () = &mut shutdown => return,
            () = database.outbox_notify().notified() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}

/// Sends one batch and says how many events it settled.
async fn send_pending(database: &Database, publisher: &impl Publisher) -> Result<usize, Problem> {
    let events = pending(database, BATCH).await?;
    if events.is_empty() {
        return Ok(0);
    }
    let settled = events.len();
    match publisher.publish(&events).await {
        Ok(()) => {
            let ids: Vec<Uuid> = events.iter().map(|event| event.id).collect();
            mark_sent(database, &ids).await?;
        }
        Err(PublishError::Unavailable(problem)) => return Err(Problem(problem)),
        // One of them is at fault: send each alone, in order, to find out which.
        Err(PublishError::Refused(_)) => {
            for event in events {
                match publisher.publish(std::slice::from_ref(&event)).await {
                    Ok(()) => mark_sent(database, &[event.id]).await?,
                    Err(PublishError::Unavailable(problem)) => return Err(Problem(problem)),
                    Err(PublishError::Refused(reason)) => {
                        tracing::error!(event_id = %event.id, event_type = event.event_type, reason,
                            "the event-bus refused an event for good; it stays in the outbox");
                        mark_refused(database, event.id, &reason).await?;
                    }
                }
            }
        }
    }
    Ok(settled)
}

struct Problem(String);

impl std::fmt::Display for Problem {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl From<crate::StoreError> for Problem {
    fn from(error: crate::StoreError) -> Self {
        Self(error.to_string())
    }
}

fn event_of(row: &Row) -> Result<Event> {
    Ok(Event {
        id: row.get("event_id")?,
        topic: row.get("topic")?,
        event_type: row.get("event_type")?,
        source: row.get("source")?,
        entity_id: row.get("entity_id")?,
        tenant_id: row.get("tenant_id")?,
        schema_version: row.get("schema_version")?,
        occurred_at: row.get("occurred_at")?,
        trace_id: row.get("trace_id")?,
        data: row.get("data")?,
    })
}
