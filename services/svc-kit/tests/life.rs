//! The life of a service on a real port: probes, guard, metrics, panics, deadlines, drain.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use axum::{Router, routing::get};
use svc_kit::{
    BuildError, Caller, Context, Environment, Latch, Problem, Routes, Running, Service, StartError,
};
use tokio::sync::Notify;
use tonic::{Code, Status, transport::Channel};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

const TOKEN: &str = "the-internal-token";

/// A service whose latch and slow request the tests hold in their hands.
struct Sample;

#[derive(Clone, Default)]
struct Hands {
    latch: Arc<OnceLock<Latch>>,
    entered: Arc<Notify>,
    finish: Arc<Notify>,
}

tokio::task_local! {
    static HANDS: Hands;
}

impl Service for Sample {
    const NAME: &'static str = "sample";
    type Config = ();

    async fn build(_: (), context: Context) -> Result<Routes, BuildError> {
        let hands = HANDS.with(Clone::clone);
        let _ = hands.latch.set(context.latch("store"));
        let slow = move || async move {
            hands.entered.notify_one();
            hands.finish.notified().await;
            "done"
        };
        let guarded = Router::new().route("/slow", get(slow)).route("/panic", get(panics)).route(
            "/who",
            get(|headers: http::HeaderMap| async move {
                Caller::from_headers(&headers).map(|caller| caller.tenant.to_string())
            }),
        );
        let open = Router::new().route("/open", get(|| async { "hello" }));
        Ok(Routes::new().http(guarded).public_http(open))
    }
}

async fn panics() -> &'static str {
    panic!("on purpose")
}

async fn start() -> (Running, Hands, reqwest::Client, String) {
    let environment = Environment::from_iter([
        ("HOST", "127.0.0.1"),
        ("PORT", "0"),
        ("INTERNAL_TOKEN", TOKEN),
        ("SHUTDOWN_TIMEOUT", "5s"),
    ]);
    let hands = Hands::default();
    let running = HANDS.scope(hands.clone(), svc_kit::start::<Sample>(&environment)).await.unwrap();
    let base = format!("http://{}", running.address());
    let client = reqwest::Client::builder().timeout(Duration::from_secs(10)).build().unwrap();
    (running, hands, client, base)
}

async fn health(base: &str) -> HealthClient<Channel> {
    HealthClient::new(Channel::from_shared(base.to_owned()).unwrap().connect().await.unwrap())
}

async fn serving(client: &mut HealthClient<Channel>) -> ServingStatus {
    let answer = client.check(HealthCheckRequest { service: String::new() }).await.unwrap();
    answer.into_inner().status()
}

#[tokio::test]
async fn ready_only_when_the_latch_is_released() {
    let (running, hands, client, base) = start().await;
    let live = client.get(format!("{base}/health/live")).send().await.unwrap();
    assert_eq!(live.status(), 200);
    let ready = client.get(format!("{base}/health/ready")).send().await.unwrap();
    assert_eq!(ready.status(), 503);
    let body: serde_json::Value = serde_json::from_str(&ready.text().await.unwrap()).unwrap();
    assert_eq!(body["reason"], "store: not ready yet");
    let mut grpc = health(&base).await;
    assert_eq!(serving(&mut grpc).await, ServingStatus::NotServing);

    hands.latch.get().unwrap().release();
    let ready = client.get(format!("{base}/health/ready")).send().await.unwrap();
    assert_eq!(ready.status(), 200);
    let mut changes = grpc.watch(HealthCheckRequest { service: String::new() }).await.unwrap().into_inner();
    while changes.message().await.unwrap().unwrap().status() != ServingStatus::Serving {}
    assert!(running.stop().await);
    assert!(
        changes
            .message()
            .await
            .is_ok_and(|last| last.is_none_or(|last| last.status() != ServingStatus::Serving))
    );
}

#[tokio::test]
async fn the_guard_wants_the_internal_token() {
    let (running, _, client, base) = start().await;
    let refused = client.get(format!("{base}/who")).send().await.unwrap();
    assert_eq!(refused.status(), 401);
    assert_eq!(refused.headers()["content-type"], "application/problem+json");
    let problem: serde_json::Value = serde_json::from_str(&refused.text().await.unwrap()).unwrap();
    assert_eq!(problem["type"], "https://api.septemcore.com/problems/unauthenticated");
    assert_eq!(problem["trace_id"].as_str().unwrap().len(), 32);

    let with_token = |path: &str| client.get(format!("{base}{path}")).header("x-internal-token", TOKEN);
    let tenant = "0199a000-0000-7000-8000-000000000001";
    let who =
        with_token("/who").header("x-tenant-id", tenant).header("x-request-id", "r-1").send().await.unwrap();
    assert_eq!(who.headers()["x-request-id"], "r-1");
    assert_eq!(who.text().await.unwrap(), tenant);
    let no_tenant = with_token("/who").send().await.unwrap();
    assert!(no_tenant.text().await.unwrap().contains("/problems/tenant-missing"));

    assert_eq!(client.get(format!("{base}/open")).send().await.unwrap().status(), 200);
    assert_eq!(client.get(format!("{base}/health")).send().await.unwrap().status(), 401);
    let list = with_token("/health").send().await.unwrap().text().await.unwrap();
    assert!(list.contains(r#""store":{"status":"not_ready""#), "{list}");
    assert_eq!(client.get(format!("{base}/nowhere")).send().await.unwrap().status(), 404);
    assert!(running.stop().await);
}

#[tokio::test]
async fn a_panic_answers_500_and_the_service_lives_on() {
    let (running, _, client, base) = start().await;
    let answer = client.get(format!("{base}/panic")).header("x-internal-token", TOKEN).send().await.unwrap();
    assert_eq!(answer.status(), 500);
    assert!(!answer.text().await.unwrap().contains("on purpose"));
    assert_eq!(client.get(format!("{base}/open")).send().await.unwrap().status(), 200);
    let metrics = client.get(format!("{base}/metrics")).send().await.unwrap().text().await.unwrap();
    let counted = r#"http_server_requests_total{service="sample",method="GET",route="/panic",status_code="500",tenant_id=""} 1"#;
    assert!(metrics.contains(counted), "{metrics}");
    assert!(running.stop().await);
}

#[tokio::test]
async fn a_request_in_flight_is_answered_before_the_service_stops() {
    let (running, hands, client, base) = start().await;
    let request = client.get(format!("{base}/slow")).header("x-internal-token", TOKEN);
    let slow = tokio::spawn(async move { request.send().await.unwrap().text().await.unwrap() });
    hands.entered.notified().await;
    let readiness = running.readiness().clone();
    let stopping = tokio::spawn(running.stop());
    while !readiness.reason().contains("shutting down") {
        tokio::task::yield_now().await;
    }
    assert!(!stopping.is_finished());
    hands.finish.notify_one();
    assert_eq!(slow.await.unwrap(), "done");
    assert!(stopping.await.unwrap());
    assert!(client.get(format!("{base}/open")).send().await.is_err(), "the port is closed");
}

#[tokio::test]
async fn a_deadline_ends_a_call_and_unknown_rpcs_are_unimplemented() {
    let (running, hands, client, base) = start().await;
    let slow =
        client.get(format!("{base}/slow")).header("x-internal-token", TOKEN).header("grpc-timeout", "20m");
    assert_eq!(slow.send().await.unwrap().status(), 504);
    hands.entered.notified().await;
    let unknown = client.post(format!("{base}/no.Such/Method")).header("content-type", "application/grpc");
    let answer = unknown.send().await.unwrap();
    let status = Status::from_header_map(answer.headers()).unwrap();
    assert_eq!(status.code(), Code::Unimplemented);
    assert_eq!(Problem::from_status(&status).slug(), "not-implemented");
    let metrics = client.get(format!("{base}/metrics")).send().await.unwrap().text().await.unwrap();
    let counted =
        r#"grpc_server_request_duration_ms_count{service="sample",method="unknown",status_code="12"} 1"#;
    assert!(metrics.contains(counted), "{metrics}");
    assert!(running.stop().await);
}

#[tokio::test]
async fn a_wrong_environment_names_every_variable() {
    let environment =
        Environment::from_iter([("PORT", "x"), ("SHUTDOWN_TIMEOUT", "soon"), ("LOG_LEVEL", "a=b=c")]);
    let Err(StartError::Configuration(error)) = svc_kit::start::<Sample>(&environment).await else {
        panic!("must not start")
    };
    let names: Vec<_> = error.problems.iter().map(|problem| problem.name.as_str()).collect();
    assert_eq!(names, ["PORT", "LOG_LEVEL", "SHUTDOWN_TIMEOUT", "INTERNAL_TOKEN"]);
}

/// A service with a database, as all have.
struct Keeper;

impl Service for Keeper {
    const NAME: &'static str = "keeper";
    type Config = ();

    async fn build(_: (), _: Context) -> Result<Routes, BuildError> {
        let database = svc_stores::Database::connect(&DATABASE.with(Clone::clone)).await?;
        database.migrate("keeper", &[]).await?;
        let router = Router::new().route("/open", get(|| async { "hello" })).with_state(database);
        Ok(Routes::new().public_http(router))
    }
}

tokio::task_local! {
    static DATABASE: String;
}

#[tokio::test]
async fn a_stopped_service_leaves_its_database_closed() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}/keeper.db", folder.path().display());
    let environment =
        Environment::from_iter([("HOST", "127.0.0.1"), ("PORT", "0"), ("INTERNAL_TOKEN", TOKEN)]);
    let running = DATABASE.scope(url, svc_kit::start::<Keeper>(&environment)).await.unwrap();
    let files = || std::fs::read_dir(folder.path()).unwrap().count();
    assert!(files() > 1, "the write-ahead log is there while it runs");
    assert!(running.stop().await);
    assert_eq!(files(), 1, "a clean stop leaves the database alone");
}
