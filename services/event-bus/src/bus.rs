//! What the bus does, over the log and the subscriptions.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use prost::Message;
use svc_api::events::v1 as wire;
use svc_kit::{Metrics, Problem, message};
use svc_stores::events::{EventLog, NewEvent, StoredEvent, Topic};
use svc_stores::{Database, TenantId};
use tokio::time::Instant;
use uuid::Uuid;

use crate::domain::{
    ENVELOPE_LIMIT, EventDraft, Fault, Group, NewSubscription, Position, Publisher, Subscription, TopicName,
    TypeFilter, check, partitions_and_retention,
};
use crate::store::Subscriptions;
use crate::wire::{from_timestamp, invalid};

/// A tenant's own topics at most; each costs rows for as long as the tenant exists.
const MOST_TOPICS: usize = 100;
/// The most that one reply to a fetch holds, in bytes: readers take no more than 4 MB at once.
const REPLY_LIMIT: usize = 2 * 1024 * 1024;
/// How many events are looked at in one go, wanted or not.
const SCAN: u32 = 500;

#[derive(Clone)]
pub(crate) struct Bus {
    pub(crate) log: Arc<dyn EventLog>,
    pub(crate) subscriptions: Subscriptions,
    metrics: Metrics,
}

/// Events for a reader, and the position behind them.
pub(crate) struct Fetched {
    pub events: Vec<StoredEvent>,
    pub position: Position,
}

impl Bus {
    pub(crate) fn new(log: Arc<dyn EventLog>, database: Database, metrics: Metrics) -> Self {
        Self { log, subscriptions: Subscriptions::new(database), metrics }
    }

    /// Publishes all of these events or none.
    pub(crate) async fn publish(
        &self,
        publisher: Publisher,
        trace_id: &str,
        events: Vec<wire::PublishRequest>,
        batch: bool,
    ) -> Result<Vec<wire::PublishReply>, Problem> {
        let mut faults = Vec::new();
        let mut prepared = Vec::with_capacity(events.len());
        for (index, event) in events.into_iter().enumerate() {
            let prefix = if batch { format!("events[{index}].") } else { String::new() };
            match prepare(event, publisher, trace_id, &prefix)? {
                Ok(event) => prepared.push(event),
                Err(found) => faults.extend(found),
            }
        }
        if !faults.is_empty() {
            return Err(invalid(faults));
        }
        let mut topics: Vec<&TopicName> = prepared.iter().map(|(topic, _)| topic).collect();
        topics.sort_by(|one, other| one.stored.cmp(&other.stored));
        topics.dedup();
        for topic in topics {
            self.ensure_topic(topic, publisher.tenant).await?;
        }
        let (names, events): (Vec<_>, Vec<_>) = prepared.into_iter().unzip();
        let ids: Vec<Uuid> = events.iter().map(|event| event.id).collect();
        let places = self.log.append(events).await?;
        let replies = names.into_iter().zip(ids).zip(places);
        Ok(replies
            .map(|((topic, id), place)| wire::PublishReply {
                id: id.to_string(),
                topic: topic.shown,
                partition: crate::wire::signed(place.partition),
                offset: i64::try_from(place.offset).unwrap_or(i64::MAX),
                duplicate: place.duplicate,
            })
            .collect())
    }

    /// Makes a topic that does not exist yet.
    pub(crate) async fn ensure_topic(&self, topic: &TopicName, tenant: Option<Uuid>) -> Result<(), Problem> {
        match self.log.partitions(&topic.stored).await {
            Ok(_) => return Ok(()),
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error.into()),
        }
        if let Some(tenant) = tenant.filter(|_| !topic.is_of_platform()) {
            let prefix = TopicName::prefix(tenant);
            let own = self.log.topics().await?.iter().filter(|topic| topic.name.starts_with(&prefix)).count();
            if own >= MOST_TOPICS {
                return Err(Problem::failed_precondition(format!(
                    "The tenant has {MOST_TOPICS} topics of its own already, and that is the most."
                )));
            }
        }
        let (partitions, retention) = partitions_and_retention(&topic.stored);
        Ok(self.log.create_topic(&Topic { name: topic.stored.clone(), partitions, retention }).await?)
    }

    /// The topics that a tenant sees.
    pub(crate) async fn topics(&self, tenant: Option<Uuid>) -> Result<Vec<(TopicName, Topic)>, Problem> {
        let topics = self.log.topics().await?.into_iter();
        Ok(topics.filter_map(|topic| Some((TopicName::of_stored(&topic.name, tenant)?, topic))).collect())
    }

    pub(crate) async fn subscribe(
        &self,
        tenant: Uuid,
        wish: NewSubscription,
        from_beginning: bool,
    ) -> Result<Subscription, Problem> {
        let subscription = wish.check(tenant, svc_stores::now()).map_err(invalid)?;
        if subscription.topic.is_of_platform() {
            // Only who publishes to a platform topic makes it: everybody sees it, and it stays for ever.
            self.log.partitions(&subscription.topic.stored).await.map_err(|error| {
                let topic = &subscription.topic.shown;
                let absent = Problem::not_found(format!("There is no platform topic `{topic}`."));
                if error.is_not_found() { absent } else { error.into() }
            })?;
        } else {
            self.ensure_topic(&subscription.topic, Some(tenant)).await?;
        }
        // The position first: a crash in between leaves one that nobody reads, not a subscription without one.
        let group = subscription.stored_group(tenant);
        if self.log.positions(&group, &subscription.topic.stored).await?.is_empty() {
            self.start_group(&group, &subscription.topic.stored, from_beginning).await?;
        }
        self.subscriptions.add(tenant, &subscription).await.map_err(|error| {
            if error.is_unique_conflict() {
                let group = &subscription.group;
                Problem::already_exists(format!(
                    "The group `{group}` has a subscription on this topic already."
                ))
            } else {
                error.into()
            }
        })?;
        Ok(subscription)
    }

    /// Notes where a new group starts, so that nothing is lost before its first acknowledgement.
    pub(crate) async fn start_group(
        &self,
        group: &str,
        topic: &str,
        from_beginning: bool,
    ) -> Result<(), Problem> {
        for ends in self.log.ends(topic).await? {
            let start = if from_beginning { ends.first } else { ends.next };
            self.log.commit(group, topic, ends.partition, start).await?;
        }
        Ok(())
    }

    pub(crate) async fn unsubscribe(&self, tenant: Uuid, id: Uuid) -> Result<(), Problem> {
        let subscription = self.subscription(tenant, id).await?;
        // The row first: a crash in between leaves a position that nobody reads.
        self.subscriptions.remove(tenant, id).await?;
        Ok(self.log.forget_group(&subscription.stored_group(tenant), &subscription.topic.stored).await?)
    }

    pub(crate) async fn subscription(&self, tenant: Uuid, id: Uuid) -> Result<Subscription, Problem> {
        let found = self.subscriptions.find(tenant, id).await?;
        found.ok_or_else(|| Problem::not_found(format!("There is no subscription {id}.")))
    }

    /// Acknowledges what a reader has done and gives the next events, waiting up to `wait` for a first one.
    pub(crate) async fn fetch(
        &self,
        tenant: Uuid,
        id: Uuid,
        acknowledged: &str,
        most: usize,
        wait: Duration,
    ) -> Result<Fetched, Problem> {
        let subscription = self.subscription(tenant, id).await?;
        let topic = &subscription.topic.stored;
        let group = subscription.stored_group(tenant);
        if !acknowledged.is_empty() {
            self.acknowledge_position(&group, topic, acknowledged).await?;
        }
        let filter = TypeFilter::stored(&subscription.types);
        let deadline = Instant::now() + wait;
        let mut changes = self.log.changes();
        loop {
            changes.borrow_and_update();
            let start = self.position(&group, topic).await?;
            let fetched = self.scan(topic, &start, most, |stored| {
                stored.event.tenant_id == Some(TenantId::new(tenant))
                    && filter.wants(&stored.event.event_type)
            });
            let fetched = fetched.await?;
            if !fetched.events.is_empty() {
                return Ok(fetched);
            }
            if fetched.position != start {
                // Nothing of it was wanted: there is nothing to acknowledge before going on.
                self.commit(&group, topic, &fetched.position).await?;
                continue;
            }
            if tokio::time::timeout_at(deadline, changes.changed()).await.is_err() {
                return Ok(fetched);
            }
        }
    }

    /// Up to `most` wanted events from a position on, and the position behind them.
    async fn scan(
        &self,
        topic: &str,
        start: &Position,
        most: usize,
        wanted: impl Fn(&StoredEvent) -> bool,
    ) -> Result<Fetched, Problem> {
        let mut found = Vec::new();
        let mut position = start.clone();
        for (partition, from) in &start.0 {
            let events = self.log.read(topic, *partition, *from, SCAN).await?;
            if let Some(last) = events.last() {
                position.0.insert(*partition, last.offset + 1);
            }
            // Partitions are merged by time. The order within one holds even where the clock was set back.
            let mut latest = Timestamp::MIN;
            for stored in events.into_iter().filter(|stored| wanted(stored)) {
                latest = latest.max(stored.appended_at);
                found.push((latest, stored));
            }
        }
        found.sort_by_key(|(time, stored)| (*time, stored.partition, stored.offset));
        let mut bytes = 0;
        let fitting = found.iter().take_while(|(_, stored)| {
            bytes += stored.event.payload.len();
            bytes <= REPLY_LIMIT
        });
        // One event always fits, however big it is.
        let kept = fitting.count().max(1).min(most).min(found.len());
        for (_, left) in found.drain(kept..) {
            let next = position.0.entry(left.partition).or_default();
            *next = left.offset.min(*next);
        }
        Ok(Fetched { events: found.into_iter().map(|(_, stored)| stored).collect(), position })
    }

    /// Where a group stands in each partition.
    pub(crate) async fn position(&self, group: &str, topic: &str) -> Result<Position, Problem> {
        let committed: BTreeMap<u32, u64> = self.log.positions(group, topic).await?.into_iter().collect();
        let ends = self.log.ends(topic).await?.into_iter();
        Ok(Position(
            ends.map(|ends| {
                let next = committed.get(&ends.partition).copied().unwrap_or(ends.first);
                (ends.partition, next.max(ends.first))
            })
            .collect(),
        ))
    }

    async fn commit(&self, group: &str, topic: &str, position: &Position) -> Result<(), Problem> {
        for (partition, next) in &position.0 {
            self.log.commit(group, topic, *partition, *next).await?;
        }
        Ok(())
    }

    async fn acknowledge_position(&self, group: &str, topic: &str, text: &str) -> Result<(), Problem> {
        let unknown = || {
            let message = "is not a position of this subscription; give back `position` of the last reply";
            invalid(vec![Fault::new("acknowledgedPosition", "unknown", message)])
        };
        let position = Position::read(text).ok_or_else(unknown)?;
        for (partition, next) in &position.0 {
            let ends = self.log.ends(topic).await?;
            if !ends.iter().any(|ends| ends.partition == *partition && *next <= ends.next) {
                return Err(unknown());
            }
        }
        self.commit(group, topic, &position).await
    }

    /// Moves a group behind one event.
    pub(crate) async fn acknowledge(
        &self,
        group: &Group,
        topic: &str,
        partition: i32,
        offset: i64,
    ) -> Result<(), Problem> {
        let ends = self.log.ends(topic).await?;
        let place = u32::try_from(partition).ok().zip(u64::try_from(offset).ok());
        let found = place.and_then(|(partition, offset)| {
            let end = ends.iter().find(|ends| ends.partition == partition)?.next;
            (offset < end).then_some((partition, offset + 1, end))
        });
        let Some((partition, next, end)) = found else {
            return Err(invalid(vec![Fault::new("offset", "unknown", "there is no such event")]));
        };
        self.log.commit(&group.stored, topic, partition, next).await?;
        // Groups of tenants come and go: a label for each would grow without end.
        if let Some(name) = group.of_platform() {
            let lag = i64::try_from(end - next).unwrap_or(i64::MAX);
            self.metrics.consumer_lag(name, topic, crate::wire::signed(partition), lag);
        }
        Ok(())
    }

    /// Where a subscription stands, and how many events are ahead of it: of every tenant, on a platform topic.
    pub(crate) async fn consumer_position(
        &self,
        tenant: Uuid,
        subscription: &Subscription,
    ) -> Result<wire::ConsumerPosition, Problem> {
        let topic = &subscription.topic.stored;
        let position = self.position(&subscription.stored_group(tenant), topic).await?;
        let mut partitions = Vec::new();
        for ends in self.log.ends(topic).await? {
            let next = position.0.get(&ends.partition).copied().unwrap_or(ends.first);
            partitions.push(wire::PartitionPosition {
                partition: crate::wire::signed(ends.partition),
                offset: i64::try_from(next).unwrap_or(i64::MAX),
                lag: i64::try_from(ends.next.saturating_sub(next)).unwrap_or(i64::MAX),
            });
        }
        let lag = partitions.iter().map(|partition| partition.lag).sum();
        Ok(wire::ConsumerPosition { subscription_id: subscription.id.to_string(), partitions, lag })
    }

    /// Moves a subscription to the first event at or after a time.
    pub(crate) async fn seek(
        &self,
        tenant: Uuid,
        id: Uuid,
        time: Timestamp,
    ) -> Result<Subscription, Problem> {
        let subscription = self.subscription(tenant, id).await?;
        let topic = &subscription.topic.stored;
        for ends in self.log.ends(topic).await? {
            let offset = self.log.offset_at(topic, ends.partition, time).await?;
            self.log.seek(&subscription.stored_group(tenant), topic, ends.partition, offset).await?;
        }
        Ok(subscription)
    }
}

/// An event ready for the log; the inner error is what is wrong with it.
type Prepared = Result<(TopicName, NewEvent), Vec<Fault>>;

fn prepare(
    event: wire::PublishRequest,
    publisher: Publisher,
    trace_id: &str,
    prefix: &str,
) -> Result<Prepared, Problem> {
    let draft = EventDraft {
        topic: &event.topic,
        event_type: &event.r#type,
        id: &event.id,
        key: &event.key,
        source: &event.source,
    };
    let checked = match check(&draft, publisher, prefix) {
        Ok(checked) => checked,
        Err(faults) => return Ok(Err(faults)),
    };
    let timestamp = match event.timestamp {
        Some(time) => from_timestamp(&format!("{prefix}timestamp"), time)?,
        None => Timestamp::now(),
    };
    let or = |given: String, usual: &str| if given.is_empty() { usual.to_owned() } else { given };
    let envelope = wire::EventEnvelope {
        id: checked.id.to_string(),
        r#type: event.r#type.clone(),
        source: checked.source,
        tenant_id: publisher.tenant.map(|tenant| tenant.to_string()).unwrap_or_default(),
        schema_version: or(event.schema_version, "1.0"),
        timestamp: Some(message::timestamp(timestamp)),
        trace_id: or(event.trace_id, trace_id),
        data: Some(event.payload.unwrap_or_default()),
    };
    let payload = envelope.encode_to_vec();
    if payload.len() > ENVELOPE_LIMIT {
        let message =
            format!("the event is {} bytes as a whole; at most {ENVELOPE_LIMIT} are allowed", payload.len());
        return Ok(Err(vec![Fault::new(format!("{prefix}payload"), "too-long", message)]));
    }
    let new = NewEvent {
        topic: checked.topic.stored.clone(),
        key: checked.key,
        id: checked.id,
        tenant_id: publisher.tenant.map(TenantId::new),
        event_type: event.r#type,
        payload,
    };
    Ok(Ok((checked.topic, new)))
}
