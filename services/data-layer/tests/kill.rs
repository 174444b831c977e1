//! The real process, killed again and again while it works: what it acknowledged is there, once.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use svc_api::data::v1::data_layer_service_client::DataLayerServiceClient;
use svc_api::data::v1::*;
use svc_testkit::{FakeEventBus, KilledService, Kills, TestCaller, wait_for};
use uuid::Uuid;

#[tokio::test]
async fn a_record_and_its_event_are_there_once_whenever_the_process_is_killed() {
    let bus = FakeEventBus::start().await;
    let caller = TestCaller::owner();
    let mut service =
        KilledService::start(env!("CARGO_BIN_EXE_data-layer"), &[("EVENTS_URL", bus.url())]).await;
    let mut acknowledged = service
        .write(Kills::default(), async |target, _| {
            let caller = caller.clone().with_idempotency_key(Uuid::now_v7().to_string());
            let create =
                CreateRecordRequest { module: "shop".to_owned(), model: "item".to_owned(), data: None };
            let ask =
                async |channel| DataLayerServiceClient::new(channel).create_record(create.clone()).await;
            Some(target.persist("create", &caller, ask).await.id)
        })
        .await;

    let list = ListRecordsRequest {
        module: "shop".to_owned(),
        model: "item".to_owned(),
        page_size: 100,
        ..ListRecordsRequest::default()
    };
    let ask = async |channel| DataLayerServiceClient::new(channel).list_records(list.clone()).await;
    let listed = service.target().persist("the records", &caller, ask).await;
    let mut found: Vec<String> = listed.records.into_iter().map(|record| record.id).collect();
    let mut told: Vec<String> = wait_for("every event", || async {
        let events = bus.events();
        let all = events.len() >= acknowledged.len();
        all.then(|| events.into_iter().map(|published| published.event.key).collect())
    })
    .await;
    // Each process makes ids by its own clock's milliseconds: only within one are they sure to be in order.
    for list in [&mut acknowledged, &mut found, &mut told] {
        list.sort();
    }
    assert_eq!(found, acknowledged);
    assert_eq!(told, acknowledged);
}
