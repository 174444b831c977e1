//! From the environment to a serving ledger.

use std::time::Duration;

use svc_api::money::v1::money_service_server::MoneyServiceServer;
use svc_clients::{Neighbour, events};
use svc_kit::{BuildError, Configure, Context, Invalid, NeighbourUrl, Reader, Routes, Secret, Service};
use svc_stores::{Database, Store};

use crate::clock::SystemClock;
use crate::ledger::Ledger;
use crate::store::MIGRATIONS;

/// The money service.
pub struct Money;

/// What money is configured by.
pub struct Config {
    database_url: Secret,
    event_bus: NeighbourUrl,
    maximum_amount: i64,
    sweep_interval: Duration,
}

impl Configure for Config {
    fn configure(reader: &mut Reader<'_>) -> Result<Self, Invalid> {
        let database_url = reader.store(Store::Database);
        let event_bus = reader.required("EVENTS_URL", "the event-bus, such as http://event-bus:8080");
        let maximum_amount = reader.or("MONEY_MAX_AMOUNT", 10_000_000);
        if let Ok(..=0) = maximum_amount {
            reader.complain("MONEY_MAX_AMOUNT", "must be above zero, in minor units");
        }
        let sweep_interval = reader.or("MONEY_SWEEP_INTERVAL", Duration::from_secs(60));
        Ok(Self {
            database_url: database_url?,
            event_bus: event_bus?,
            maximum_amount: maximum_amount?,
            sweep_interval: sweep_interval?,
        })
    }
}

impl Service for Money {
    const NAME: &'static str = "money";
    type Config = Config;

    async fn build(config: Config, context: Context) -> Result<Routes, BuildError> {
        let database = Database::connect(config.database_url.expose()).await?;
        database.migrate(Self::NAME, MIGRATIONS).await?;
        let event_bus = Neighbour::new("event-bus", &config.event_bus, &context);
        events::spawn_relay(&context, &database, &event_bus);
        let ledger = Ledger::new(database, SystemClock, config.maximum_amount);
        let sweeper = ledger.clone();
        context.spawn("hold-sweep", move |shutdown| {
            let (ledger, interval) = (sweeper.clone(), config.sweep_interval);
            async move {
                loop {
                    match ledger.sweep().await {
                        Ok(0) => {}
                        Ok(canceled) => tracing::info!(canceled, "expired holds were canceled"),
                        Err(error) => {
                            tracing::warn!(%error, "the sweep of expired holds failed; it is tried again")
                        }
                    }
                    if !shutdown.pause(interval).await {
                        return;
                    }
                }
            }
        });
        Ok(Routes::new().grpc(MoneyServiceServer::new(ledger)))
    }
}
