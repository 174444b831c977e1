//! The gateway as a service of the chassis: what it is built of.

use std::{sync::Arc, time::Instant};

use axum::{
    Json, Router,
    extract::{Request, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::get,
};
use prost_reflect::DescriptorPool;
use serde_json::json;
use svc_api::gateway::v1::gateway_service_server::GatewayServiceServer;
use svc_kit::{BuildError, Context, Readiness, Routes, Service};

use crate::{
    config::Config,
    cors::Cors,
    grants::GrantCache,
    iam::Iam,
    keys::Tokens,
    own::Own,
    pipeline::{Gateway, Limits},
    proxy::Proxy,
    rate_limit::RateLimit,
    routes::RouteTable,
    tls::TlsListener,
    token::Rules,
    upstream::{Upstream, Upstreams},
};

/// The service `gateway`.
pub struct GatewayProcess;

impl Service for GatewayProcess {
    const NAME: &'static str = "gateway";
    type Config = Config;

    async fn build(config: Config, context: Context) -> Result<Routes, BuildError> {
        build(config, context, svc_api::descriptor_pool()).await
    }
}

/// Builds the gateway for the routes of a pool.
///
/// # Errors
///
/// When the annotations of the pool are wrong, an area has no service, or TLS cannot be served.
pub async fn build(config: Config, context: Context, pool: &DescriptorPool) -> Result<Routes, BuildError> {
    let table = RouteTable::compile(pool)?;
    let metrics = context.metrics();
    let remote = |neighbour: &crate::config::Neighbour| {
        (neighbour.area.to_owned(), Upstream::remote(neighbour.name, neighbour.url.uri(), metrics.clone()))
    };
    let mut upstreams: Upstreams = config.services.iter().map(remote).collect();
    let own = GatewayServiceServer::new(Own::new(&table, upstreams.values()));
    upstreams.insert("gateway".to_owned(), Upstream::local("gateway", own.clone(), metrics.clone()));
    if let Some(route) = table.iter().find(|route| !upstreams.contains_key(&route.area)) {
        return Err(format!(
            "{} {} belongs to `{}`, which no service is",
            route.method, route.path, route.area
        )
        .into());
    }

    let iam = config.services.iter().find(|neighbour| neighbour.area == "iam").ok_or("there is no iam")?;
    let iam = Iam::new(&iam.url, &context);
    let tokens = Arc::new(Tokens::new(iam.clone(), Rules::new(&config.token_issuer, &config.token_audience)));
    let latch = Arc::new(context.latch("token keys"));
    context.spawn("token-keys", {
        let tokens = Arc::clone(&tokens);
        move |shutdown| {
            let (tokens, latch) = (Arc::clone(&tokens), Arc::clone(&latch));
            async move { tokens.keep(&latch, &shutdown).await }
        }
    });

    let tls =
        TlsListener::open((config.tls_host, config.tls_port).into(), config.tls_directory.as_deref()).await?;
    tracing::info!(address = %tls.address(), "TLS is served");
    let gateway = Arc::new(Gateway {
        table,
        upstreams,
        tokens: Arc::clone(&tokens),
        grants: GrantCache::new(iam),
        rates: RateLimit::default(),
        limits: Limits {
            tenant: config.rate_limit,
            admin: config.rate_limit_admin,
            anonymous: config.rate_limit_anonymous,
            patience: config.upstream_timeout,
            body: config.body_limit,
            trusted_proxies: config.trusted_proxies,
        },
        cors: Cors::new(config.cors_origins),
        proxy: Proxy::new(context.draining()),
        internal_token: context.internal_token().clone(),
        draining: context.draining(),
        started: Instant::now(),
    });
    Ok(Routes::new()
        .grpc(own)
        .public_http(probes(context.readiness().clone()))
        .fallback(Router::new().fallback(answer).with_state(gateway))
        .admit_to_health(move |headers| is_admin(&tokens, headers))
        .also_on("tls", tls))
}

async fn answer(State(gateway): State<Arc<Gateway>>, request: Request) -> Response {
    gateway.answer(request).await
}

/// The names that the original's gateway has for its probes, beside the chassis' own.
fn probes(readiness: Readiness) -> Router {
    let ready = |State(readiness): State<Readiness>| async move {
        match readiness.is_ready() {
            true => Json(json!({ "status": "ready" })).into_response(),
            false => {
                let body = json!({ "status": "not_ready", "reason": readiness.reason() });
                (StatusCode::SERVICE_UNAVAILABLE, Json(body)).into_response()
            }
        }
    };
    Router::new()
        .route("/live", get(|| async { Json(json!({ "status": "ok" })) }))
        .route("/ready", get(ready))
        .with_state(readiness)
}

fn is_admin(tokens: &Tokens, headers: &http::HeaderMap) -> bool {
    let value = headers.get(http::header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = value.and_then(|value| value.strip_prefix("Bearer "));
    token.is_some_and(|token| tokens.check_at_hand(token).is_ok_and(|identity| identity.is_admin()))
}
