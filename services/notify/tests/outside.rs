//! Channels that end at somebody else's server, with an integration-hub that answers as it is told.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::sync::{Arc, Mutex};

use notify::Notify;
use serde_json::{Value, json};
use svc_api::integration_hub::v1::integration_hub_service_server::{
    IntegrationHubService, IntegrationHubServiceServer,
};
use svc_api::integration_hub::v1::{CallReply, CallRequest};
use svc_api::notify::v1::notify_service_client::NotifyServiceClient;
use svc_api::notify::v1::*;
use svc_kit::{Caller, Problem};
use svc_testkit::{CallerChannel, FakeNeighbour, TestCaller, TestService, wait_for};
use tonic::{Code, Request, Response, Status};
use uuid::Uuid;

/// Answers a provider's path: `/ok` takes everything, `/gone` nothing, any other is no provider's.
#[derive(Clone, Default)]
struct Hub(Arc<Mutex<Vec<(Uuid, CallRequest)>>>);

#[tonic::async_trait]
impl IntegrationHubService for Hub {
    async fn call(&self, request: Request<CallRequest>) -> Result<Response<CallReply>, Status> {
        let tenant = Caller::of(&request)?.tenant;
        let call = request.into_inner();
        let path = call.path.clone();
        self.0.lock().unwrap().push((tenant, call));
        match path.as_str() {
            "/ok" => Ok(Response::new(CallReply { status: 204, ..Default::default() })),
            "/gone" => Ok(Response::new(CallReply { status: 410, ..Default::default() })),
            "/busy" => Ok(Response::new(CallReply { status: 429, ..Default::default() })),
            _ => Err(Problem::not_found("there is no such provider").into()),
        }
    }
}

struct Bench {
    hub: Hub,
    service: TestService<Notify>,
    owner: TestCaller,
    client: NotifyServiceClient<CallerChannel>,
    _neighbour: FakeNeighbour,
}

impl Bench {
    async fn new() -> Bench {
        let hub = Hub::default();
        let routes = tonic::service::Routes::new(IntegrationHubServiceServer::new(hub.clone()));
        let neighbour = FakeNeighbour::start(routes).await;
        let service = TestService::<Notify>::start_with([("INTEGRATION_HUB_URL", neighbour.url())]).await;
        let owner = TestCaller::owner();
        let client = NotifyServiceClient::new(service.channel(&owner));
        Bench { hub, service, owner, client, _neighbour: neighbour }
    }

    async fn set_up(&mut self, channel: &str, config: Value) -> Result<Channel, Status> {
        let config = config.as_object().cloned().map(svc_kit::json::to_struct);
        let request = CreateChannelRequest { r#type: channel.to_owned(), config, ..Default::default() };
        self.client.create_channel(request).await.map(Response::into_inner)
    }

    async fn send(&mut self, channel: &str) -> Result<String, Status> {
        let request = SendRequest {
            channel: channel.to_owned(),
            recipient: "ops".to_owned(),
            subject: "Disk".to_owned(),
            body: "is full".to_owned(),
            priority: "critical".to_owned(),
            ..Default::default()
        };
        Ok(self.client.send(request).await?.into_inner().notification_id)
    }

    /// Once it was tried.
    async fn tried(&self, id: &str) -> Notification {
        wait_for("an attempt", || {
            let (mut client, id) = (self.client.clone(), id.to_owned());
            async move {
                let found =
                    client.get_notification(GetNotificationRequest { id }).await.unwrap().into_inner();
                (found.attempts > 0).then_some(found)
            }
        })
        .await
    }
}

#[tokio::test]
async fn a_channel_that_is_set_up_is_called_through_the_integration_hub() {
    let mut bench = Bench::new().await;
    let refused = bench.send("webhook").await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition, "nothing is set up yet");

    let provider = Uuid::now_v7();
    let made = bench.set_up("webhook", json!({ "provider": provider, "path": "/ok" })).await.unwrap();
    assert_eq!((made.id.as_str(), made.name.as_str(), made.enabled), ("webhook", "Webhook", true));
    let id = bench.send("webhook").await.unwrap();
    let delivered = bench.tried(&id).await;
    assert_eq!((delivered.status.as_str(), delivered.attempts), ("delivered", 1));
    let (tenant, call) = bench.hub.0.lock().unwrap().pop().unwrap();
    assert_eq!((Some(tenant), call.provider_id), (bench.owner.tenant, provider.to_string()));
    assert_eq!((call.method.as_str(), call.idempotency_key), ("POST", id.clone()));
    let body = svc_kit::json::from_value(call.body.unwrap());
    assert_eq!(
        (&body["id"], &body["body"], &body["priority"]),
        (&json!(id), &json!("is full"), &json!("critical"))
    );

    let stranger = TestCaller::owner();
    let mut theirs = NotifyServiceClient::new(bench.service.channel(&stranger));
    let channels = theirs.list_channels(ListChannelsRequest {}).await.unwrap().into_inner().channels;
    let webhook = channels.iter().find(|one| one.id == "webhook").unwrap();
    assert!(!webhook.enabled && webhook.reason.contains("not set up"), "{webhook:?}");
    let own = bench.client.list_channels(ListChannelsRequest {}).await.unwrap().into_inner().channels;
    let enabled: Vec<_> = own.iter().filter(|one| one.enabled).map(|one| one.id.as_str()).collect();
    assert_eq!(enabled, ["in_app", "websocket", "webhook"]);
}

#[tokio::test]
async fn what_the_provider_says_decides() {
    let mut bench = Bench::new().await;
    for (path, status, reason) in [
        ("/gone", "failed", "the provider answered 410"),
        ("/nowhere", "failed", "there is no such provider"),
        ("/busy", "queued", "the provider answered 429"),
        ("/ok", "delivered", ""),
    ] {
        // Set up again, it replaces what was there.
        bench.set_up("slack", json!({ "provider": Uuid::now_v7(), "path": path })).await.unwrap();
        let id = bench.send("slack").await.unwrap();
        let tried = bench.tried(&id).await;
        assert_eq!((tried.status.as_str(), tried.last_error.as_str()), (status, reason), "{path}");
        assert_eq!(tried.next_attempt_at.is_some(), status == "queued");
    }
    let (_, call) = bench.hub.0.lock().unwrap().pop().unwrap();
    let body = svc_kit::json::from_value(call.body.unwrap());
    assert_eq!(body, json!({ "channel": "ops", "text": "Disk\nis full" }));
}

#[tokio::test]
async fn a_setup_is_checked() {
    let mut bench = Bench::new().await;
    let fields = |status: &Status| -> Vec<String> {
        Problem::from_status(status).violation_list().iter().map(|one| one.field.clone()).collect()
    };
    let wrong = bench.set_up("webhook", json!({ "path": "x", "token": "t" })).await.unwrap_err();
    assert_eq!(fields(&wrong), ["config.provider", "config.path", "config"]);
    assert_eq!(fields(&bench.set_up("pigeon", json!({})).await.unwrap_err()), ["type"]);
    assert_eq!(fields(&bench.set_up("in_app", json!({})).await.unwrap_err()), ["type"]);
    let nobody = bench.set_up("email", json!({})).await.unwrap_err();
    assert_eq!(Problem::from_status(&nobody).slug(), "channel-not-configured");
}
