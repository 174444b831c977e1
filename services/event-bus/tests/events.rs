//! The event-bus in this process: publish, read, acknowledge, restart.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use event_bus::EventBus;
use prost_types::Struct;
use serde_json::json;
use svc_api::events::v1::event_service_client::EventServiceClient;
use svc_api::events::v1::*;
use svc_kit::Problem;
use svc_testkit::{CallerChannel, PATIENCE, TestCaller, TestService};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tonic::Code;
use uuid::Uuid;

type Client = EventServiceClient<CallerChannel>;

struct Bench {
    service: TestService<EventBus>,
    owner: TestCaller,
}

impl Bench {
    async fn new() -> Self {
        Self { service: TestService::start().await, owner: TestCaller::owner() }
    }

    fn client(&self) -> Client {
        self.client_of(&self.owner)
    }

    fn client_of(&self, caller: &TestCaller) -> Client {
        EventServiceClient::new(self.service.channel(caller)).max_decoding_message_size(32 << 20)
    }

    /// A service that calls for the owner's tenant.
    fn service_client(&self) -> Client {
        let tenant = self.owner.headers()["x-tenant-id"].to_str().unwrap().to_owned();
        self.client_of(&TestCaller::nobody().with_header("x-tenant-id", tenant))
    }
}

fn payload(value: serde_json::Value) -> Struct {
    svc_kit::json::to_struct(value.as_object().unwrap().clone())
}

fn event(topic: &str, number: i64) -> PublishRequest {
    PublishRequest {
        topic: topic.to_owned(),
        r#type: "shop.order.placed".to_owned(),
        payload: Some(payload(json!({ "number": number }))),
        key: "order-1".to_owned(),
        ..PublishRequest::default()
    }
}

fn subscription(topic: &str) -> CreateSubscriptionRequest {
    CreateSubscriptionRequest { topic: topic.to_owned(), from_beginning: true, ..Default::default() }
}

fn number(received: &ReceivedEvent) -> i64 {
    let data = received.event.clone().unwrap().data.unwrap();
    svc_kit::json::from_struct(data)["number"].as_i64().unwrap()
}

/// Acknowledges a position, if any, and gives the next numbers and the position behind them.
async fn fetch(client: &mut Client, id: &str, acknowledged: &str, most: i32) -> (Vec<i64>, String) {
    let request = FetchRequest {
        id: id.to_owned(),
        max_events: most,
        acknowledged_position: acknowledged.to_owned(),
        wait_ms: 0,
    };
    let reply = client.fetch(request).await.unwrap().into_inner();
    (reply.events.iter().map(number).collect(), reply.position)
}

/// What `/metrics` answers.
async fn metrics(bench: &Bench) -> String {
    let mut connection = tokio::net::TcpStream::connect(bench.service.running().address()).await.unwrap();
    connection.write_all(b"GET /metrics HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await.unwrap();
    answer
}

fn violations(status: tonic::Status) -> Vec<String> {
    assert_eq!(status.code(), Code::InvalidArgument, "{status}");
    Problem::from_status(&status).violation_list().iter().map(|violation| violation.field.clone()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_published_is_read_until_it_is_acknowledged() {
    let mut bench = Bench::new().await;
    let mut client = bench.client();
    let subscribed = client.create_subscription(subscription("orders")).await.unwrap().into_inner();
    for number in 1..=3 {
        let reply = client.publish(event("orders", number)).await.unwrap().into_inner();
        assert_eq!((reply.topic.as_str(), reply.offset, reply.duplicate), ("orders", number - 1, false));
    }
    let (numbers, position) = fetch(&mut client, &subscribed.id, "", 2).await;
    assert_eq!(numbers, [1, 2]);
    assert_eq!(fetch(&mut client, &subscribed.id, "", 2).await.0, [1, 2], "not acknowledged: again");

    bench.service.restart().await;
    let mut client = bench.client();
    let (numbers, position) = fetch(&mut client, &subscribed.id, &position, 2).await;
    assert_eq!(numbers, [3], "events, subscription and position survive a restart");
    let (numbers, _) = fetch(&mut client, &subscribed.id, &position, 2).await;
    assert_eq!(numbers, [0; 0]);
    let wrong =
        FetchRequest { id: subscribed.id, acknowledged_position: "0-99".to_owned(), ..Default::default() };
    assert_eq!(violations(client.fetch(wrong).await.unwrap_err()), ["acknowledgedPosition"]);
    bench.service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_envelope_says_everything() {
    let bench = Bench::new().await;
    let mut client = bench.client();
    let subscribed = client.create_subscription(subscription("orders")).await.unwrap().into_inner();
    let id = Uuid::now_v7().to_string();
    client.publish(PublishRequest { id: id.clone(), ..event("orders", 1) }).await.unwrap();
    let again =
        client.publish(PublishRequest { id: id.clone(), ..event("orders", 2) }).await.unwrap().into_inner();
    assert!(again.duplicate, "an id is taken once");
    let request = FetchRequest { id: subscribed.id, ..Default::default() };
    let reply = client.fetch(request).await.unwrap().into_inner();
    assert_eq!(reply.events.len(), 1);
    let received = &reply.events[0];
    let envelope = received.event.as_ref().unwrap();
    let headers = bench.owner.headers();
    let tenant = headers["x-tenant-id"].to_str().unwrap();
    let user = headers["x-user-id"].to_str().unwrap();
    assert_eq!((envelope.id.as_str(), envelope.r#type.as_str()), (id.as_str(), "shop.order.placed"));
    assert_eq!(
        (envelope.tenant_id.as_str(), envelope.source.as_str()),
        (tenant, format!("user:{user}").as_str())
    );
    assert_eq!((envelope.schema_version.as_str(), received.key.as_str()), ("1.0", "order-1"));
    assert_eq!(envelope.trace_id.len(), 32);
    assert!(envelope.timestamp.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn tenants_do_not_meet() {
    let bench = Bench::new().await;
    let (mut one, mut two) = (bench.client(), bench.client_of(&TestCaller::owner()));
    let first = one.create_subscription(subscription("orders")).await.unwrap().into_inner();
    let second = two.create_subscription(subscription("orders")).await.unwrap().into_inner();
    one.publish(event("orders", 1)).await.unwrap();
    assert_eq!(fetch(&mut one, &first.id, "", 0).await.0, [1]);
    assert_eq!(fetch(&mut two, &second.id, "", 0).await.0, [0; 0], "a topic of the same name is another one");
    let foreign = two.fetch(FetchRequest { id: first.id.clone(), ..Default::default() }).await.unwrap_err();
    assert_eq!(foreign.code(), Code::NotFound);
    let foreign = two.unsubscribe(UnsubscribeRequest { id: first.id }).await.unwrap_err();
    assert_eq!(foreign.code(), Code::NotFound);

    // A platform topic is shared, and each tenant sees its own events.
    let first = one.create_subscription(subscription("platform.money.events")).await.unwrap().into_inner();
    let second = two.create_subscription(subscription("platform.money.events")).await.unwrap().into_inner();
    bench.service_client().publish(event("platform.money.events", 7)).await.unwrap();
    assert_eq!(fetch(&mut one, &first.id, "", 0).await.0, [7]);
    assert_eq!(fetch(&mut two, &second.id, "", 0).await.0, [0; 0]);
    let refused = one.publish(event("platform.money.events", 8)).await.unwrap_err();
    assert_eq!(violations(refused), ["topic"], "a person does not publish to a platform topic");
    let topics = two.list_topics(ListTopicsRequest {}).await.unwrap().into_inner().topics;
    assert_eq!(topics.iter().filter(|topic| topic.name == "orders").count(), 1);
    assert!(topics.iter().any(|topic| topic.name == "platform.audit.events" && topic.retention_hours == 720));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_all_or_nothing() {
    let bench = Bench::new().await;
    let mut client = bench.client();
    let subscribed = client.create_subscription(subscription("orders")).await.unwrap().into_inner();
    let wrong = PublishRequest { r#type: "Placed".to_owned(), id: "x".to_owned(), ..event("orders", 2) };
    let batch = BatchPublishRequest { events: vec![event("orders", 1), wrong] };
    let refused = client.batch_publish(batch).await.unwrap_err();
    assert_eq!(violations(refused), ["events[1].type", "events[1].id"]);
    assert_eq!(fetch(&mut client, &subscribed.id, "", 0).await.0, [0; 0]);

    let batch =
        |count| BatchPublishRequest { events: (0..count).map(|number| event("orders", number)).collect() };
    let reply = client.batch_publish(batch(500)).await.unwrap().into_inner();
    assert!(reply.results.iter().zip(0..).all(|(result, offset)| result.offset == offset), "in their order");
    assert_eq!(fetch(&mut client, &subscribed.id, "", 500).await.0, (0..500).collect::<Vec<_>>());
    assert_eq!(violations(client.batch_publish(batch(501)).await.unwrap_err()), ["events"]);
    assert_eq!(violations(client.batch_publish(batch(0)).await.unwrap_err()), ["events"]);

    let heavy = |size: usize| PublishRequest {
        payload: Some(payload(json!({ "number": 1, "text": "x".repeat(size) }))),
        ..event("orders", 1)
    };
    client.publish(heavy(1_000_000)).await.unwrap();
    assert_eq!(violations(client.publish(heavy(1 << 20)).await.unwrap_err()), ["payload"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn big_events_come_in_several_replies() {
    let bench = Bench::new().await;
    let mut client = bench.client();
    let subscribed = client.create_subscription(subscription("orders")).await.unwrap().into_inner();
    for number in 0..5 {
        let text = "x".repeat(900_000);
        let payload = Some(payload(json!({ "number": number, "text": text })));
        client.publish(PublishRequest { payload, ..event("orders", number) }).await.unwrap();
    }
    let mut position = String::new();
    let mut replies = Vec::new();
    loop {
        let (numbers, next) = fetch(&mut client, &subscribed.id, &position, 500).await;
        if numbers.is_empty() {
            break;
        }
        position = next;
        replies.push(numbers);
    }
    assert_eq!(replies, [&[0, 1][..], &[2, 3], &[4]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fetch_waits_for_the_first_event_and_passes_over_types_it_does_not_want() {
    let bench = Bench::new().await;
    let mut client = bench.client();
    let wish = CreateSubscriptionRequest { types: vec!["shop.order.*".to_owned()], ..subscription("orders") };
    let subscribed = client.create_subscription(wish).await.unwrap().into_inner();
    let waiting = {
        let (mut client, id) = (bench.client(), subscribed.id.clone());
        tokio::spawn(
            async move { client.fetch(FetchRequest { id, wait_ms: 20_000, ..Default::default() }).await },
        )
    };
    for number in 0..3 {
        let other = PublishRequest { r#type: "shop.cart.filled".to_owned(), ..event("orders", number) };
        client.publish(other).await.unwrap();
    }
    client.publish(event("orders", 9)).await.unwrap();
    let reply = tokio::time::timeout(PATIENCE, waiting).await.unwrap().unwrap().unwrap().into_inner();
    assert_eq!(reply.events.iter().map(number).collect::<Vec<_>>(), [9]);
    let position = GetConsumerPositionRequest { id: subscribed.id.clone() };
    let before = client.get_consumer_position(position.clone()).await.unwrap().into_inner();
    assert!(before.lag >= 1, "not acknowledged yet");
    fetch(&mut client, &subscribed.id, &reply.position, 0).await;
    assert_eq!(client.get_consumer_position(position).await.unwrap().into_inner().lag, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_is_replayed_listed_and_removed() {
    let bench = Bench::new().await;
    let mut client = bench.client();
    let named = |group: &str| CreateSubscriptionRequest { group: group.to_owned(), ..subscription("orders") };
    let mut made = Vec::new();
    for group in ["a", "b", "c"] {
        made.push(client.create_subscription(named(group)).await.unwrap().into_inner());
    }
    let twice = client.create_subscription(named("a")).await.unwrap_err();
    assert_eq!(twice.code(), Code::AlreadyExists);
    let page = |token: &str| ListSubscriptionsRequest { page_size: 2, page_token: token.to_owned() };
    let first = client.list_subscriptions(page("")).await.unwrap().into_inner();
    assert_eq!(first.subscriptions, made[..2]);
    let second = client.list_subscriptions(page(&first.next_page_token)).await.unwrap().into_inner();
    assert_eq!((second.subscriptions.as_slice(), second.next_page_token.as_str()), (&made[2..], ""));

    client.publish(event("orders", 1)).await.unwrap();
    let id = made[0].id.clone();
    let (_, position) = fetch(&mut client, &id, "", 0).await;
    assert_eq!(fetch(&mut client, &id, &position, 0).await.0, [0; 0]);
    let past = Some(prost_types::Timestamp { seconds: 0, nanos: 0 });
    let back = ReplayFromRequest { id: id.clone(), timestamp: past };
    assert_eq!(client.replay_from(back).await.unwrap().into_inner().lag, 1);
    assert_eq!(fetch(&mut client, &id, "", 0).await.0, [1], "replayed");

    client.unsubscribe(UnsubscribeRequest { id: id.clone() }).await.unwrap();
    let gone = client.fetch(FetchRequest { id, ..Default::default() }).await.unwrap_err();
    assert_eq!(gone.code(), Code::NotFound);
    let late = CreateSubscriptionRequest { from_beginning: false, ..named("late") };
    let late = client.create_subscription(late).await.unwrap().into_inner();
    assert_eq!(fetch(&mut client, &late.id, "", 0).await.0, [0; 0], "starts with the next event");
    client.publish(event("orders", 2)).await.unwrap();
    assert_eq!(fetch(&mut client, &late.id, "", 0).await.0, [2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_catches_up_stays_live_and_goes_on_where_it_was_acknowledged() {
    let mut bench = Bench::new().await;
    let topic = "platform.money.events";
    let wish = SubscribeRequest {
        topics: vec![topic.to_owned(), "platform.auth.events".to_owned()],
        group: "audit".to_owned(),
        types: Vec::new(),
        from_beginning: true,
        all_tenants: true,
    };
    let mut publisher = bench.service_client();
    publisher.publish(event(topic, 1)).await.unwrap();
    let mut reader = bench.client_of(&TestCaller::nobody());
    let mut stream = reader.subscribe(wish.clone()).await.unwrap().into_inner();
    let mut next = async || tokio::time::timeout(PATIENCE, stream.message()).await.unwrap().unwrap().unwrap();
    let first = next().await;
    assert_eq!((number(&first), first.topic.as_str()), (1, topic), "catches up");
    publisher.publish(event(topic, 2)).await.unwrap();
    assert_eq!(number(&next().await), 2, "stays live");
    publisher.publish(event("platform.auth.events", 3)).await.unwrap();
    assert_eq!(number(&next().await), 3, "over all its topics");
    let done = AcknowledgeRequest {
        group: "audit".to_owned(),
        topic: topic.to_owned(),
        partition: first.partition,
        offset: first.offset,
    };
    reader.acknowledge(done.clone()).await.unwrap();
    let metrics = metrics(&bench).await;
    let lag =
        metrics.lines().find(|line| line.starts_with("kafka_consumer_lag{")).expect("the lag is measured");
    assert!(lag.contains("group_id=\"audit\"") && lag.contains(topic), "{lag}");
    let beyond = AcknowledgeRequest { offset: 99, ..done };
    assert_eq!(violations(reader.acknowledge(beyond).await.unwrap_err()), ["offset"]);

    // A stream that is open does not hold up a stop, and ends with a status that says "come again".
    bench.service.restart().await;
    let ended = tokio::time::timeout(PATIENCE, stream.message()).await.unwrap();
    assert!(ended.is_err(), "the stream ended with {ended:?}");
    let mut reader = bench.client_of(&TestCaller::nobody());
    let mut stream = reader.subscribe(wish).await.unwrap().into_inner();
    let mut numbers = Vec::new();
    for _ in 0..2 {
        let received = tokio::time::timeout(PATIENCE, stream.message()).await.unwrap().unwrap().unwrap();
        numbers.push(number(&received));
    }
    numbers.sort_unstable();
    assert_eq!(numbers, [2, 3], "what was not acknowledged comes again");
    drop(stream);
    bench.service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_group_without_acknowledgement_loses_nothing() {
    let bench = Bench::new().await;
    let topic = "platform.money.events";
    let wish = SubscribeRequest {
        topics: vec![topic.to_owned()],
        group: "late".to_owned(),
        all_tenants: true,
        ..SubscribeRequest::default()
    };
    let mut publisher = bench.service_client();
    publisher.publish(event(topic, 1)).await.unwrap();
    let mut reader = bench.client_of(&TestCaller::nobody());
    drop(reader.subscribe(wish.clone()).await.unwrap());
    publisher.publish(event(topic, 2)).await.unwrap();
    let mut stream = reader.subscribe(wish).await.unwrap().into_inner();
    let received = tokio::time::timeout(PATIENCE, stream.message()).await.unwrap().unwrap().unwrap();
    assert_eq!(number(&received), 2, "it began with the next event when it was made");
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_and_what_is_not_there_yet_are_told_so() {
    let bench = Bench::new().await;
    let mut outside = bench.client_of(&bench.owner.clone().from_outside());
    let stranger = outside.publish(event("orders", 1)).await.unwrap_err();
    assert_eq!(stranger.code(), Code::Unauthenticated);
    let mut client = bench.client();
    let schema = client.get_topic_schema(GetTopicSchemaRequest::default()).await.unwrap_err();
    assert_eq!(schema.code(), Code::Unimplemented);
    let letters = client.list_dead_letters(ListDeadLettersRequest::default()).await.unwrap_err();
    assert_eq!(letters.code(), Code::Unimplemented);
    let topic =
        client.get_topic_config(GetTopicConfigRequest { topic: "nowhere".to_owned() }).await.unwrap_err();
    assert_eq!(topic.code(), Code::NotFound);
}

#[tokio::test]
async fn a_tenant_cannot_make_up_platform_topics() {
    let bench = Bench::new().await;
    let mut client = bench.client();
    let made_up = client.create_subscription(subscription("platform.nonsense.events")).await.unwrap_err();
    assert_eq!(made_up.code(), Code::NotFound, "{made_up:?}");
    let topics = client.list_topics(ListTopicsRequest::default()).await.unwrap().into_inner().topics;
    assert!(topics.iter().all(|topic| topic.name != "platform.nonsense.events"));
    client.create_subscription(subscription("platform.billing.events")).await.unwrap();
}
