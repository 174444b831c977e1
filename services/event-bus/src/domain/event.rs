//! What may be published, and by whom.

use uuid::Uuid;

use super::Fault;
use super::name::{TopicName, is_type};

/// The most that an event may be as a whole, in bytes.
pub(crate) const ENVELOPE_LIMIT: usize = 1024 * 1024;

/// Who publishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Publisher {
    pub tenant: Option<Uuid>,
    /// Set when a person calls through the gateway; absent when a service does in its own name.
    pub user: Option<Uuid>,
}

/// An event as a caller gave it, before anything is filled in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EventDraft<'event> {
    pub topic: &'event str,
    pub event_type: &'event str,
    pub id: &'event str,
    pub key: &'event str,
    pub source: &'event str,
}

/// What an event becomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Checked {
    pub topic: TopicName,
    pub id: Uuid,
    pub key: String,
    pub source: String,
}

/// Checks an event and fills in what is missing, or says everything that is wrong with it. `prefix` stands before the
/// names of fields, as in `events[3].`.
pub(crate) fn check(
    draft: &EventDraft<'_>,
    publisher: Publisher,
    prefix: &str,
) -> Result<Checked, Vec<Fault>> {
    let field = |name: &str| format!("{prefix}{name}");
    let mut faults = Vec::new();
    let topic = match TopicName::read(&field("topic"), draft.topic, publisher.tenant) {
        Ok(topic) if topic.is_of_platform() && publisher.user.is_some() => {
            let message = "only services publish to a platform topic; use a topic of your own";
            faults.push(Fault::new(field("topic"), "reserved", message));
            None
        }
        Ok(topic) => Some(topic),
        Err(fault) => {
            faults.push(fault);
            None
        }
    };
    if !is_type(draft.event_type) {
        let message = "is `{domain}.{entity}.{past-verb}`: three words of lower-case letters, digits and `_`";
        faults.push(Fault::new(field("type"), "format", message));
    }
    let id = match draft.id {
        "" => Some(Uuid::now_v7()),
        text => Uuid::parse_str(text).ok(),
    };
    if id.is_none() {
        faults.push(Fault::new(field("id"), "uuid", "must be a UUID, or absent to get one"));
    }
    if draft.key.len() > 256 {
        faults.push(Fault::new(field("key"), "too-long", "at most 256 bytes"));
    }
    if draft.source.len() > 100 {
        faults.push(Fault::new(field("source"), "too-long", "at most 100 bytes"));
    }
    match (topic, id) {
        (Some(topic), Some(id)) if faults.is_empty() => {
            let key = if draft.key.is_empty() { id.to_string() } else { draft.key.to_owned() };
            // A person cannot speak for a service.
            let source =
                publisher.user.map_or_else(|| draft.source.to_owned(), |user| format!("user:{user}"));
            Ok(Checked { topic, id, key, source })
        }
        _ => Err(faults),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TENANT: Option<Uuid> = Some(Uuid::from_u128(1));
    const PERSON: Publisher = Publisher { tenant: TENANT, user: Some(Uuid::from_u128(2)) };
    const SERVICE: Publisher = Publisher { tenant: TENANT, user: None };
    const DRAFT: EventDraft<'static> =
        EventDraft { topic: "orders", event_type: "shop.order.placed", id: "", key: "", source: "" };

    fn codes(draft: EventDraft<'_>, publisher: Publisher) -> Vec<(String, &'static str)> {
        let faults = check(&draft, publisher, "events[1].").unwrap_err();
        faults.into_iter().map(|fault| (fault.field, fault.code)).collect()
    }

    #[test]
    fn what_is_missing_is_filled_in() {
        let checked = check(&EventDraft { source: "money", ..DRAFT }, PERSON, "").unwrap();
        assert_eq!(checked.key, checked.id.to_string());
        assert_eq!(
            checked.source,
            format!("user:{}", Uuid::from_u128(2)),
            "a person cannot speak for a service"
        );
        let id = Uuid::from_u128(9);
        let given = EventDraft { id: &id.to_string(), key: "order-1", source: "money", ..DRAFT };
        let checked = check(&given, SERVICE, "").unwrap();
        assert_eq!((checked.id, checked.key.as_str(), checked.source.as_str()), (id, "order-1", "money"));
    }

    #[test]
    fn everything_that_is_wrong_is_said_at_once() {
        let long = "x".repeat(257);
        let draft = EventDraft { topic: "Orders", event_type: "placed", id: "7", key: &long, source: &long };
        let fields: Vec<_> = codes(draft, PERSON).into_iter().map(|(field, _)| field).collect();
        assert_eq!(
            fields,
            ["events[1].topic", "events[1].type", "events[1].id", "events[1].key", "events[1].source"]
        );
    }

    #[test]
    fn only_services_publish_to_platform_topics() {
        let draft = EventDraft { topic: "platform.money.events", ..DRAFT };
        assert_eq!(codes(draft, PERSON), [("events[1].topic".to_owned(), "reserved")]);
        assert!(check(&draft, SERVICE, "").is_ok());
        assert!(check(&draft, Publisher { tenant: None, user: None }, "").is_ok());
    }
}
