//! Outgoing notifications: templates, channels, history.
//!
//! A notification is acknowledged once it is in the database, queued through the tasks port, and delivered by a
//! [`Courier`] through the [`Adapter`] of its channel, with five attempts. The history is kept 90 days, failures 180.
//!
//! What is pushed over WebSockets ([`Pushes`]) is kept in the database, so that every instance sees it and a lost
//! connection can go on. Channels that end at somebody else's server ([`Outside`]) are called by the integration-hub.
//!
//! Not there yet: the channels `sms` and `browser_push`; they answer that nothing sends through them.

mod adapters;
mod api;
mod channels;
mod clock;
mod courier;
pub mod domain;
mod error;
mod events;
mod limits;
mod mail;
mod outside;
mod push;
mod sender;
mod service;
mod store;
mod wire;

pub use adapters::{Adapter, Adapters, DeliveryError, InApp, Outgoing, Setup};
pub use clock::{Clock, SystemClock};
pub use courier::Courier;
pub use error::{NotifyError, Result};
pub use limits::Limits;
pub use mail::{Mail, MailServer};
pub use outside::Outside;
pub use push::Pushes;
pub use sender::Sender;
pub use service::{Config, Notify};

/// The schema, for [`svc_stores::Database::migrate`].
pub const MIGRATIONS: &[svc_stores::relational::Migration] = store::MIGRATIONS;
