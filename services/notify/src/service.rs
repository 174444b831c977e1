//! From the environment to a serving sender.

use std::time::Duration;

use axum::{Router, routing::get};
use svc_api::notify::v1::notify_service_server::NotifyServiceServer;
use svc_clients::{Neighbour, events};
use svc_kit::{
    BuildError, Configure, Context, Invalid, NeighbourUrl, Problem, Reader, Routes, Secret, Service,
    http_problem,
};
use svc_stores::{Database, Store, tasks};

use crate::adapters::Adapters;
use crate::courier::Courier;
use crate::domain::Schedule;
use crate::sender::Sender;
use crate::store::MIGRATIONS;

/// The notify service.
pub struct Notify;

/// What notify is configured by.
pub struct Config {
    database_url: Secret,
    tasks_url: Secret,
    event_bus: NeighbourUrl,
    attempt_timeout_seconds: u64,
}

impl Configure for Config {
    fn configure(reader: &mut Reader<'_>) -> Result<Self, Invalid> {
        let database_url = reader.store(Store::Database);
        let tasks_url = reader.store(Store::Tasks);
        let event_bus = reader.required("EVENTS_URL", "the event-bus, such as http://event-bus:8080");
        let attempt_timeout_seconds = reader.or("NOTIFY_ADAPTER_TIMEOUT_SEC", 10);
        if let Ok(seconds) = attempt_timeout_seconds
            && !(1..=45).contains(&seconds)
        {
            reader.complain(
                "NOTIFY_ADAPTER_TIMEOUT_SEC",
                "must be 1 to 45 seconds, below the lease of a delivery",
            );
        }
        Ok(Self {
            database_url: database_url?,
            tasks_url: tasks_url?,
            event_bus: event_bus?,
            attempt_timeout_seconds: attempt_timeout_seconds?,
        })
    }
}

impl Service for Notify {
    const NAME: &'static str = "notify";
    type Config = Config;

    async fn build(config: Config, context: Context) -> Result<Routes, BuildError> {
        let database = Database::connect(config.database_url.expose()).await?;
        database.migrate(Self::NAME, MIGRATIONS).await?;
        let queue = tasks::connect(config.tasks_url.expose()).await?;
        let event_bus = Neighbour::new("event-bus", &config.event_bus, &context);
        events::spawn_relay(&context, &database, &event_bus);

        let adapters = Adapters::default();
        let timeout = Duration::from_secs(config.attempt_timeout_seconds);
        let courier = Courier::new(database.clone(), queue, adapters.clone(), Schedule::default(), timeout);
        let (delivering, repairing) = (courier.clone(), courier.clone());
        context.spawn("courier", move |shutdown| {
            let courier = delivering.clone();
            async move { courier.run(shutdown).await }
        });
        context.spawn("courier-repair", move |shutdown| {
            let courier = repairing.clone();
            async move { courier.keep_repairing(shutdown).await }
        });
        let sender = Sender::new(database, adapters, courier);
        Ok(Routes::new().grpc(NotifyServiceServer::new(sender)).http(websocket()))
    }
}

/// The place of WebSocket push, which is not there yet.
fn websocket() -> Router {
    let answer = || async {
        let detail = "WebSocket push is not there yet. Read notifications with GET /v1/notify.";
        http_problem(&Problem::not_implemented(detail))
    };
    Router::new().route("/v1/ws", get(answer))
}
