//! What happens on the event-bus is in the trail: once, in order, and in spite of an event-bus that comes and goes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::sync::{Arc, Mutex};

use audit::Audit;
use serde_json::json;
use svc_api::audit::v1::audit_service_client::AuditServiceClient;
use svc_api::audit::v1::*;
use svc_api::events::v1::event_service_server::{EventService, EventServiceServer};
use svc_api::events::v1::{AcknowledgeRequest, EventEnvelope, ReceivedEvent, SubscribeRequest};
use svc_testkit::{FakeNeighbour, TestCaller, TestService, wait_for};
use tonic::codegen::BoxStream;
use tonic::service::Routes;
use tonic::{Request, Response, Status};
use uuid::Uuid;

/// An event-bus of one partition that ends its stream after `per_stream` events and goes on from what was
/// acknowledged.
#[derive(Clone)]
struct Scripted {
    events: Vec<ReceivedEvent>,
    per_stream: usize,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    subscriptions: Vec<SubscribeRequest>,
    acknowledged: i64,
    /// How many acknowledgements are still lost.
    lose: usize,
}

#[tonic::async_trait]
impl EventService for Scripted {
    async fn subscribe(
        &self,
        request: Request<SubscribeRequest>,
    ) -> Result<Response<BoxStream<ReceivedEvent>>, Status> {
        let mut state = self.state.lock().unwrap();
        state.subscriptions.push(request.into_inner());
        let from = usize::try_from(state.acknowledged).unwrap();
        let events: Vec<_> = self.events.iter().skip(from).take(self.per_stream).cloned().map(Ok).collect();
        let rest = self.events.len() - from > self.per_stream;
        let stream = futures::stream::iter(events);
        Ok(Response::new(if rest {
            Box::pin(stream)
        } else {
            Box::pin(futures::StreamExt::chain(stream, futures::stream::pending()))
        }))
    }

    async fn acknowledge(&self, request: Request<AcknowledgeRequest>) -> Result<Response<()>, Status> {
        let mut state = self.state.lock().unwrap();
        if state.lose > 0 {
            state.lose -= 1;
            return Err(Status::internal("lost"));
        }
        state.acknowledged = request.into_inner().offset + 1;
        Ok(Response::new(()))
    }
}

fn received(offset: i64, tenant: &str) -> ReceivedEvent {
    let data = json!({ "walletId": "wallet-1", "amount": offset, "userId": "user-1" });
    ReceivedEvent {
        event: Some(EventEnvelope {
            id: Uuid::now_v7().to_string(),
            r#type: "money.transfer.completed".to_owned(),
            source: "money".to_owned(),
            tenant_id: tenant.to_owned(),
            schema_version: "1.0".to_owned(),
            timestamp: Some(prost_types::Timestamp { seconds: 1_790_000_000 + offset, nanos: 123_456_789 }),
            trace_id: "4bf92f3577b34da6a3ce929d0e0e4736".to_owned(),
            data: Some(svc_kit::json::to_struct(data.as_object().unwrap().clone())),
        }),
        topic: "platform.money.events".to_owned(),
        partition: 0,
        offset,
        key: "wallet-1".to_owned(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_money_transfer_shows_up_in_the_trail_once() {
    let owner = TestCaller::owner();
    let tenant = owner.headers()["x-tenant-id"].to_str().unwrap().to_owned();
    let mut events: Vec<_> = (0..7).map(|offset| received(offset, &tenant)).collect();
    events[3] = received(3, &Uuid::now_v7().to_string());
    events[5].event = None;
    let state = Arc::new(Mutex::new(State { lose: 1, ..State::default() }));
    let bus = Scripted { events, per_stream: 3, state: Arc::clone(&state) };
    let bus = FakeNeighbour::start(Routes::new(EventServiceServer::new(bus))).await;
    let service = TestService::<Audit>::start_with([("EVENTS_URL", bus.url())]).await;
    wait_for("every event to be acknowledged", || async {
        (state.lock().unwrap().acknowledged == 7).then_some(())
    })
    .await;

    let mut trail = AuditServiceClient::new(service.channel(&owner));
    let query = ListRecordsRequest { action: "money.*".to_owned(), ..Default::default() };
    let mut records = trail.list_records(query).await.unwrap().into_inner().records;
    records.reverse();
    let amounts: Vec<_> = records
        .iter()
        .map(|record| svc_kit::json::from_struct(record.after.clone().unwrap())["amount"].as_i64().unwrap())
        .collect();
    assert_eq!(
        amounts,
        [0, 1, 2, 4, 6],
        "in order, each once, the tenant's own, and what is unreadable passed over"
    );
    let first = &records[0];
    assert_eq!((first.action.as_str(), first.entity_type.as_str()), ("money.transfer.completed", "transfer"));
    assert_eq!((first.entity_id.as_str(), first.user_id.as_str()), ("wallet-1", "user-1"));
    assert_eq!(
        first.timestamp.unwrap(),
        prost_types::Timestamp { seconds: 1_790_000_000, nanos: 123_456_000 }
    );
    let verdict = trail.verify_chain(VerifyChainRequest {}).await.unwrap().into_inner();
    assert_eq!((verdict.intact, verdict.checked), (true, 5));

    let subscriptions = state.lock().unwrap().subscriptions.clone();
    assert!(subscriptions.len() >= 3, "it reconnected");
    assert!(
        subscriptions
            .iter()
            .all(|wish| wish.all_tenants && wish.from_beginning && wish.group == "audit.trail")
    );
    assert!(subscriptions[0].topics.contains(&"platform.money.events".to_owned()));
    service.stop().await;
}
