//! The chassis' own routes: liveness, readiness, the list of latches, metrics, gRPC health and reflection.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::State,
    response::{IntoResponse, Response},
    routing::get,
};
use http::{HeaderMap, StatusCode, header::CONTENT_TYPE};
use serde_json::{Value, json};
use tonic_health::{ServingStatus, server::HealthReporter};

use crate::{
    Metrics, Problem, Readiness, Secret,
    context::header,
    http_problem,
    routes::{Admit, mount},
};

pub(crate) struct Health {
    pub(crate) service: &'static str,
    pub(crate) readiness: Readiness,
    pub(crate) metrics: Metrics,
    pub(crate) internal_token: Secret,
    pub(crate) admit: Option<Admit>,
}

/// The HTTP routes.
pub(crate) fn http_routes(health: Health) -> Router {
    Router::new()
        .route("/health/live", get(live))
        .route("/health/ready", get(ready))
        .route("/health", get(list))
        .route("/metrics", get(metrics))
        .with_state(Arc::new(health))
}

/// Liveness depends on nothing: a process that answers must not be restarted because a neighbour is down.
async fn live() -> Json<Value> {
    Json(json!({ "status": "ok" }))
}

async fn ready(State(health): State<Arc<Health>>) -> Response {
    if health.readiness.is_ready() {
        return Json(json!({ "status": "ready" })).into_response();
    }
    let body = json!({ "status": "not_ready", "reason": health.readiness.reason() });
    (StatusCode::SERVICE_UNAVAILABLE, Json(body)).into_response()
}

async fn list(State(health): State<Arc<Health>>, headers: HeaderMap) -> Response {
    let token = headers.get(header::INTERNAL_TOKEN);
    let internal = token.is_some_and(|token| health.internal_token.matches(token.as_bytes()));
    if !internal && !health.admit.as_ref().is_some_and(|admit| admit(&headers)) {
        let problem =
            Problem::unauthenticated("Components are listed only for admins and for the platform itself.");
        return http_problem(&problem);
    }
    let components = health.readiness.latches().into_iter().map(|(name, reason)| {
        let state = if reason.is_none() { "ready" } else { "not_ready" };
        (name, json!({ "status": state, "reason": reason }))
    });
    let components: serde_json::Map<_, _> = components.collect();
    let state = if health.readiness.is_ready() { "ready" } else { "not_ready" };
    Json(json!({ "service": health.service, "status": state, "components": components })).into_response()
}

async fn metrics(State(health): State<Arc<Health>>) -> Response {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(CONTENT_TYPE, kind)], health.metrics.render()).into_response()
}

/// gRPC health and reflection, with the reporter of the former.
pub(crate) fn grpc_routes(
    names: &[&'static str],
) -> Result<(Router, HealthReporter), tonic_reflection::server::Error> {
    let (reporter, service) = tonic_health::server::health_reporter();
    let mut reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(svc_api::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET);
    for name in names.iter().copied().chain(["grpc.health.v1.Health"]) {
        reflection = reflection.with_service_name(name);
    }
    let router = mount(mount(Router::new(), service), reflection.build_v1()?);
    Ok((router, reporter))
}

/// Says for the whole server (the empty name) and for each service whether it serves.
pub(crate) async fn report(reporter: &HealthReporter, names: &[&'static str], ready: bool) {
    let status = if ready { ServingStatus::Serving } else { ServingStatus::NotServing };
    for name in names.iter().copied().chain([""]) {
        reporter.set_service_status(name, status).await;
    }
}
