//! The event-bus: publish and subscribe over a durable log.
//!
//! Owns the topics, the log and each group's position in it. Platform topics, `platform.{domain}.events`, are written
//! by services only and read by everybody, each tenant seeing its own events; any other topic belongs to one tenant
//! and is made on first use. Delivery is at least once, in order per key; an event id is taken once per topic.
//!
//! Two ways to read: a stream for services (`Subscribe`, with `Acknowledge`), and subscriptions for everybody
//! else, read by `Fetch`. One consumer per group at a time: a second one in the same group gets the same events.
//!
//! Not implemented yet, and answering so: topic schemas and dead letters. `max_retries` of a subscription is kept and
//! has no effect before there are dead letters.

mod bus;
mod domain;
mod grpc;
mod store;
mod stream;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use svc_api::events::v1::event_service_server::EventServiceServer;
use svc_kit::{BuildError, Configure, Context, Invalid, Reader, Routes, Secret, Service, Shutdown};
use svc_stores::events::EventLog;
use svc_stores::{Database, Store};

use bus::Bus;

/// Events of more than 4 MB together never fit into one batch: each is at most 1 MB, most are small.
const MESSAGE_LIMIT: usize = 16 * 1024 * 1024;
const PRUNE_EVERY: Duration = Duration::from_secs(3600);

/// The service.
#[derive(Debug)]
pub struct EventBus;

/// Its settings.
#[derive(Debug)]
pub struct Config {
    events_url: Secret,
    database_url: Secret,
}

impl Configure for Config {
    fn configure(reader: &mut Reader<'_>) -> Result<Self, Invalid> {
        let events_url = reader.store(Store::Events);
        // Subscriptions are rows. Without a database of their own they lie beside the embedded log.
        let database_url = match reader.optional::<Secret>(Store::Database.variable()) {
            Ok(Some(_)) => reader.store(Store::Database),
            _ => events_url.clone(),
        };
        Ok(Self { events_url: events_url?, database_url: database_url? })
    }
}

impl Service for EventBus {
    const NAME: &'static str = "event-bus";
    type Config = Config;

    async fn build(config: Config, context: Context) -> Result<Routes, BuildError> {
        let log = svc_stores::events::connect(config.events_url.expose()).await?;
        let database = Database::connect(config.database_url.expose()).await?;
        database.migrate("event-bus", store::MIGRATIONS).await?;
        for topic in domain::standard_topics() {
            log.create_topic(&topic).await?;
        }
        let bus = Bus::new(Arc::clone(&log), database, context.metrics().clone());
        context.spawn("prune", move |shutdown| prune(Arc::clone(&log), shutdown));
        let service = EventServiceServer::new(grpc::Handlers::new(bus, context.draining()))
            .max_decoding_message_size(MESSAGE_LIMIT)
            .max_encoding_message_size(MESSAGE_LIMIT);
        Ok(Routes::new().grpc(service))
    }
}

/// Drops what is older than its topic keeps.
async fn prune(log: Arc<dyn EventLog>, shutdown: Shutdown) {
    loop {
        match log.prune(Timestamp::now()).await {
            Ok(0) => {}
            Ok(events) => tracing::info!(events, "old events dropped"),
            Err(error) => tracing::warn!(%error, "old events could not be dropped; trying again in an hour"),
        }
        if !shutdown.pause(PRUNE_EVERY).await {
            return;
        }
    }
}
