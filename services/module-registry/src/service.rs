//! From the environment to a serving registry.

use std::sync::Arc;
use std::time::Duration;

use svc_api::module_registry::v1::module_registry_service_server::ModuleRegistryServiceServer;
use svc_clients::{Neighbour, events};
use svc_kit::{BuildError, Configure, Context, Invalid, NeighbourUrl, Reader, Routes, Secret, Service};
use svc_stores::{Database, Store};

use crate::installer::Installer;
use crate::registry::Registry;
use crate::store::MIGRATIONS;

/// The module-registry service.
pub struct ModuleRegistry;

/// What module-registry is configured by.
pub struct Config {
    database_url: Secret,
    event_bus: NeighbourUrl,
    install_timeout_seconds: u64,
}

impl Configure for Config {
    fn configure(reader: &mut Reader<'_>) -> Result<Self, Invalid> {
        let database_url = reader.store(Store::Database);
        let event_bus = reader.required("EVENTS_URL", "the event-bus, such as http://event-bus:8080");
        let install_timeout_seconds = reader.or("MODULE_INSTALL_TIMEOUT_SEC", 120);
        Ok(Self {
            database_url: database_url?,
            event_bus: event_bus?,
            install_timeout_seconds: install_timeout_seconds?,
        })
    }
}

impl Service for ModuleRegistry {
    const NAME: &'static str = "module-registry";
    type Config = Config;

    async fn build(config: Config, context: Context) -> Result<Routes, BuildError> {
        let database = Database::connect(config.database_url.expose()).await?;
        database.migrate(Self::NAME, MIGRATIONS).await?;
        let event_bus = Neighbour::new("event-bus", &config.event_bus, &context);
        events::spawn_relay(&context, &database, &event_bus);
        let registry = Registry::new(database);
        let limit = Duration::from_secs(config.install_timeout_seconds);
        let installer = Arc::new(Installer::new(registry.clone(), limit));
        context.spawn("installer", move |shutdown| {
            let installer = installer.clone();
            async move { installer.run(shutdown).await }
        });
        Ok(Routes::new().grpc(ModuleRegistryServiceServer::new(registry)))
    }
}
