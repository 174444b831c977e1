//! The rules of the bus, without network or store.

mod event;
mod name;
mod position;
mod subscription;

pub(crate) use event::{ENVELOPE_LIMIT, EventDraft, Publisher, check};
pub(crate) use name::{Group, TopicName, partitions_and_retention, standard_topics};
pub(crate) use position::Position;
pub(crate) use subscription::{NewSubscription, Subscription, TypeFilter};

/// One thing that is wrong with a request: a field, the rule's name, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub field: String,
    pub code: &'static str,
    pub message: String,
}

impl Fault {
    pub(crate) fn new(field: impl Into<String>, code: &'static str, message: impl Into<String>) -> Self {
        Self { field: field.into(), code, message: message.into() }
    }
}
