//! WebSocket push: a real client, the real service, and an iam that knows tokens of the form `tenant/user`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use futures::{SinkExt as _, StreamExt as _};
use notify::Notify;
use serde_json::{Value, json};
use svc_api::iam::v1::internal_service_server::{InternalService, InternalServiceServer};
use svc_api::iam::v1::{ValidateTokenReply, ValidateTokenRequest};
use svc_api::notify::v1::notify_service_client::NotifyServiceClient;
use svc_api::notify::v1::*;
use svc_testkit::{CallerChannel, FakeNeighbour, PATIENCE, TestCaller, TestService, wait_for};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tonic::{Request, Response, Status};
use uuid::Uuid;

struct Iam;

#[tonic::async_trait]
impl InternalService for Iam {
    async fn validate_token(
        &self,
        request: Request<ValidateTokenRequest>,
    ) -> Result<Response<ValidateTokenReply>, Status> {
        let token = request.into_inner().token;
        let Some((tenant, user)) = token.split_once('/') else {
            return Err(Status::unauthenticated("no such token"));
        };
        let (user, left) = user.split_once('+').unwrap_or((user, "600"));
        let end = jiff::Timestamp::now().as_second() + left.parse::<i64>().unwrap();
        Ok(Response::new(ValidateTokenReply {
            user_id: user.to_owned(),
            tenant_id: tenant.to_owned(),
            expires_at: Some(prost_types::Timestamp { seconds: end, nanos: 0 }),
            ..Default::default()
        }))
    }
}

struct Bench {
    iam: FakeNeighbour,
    service: TestService<Notify>,
}

impl Bench {
    async fn new() -> Bench {
        let routes = tonic::service::Routes::new(InternalServiceServer::new(Iam));
        let iam = FakeNeighbour::start(routes).await;
        let service = TestService::<Notify>::start_with([("IAM_URL", iam.url())]).await;
        Bench { iam, service }
    }

    async fn send(&self, caller: &TestCaller, recipient: &str, body: &str) -> String {
        let request = SendRequest {
            channel: "websocket".to_owned(),
            recipient: recipient.to_owned(),
            body: body.to_owned(),
            ..Default::default()
        };
        let mut client = client(&self.service, caller);
        let id = client.send(request).await.unwrap().into_inner().notification_id;
        delivered(&client, &id).await;
        id
    }
}

fn client(service: &TestService<Notify>, caller: &TestCaller) -> NotifyServiceClient<CallerChannel> {
    NotifyServiceClient::new(service.channel(caller))
}

async fn delivered(client: &NotifyServiceClient<CallerChannel>, id: &str) {
    wait_for("the delivery", || {
        let (mut client, id) = (client.clone(), id.to_owned());
        async move {
            let found = client.get_notification(GetNotificationRequest { id }).await.unwrap().into_inner();
            (found.status == "delivered").then_some(())
        }
    })
    .await;
}

struct Client(WebSocketStream<TcpStream>);

/// What a client gets.
#[derive(Debug)]
enum Got {
    Frame(Value),
    Closed(Option<u16>),
}

impl Client {
    async fn connect(service: &TestService<Notify>) -> Client {
        let address = service.url().replace("http://", "");
        let mut request = format!("ws://{address}/v1/ws").into_client_request().unwrap();
        // As the gateway passes it on: for a public route it names nobody.
        request.headers_mut().extend(TestCaller::nobody().headers());
        let stream = TcpStream::connect(&address).await.unwrap();
        Client(tokio_tungstenite::client_async(request, stream).await.unwrap().0)
    }

    async fn signed_in(service: &TestService<Notify>, caller: &TestCaller) -> Client {
        let (tenant, user) = (caller.tenant.unwrap(), caller.user.unwrap());
        let mut client = Client::connect(service).await;
        client.say(json!({ "type": "auth", "token": format!("{tenant}/{user}") })).await;
        assert_eq!(client.hear().await, json!({ "type": "auth_ok", "tenantId": tenant, "userId": user }));
        client
    }

    async fn say(&mut self, frame: Value) {
        self.0.send(Message::text(frame.to_string())).await.unwrap();
    }

    async fn get(&mut self) -> Got {
        let getting = async {
            loop {
                match self.0.next().await {
                    Some(Ok(Message::Text(text))) => return Got::Frame(serde_json::from_str(&text).unwrap()),
                    Some(Ok(Message::Close(frame))) => {
                        return Got::Closed(frame.map(|frame| frame.code.into()));
                    }
                    Some(Ok(_)) => {}
                    None | Some(Err(_)) => return Got::Closed(None),
                }
            }
        };
        tokio::time::timeout(PATIENCE, getting).await.expect("the service says something")
    }

    async fn hear(&mut self) -> Value {
        match self.get().await {
            Got::Frame(frame) => frame,
            Got::Closed(code) => panic!("closed with {code:?}"),
        }
    }

    async fn closed(&mut self) -> u16 {
        match self.get().await {
            Got::Closed(code) => code.expect("a code"),
            Got::Frame(frame) => panic!("said {frame}"),
        }
    }

    async fn subscribe(&mut self, channel: &str, after: Option<&str>) -> (u64, bool) {
        self.say(json!({ "type": "subscribe", "channel": channel, "after": after })).await;
        let answer = self.hear().await;
        assert_eq!((&answer["type"], &answer["channel"]), (&json!("subscribe_ok"), &json!(channel)));
        (answer["replayed"].as_u64().unwrap(), answer["complete"].as_bool().unwrap())
    }

    async fn bodies(&mut self, count: usize) -> Vec<String> {
        let mut bodies = Vec::new();
        for _ in 0..count {
            let frame = self.hear().await;
            assert_eq!(frame["type"], "notification");
            bodies.push(frame["body"].as_str().unwrap().to_owned());
        }
        bodies
    }
}

#[tokio::test]
async fn whoever_listens_gets_it_and_nobody_else_does() {
    let bench = Bench::new().await;
    let ada = TestCaller::owner();
    let (bob, stranger) = (ada.colleague(&["Member"]), TestCaller::owner());
    let mut at_ada = Client::signed_in(&bench.service, &ada).await;
    let mut at_bob = Client::signed_in(&bench.service, &bob).await;
    let mut at_stranger = Client::signed_in(&bench.service, &stranger).await;
    let own = format!("user:{}", ada.user.unwrap());
    at_ada.subscribe(&own, None).await;
    for client in [&mut at_ada, &mut at_bob, &mut at_stranger] {
        assert_eq!(client.subscribe("orders", None).await, (0, true));
    }

    let id = bench.send(&ada, &ada.user.unwrap().to_string(), "for Ada").await;
    let frame = at_ada.hear().await;
    assert_eq!((frame["channel"].as_str(), frame["id"].as_str()), (Some(own.as_str()), Some(id.as_str())));
    assert_eq!((frame["type"].as_str(), frame["body"].as_str()), (Some("notification"), Some("for Ada")));
    bench.send(&ada, "orders", "for all").await;
    bench.send(&stranger, "orders", "elsewhere").await;
    assert_eq!(at_ada.bodies(1).await, ["for all"]);
    assert_eq!(at_bob.bodies(1).await, ["for all"], "what is Ada's own was not Bob's");
    assert_eq!(at_stranger.bodies(1).await, ["elsewhere"], "what another tenant pushed never came");

    at_bob.say(json!({ "type": "unsubscribe", "channel": "orders" })).await;
    assert_eq!(at_bob.hear().await["type"], "unsubscribe_ok");
    bench.send(&ada, "orders", "once more").await;
    assert_eq!(at_ada.bodies(1).await, ["once more"]);
    at_bob.say(json!({ "type": "ping" })).await;
    assert_eq!(at_bob.hear().await, json!({ "type": "pong" }), "nothing came before it");
}

#[tokio::test]
async fn a_lost_connection_goes_on_where_it_ended() {
    let bench = Bench::new().await;
    let ada = TestCaller::owner();
    let mut before = Client::signed_in(&bench.service, &ada).await;
    before.subscribe("orders", None).await;
    let seen = bench.send(&ada, "orders", "one").await;
    assert_eq!(before.bodies(1).await, ["one"]);
    drop(before);
    bench.send(&ada, "orders", "two").await;
    bench.send(&ada, "orders", "three").await;

    let mut after = Client::signed_in(&bench.service, &ada).await;
    assert_eq!(after.subscribe("orders", Some(&seen)).await, (2, true));
    assert_eq!(after.bodies(2).await, ["two", "three"]);
    bench.send(&ada, "orders", "four").await;
    assert_eq!(after.bodies(1).await, ["four"], "and nothing comes twice");

    // Of a channel, the last hundred are kept.
    let message =
        SendRequest { channel: "websocket".to_owned(), body: "many".to_owned(), ..Default::default() };
    let batch = SendBatchRequest { message: Some(message), recipients: vec!["orders".to_owned(); 100] };
    let mut sender = client(&bench.service, &ada);
    for sent in sender.send_batch(batch).await.unwrap().into_inner().results {
        delivered(&sender, &sent.notification_id).await;
    }
    let mut late = Client::signed_in(&bench.service, &ada).await;
    assert_eq!(
        late.subscribe("orders", Some(&seen)).await,
        (100, false),
        "the first ones are gone, and it is said"
    );
    assert_eq!(late.bodies(100).await, vec!["many"; 100]);
}

#[tokio::test]
async fn a_connection_at_one_instance_gets_what_another_delivered() {
    let bench = Bench::new().await;
    let database = match std::env::var("TEST_DATABASE").as_deref() {
        Ok("postgres") => return eprintln!("skipped: two instances are tried on SQLite only"),
        _ => format!("sqlite://{}/notify.db", bench.service.data().display()),
    };
    let variables = [("IAM_URL", bench.iam.url()), ("DATABASE_URL", &database)];
    let other = TestService::<Notify>::start_with(variables).await;
    let ada = TestCaller::owner();
    let mut here = Client::signed_in(&bench.service, &ada).await;
    let mut there = Client::signed_in(&other, &ada).await;
    here.subscribe("orders", None).await;
    there.subscribe("orders", None).await;
    bench.send(&ada, "orders", "one").await;
    assert_eq!(here.bodies(1).await, ["one"]);
    assert_eq!(there.bodies(1).await, ["one"]);
}

#[tokio::test]
async fn a_connection_ends_with_what_is_wrong() {
    let bench = Bench::new().await;
    for first in [json!({ "type": "ping" }), json!({ "type": "auth", "token": "forged" }), json!("auth")] {
        let mut client = Client::connect(&bench.service).await;
        client.say(first.clone()).await;
        assert_eq!(client.closed().await, 4401, "{first}");
    }
    let ada = TestCaller::owner();
    let mut client = Client::signed_in(&bench.service, &ada).await;
    client.say(json!({ "type": "ping", "padding": "x".repeat(4096) })).await;
    assert_eq!(client.closed().await, 1009);
    let mut client = Client::signed_in(&bench.service, &ada).await;
    client.0.send(Message::binary(vec![1])).await.unwrap();
    assert_eq!(client.closed().await, 1003);

    let mut expiring = Client::connect(&bench.service).await;
    let token = format!("{}/{}+1", ada.tenant.unwrap(), ada.user.unwrap());
    expiring.say(json!({ "type": "auth", "token": token })).await;
    assert_eq!(expiring.hear().await["type"], "auth_ok");
    assert_eq!(expiring.closed().await, 4401, "when the token ends");

    let mut silent = Client::connect(&bench.service).await;
    assert_eq!(silent.closed().await, 4401, "after five seconds without a word");

    let mut last = Client::signed_in(&bench.service, &ada).await;
    let stopping = tokio::spawn(bench.service.stop());
    assert_eq!(last.closed().await, 1001);
    stopping.await.unwrap();
}

#[tokio::test]
async fn what_may_not_be_done_is_refused_and_the_connection_goes_on() {
    let bench = Bench::new().await;
    let ada = TestCaller::owner();
    let mut client = Client::signed_in(&bench.service, &ada).await;
    let subscribe = |channel: String| json!({ "type": "subscribe", "channel": channel });
    for (frame, code) in [
        (subscribe(format!("user:{}", Uuid::now_v7())), "permission-denied"),
        (subscribe("No Channel".to_owned()), "invalid-channel"),
        (json!({ "type": "shout" }), "invalid-frame"),
        (json!({ "type": "auth", "token": "again" }), "already-authenticated"),
    ] {
        client.say(frame.clone()).await;
        let answer = client.hear().await;
        assert_eq!(
            (answer["type"].as_str(), answer["code"].as_str()),
            (Some("error"), Some(code)),
            "{frame}"
        );
    }
    for number in 0..50 {
        client.subscribe(&format!("channel-{number}"), None).await;
    }
    client.say(subscribe("one-more".to_owned())).await;
    assert_eq!(client.hear().await["code"], "too-many-channels");
    client.subscribe("channel-7", None).await;

    let plain = reqwest::Client::new().get(format!("{}/v1/ws", bench.service.url()));
    let answer = plain.headers(TestCaller::nobody().headers()).send().await.unwrap();
    assert_eq!(answer.status(), 400, "no WebSocket");
    let outside = reqwest::get(format!("{}/v1/ws", bench.service.url())).await.unwrap();
    assert_eq!(outside.status(), 401, "not through the gateway");

    let mut sender = crate::client(&bench.service, &ada);
    let send = |recipient: &str, body: String| SendRequest {
        channel: "websocket".to_owned(),
        recipient: recipient.to_owned(),
        body,
        ..Default::default()
    };
    for (request, field) in
        [(send("No Channel", "hi".to_owned()), "recipient"), (send("orders", "x".repeat(4000)), "body")]
    {
        let refused = sender.send(request).await.unwrap_err();
        assert_eq!(svc_kit::Problem::from_status(&refused).violation_list()[0].field, field);
    }
}
