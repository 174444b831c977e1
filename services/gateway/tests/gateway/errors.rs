//! Every class of error, as the document that clients see.

use serde_json::{Value as Json, json};

use crate::world::World;

#[tokio::test]
async fn what_a_service_refuses_keeps_its_words() {
    let world = World::new().await;
    let missing = world.ask_anonymously("GET", "/v1/probes/missing?deep=true", &Json::Null).await;
    let document = missing.problem(404, "not-found");
    assert_eq!(
        (&document["detail"], &document["instance"]),
        (&json!("There is no probe `missing`."), &json!("/v1/probes/missing"))
    );
    let poor =
        world.ask_anonymously("GET", "/v1/probes/poor", &Json::Null).await.problem(400, "insufficient-funds");
    assert_eq!(
        poor["errors"],
        json!([{"field": "amount", "message": "must be at most 5", "code": "maximum"}])
    );
    let busy = world.ask_anonymously("GET", "/v1/probes/busy", &Json::Null).await;
    busy.problem(503, "unavailable");
    assert_eq!(busy.header("retry-after"), "1");
    world.ask_anonymously("GET", "/v1/probes/todo", &Json::Null).await.problem(501, "not-implemented");
}

#[tokio::test]
async fn a_fault_of_a_service_is_not_told_to_clients() {
    let world = World::new().await;
    let fault = world.ask_anonymously("GET", "/v1/probes/fault", &Json::Null).await;
    fault.problem(500, "internal");
    assert!(!fault.text.contains("hunter2"));
}

#[tokio::test]
async fn wrong_requests_are_refused_before_anybody_is_asked() {
    let world = World::new().await;
    let unknown = world.ask_anonymously("GET", "/v1/nowhere", &Json::Null).await;
    unknown.problem(404, "not-found");
    let method = world.ask_anonymously("PUT", "/v1/probes/p", &Json::Null).await;
    method.problem(405, "method-not-allowed");
    assert_eq!(method.header("allow"), "DELETE, GET, HEAD, PATCH");
    world.ask_anonymously("GET", "/v1/probes/%ff", &Json::Null).await.problem(400, "malformed-path");

    let wrong = world.ask("POST", "/v1/probes", &json!({"probe": {"small": "x", "nope": 1}})).await;
    let errors = wrong.problem(400, "validation-error")["errors"].clone();
    assert_eq!(
        errors[0],
        json!({"field": "probe.small", "message": "must be a whole number, not a string", "code": "wrong-type"})
    );
    assert_eq!(errors[1]["code"], "unknown-field");

    let token = format!("Bearer {}", world.token());
    let mut request =
        world.request("POST", "/v1/probes", &[("authorization", &token), ("content-type", "text/plain")]);
    *request.body_mut() = axum::body::Body::from("hello");
    crate::world::Answer::of(world.raw(request).await).await.problem(415, "unsupported-media-type");

    world.ask("POST", "/v1/probes:stream", &json!({})).await.problem(501, "not-implemented");
}

#[tokio::test]
async fn a_body_may_have_one_megabyte() {
    let world = World::new().await;
    let fits = json!({"probe": {"note": "x".repeat(1_000_000)}});
    assert_eq!(world.ask("POST", "/v1/probes", &fits).await.status, 201);
    let announced = json!({"probe": {"note": "x".repeat(1_100_000)}});
    world.ask("POST", "/v1/probes", &announced).await.problem(413, "payload-too-large");

    let token = format!("Bearer {}", world.token());
    let mut chunked = world.request(
        "POST",
        "/v1/probes",
        &[("authorization", &token), ("content-type", "application/json")],
    );
    let chunks =
        futures::stream::iter((0..20).map(|_| Ok::<_, std::convert::Infallible>(vec![b' '; 100_000])));
    *chunked.body_mut() = axum::body::Body::from_stream(chunks);
    crate::world::Answer::of(world.raw(chunked).await).await.problem(413, "payload-too-large");
}

#[tokio::test]
async fn a_slow_service_is_given_up_on() {
    let world = World::with(&[("UPSTREAM_TIMEOUT", "200ms")]).await;
    let slow =
        world.ask_anonymously("GET", "/v1/probes/slow", &Json::Null).await.problem(504, "deadline-exceeded");
    assert!(slow["detail"].as_str().unwrap().contains("`probe`"), "{slow}");
}

#[tokio::test]
async fn a_service_that_is_down_is_not_asked_for_a_while() {
    let mut world = World::new().await;
    drop(world.probe.take());
    for _ in 0..7 {
        let down = world.ask_anonymously("GET", "/v1/probes/p", &Json::Null).await;
        down.problem(503, "upstream-unavailable");
        assert!((1..=5).contains(&down.header("retry-after").parse::<u64>().unwrap()));
    }
    // Raw routes of the same service have the same breaker.
    world.ask_anonymously("GET", "/v1/echo", &Json::Null).await.problem(503, "upstream-unavailable");
    let metrics = world.ask_anonymously("GET", "/metrics", &Json::Null).await.text;
    assert!(metrics.contains(r#"circuit_breaker_state{target="probe"} 2"#), "{metrics}");
}

#[tokio::test]
async fn what_a_service_refuses_does_not_open_its_breaker() {
    let world = World::new().await;
    for _ in 0..7 {
        world.ask_anonymously("GET", "/v1/probes/busy", &Json::Null).await.problem(503, "unavailable");
        world.ask_anonymously("GET", "/v1/probes/fault", &Json::Null).await.problem(500, "internal");
    }
    assert_eq!(world.ask_anonymously("GET", "/v1/probes/p", &Json::Null).await.status, 200);
}
