//! Plans, subscriptions, limits.
//!
//! Every tenant has exactly one subscription: it begins as a trial, and time moves it by the rules in [`domain`]. Here:
//! the seeded plans, subscribing, changing the plan under an optimistic lock, canceling, counting usage, and the
//! question whether a tenant may do more. Answered UNIMPLEMENTED: making and changing plans, listing the
//! subscriptions of all tenants, payment methods, and webhooks of payment providers. There is no payment provider yet,
//! so a plan that costs something is past due when its trial ends. Dunning notices are not sent.

pub mod domain;
mod grpc;
pub mod ledger;
mod problems;
pub mod store;

use std::{sync::Arc, time::Duration};

use axum::{Router, routing::post};
use jiff::Timestamp;
use svc_api::billing::v1::{
    billing_service_server::BillingServiceServer, payment_method_service_server::PaymentMethodServiceServer,
};
use svc_clients::Neighbour;
use svc_kit::{
    BuildError, Configure, Context, Invalid, NeighbourUrl, Problem, Reader, Routes, Secret, Service, Shutdown,
};
use svc_stores::{Database, Store};

use crate::{ledger::Ledger, store::BillingStore};

/// Reports of usage are remembered so long: whoever repeats one later counts it twice.
const REPORTS_KEPT: Duration = Duration::from_secs(30 * 24 * 3600);

/// The service, for the chassis.
pub struct Billing;

/// The settings of this service.
#[derive(Debug, Clone)]
pub struct Config {
    /// `DATABASE_URL`.
    pub database_url: Secret,
    /// `EVENTS_URL`: the event-bus.
    pub event_bus: NeighbourUrl,
    /// `SWEEP_INTERVAL`: how often subscriptions are looked at that time may have moved.
    pub sweep_interval: Duration,
}

impl Configure for Config {
    fn configure(reader: &mut Reader<'_>) -> Result<Config, Invalid> {
        let database_url = reader.store(Store::Database);
        let event_bus = reader.required("EVENTS_URL", "the event-bus, such as http://event-bus:8080");
        let sweep_interval = reader.or("SWEEP_INTERVAL", Duration::from_secs(60));
        Ok(Config { database_url: database_url?, event_bus: event_bus?, sweep_interval: sweep_interval? })
    }
}

impl Service for Billing {
    const NAME: &'static str = "billing";
    type Config = Config;

    async fn build(config: Config, context: Context) -> Result<Routes, BuildError> {
        let database = Database::connect(config.database_url.expose()).await?;
        let store = BillingStore::open(database.clone(), &domain::seed(Timestamp::now())).await?;
        let event_bus = Neighbour::new("event-bus", &config.event_bus, &context);
        svc_clients::events::spawn_relay(&context, &database, &event_bus);
        let ledger = Ledger { store, clock: Arc::new(Timestamp::now) };
        let sweeper = ledger.clone();
        context.spawn("sweep", move |shutdown| sweep(sweeper.clone(), config.sweep_interval, shutdown));
        let webhooks = Router::new().route("/v1/billing/webhooks/{provider}", post(no_provider));
        Ok(Routes::new()
            .grpc(BillingServiceServer::new(ledger.clone()))
            .grpc(PaymentMethodServiceServer::new(ledger))
            .http(webhooks))
    }
}

async fn sweep(ledger: Ledger, interval: Duration, shutdown: Shutdown) {
    loop {
        match ledger.advance().await {
            Ok(0) => {}
            Ok(moved) => tracing::info!(moved, "subscriptions moved with time"),
            Err(problem) => tracing::warn!(%problem, "subscriptions cannot be moved"),
        }
        let before = ledger.now().checked_sub(REPORTS_KEPT).unwrap_or(Timestamp::MIN);
        if let Err(error) = ledger.store.forget(before, &ledger.today()).await {
            tracing::warn!(%error, "old reports of usage cannot be deleted");
        }
        if !shutdown.pause(interval).await {
            return;
        }
    }
}

async fn no_provider() -> Problem {
    Problem::not_implemented("There is no payment provider yet.")
}
