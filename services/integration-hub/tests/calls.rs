//! Calls of providers that work, fail, hang, lead astray, or may not be reached.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod common;

use std::collections::BTreeMap;
use std::time::Duration;

use common::{Act, Stub, World, retries};
use http::StatusCode;
use integration_hub::domain::{AddressPolicy, ProviderConfig, ProviderStatus};
use integration_hub::hub::ProviderChange;
use integration_hub::outbound::MAX_ANSWER;
use integration_hub::request::CallRequest;
use serde_json::json;
use uuid::Uuid;

fn get(path: &str) -> CallRequest {
    CallRequest { method: "GET".to_owned(), path: path.to_owned(), ..CallRequest::default() }
}

#[tokio::test]
async fn a_call_carries_credentials_configuration_and_body() {
    let stub = Stub::start([Act::Answer(201, r#"{"id":"ch_1"}"#)]).await;
    let world = World::open(AddressPolicy::AllowPrivate).await;
    let config = ProviderConfig {
        headers: BTreeMap::from([("x-version".to_owned(), "2026".to_owned())]),
        ..ProviderConfig::default()
    };
    let provider = world.provider(&format!("{}/v1", stub.url), config).await;
    let request = CallRequest {
        path: "/charges".to_owned(),
        query: BTreeMap::from([("expand".to_owned(), "a b".to_owned())]),
        body: Some(json!({"amount": 500})),
        idempotency_key: "key-1".to_owned(),
        ..CallRequest::default()
    };
    let called = world.hub.call(world.tenant, provider.id, request, None).await.unwrap();
    assert_eq!((called.answer.status.as_u16(), called.attempts), (201, 1));
    assert_eq!(called.answer.body, br#"{"id":"ch_1"}"#);

    let [seen] = &stub.seen()[..] else { panic!("one request, not {}", stub.seen().len()) };
    assert_eq!((seen.method.as_str(), seen.path.as_str()), ("POST", "/v1/charges?expand=a+b"));
    assert_eq!(seen.body, r#"{"amount":500}"#);
    for (name, value) in
        [("authorization", "Bearer geheim"), ("x-version", "2026"), ("idempotency-key", "key-1")]
    {
        assert_eq!(seen.headers[name], value, "{name}");
    }
    for name in ["x-internal-token", "x-tenant-id", "traceparent"] {
        assert!(!seen.headers.contains_key(name), "{name} may not leave the platform");
    }
}

#[tokio::test]
async fn failures_are_tried_again_on_the_documented_schedule_with_one_key() {
    let failing = std::iter::repeat_n(Act::Answer(503, "busy"), 4);
    let stub = Stub::start(failing).await;
    let world = World::open(AddressPolicy::AllowPrivate).await;
    let provider = world.provider(&stub.url, ProviderConfig::default()).await;
    let called = world.hub.call(world.tenant, provider.id, get("/x"), None).await.unwrap();
    assert_eq!((called.answer.status.as_u16(), called.attempts), (200, 5));
    assert_eq!(world.time.pauses(), [1, 2, 4, 8]);
    let seen = stub.seen();
    let first = &seen[0].headers["idempotency-key"];
    assert!(!first.is_empty() && seen.iter().all(|seen| seen.headers["idempotency-key"] == first));
}

#[tokio::test]
async fn what_is_given_up_on_is_kept_and_can_be_tried_again() {
    let stub = Stub::start(std::iter::repeat_n(Act::Answer(500, ""), 3)).await;
    let world = World::open(AddressPolicy::AllowPrivate).await;
    let provider = world.provider(&stub.url, retries(1)).await;
    let request = CallRequest { body: Some(json!([1, 2.5])), ..get("/x") };
    let problem = world.hub.call(world.tenant, provider.id, request.clone(), None).await.unwrap_err();
    assert_eq!((problem.slug(), problem.http_status()), ("provider-failed", StatusCode::BAD_GATEWAY));

    let letters = world.hub.list_dead_letters(world.tenant, None, 10).await.unwrap();
    let [letter] = &letters[..] else { panic!("one dead letter, not {}", letters.len()) };
    assert_eq!(problem.violation_list()[0].message, letter.id.to_string());
    assert_eq!((letter.attempts, &letter.request.body), (2, &request.body));
    let key = letter.request.idempotency_key.clone();

    // Another tenant neither sees nor touches it.
    let other = Uuid::now_v7();
    assert!(world.hub.list_dead_letters(other, None, 10).await.unwrap().is_empty());
    assert_eq!(world.hub.retry_dead_letter(other, letter.id, None).await.unwrap_err().slug(), "not-found");
    assert_eq!(world.hub.delete_dead_letter(other, letter.id).await.unwrap_err().slug(), "not-found");

    // One failure is left in the script, so the first attempt of this retry fails and the second succeeds.
    let called = world.hub.retry_dead_letter(world.tenant, letter.id, None).await.unwrap();
    assert_eq!((called.answer.status.as_u16(), called.attempts), (200, 2));
    assert!(stub.seen().iter().all(|seen| seen.headers["idempotency-key"] == key));
    assert!(world.hub.list_dead_letters(world.tenant, None, 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_retry_that_fails_keeps_the_letter_and_adds_up() {
    let stub = Stub::start(std::iter::repeat_n(Act::Answer(500, ""), 2)).await;
    let world = World::open(AddressPolicy::AllowPrivate).await;
    let provider = world.provider(&stub.url, retries(0)).await;
    world.hub.call(world.tenant, provider.id, get("/x"), None).await.unwrap_err();
    let letter = world.hub.list_dead_letters(world.tenant, None, 1).await.unwrap().remove(0);
    world.hub.retry_dead_letter(world.tenant, letter.id, None).await.unwrap_err();
    let letter = world.hub.dead_letter(world.tenant, letter.id).await.unwrap();
    assert_eq!(letter.attempts, 2);
    assert!(letter.last_retry.is_some());

    world.time.pass(31 * 24 * 3600);
    world.hub.sweep().await.unwrap();
    assert!(world.hub.list_dead_letters(world.tenant, None, 1).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_refusal_of_the_provider_comes_back_at_once_with_its_words() {
    let stub = Stub::start([Act::Answer(404, "no such customer; you sent Bearer geheim")]).await;
    let world = World::open(AddressPolicy::AllowPrivate).await;
    let provider = world.provider(&stub.url, ProviderConfig::default()).await;
    let problem = world.hub.call(world.tenant, provider.id, get("/x"), None).await.unwrap_err();
    assert_eq!((problem.slug(), problem.http_status()), ("provider-rejected", StatusCode::BAD_GATEWAY));
    assert!(problem.detail_text().contains("no such customer"), "{}", problem.detail_text());
    assert!(!problem.detail_text().contains("geheim"), "{}", problem.detail_text());
    assert_eq!(problem.violation_list()[0].message, "404");
    assert_eq!((stub.seen().len(), world.time.pauses().len()), (1, 0));
    assert!(world.hub.list_dead_letters(world.tenant, None, 1).await.unwrap().is_empty());
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let inside = Stub::start([]).await;
    let stub = Stub::start([Act::Redirect(format!("{}/secret", inside.url))]).await;
    let world = World::open(AddressPolicy::AllowPrivate).await;
    let provider = world.provider(&stub.url, ProviderConfig::default()).await;
    let problem = world.hub.call(world.tenant, provider.id, get("/x"), None).await.unwrap_err();
    assert_eq!(problem.slug(), "provider-rejected");
    assert!(inside.seen().is_empty());
}

#[tokio::test]
async fn a_provider_that_hangs_or_is_away_or_says_too_much_is_a_failure() {
    let world = World::open(AddressPolicy::AllowPrivate).await;
    let quick = ProviderConfig { timeout: Duration::from_millis(100), ..retries(0) };

    let hanging = Stub::start([Act::Hang]).await;
    let provider = world.provider(&hanging.url, quick.clone()).await;
    let problem = world.hub.call(world.tenant, provider.id, get("/x"), None).await.unwrap_err();
    assert_eq!(problem.slug(), "provider-failed");
    assert!(problem.detail_text().contains("within 100 ms"), "{}", problem.detail_text());

    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let provider = world.provider(&nobody, quick.clone()).await;
    let problem = world.hub.call(world.tenant, provider.id, get("/x"), None).await.unwrap_err();
    assert!(problem.detail_text().contains("could not be connected to"), "{}", problem.detail_text());

    let chatty = Stub::start([Act::Large(MAX_ANSWER), Act::Large(MAX_ANSWER + 1)]).await;
    let provider = world.provider(&chatty.url, retries(3)).await;
    let called = world.hub.call(world.tenant, provider.id, get("/x"), None).await.unwrap();
    assert_eq!(called.answer.body.len(), MAX_ANSWER);
    let problem = world.hub.call(world.tenant, provider.id, get("/x"), None).await.unwrap_err();
    assert_eq!((problem.slug(), chatty.seen().len()), ("provider-rejected", 2));
}

#[tokio::test]
async fn five_failures_open_the_breaker_for_a_minute() {
    let stub = Stub::start(std::iter::repeat_n(Act::Answer(500, ""), 5)).await;
    let world = World::open(AddressPolicy::AllowPrivate).await;
    let provider = world.provider(&stub.url, retries(0)).await;
    for _ in 0..5 {
        world.hub.call(world.tenant, provider.id, get("/x"), None).await.unwrap_err();
    }
    assert_eq!(world.hub.status(&provider), ProviderStatus::Down);
    let problem = world.hub.call(world.tenant, provider.id, get("/x"), None).await.unwrap_err();
    assert_eq!(
        (problem.slug(), problem.http_status()),
        ("provider-unavailable", StatusCode::SERVICE_UNAVAILABLE)
    );
    assert_eq!(stub.seen().len(), 5, "nothing is sent while the breaker is open");
    assert_eq!(world.hub.list_dead_letters(world.tenant, None, 10).await.unwrap().len(), 5);

    world.time.pass(60);
    assert_eq!(world.hub.status(&provider), ProviderStatus::Degraded);
    world.hub.call(world.tenant, provider.id, get("/x"), None).await.unwrap();
    assert_eq!(world.hub.status(&provider), ProviderStatus::Active);
}

#[tokio::test]
async fn a_breaker_that_opens_between_attempts_ends_the_call() {
    let stub = Stub::start(std::iter::repeat_n(Act::Answer(500, ""), 20)).await;
    let world = World::open(AddressPolicy::AllowPrivate).await;
    let provider = world.provider(&stub.url, retries(5)).await;
    let problem = world.hub.call(world.tenant, provider.id, get("/x"), None).await.unwrap_err();
    assert_eq!(problem.slug(), "provider-failed");
    assert_eq!(stub.seen().len(), 5, "the sixth attempt was not allowed");
}

#[tokio::test]
async fn one_providers_failures_do_not_hold_back_another() {
    let sick = Stub::start(std::iter::repeat_n(Act::Answer(500, ""), 5)).await;
    let well = Stub::start([]).await;
    let world = World::open(AddressPolicy::AllowPrivate).await;
    let bad = world.provider(&sick.url, retries(4)).await;
    let good = world.provider(&well.url, retries(0)).await;
    world.hub.call(world.tenant, bad.id, get("/x"), None).await.unwrap_err();
    assert_eq!(world.hub.status(&bad), ProviderStatus::Down);
    assert!(world.hub.call(world.tenant, good.id, get("/x"), None).await.is_ok());
}

#[tokio::test]
async fn no_pause_begins_that_would_outlast_the_caller() {
    let stub = Stub::start([Act::Answer(500, "")]).await;
    let world = World::open(AddressPolicy::AllowPrivate).await;
    let provider = world.provider(&stub.url, ProviderConfig::default()).await;
    let deadline = tokio::time::Instant::now() + Duration::from_millis(900);
    let problem = world.hub.call(world.tenant, provider.id, get("/x"), Some(deadline)).await.unwrap_err();
    assert_eq!((problem.slug(), world.time.pauses().len()), ("provider-failed", 0));
    assert_eq!(world.hub.list_dead_letters(world.tenant, None, 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn addresses_inside_are_not_called_in_production() {
    let stub = Stub::start([]).await;
    let port = stub.url.rsplit(':').next().unwrap().to_owned();
    let world = World::open(AddressPolicy::PublicOnly).await;
    for base_url in [
        stub.url.clone(),
        format!("http://localhost:{port}"),
        format!("http://2130706433:{port}"),
        format!("http://0x7f.1:{port}"),
        format!("http://[::ffff:127.0.0.1]:{port}"),
        "http://169.254.169.254/latest/meta-data".to_owned(),
    ] {
        let provider = world.provider(&base_url, retries(0)).await;
        let problem = world.hub.call(world.tenant, provider.id, get("/x"), None).await.unwrap_err();
        assert_eq!(problem.violation_list()[0].code, "address-refused", "{base_url}: {problem}");
        assert_eq!(world.hub.status(&provider), ProviderStatus::Active, "it is not the provider's fault");
    }
    assert!(stub.seen().is_empty());
    assert!(world.hub.list_dead_letters(world.tenant, None, 1).await.unwrap().is_empty());
}

#[tokio::test]
async fn the_metadata_service_is_not_called_in_development_either() {
    let world = World::open(AddressPolicy::AllowPrivate).await;
    let provider = world.provider("http://169.254.169.254", retries(0)).await;
    let problem = world.hub.call(world.tenant, provider.id, get("/latest"), None).await.unwrap_err();
    assert_eq!(problem.violation_list()[0].code, "address-refused");
}

#[tokio::test]
async fn a_disabled_or_foreign_provider_is_not_called() {
    let stub = Stub::start([]).await;
    let world = World::open(AddressPolicy::AllowPrivate).await;
    let provider = world.provider(&stub.url, retries(0)).await;
    let stranger = Uuid::now_v7();
    assert_eq!(world.hub.call(stranger, provider.id, get("/x"), None).await.unwrap_err().slug(), "not-found");
    let change = ProviderChange { enabled: Some(false), ..ProviderChange::default() };
    world.hub.update(world.tenant, provider.id, change).await.unwrap();
    let problem = world.hub.call(world.tenant, provider.id, get("/x"), None).await.unwrap_err();
    assert_eq!(problem.slug(), "failed-precondition");
    assert!(stub.seen().is_empty());
}

#[tokio::test]
async fn housekeeping_removes_credentials_without_a_provider_but_no_others() {
    let stub = Stub::start([]).await;
    let world = World::open(AddressPolicy::AllowPrivate).await;
    let kept = world.provider(&stub.url, retries(0)).await;
    // As a crash between sealing and making leaves it.
    let orphan = Uuid::now_v7();
    let credentials = integration_hub::domain::Credentials::new(
        integration_hub::domain::AuthType::Bearer,
        [("token".to_owned(), "x".to_owned())].into(),
    );
    world.vault().put(world.tenant, orphan, &credentials.unwrap()).await.unwrap();
    world.hub.housekeep().await.unwrap();
    assert_eq!(world.vault().all().await.unwrap().len(), 2, "a young one may belong to somebody at work");
    world.time.pass(2 * 3600);
    world.hub.housekeep().await.unwrap();
    assert_eq!(world.vault().all().await.unwrap(), [(world.tenant, kept.id)]);
}
