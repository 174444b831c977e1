//! The real process, killed again and again while it works: what it acknowledged is there, once.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use svc_api::events::v1::event_service_client::EventServiceClient;
use svc_api::events::v1::*;
use svc_testkit::{KilledService, Kills, TestCaller};
use uuid::Uuid;

#[tokio::test]
async fn what_was_acknowledged_is_there_once_and_in_order_whenever_the_process_is_killed() {
    let caller = TestCaller::owner();
    let mut service = KilledService::start(env!("CARGO_BIN_EXE_event-bus"), &[]).await;
    let acknowledged = service
        .write(Kills::default(), async |target, turn| {
            // Events of one key are in order: each writer has its own.
            let event = PublishRequest {
                topic: "orders".to_owned(),
                r#type: "shop.order.placed".to_owned(),
                key: format!("order-{}", turn.writer),
                id: Uuid::now_v7().to_string(),
                ..PublishRequest::default()
            };
            let ask = async |channel| EventServiceClient::new(channel).publish(event.clone()).await;
            let id = target.persist("publish", &caller, ask).await.id;
            Some((event.key, id))
        })
        .await;

    let target = service.target();
    let wish =
        CreateSubscriptionRequest { topic: "orders".to_owned(), from_beginning: true, ..Default::default() };
    let subscribe = async |channel| EventServiceClient::new(channel).create_subscription(wish.clone()).await;
    let subscription = target.persist("a subscription", &caller, subscribe).await;
    let fetch = FetchRequest { id: subscription.id, max_events: 500, ..Default::default() };
    let fetch = async |channel| EventServiceClient::new(channel).fetch(fetch.clone()).await;
    let found = target.persist("the events", &caller, fetch).await.events.into_iter();
    let found: Vec<_> = found.map(|received| (received.key, received.event.unwrap().id)).collect();
    assert_eq!(by_key(found), by_key(acknowledged));
}

/// Sorted by key; the order within a key stays.
fn by_key(mut events: Vec<(String, String)>) -> Vec<(String, String)> {
    events.sort_by(|(one, _), (other, _)| one.cmp(other));
    events
}
