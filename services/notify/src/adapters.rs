//! What sends through a channel, behind a port.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use svc_stores::TenantId;

use crate::domain::{Channel, Fault, Priority};

/// What a tenant set up for a channel; empty for a channel that needs nothing.
pub type Setup = serde_json::Map<String, serde_json::Value>;

/// A notification as an adapter gets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// Whose it is.
    pub tenant: TenantId,
    /// The notification: the same over all attempts, so that a provider can drop duplicates.
    pub id: uuid::Uuid,
    /// Who gets it.
    pub recipient: String,
    /// As it was rendered.
    pub subject: String,
    /// As it was rendered.
    pub body: String,
    /// How urgent.
    pub priority: Priority,
    /// When it was asked for.
    pub created_at: Timestamp,
}

/// Why an attempt failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeliveryError {
    /// It may work later.
    #[error("{0}")]
    Temporary(String),
    /// It will never work, such as an address that does not exist.
    #[error("{0}")]
    Permanent(String),
}

/// Sends through one channel.
#[async_trait]
pub trait Adapter: Send + Sync {
    /// The channel.
    fn channel(&self) -> Channel;

    /// Whether a tenant has to set the channel up before anything is sent through it.
    fn needs_setup(&self) -> bool {
        false
    }

    /// Whether a channel can be set up like this.
    ///
    /// # Errors
    /// Each thing that is wrong, all at once.
    fn check_setup(&self, _: &Setup) -> Result<(), Vec<Fault>> {
        Ok(())
    }

    /// Whether the channel takes such a notification. Asked before it is queued.
    ///
    /// # Errors
    /// When it does not.
    fn validate(&self, _: &Outgoing) -> Result<(), Fault> {
        Ok(())
    }

    /// One attempt. It is cut off after ten seconds, and may be made again although it succeeded.
    async fn deliver(&self, message: &Outgoing, setup: &Setup) -> Result<(), DeliveryError>;
}

/// The channel in the application: the history itself is what the recipient's program reads.
pub struct InApp;

#[async_trait]
impl Adapter for InApp {
    fn channel(&self) -> Channel {
        Channel::InApp
    }

    async fn deliver(&self, _: &Outgoing, _: &Setup) -> Result<(), DeliveryError> {
        Ok(())
    }
}

/// The adapters that there are. Cheap to clone.
#[derive(Clone)]
pub struct Adapters(Arc<[Box<dyn Adapter>]>);

impl Adapters {
    /// These adapters.
    pub fn new(adapters: impl IntoIterator<Item = Box<dyn Adapter>>) -> Self {
        Self(adapters.into_iter().collect())
    }

    /// What sends through this channel, if anything does.
    pub fn find(&self, channel: Channel) -> Option<&dyn Adapter> {
        self.0.iter().find(|adapter| adapter.channel() == channel).map(AsRef::as_ref)
    }
}
