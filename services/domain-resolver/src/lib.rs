//! Tenants' own host names: adding them, proving that their owner owns them, and saying whose a name is.
//!
//! A name is verified when a CNAME and a TXT record are in place; pending names are looked at every
//! `CHECK_INTERVAL` (30 s) and given up after 72 h. Not here yet: certificates (ACME) and the configuration
//! of the edge.

pub mod dns;
pub mod domain;
pub mod domains;
mod grpc;
pub mod lookup;
pub mod store;

use std::sync::Arc;
use std::time::Duration;

use axum::{Router, routing::get};
use jiff::Timestamp;
use svc_api::domain_resolver::v1::domain_resolver_service_server::DomainResolverServiceServer;
use svc_kit::{BuildError, Configure, Context, Invalid, Problem, Reader, Routes, Secret, Service, Setting};
use svc_stores::relational::Migration;
use svc_stores::{Database, Store};

use crate::domains::Domains;
use crate::lookup::LookupUrl;

/// The schema, in order.
pub const MIGRATIONS: &[Migration] =
    &[Migration::new(1, "domains", include_str!("../migrations/0001_domains.sql"))];

/// The service, for the chassis.
#[derive(Debug)]
pub struct DomainResolver;

/// The settings of this service.
#[derive(Clone, Debug)]
pub struct Config {
    /// `DATABASE_URL`.
    pub database_url: Secret,
    /// `RESOLVER_URL`, `dns://` when it is not given.
    pub resolver: LookupUrl,
    /// `CHECK_INTERVAL`, 30 s when it is not given.
    pub check_interval: Duration,
}

impl Setting for LookupUrl {
    const EXPECTED: &'static str = Self::EXPECTED;

    fn parse(value: &str) -> Option<Self> {
        Self::parse(value)
    }
}

impl Configure for Config {
    fn configure(reader: &mut Reader<'_>) -> Result<Self, Invalid> {
        let database_url = reader.store(Store::Database);
        let resolver = reader.or("RESOLVER_URL", LookupUrl::Dns(None));
        let check_interval = reader.or("CHECK_INTERVAL", Duration::from_secs(30));
        Ok(Self { database_url: database_url?, resolver: resolver?, check_interval: check_interval? })
    }
}

impl Service for DomainResolver {
    const NAME: &'static str = "domain-resolver";
    type Config = Config;

    async fn build(config: Config, context: Context) -> Result<Routes, BuildError> {
        let database = Database::connect(config.database_url.expose()).await?;
        database.migrate(Self::NAME, MIGRATIONS).await?;
        let lookup = config.resolver.open()?;
        if config.resolver == LookupUrl::Development {
            tracing::warn!("host names of development count as set up correctly; for development only");
        }
        tracing::info!(resolver = lookup.name(), "host names are checked");
        let domains = Domains::new(database, lookup, Arc::new(Timestamp::now));

        let worker = domains.clone();
        context.spawn("check-pending", move |shutdown| {
            let worker = worker.clone();
            async move {
                loop {
                    match worker.check_pending().await {
                        Ok(round) => tracing::debug!(?round, "pending host names were checked"),
                        Err(error) => tracing::warn!(%error, "pending host names could not be checked"),
                    }
                    if !shutdown.pause(config.check_interval).await {
                        return;
                    }
                }
            }
        });
        let challenge = Router::new().route("/.well-known/acme-challenge/{token}", get(acme_challenge));
        Ok(Routes::new().grpc(DomainResolverServiceServer::new(domains)).http(challenge))
    }
}

async fn acme_challenge() -> Problem {
    Problem::not_implemented("Certificates are not obtained yet, so there is no challenge to answer.")
}
