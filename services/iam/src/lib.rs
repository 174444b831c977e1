//! Identity: users, tenants, roles, sessions and tokens. The only writer of users and the only signer of tokens.
//!
//! Here: registration with a tenant of one's own, login with the choice of a tenant, rotating refresh tokens, the
//! users and roles of a tenant, what roles grant, the key set, the Platform Owner. Answered UNIMPLEMENTED: second
//! factor, verification and reset of addresses and passwords, outside providers, impersonation, OpenID Connect,
//! changing and deleting users and roles, invitations, and all of `TenantService` but one's own tenant.
//!
//! A new tenant's wallet and trial subscription live in other services: see [`onboarding`].

pub mod accounts;
mod config;
pub mod domain;
mod events;
pub mod grpc;
pub mod keys;
pub mod onboarding;
pub mod passwords;
mod problems;
pub mod store;
pub mod tokens;

use std::{sync::Arc, time::Duration};

use axum::{Router, routing::get};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use jiff::Timestamp;
use svc_api::iam::v1::{
    auth_service_server::AuthServiceServer, iam_service_server::IamServiceServer,
    internal_service_server::InternalServiceServer, role_service_server::RoleServiceServer,
    tenant_service_server::TenantServiceServer,
};
use svc_clients::Neighbour;
use svc_kit::{BuildError, Context, Problem, Routes, Service};
use svc_stores::{Database, cache, secrets};
use tokio::sync::Notify;

pub use config::Config;

use crate::{
    accounts::Accounts, grpc::Handlers, keys::Keys, onboarding::Completer, passwords::Passwords,
    store::IdentityStore, tokens::Tokens,
};

/// How often sessions and tokens that ended are deleted, and how long they are kept before that.
const SWEEP: Duration = Duration::from_secs(3600);

/// The service, for the chassis.
pub struct Iam;

impl Service for Iam {
    const NAME: &'static str = "iam";
    type Config = Config;

    async fn build(config: Config, context: Context) -> Result<Routes, BuildError> {
        let database = Database::connect(config.database_url.expose()).await?;
        let store = IdentityStore::open(database.clone()).await?;
        let keys = Keys::load(&*secrets::connect(config.secrets_url.expose()).await?).await?;
        let new_tenant = Arc::new(Notify::new());
        let at_once = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let accounts = Accounts {
            store: store.clone(),
            passwords: Passwords::new(at_once),
            tokens: Tokens::new(keys, config.token_issuer, config.token_audience),
            cache: cache::connect(config.cache_url.expose())?,
            clock: Arc::new(Timestamp::now),
            new_tenant: Arc::clone(&new_tenant),
        };

        let event_bus = Neighbour::new("event-bus", &config.event_bus, &context);
        svc_clients::events::spawn_relay(&context, &database, &event_bus);
        let completer = Completer {
            store: store.clone(),
            money: config.money.map(|url| Neighbour::new("money", &url, &context)),
            billing: config.billing.map(|url| Neighbour::new("billing", &url, &context)),
            currency: config.wallet_currency,
            new_tenant,
        };
        context.spawn("onboarding", move |shutdown| completer.clone().run(shutdown));
        context.spawn("forget-sessions", move |shutdown| {
            let store = store.clone();
            async move {
                while shutdown.pause(SWEEP).await {
                    let before = Timestamp::now().checked_sub(SWEEP).unwrap_or(Timestamp::MIN);
                    match store.forget_ended(before).await {
                        Ok(gone) => tracing::debug!(gone, "sessions and tokens that ended were deleted"),
                        Err(error) => tracing::warn!(%error, "sessions that ended cannot be deleted"),
                    }
                }
            }
        });

        let key_set = accounts.tokens.jwks().to_owned();
        let handlers = Handlers { accounts };
        Ok(Routes::new()
            .grpc(AuthServiceServer::new(handlers.clone()))
            .grpc(IamServiceServer::new(handlers.clone()))
            .grpc(RoleServiceServer::new(handlers.clone()))
            .grpc(TenantServiceServer::new(handlers.clone()))
            .grpc(InternalServiceServer::new(handlers))
            .public_http(public_routes(key_set)))
    }
}

/// What anybody may ask for: the public keys. The other raw routes of the contract say that they are not there yet.
fn public_routes(key_set: String) -> Router {
    let key_set = move || async move {
        let headers = [(CONTENT_TYPE, "application/jwk-set+json"), (CACHE_CONTROL, "public, max-age=300")];
        (headers, key_set)
    };
    let missing = || async { Problem::not_implemented("This server is no OpenID provider yet.") };
    Router::new()
        .route("/.well-known/jwks.json", get(key_set))
        .route("/.well-known/openid-configuration", get(missing))
        .route("/v1/auth/callback/{provider_id}", get(missing))
}
