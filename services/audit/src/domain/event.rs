//! A platform event as a record of the trail.

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::Entry;

/// What is recorded without anybody asking for it.
pub(crate) const PLATFORM_TOPICS: [&str; 11] = [
    "platform.auth.events",
    "platform.data.events",
    "platform.module.events",
    "platform.money.events",
    "platform.files.events",
    "platform.notify.events",
    "platform.audit.events",
    "platform.billing.events",
    "platform.integration.events",
    "platform.domain.events",
    "platform.gateway.events",
];

/// An event of the bus.
#[derive(Clone, Debug)]
pub(crate) struct PlatformEvent {
    pub id: Uuid,
    pub event_type: String,
    pub source: String,
    /// The nil UUID for events of the platform itself: they have a chain of their own that no tenant reads.
    pub tenant: Uuid,
    pub topic: String,
    pub key: String,
    pub trace_id: String,
    pub occurred_at: Timestamp,
    pub data: Map<String, Value>,
}

impl PlatformEvent {
    /// The record. Its id is that of the event, so that a second delivery adds nothing.
    pub(crate) fn into_entry(self) -> Entry {
        // `money.wallet.credited` is about a wallet.
        let entity_type = self.event_type.split('.').nth(1).unwrap_or("event").to_owned();
        let text = |name: &str| self.data.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (user_id, ip, user_agent) = (text("userId"), text("ip"), text("userAgent"));
        let metadata = json!({ "source": self.source, "topic": self.topic, "traceId": self.trace_id });
        Entry {
            id: self.id,
            action: self.event_type,
            entity_type,
            entity_id: self.key,
            user_id,
            ip,
            user_agent,
            before: None,
            after: Some(Value::Object(self.data).to_string()),
            metadata: Some(metadata.to_string()),
            occurred_at: self.occurred_at,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_says_who_did_what_to_which() {
        let event = PlatformEvent {
            id: Uuid::from_u128(1),
            event_type: "money.wallet.credited".to_owned(),
            source: "money".to_owned(),
            tenant: Uuid::from_u128(2),
            topic: "platform.money.events".to_owned(),
            key: "wallet-1".to_owned(),
            trace_id: "abc".to_owned(),
            occurred_at: Timestamp::UNIX_EPOCH,
            data: json!({ "userId": "u-1", "amount": 5 }).as_object().cloned().unwrap(),
        };
        let entry = event.into_entry();
        assert_eq!((entry.action.as_str(), entry.entity_type.as_str()), ("money.wallet.credited", "wallet"));
        assert_eq!((entry.entity_id.as_str(), entry.user_id.as_str()), ("wallet-1", "u-1"));
        assert_eq!(entry.after.as_deref(), Some(r#"{"userId":"u-1","amount":5}"#));
        assert_eq!(
            entry.metadata.as_deref(),
            Some(r#"{"source":"money","topic":"platform.money.events","traceId":"abc"}"#)
        );
    }
}
