//! Audit: the append-only, tamper-evident trail of every tenant.
//!
//! Owns the records. They come in two ways: somebody hands one in, or the consumer finds it on the event-bus, where
//! every event of a platform topic becomes a record with the event's id. Each record carries the hash of the one
//! before it, per tenant, and `VerifyChain` proves the whole chain or names the first record that does not fit. What a
//! chain alone cannot show is that its newest records were cut off, or all hashes behind a change made anew; note the
//! newest hash elsewhere for that.
//!
//! Not implemented yet, and answering so: export, anonymising, hot and cold storage.

mod consumer;
mod domain;
mod grpc;
mod trail;
mod wire;

use axum::Router;
use axum::routing::get;
use svc_api::audit::v1::audit_service_server::AuditServiceServer;
use svc_clients::Neighbour;
use svc_kit::{
    BuildError, Configure, Context, Invalid, NeighbourUrl, Problem, Reader, Routes, Secret, Service,
    http_problem,
};
use svc_stores::{Database, Store};

use trail::Trail;

const MESSAGE_LIMIT: usize = 16 * 1024 * 1024;

/// The service.
#[derive(Debug)]
pub struct Audit;

/// Its settings.
#[derive(Debug)]
pub struct Config {
    database_url: Secret,
    event_bus: NeighbourUrl,
}

impl Configure for Config {
    fn configure(reader: &mut Reader<'_>) -> Result<Self, Invalid> {
        let database_url = reader.store(Store::Database);
        let event_bus =
            reader.required("EVENTS_URL", "the URL of the event-bus such as http://event-bus:8080");
        Ok(Self { database_url: database_url?, event_bus: event_bus? })
    }
}

impl Service for Audit {
    const NAME: &'static str = "audit";
    type Config = Config;

    async fn build(config: Config, context: Context) -> Result<Routes, BuildError> {
        let database = Database::connect(config.database_url.expose()).await?;
        database.migrate("audit", trail::MIGRATIONS).await?;
        let trail = Trail::new(database);
        let event_bus = Neighbour::new("event-bus", &config.event_bus, &context);
        let recording = trail.clone();
        context
            .spawn("consumer", move |shutdown| consumer::run(recording.clone(), event_bus.clone(), shutdown));
        let service =
            AuditServiceServer::new(grpc::Handlers { trail }).max_decoding_message_size(MESSAGE_LIMIT);
        let export = Router::new().route("/v1/audit/export", get(export));
        Ok(Routes::new().grpc(service).http(export))
    }
}

async fn export() -> axum::response::Response {
    http_problem(&Problem::not_implemented("The trail cannot be exported yet. List its records instead."))
}
