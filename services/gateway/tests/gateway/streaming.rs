//! RPCs with many replies.

use http_body_util::BodyExt as _;
use serde_json::{Value as Json, json};

use crate::world::World;

#[tokio::test]
async fn replies_come_one_per_line() {
    let world = World::new().await;
    let answer = world.ask("GET", "/v1/probes:watch", &Json::Null).await;
    assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, "application/x-ndjson"));
    let ids: Vec<Json> =
        answer.text.lines().map(|line| serde_json::from_str::<Json>(line).unwrap()["id"].clone()).collect();
    assert_eq!(ids, [json!("one"), json!("two")]);
}

#[tokio::test]
async fn replies_come_as_events_when_asked_for() {
    let world = World::new().await;
    let token = format!("Bearer {}", world.token());
    let headers = [("authorization", token.as_str()), ("accept", "text/event-stream")];
    let answer = world.send("GET", "/v1/probes:watch?pageToken=fail", &headers, &Json::Null).await;
    assert_eq!(answer.header("content-type"), "text/event-stream");
    let events: Vec<&str> = answer.text.split_terminator("\n\n").collect();
    assert_eq!(events.len(), 3, "{}", answer.text);
    assert!(events[0].starts_with("data: {\"id\":\"one\""), "{}", events[0]);
    assert!(events[2].starts_with("event: error\ndata: {\"type\""), "{}", events[2]);
}

#[tokio::test]
async fn an_error_before_the_first_reply_is_an_error_and_one_after_it_a_line() {
    let world = World::new().await;
    world.ask("GET", "/v1/probes:watch?pageToken=refuse", &Json::Null).await.problem(404, "not-found");
    let broken = world.ask("GET", "/v1/probes:watch?pageToken=fail", &Json::Null).await;
    let last: Json = serde_json::from_str(broken.text.lines().last().unwrap()).unwrap();
    assert_eq!(
        (&last["error"]["status"], &last["error"]["detail"]),
        (&json!(503), &json!("The log is gone."))
    );
    assert_eq!(last["error"]["instance"], "/v1/probes:watch");
}

#[tokio::test]
async fn draining_ends_an_endless_answer() {
    let world = World::new().await;
    let token = format!("Bearer {}", world.token());
    let request = world.request("GET", "/v1/probes:watch?pageToken=endless", &[("authorization", &token)]);
    let mut body = world.raw(request).await.into_body();
    let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert!(first.starts_with(b"{\"id\":\"one\""));
    // Panics when the gateway had to cut it off.
    world.gateway.stop().await;
    while let Some(frame) = body.frame().await {
        frame.unwrap();
    }
}
