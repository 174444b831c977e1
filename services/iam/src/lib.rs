//! Identity: users, tenants, roles, sessions and tokens. The only writer of users and the only signer of tokens.
//!
//! Here: registration with a tenant of one's own, login with the choice of a tenant and a second factor, rotating refresh
//! tokens, letters that verify addresses, reset passwords and invite, the users and roles of a tenant, the tenants below
//! it, what roles grant, impersonation, the rotating key set, the Platform Owner. Answered UNIMPLEMENTED: outside
//! providers.
//!
//! A new tenant's wallet and trial subscription live in other services: see [`onboarding`]. Letters go out through
//! notify: see [`postman`].

pub mod accounts;
mod config;
pub mod domain;
mod events;
pub mod grpc;
pub mod keys;
pub mod limits;
pub mod onboarding;
pub mod passwords;
pub mod postman;
mod problems;
pub mod sealing;
pub mod store;
pub mod tokens;

use std::{sync::Arc, time::Duration};

use axum::{Router, routing::get};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use jiff::Timestamp;
use serde_json::json;
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
    accounts::{Accounts, Clock},
    grpc::Handlers,
    keys::KeyRing,
    limits::Limits,
    onboarding::Completer,
    passwords::Passwords,
    postman::Postman,
    sealing::Sealer,
    store::IdentityStore,
    tokens::Tokens,
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
        let secrets = secrets::connect(config.secrets_url.expose()).await?;
        let clock: Clock = Arc::new(Timestamp::now);
        let sealer = Sealer::load(&*secrets).await?;
        let keys = Arc::new(KeyRing::load(secrets, store.clone(), Arc::clone(&clock)).await?);
        let (new_tenant, new_letter) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let at_once = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let accounts = Accounts {
            store: store.clone(),
            passwords: Passwords::new(at_once),
            tokens: Tokens::new(Arc::clone(&keys), config.token_issuer, config.token_audience),
            sealer,
            limits: Limits::new(cache::connect(config.cache_url.expose())?),
            clock: Arc::clone(&clock),
            new_tenant: Arc::clone(&new_tenant),
            new_letter: Arc::clone(&new_letter),
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
        match config.notify {
            None => tracing::warn!("NOTIFY_URL is not set: letters are written and not sent"),
            Some(url) => {
                let postman = Postman {
                    store: store.clone(),
                    notify: Neighbour::new("notify", &url, &context),
                    tokens: accounts.tokens.clone(),
                    pages: config.pages_url.trim_end_matches('/').to_owned(),
                    clock,
                    new_letter,
                };
                context.spawn("letters", move |shutdown| postman.clone().run(shutdown));
            }
        }
        let latch = Arc::new(context.latch("signing-keys"));
        context.spawn("signing-keys", move |shutdown| {
            let (keys, latch) = (Arc::clone(&keys), Arc::clone(&latch));
            async move { keys.keep(&latch, &shutdown).await }
        });
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

        let public = public_routes(accounts.tokens.clone());
        let handlers = Handlers { accounts };
        Ok(Routes::new()
            .grpc(AuthServiceServer::new(handlers.clone()))
            .grpc(IamServiceServer::new(handlers.clone()))
            .grpc(RoleServiceServer::new(handlers.clone()))
            .grpc(TenantServiceServer::new(handlers.clone()))
            .grpc(InternalServiceServer::new(handlers))
            .public_http(public))
    }
}

/// What anybody may ask for: the public keys, and where they are. The other raw routes of the contract say that they are
/// not there yet.
fn public_routes(tokens: Tokens) -> Router {
    let discovery = discovery_of(tokens.issuer()).to_string();
    let key_set = move || async move {
        let headers = [(CONTENT_TYPE, "application/jwk-set+json"), (CACHE_CONTROL, "public, max-age=300")];
        tokens.jwks(Timestamp::now()).await.map(|key_set| (headers, key_set))
    };
    let discovery = move || async move {
        ([(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "public, max-age=3600")], discovery)
    };
    let missing = || async { Problem::not_implemented("There are no outside providers yet.") };
    Router::new()
        .route("/.well-known/jwks.json", get(key_set))
        .route("/.well-known/openid-configuration", get(discovery))
        .route("/v1/auth/callback/{provider_id}", get(missing))
}

/// The metadata of OpenID Connect Discovery 1.0, section 3, for whoever checks our tokens. Clients cannot be registered
/// yet, so no endpoint and no grant of theirs is named.
fn discovery_of(issuer: &str) -> serde_json::Value {
    json!({
        "issuer": issuer,
        "jwks_uri": format!("{}/.well-known/jwks.json", issuer.trim_end_matches('/')),
        "response_types_supported": [],
        "grant_types_supported": [],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
        "claims_supported": ["iss", "sub", "aud", "exp", "iat", "email", "tenantId", "roles", "act"],
    })
}
