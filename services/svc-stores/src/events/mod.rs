//! The events port: a durable log of topics and partitions, read by offset, with a position per group.
//!
//! The log knows nothing of what an event says: it keeps bytes with a key, an id, and the tenant. Events of one key
//! are in one partition and keep their order. An event whose id is in its topic already is not added again. The
//! embedded adapter is a SQLite file.

mod sqlite;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::sync::watch;
use uuid::Uuid;

use crate::error::Result;
use crate::relational::Database;
use crate::tenant::TenantId;
use crate::url::Store;

/// How many bytes of events one read gives, but for the last event that makes them full.
pub const READ_LIMIT: usize = 4 * 1024 * 1024;

/// A topic and how it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    /// Its name.
    pub name: String,
    /// How many partitions; fixed once it exists.
    pub partitions: u32,
    /// How long events are kept.
    pub retention: Duration,
}

/// An event on its way into the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEvent {
    /// An existing topic.
    pub topic: String,
    /// Events of one key keep their order.
    pub key: String,
    /// A second event of this id in the topic is dropped.
    pub id: Uuid,
    /// Whose data it is about.
    pub tenant_id: Option<TenantId>,
    /// What kind of event, so that readers can pass over others without reading their bytes.
    pub event_type: String,
    /// The event.
    pub payload: Vec<u8>,
}

/// Where an event went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The partition, from 0.
    pub partition: u32,
    /// The place in it, from 0 without gaps.
    pub offset: u64,
    /// It was there already; the place is that of the first one.
    pub duplicate: bool,
}

/// An event in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEvent {
    /// The partition.
    pub partition: u32,
    /// The place in it.
    pub offset: u64,
    /// When it was added.
    pub appended_at: Timestamp,
    /// The event.
    pub event: NewEvent,
}

/// The two ends of a partition: events `first..next` can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    /// The partition.
    pub partition: u32,
    /// The oldest offset that is kept.
    pub first: u64,
    /// The offset that the next event will get.
    pub next: u64,
}

/// The events port.
#[async_trait]
pub trait EventLog: Send + Sync + fmt::Debug {
    /// Makes a topic, or changes the retention of one that exists.
    ///
    /// # Errors
    /// [`crate::StoreError::Invalid`] for no partitions, or another number than it has.
    async fn create_topic(&self, topic: &Topic) -> Result<()>;

    /// All topics, by name.
    ///
    /// # Errors
    /// Whatever the store says.
    async fn topics(&self) -> Result<Vec<Topic>>;

    /// How many partitions a topic has. Cheap: ask it to know whether the topic exists.
    ///
    /// # Errors
    /// [`crate::StoreError::NotFound`] when the topic does not exist.
    async fn partitions(&self, topic: &str) -> Result<u32>;

    /// Adds all of these events or none, in their order. They are durable when this returns.
    ///
    /// # Errors
    /// [`crate::StoreError::NotFound`] when a topic does not exist.
    async fn append(&self, events: Vec<NewEvent>) -> Result<Vec<Appended>>;

    /// Up to `limit` events of a partition from an offset on; from the oldest that is kept when that one is gone. Fewer
    /// when they are big: it stops behind the event that fills [`READ_LIMIT`].
    ///
    /// # Errors
    /// Whatever the store says.
    async fn read(&self, topic: &str, partition: u32, from: u64, limit: u32) -> Result<Vec<StoredEvent>>;

    /// The ends of every partition.
    ///
    /// # Errors
    /// [`crate::StoreError::NotFound`] when the topic does not exist.
    async fn ends(&self, topic: &str) -> Result<Vec<Ends>>;

    /// The first offset of a partition whose event was added at `time` or later; its end when there is none.
    ///
    /// # Errors
    /// As [`EventLog::ends`].
    async fn offset_at(&self, topic: &str, partition: u32, time: Timestamp) -> Result<u64>;

    /// The offsets that a group will read next, per partition; none where it never committed.
    ///
    /// # Errors
    /// Whatever the store says.
    async fn positions(&self, group: &str, topic: &str) -> Result<Vec<(u32, u64)>>;

    /// Moves a group forward: it is done with everything before `next`. Never moves it back.
    ///
    /// # Errors
    /// Whatever the store says.
    async fn commit(&self, group: &str, topic: &str, partition: u32, next: u64) -> Result<()>;

    /// Moves a group anywhere, also back.
    ///
    /// # Errors
    /// Whatever the store says.
    async fn seek(&self, group: &str, topic: &str, partition: u32, next: u64) -> Result<()>;

    /// Forgets the positions of a group in a topic.
    ///
    /// # Errors
    /// Whatever the store says.
    async fn forget_group(&self, group: &str, topic: &str) -> Result<()>;

    /// Drops what is older than its topic's retention, and says how many events that were.
    ///
    /// # Errors
    /// Whatever the store says.
    async fn prune(&self, now: Timestamp) -> Result<u64>;

    /// Changes after every append, so that readers wait instead of asking again and again.
    fn changes(&self) -> watch::Receiver<u64>;
}

/// Opens the log that `EVENTS_URL` names.
///
/// # Errors
/// [`crate::StoreError::Configuration`] when the URL has no adapter or the file cannot be opened.
pub async fn connect(url: &str) -> Result<Arc<dyn EventLog>> {
    let database = Database::connect_as(Store::Events, url).await?;
    Ok(Arc::new(sqlite::SqliteLog::open(database).await?))
}

/// Which of `partitions` a key belongs to: FNV-1a, so that it never depends on the process or the version.
#[must_use]
pub fn partition_of(key: &str, partitions: u32) -> u32 {
    let hash = key.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    // The low bits of FNV-1a are weak: fold the high half in before the remainder.
    let folded = (hash >> 32) ^ hash;
    u32::try_from(folded % u64::from(partitions.max(1))).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::partition_of;

    #[test]
    fn a_key_stays_in_its_partition_and_keys_spread() {
        assert_eq!(partition_of("wallet-1", 4), partition_of("wallet-1", 4));
        let mut counts = [0_u32; 4];
        for number in 0..4000 {
            counts[partition_of(&format!("wallet-{number}"), 4) as usize] += 1;
        }
        assert!(counts.iter().all(|count| (800..1200).contains(count)), "{counts:?}");
        // Pinned: another value would move keys of logs that exist.
        assert_eq!([partition_of("", 4), partition_of("a", 4), partition_of("wallet-1", 4)], [1, 0, 2]);
    }
}
