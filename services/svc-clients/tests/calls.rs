//! Calls to a neighbour that misbehaves, and the way of an event from the outbox to the bus.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use svc_api::billing::v1::{
    CheckLimitReply, CheckLimitRequest,
    billing_service_client::BillingServiceClient,
    billing_service_server::{BillingService, BillingServiceServer},
};
use svc_clients::{Neighbour, Outgoing, Policy, events::Bus};
use svc_kit::{RequestContext, Secret};
use svc_stores::{
    TenantId,
    outbox::{Event, PublishError, Publisher as _},
};
use svc_testkit::{FakeEventBus, FakeNeighbour};
use tonic::{Code, Request, Response, Status, service::Routes};
use uuid::Uuid;

/// Answers with errors until `failures` are used up; keeps the metadata of the last call.
#[derive(Clone, Default)]
struct Moody {
    failures: Arc<AtomicU32>,
    calls: Arc<AtomicU32>,
    sleepy: bool,
    seen: Arc<Mutex<http::HeaderMap>>,
}

#[tonic::async_trait]
impl BillingService for Moody {
    async fn check_limit(
        &self,
        request: Request<CheckLimitRequest>,
    ) -> Result<Response<CheckLimitReply>, Status> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        *self.seen.lock().unwrap() = request.metadata().clone().into_headers();
        if self.sleepy {
            std::future::pending::<()>().await;
        }
        let fails =
            self.failures.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        match fails {
            Ok(_) => Err(Status::unavailable("in a mood")),
            Err(_) => Ok(Response::new(CheckLimitReply { allowed: true, ..CheckLimitReply::default() })),
        }
    }
}

async fn neighbour(moody: &Moody) -> (FakeNeighbour, Neighbour) {
    let fake = FakeNeighbour::start(Routes::new(BillingServiceServer::new(moody.clone()))).await;
    let policy = Policy { pause: Duration::from_millis(1), ..Policy::default() };
    let neighbour =
        Neighbour::outside("billing", &fake.neighbour_url(), Secret::new("token")).with_policy(policy);
    (fake, neighbour)
}

async fn check(channel: Outgoing) -> Result<Response<CheckLimitReply>, Status> {
    BillingServiceClient::new(channel).check_limit(CheckLimitRequest::default()).await
}

#[tokio::test]
async fn an_idempotent_call_is_repeated_while_the_neighbour_is_unavailable() {
    let moody = Moody { failures: Arc::new(AtomicU32::new(2)), ..Moody::default() };
    let (_fake, neighbour) = neighbour(&moody).await;
    assert!(neighbour.idempotent(check).await.unwrap().allowed);
    assert_eq!(moody.calls.load(Ordering::SeqCst), 3);

    moody.failures.store(9, Ordering::SeqCst);
    assert_eq!(neighbour.idempotent(check).await.unwrap_err().code(), Code::Unavailable);
    assert_eq!(moody.calls.load(Ordering::SeqCst), 6, "three attempts and no more");

    moody.failures.store(1, Ordering::SeqCst);
    assert_eq!(neighbour.once(check).await.unwrap_err().code(), Code::Unavailable);
    assert_eq!(moody.calls.load(Ordering::SeqCst), 7, "once is once");
}

#[tokio::test]
async fn a_deadline_ends_the_wait_and_travels_along() {
    let moody = Moody { sleepy: true, ..Moody::default() };
    let (_fake, neighbour) = neighbour(&moody).await;
    let short = Policy { deadline: Duration::from_millis(200), ..Policy::default() };
    let status = neighbour.with_policy(short).once(check).await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
    let timeout = moody.seen.lock().unwrap()["grpc-timeout"].to_str().unwrap().to_owned();
    let left: u32 = timeout.trim_end_matches('m').parse().unwrap();
    assert!((1..=200).contains(&left), "{timeout}");
}

#[tokio::test]
async fn the_callers_identity_and_trace_travel_along() {
    let moody = Moody::default();
    let (_fake, neighbour) = neighbour(&moody).await;
    let (tenant, user) = (Uuid::now_v7(), Uuid::now_v7());
    let context =
        RequestContext::of_platform(Some(tenant)).with_user(user, ["Owner"]).with_idempotency_key("key-1");
    let trace_id = context.trace.trace_id();
    context.scope(neighbour.idempotent(check)).await.unwrap();
    let seen = moody.seen.lock().unwrap().clone();
    assert_eq!(seen["x-internal-token"], "token");
    assert_eq!(seen["x-tenant-id"], tenant.to_string());
    assert_eq!(seen["x-user-id"], user.to_string());
    assert_eq!(seen["x-roles"], "Owner");
    assert_eq!(seen["idempotency-key"], "key-1");
    assert!(seen["traceparent"].to_str().unwrap().contains(&trace_id));
}

#[tokio::test]
async fn events_reach_the_bus_each_in_its_tenants_name() {
    let bus = FakeEventBus::start().await;
    let url = svc_kit::Setting::parse(bus.url()).unwrap();
    let publisher = Bus::new(Neighbour::outside("event-bus", &url, Secret::new("token")));
    let tenant = TenantId::new(Uuid::now_v7());
    let of_tenant = Event::new("platform.auth.events", "auth.user.created", "iam", "user-1")
        .tenant(tenant)
        .data(serde_json::json!({ "userId": "user-1", "count": 3 }));
    let of_platform = Event::new("platform.auth.events", "auth.key.rotated", "iam", "key-1");
    let events = [of_tenant.clone(), of_platform];
    publisher.publish(&events).await.unwrap();
    publisher.publish(&events).await.unwrap();
    let published = bus.events();
    assert_eq!(published.len(), 2, "a second time counts for nothing");
    assert_eq!(published[0].tenant, Some(tenant.as_uuid()));
    assert_eq!(published[0].event.id, of_tenant.id.to_string());
    assert_eq!(published[1].tenant, None);

    let nobody = svc_kit::Setting::parse("http://127.0.0.1:1").unwrap();
    let away = Bus::new(Neighbour::outside("event-bus", &nobody, Secret::new("token")));
    assert!(matches!(away.publish(&events).await, Err(PublishError::Unavailable(_))));
}
