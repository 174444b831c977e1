//! Messages of the wire ↔ what the bus works with.

use jiff::Timestamp;
use prost::Message;
use svc_api::events::v1 as wire;
use svc_kit::{Problem, Violation, message::timestamp};
use svc_stores::events::{StoredEvent, Topic};

use crate::domain::{Fault, Subscription, TopicName};

/// Everything that is wrong with a request, as one problem.
pub(crate) fn invalid(faults: Vec<Fault>) -> Problem {
    let violations = faults.into_iter().map(|Fault { field, code, message }| Violation {
        field,
        code: code.to_owned(),
        message,
    });
    Problem::invalid("The request breaks one or more rules.").violations(violations)
}

/// A time of a request.
pub(crate) fn from_timestamp(field: &str, time: prost_types::Timestamp) -> Result<Timestamp, Problem> {
    Timestamp::new(time.seconds, time.nanos)
        .map_err(|_| invalid(vec![Fault::new(field, "range", "is no time between the years -9999 and 9999")]))
}

/// An event of the log; its payload is the envelope as it was published.
pub(crate) fn received(shown_topic: &str, stored: StoredEvent) -> Result<wire::ReceivedEvent, Problem> {
    let envelope = wire::EventEnvelope::decode(stored.event.payload.as_slice()).map_err(Problem::internal)?;
    Ok(wire::ReceivedEvent {
        event: Some(envelope),
        topic: shown_topic.to_owned(),
        partition: signed(stored.partition),
        offset: i64::try_from(stored.offset).unwrap_or(i64::MAX),
        key: stored.event.key,
    })
}

pub(crate) fn subscription(subscription: Subscription) -> wire::Subscription {
    wire::Subscription {
        id: subscription.id.to_string(),
        topic: subscription.topic.shown,
        group: subscription.group,
        types: subscription.types,
        max_retries: signed(subscription.max_retries),
        created_at: Some(timestamp(subscription.created_at)),
    }
}

pub(crate) fn topic(name: TopicName, topic: &Topic) -> wire::Topic {
    let hours = i32::try_from(topic.retention.as_secs() / 3600).unwrap_or(i32::MAX);
    wire::Topic { name: name.shown, partitions: signed(topic.partitions), retention_hours: hours }
}

pub(crate) fn signed(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}
