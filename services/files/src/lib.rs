//! Uploads, scanning, downloads. Content streams through raw HTTP into the objects port; what is known of it is in
//! the database and goes over gRPC.
//!
//! An upload lies in staging until the scanner has seen it: then it moves to its bucket, or is removed. Not here yet:
//! a real virus scanner (the embedded one knows the EICAR test file only), pictures and thumbnails, presigned uploads.

pub mod domain;
mod grpc;
mod http;
pub mod intake;
pub mod library;
mod message;
pub mod pipeline;
pub mod scanner;
pub mod store;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use svc_api::files::v1::files_service_server::FilesServiceServer;
use svc_clients::{Neighbour, events};
use svc_kit::{BuildError, Configure, Context, Invalid, NeighbourUrl, Reader, Routes, Secret, Service};
use svc_stores::relational::Migration;
use svc_stores::{Database, Store, objects};

use crate::library::{Library, Limits};
use crate::scanner::{EmbeddedEicar, Scanner as _};

/// The schema, in order.
pub const MIGRATIONS: &[Migration] =
    &[Migration::new(1, "files", include_str!("../migrations/0001_files.sql"))];

const MEGABYTE: u64 = 1024 * 1024;

/// The service, for the chassis.
#[derive(Debug)]
pub struct Files;

/// The settings of this service.
#[derive(Clone, Debug)]
pub struct Config {
    /// `DATABASE_URL`.
    pub database_url: Secret,
    /// `OBJECTS_URL`.
    pub objects_url: Secret,
    /// `EVENTS_URL`: the event-bus.
    pub events_url: NeighbourUrl,
    /// `FILES_MAX_UPLOAD_MB` (100), `FILES_MAX_IMAGE_SIZE_MB` (10), `FILES_STAGING_MAX_PER_TENANT` (100) and
    /// `FILES_STAGING_TTL_HOURS` (24).
    pub limits: Limits,
    /// `FILES_HOUSEKEEPING_INTERVAL` (5 s).
    pub housekeeping_interval: Duration,
}

impl Configure for Config {
    fn configure(reader: &mut Reader<'_>) -> Result<Self, Invalid> {
        let database_url = reader.store(Store::Database);
        let objects_url = reader.store(Store::Objects);
        let events_url = reader.required("EVENTS_URL", "the event-bus, such as http://event-bus:8080");
        let upload = reader.or::<u32>("FILES_MAX_UPLOAD_MB", 100);
        let image = reader.or::<u32>("FILES_MAX_IMAGE_SIZE_MB", 10);
        let pending = reader.or("FILES_STAGING_MAX_PER_TENANT", 100);
        let staging_hours = reader.or::<u32>("FILES_STAGING_TTL_HOURS", 24);
        let housekeeping_interval = reader.or("FILES_HOUSEKEEPING_INTERVAL", Duration::from_secs(5));
        Ok(Self {
            database_url: database_url?,
            objects_url: objects_url?,
            events_url: events_url?,
            limits: Limits {
                upload: u64::from(upload?) * MEGABYTE,
                image: u64::from(image?) * MEGABYTE,
                pending: pending?,
                staging: Duration::from_secs(u64::from(staging_hours?) * 3600),
            },
            housekeeping_interval: housekeeping_interval?,
        })
    }
}

impl Service for Files {
    const NAME: &'static str = "files";
    type Config = Config;

    async fn build(config: Config, context: Context) -> Result<Routes, BuildError> {
        let database = Database::connect(config.database_url.expose()).await?;
        database.migrate(Self::NAME, MIGRATIONS).await?;
        let objects = objects::connect(config.objects_url.expose()).await?;
        let event_bus = Neighbour::new("event-bus", &config.events_url, &context);
        events::spawn_relay(&context, &database, &event_bus);
        tracing::info!(
            scanner = EmbeddedEicar.name(),
            "uploads are scanned; this scanner finds the EICAR test file only"
        );
        let clock = Arc::new(Timestamp::now);
        let library = Library::new(database, objects, Arc::new(EmbeddedEicar), config.limits, clock);

        let keeper = library.clone();
        context.spawn("housekeeping", move |shutdown| {
            let keeper = keeper.clone();
            async move {
                loop {
                    match keeper.housekeep().await {
                        Ok(round) if round != Default::default() => tracing::info!(?round, "housekeeping"),
                        Ok(_) => {}
                        Err(error) => tracing::warn!(%error, "housekeeping broke off; it goes on later"),
                    }
                    if !shutdown.pause(config.housekeeping_interval).await {
                        return;
                    }
                }
            }
        });
        Ok(Routes::new().grpc(FilesServiceServer::new(library.clone())).http(http::routes(library)))
    }
}
