//! The rules of the trail, without network or store.

mod chain;
mod draft;
mod event;
mod query;

pub(crate) use chain::{Break, Chain, GENESIS, Link};
pub(crate) use draft::{Draft, Entry, Recorder};
pub(crate) use event::{PLATFORM_TOPICS, PlatformEvent};
pub(crate) use query::{ActionFilter, Query};

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
