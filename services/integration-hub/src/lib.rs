//! The only outbound door to external interfaces: modules call providers through it and never directly.
//!
//! It owns a tenant's providers (their credentials lie sealed in the secret store), the breaker of each, the retries,
//! and the calls that were given up on. Requests go to public addresses only, unless `ALLOW_PRIVATE_TARGETS` says
//! otherwise. Not here yet: OAuth 2 and signatures, a limit of requests per second, the task queue for dead letters.

pub mod call;
pub mod calls;
pub mod domain;
mod grpc;
pub mod hub;
pub mod outbound;
pub mod ports;
pub mod request;
pub mod store;
pub mod vault;

use std::sync::Arc;
use std::time::Duration;

use svc_api::integration_hub::v1::integration_hub_service_server::IntegrationHubServiceServer;
use svc_kit::{BuildError, Configure, Context, Invalid, Reader, Routes, Secret, Service, metrics};
use svc_stores::relational::Migration;
use svc_stores::{Database, Store, secrets};

use crate::domain::{AddressPolicy, BreakerState};
use crate::hub::Hub;
use crate::outbound::HttpOutbound;
use crate::ports::System;
use crate::vault::Vault;

/// The schema, in order.
pub const MIGRATIONS: &[Migration] =
    &[Migration::new(1, "providers", include_str!("../migrations/0001_providers.sql"))];

/// How often old dead letters are looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(60 * 60);

/// The service, for the chassis.
#[derive(Debug)]
pub struct IntegrationHub;

/// The settings of this service.
#[derive(Clone, Debug)]
pub struct Config {
    /// `DATABASE_URL`.
    pub database_url: Secret,
    /// `SECRETS_URL`.
    pub secrets_url: Secret,
    /// `ALLOW_PRIVATE_TARGETS`, false when it is not given.
    pub policy: AddressPolicy,
}

impl Configure for Config {
    fn configure(reader: &mut Reader<'_>) -> Result<Self, Invalid> {
        let database_url = reader.store(Store::Database);
        let secrets_url = reader.store(Store::Secrets);
        let allow_private = reader.or("ALLOW_PRIVATE_TARGETS", false);
        Ok(Self {
            database_url: database_url?,
            secrets_url: secrets_url?,
            policy: if allow_private? { AddressPolicy::AllowPrivate } else { AddressPolicy::PublicOnly },
        })
    }
}

impl Service for IntegrationHub {
    const NAME: &'static str = "integration-hub";
    type Config = Config;

    async fn build(config: Config, context: Context) -> Result<Routes, BuildError> {
        let database = Database::connect(config.database_url.expose()).await?;
        database.migrate(Self::NAME, MIGRATIONS).await?;
        let vault = Vault::new(secrets::connect(config.secrets_url.expose()).await?);
        if config.policy == AddressPolicy::AllowPrivate {
            tracing::warn!(
                "ALLOW_PRIVATE_TARGETS is set: providers may lie in this network; for development only"
            );
        }
        svc_kit::install_crypto();
        let outbound = HttpOutbound::new(config.policy)?;
        let metrics = context.metrics().clone();
        let hub = Hub::new(database, vault, Arc::new(outbound), System::shared()).observed(Box::new(
            // Only providers that have failed once get a line, so there are not too many of them.
            move |provider, state| metrics.breaker(&provider.to_string(), shown(state)),
        ));
        hub.housekeep().await?;

        let sweeper = hub.clone();
        context.spawn("sweep-dead-letters", move |shutdown| {
            let sweeper = sweeper.clone();
            async move {
                while shutdown.pause(SWEEP_EVERY).await {
                    if let Err(error) = sweeper.sweep().await {
                        tracing::warn!(%error, "old dead letters could not be removed");
                    }
                }
            }
        });
        Ok(Routes::new().grpc(IntegrationHubServiceServer::new(hub)))
    }
}

fn shown(state: BreakerState) -> metrics::BreakerState {
    match state {
        BreakerState::Closed => metrics::BreakerState::Closed,
        BreakerState::HalfOpen => metrics::BreakerState::HalfOpen,
        BreakerState::Open => metrics::BreakerState::Open,
    }
}
