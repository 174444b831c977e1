//! Outgoing notifications: templates, channels, history.
//!
//! A notification is acknowledged once it is in the database, queued through the tasks port, and delivered by a
//! [`Courier`] through the [`Adapter`] of its channel, with five attempts. The history is kept 90 days, failures 180.
//!
//! Not there yet: WebSocket push (`/v1/ws`) and every channel but `in_app`; they answer that nothing is set up. Nor are
//! there rate limits of its own: only the gateway's count.

mod adapters;
mod api;
mod courier;
pub mod domain;
mod error;
mod events;
mod sender;
mod service;
mod store;
mod wire;

pub use adapters::{Adapter, Adapters, DeliveryError, InApp, Outgoing};
pub use courier::Courier;
pub use error::{NotifyError, Result};
pub use sender::Sender;
pub use service::{Config, Notify};

/// The schema, for [`svc_stores::Database::migrate`].
pub const MIGRATIONS: &[svc_stores::relational::Migration] = store::MIGRATIONS;
