//! What sends through a channel, behind a port.

use std::sync::Arc;

use async_trait::async_trait;

use crate::domain::Channel;

/// A notification as an adapter gets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// The notification: the same over all attempts, so that a provider can drop duplicates.
    pub id: uuid::Uuid,
    /// Who gets it.
    pub recipient: String,
    /// As it was rendered.
    pub subject: String,
    /// As it was rendered.
    pub body: String,
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

    /// One attempt. It is cut off after ten seconds, and may be made again although it succeeded.
    async fn deliver(&self, message: &Outgoing) -> Result<(), DeliveryError>;
}

/// The channel in the application: the history itself is what the recipient's program reads.
pub struct InApp;

#[async_trait]
impl Adapter for InApp {
    fn channel(&self) -> Channel {
        Channel::InApp
    }

    async fn deliver(&self, _: &Outgoing) -> Result<(), DeliveryError> {
        Ok(())
    }
}

/// The adapters that are set up. Cheap to clone.
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

impl Default for Adapters {
    fn default() -> Self {
        Self::new([Box::new(InApp) as Box<dyn Adapter>])
    }
}
