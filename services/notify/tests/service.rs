//! The notify service in this process, over the wire.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::collections::HashMap;

use notify::Notify;
use svc_api::notify::v1::notify_service_client::NotifyServiceClient;
use svc_api::notify::v1::*;
use svc_kit::Problem;
use svc_testkit::{CallerChannel, FakeEventBus, TestCaller, TestService, wait_for};
use tonic::{Code, Request, Status};
use uuid::Uuid;

type Client = NotifyServiceClient<CallerChannel>;

fn client(service: &TestService<Notify>, caller: &TestCaller) -> Client {
    NotifyServiceClient::new(service.channel(caller))
}

fn to_somebody() -> SendRequest {
    SendRequest { recipient: Uuid::now_v7().to_string(), body: "hello".to_owned(), ..Default::default() }
}

async fn get(client: &mut Client, id: &str) -> Result<Notification, Status> {
    let request = GetNotificationRequest { id: id.to_owned() };
    client.get_notification(request).await.map(tonic::Response::into_inner)
}

async fn in_state(client: &Client, id: &str, status: &str) -> Notification {
    wait_for(&format!("{id} to be {status}"), || {
        let (mut client, id) = (client.clone(), id.to_owned());
        async move { get(&mut client, &id).await.ok().filter(|notification| notification.status == status) }
    })
    .await
}

fn slug(status: &Status) -> String {
    Problem::from_status(status).slug().to_owned()
}

fn fields(status: &Status) -> Vec<String> {
    Problem::from_status(status).violation_list().iter().map(|violation| violation.field.clone()).collect()
}

#[tokio::test]
async fn send_with_a_template_then_find_it_in_the_history() {
    let service = TestService::<Notify>::start().await;
    let mut client = client(&service, &TestCaller::owner());
    let template = CreateTemplateRequest {
        name: "order.shipped".to_owned(),
        subject: "Order {{order}}".to_owned(),
        body: "Dear {{ name }}, order {{order}} left. {{gift}}".to_owned(),
        channels: vec!["in_app".to_owned()],
    };
    let made = client.create_template(template.clone()).await.unwrap().into_inner();
    assert_eq!((made.version, made.variables.join(" ")), (1, "gift name order".to_owned()));
    let listed = client.list_templates(ListTemplatesRequest::default()).await.unwrap().into_inner().templates;
    assert_eq!(listed, [made]);

    let request = SendRequest {
        template: "order.shipped".to_owned(),
        variables: HashMap::from([
            ("name".to_owned(), "Ada".to_owned()),
            ("order".to_owned(), "17".to_owned()),
        ]),
        body: String::new(),
        ..to_somebody()
    };
    let reply = client.send(request.clone()).await.unwrap().into_inner();
    assert_eq!(reply.status, "queued");
    let delivered = in_state(&client, &reply.notification_id, "delivered").await;
    assert_eq!(delivered.subject, "Order 17");
    assert_eq!(delivered.body, "Dear Ada, order 17 left. ", "what is missing renders empty");
    assert_eq!(
        (delivered.channel.as_str(), delivered.attempts, delivered.template_version),
        ("in_app", 1, 1)
    );
    assert!(delivered.delivered_at.is_some() && delivered.next_attempt_at.is_none());

    let history = client.list_notifications(ListNotificationsRequest::default()).await.unwrap().into_inner();
    assert_eq!(history.notifications, [delivered]);

    // A new version takes over; the old notification keeps what it said.
    let changed = CreateTemplateRequest { body: "{{order}}!".to_owned(), ..template };
    assert_eq!(client.create_template(changed).await.unwrap().into_inner().version, 2);
    let second = client.send(request).await.unwrap().into_inner().notification_id;
    assert_eq!(get(&mut client, &second).await.unwrap().body, "17!");
    let templates =
        client.list_templates(ListTemplatesRequest::default()).await.unwrap().into_inner().templates;
    assert_eq!(
        templates.iter().map(|one| (one.name.as_str(), one.version)).collect::<Vec<_>>(),
        [("order.shipped", 2)]
    );
    service.stop().await;
}

#[tokio::test]
async fn the_history_is_newest_first_filtered_and_paged() {
    let service = TestService::<Notify>::start().await;
    let mut client = client(&service, &TestCaller::owner());
    let ada = Uuid::now_v7().to_string();
    let message = SendRequest { subject: "s".to_owned(), ..to_somebody() };
    let recipients = vec![ada.clone(), Uuid::now_v7().to_string(), Uuid::now_v7().to_string()];
    let batch = SendBatchRequest { message: Some(message), recipients };
    let sent: Vec<_> = client.send_batch(batch).await.unwrap().into_inner().results;
    let mut newest: Vec<_> = sent.into_iter().map(|reply| reply.notification_id).collect();
    newest.reverse();
    for id in &newest {
        in_state(&client, id, "delivered").await;
    }
    let ids = |reply: &ListNotificationsReply| -> Vec<String> {
        reply.notifications.iter().map(|notification| notification.id.clone()).collect()
    };
    let request = ListNotificationsRequest { page_size: 2, ..Default::default() };
    let first = client.list_notifications(request.clone()).await.unwrap().into_inner();
    assert_eq!(ids(&first), newest[..2]);
    let request = ListNotificationsRequest { page_token: first.next_page_token, ..request };
    let rest = client.list_notifications(request).await.unwrap().into_inner();
    assert_eq!((ids(&rest), rest.next_page_token.as_str()), (newest[2..].to_vec(), ""));
    let request =
        ListNotificationsRequest { recipient: ada, status: "delivered".to_owned(), ..Default::default() };
    assert_eq!(ids(&client.list_notifications(request).await.unwrap().into_inner()), newest[2..]);
    let request = ListNotificationsRequest { status: "failed".to_owned(), ..Default::default() };
    assert!(client.list_notifications(request).await.unwrap().into_inner().notifications.is_empty());
}

#[tokio::test]
async fn requests_are_checked() {
    let service = TestService::<Notify>::start().await;
    let mut client = client(&service, &TestCaller::owner());
    let wrong =
        SendRequest { channel: "pigeon".to_owned(), priority: "asap".to_owned(), ..Default::default() };
    let refused = client.send(wrong).await.unwrap_err();
    assert_eq!(fields(&refused), ["channel", "priority", "recipient", "template"]);

    let email = SendRequest { channel: "email".to_owned(), ..to_somebody() };
    let refused = client.send(email).await.unwrap_err();
    assert_eq!(
        (refused.code(), slug(&refused)),
        (Code::FailedPrecondition, "channel-not-configured".to_owned())
    );

    let unknown = SendRequest { template: "nothing".to_owned(), body: String::new(), ..to_somebody() };
    assert_eq!(client.send(unknown).await.unwrap_err().code(), Code::NotFound);
    let empty = SendBatchRequest { message: Some(to_somebody()), recipients: Vec::new() };
    assert_eq!(fields(&client.send_batch(empty).await.unwrap_err()), ["recipients"]);
    let template = CreateTemplateRequest {
        name: "No Good".to_owned(),
        channels: vec!["pigeon".to_owned()],
        ..Default::default()
    };
    assert_eq!(fields(&client.create_template(template).await.unwrap_err()), ["name", "channels", "body"]);
    let list = ListNotificationsRequest { status: "lost".to_owned(), ..Default::default() };
    assert_eq!(fields(&client.list_notifications(list).await.unwrap_err()), ["status"]);
    assert!(
        client
            .list_notifications(ListNotificationsRequest::default())
            .await
            .unwrap()
            .into_inner()
            .notifications
            .is_empty()
    );

    let channels = client.list_channels(ListChannelsRequest {}).await.unwrap().into_inner().channels;
    let enabled: Vec<_> = channels.iter().filter(|one| one.enabled).map(|one| one.id.as_str()).collect();
    assert_eq!((channels.len(), enabled), (9, vec!["in_app", "websocket"]));
    assert!(channels.iter().all(|one| one.enabled == one.reason.is_empty()));
}

#[tokio::test]
async fn requests_are_counted_by_the_minute() {
    let service = TestService::<Notify>::start_with([
        ("NOTIFY_RATE_LIMIT_PER_MINUTE", "5"),
        ("NOTIFY_MODULE_RATE_LIMIT_PER_MINUTE", "2"),
    ])
    .await;
    let mut tenant = client(&service, &TestCaller::owner());
    let by = |module: &str| SendRequest { module: module.to_owned(), ..to_somebody() };
    for _ in 0..2 {
        tenant.send(by("@acme/crm")).await.unwrap();
    }
    let refused = tenant.send(by("@acme/crm")).await.unwrap_err();
    assert_eq!((refused.code(), slug(&refused)), (Code::ResourceExhausted, "rate-limited".to_owned()));
    assert!(
        refused.message().starts_with("the module may ask for notifications 2 times a minute; try again in ")
    );
    tenant.send(by("@acme/shop")).await.unwrap();
    // A batch is one request.
    let recipients = vec![Uuid::now_v7().to_string(); 20];
    let batch = SendBatchRequest { message: Some(to_somebody()), recipients };
    tenant.send_batch(batch).await.unwrap();
    tenant.send(to_somebody()).await.unwrap();
    let refused = tenant.send(to_somebody()).await.unwrap_err();
    assert!(refused.message().starts_with("the tenant may ask"), "{refused:?}");
    client(&service, &TestCaller::owner()).send(by("@acme/crm")).await.unwrap();
    let list =
        tenant.list_notifications(ListNotificationsRequest { page_size: 100, ..Default::default() }).await;
    assert_eq!(list.unwrap().into_inner().notifications.len(), 24, "what was refused is not there");
}

#[tokio::test]
async fn the_same_key_sends_once() {
    let mut service = TestService::<Notify>::start().await;
    let owner = TestCaller::owner();
    let request = || {
        let mut request = Request::new(SendRequest { recipient: Uuid::nil().to_string(), ..to_somebody() });
        request
            .metadata_mut()
            .insert("idempotency-key", "0199a000-0000-7000-8000-000000000001".parse().unwrap());
        request
    };
    let mut before = client(&service, &owner);
    let first = before.send(request()).await.unwrap().into_inner();
    assert_eq!(before.send(request()).await.unwrap().into_inner().notification_id, first.notification_id);
    service.restart().await;
    let mut after = client(&service, &owner);
    assert_eq!(after.send(request()).await.unwrap().into_inner().notification_id, first.notification_id);
    let stranger = client(&service, &TestCaller::owner()).send(request()).await.unwrap().into_inner();
    assert_ne!(stranger.notification_id, first.notification_id);
}

#[tokio::test]
async fn another_tenant_sees_nothing() {
    let service = TestService::<Notify>::start().await;
    let mut owner = client(&service, &TestCaller::owner());
    let template =
        CreateTemplateRequest { name: "welcome".to_owned(), body: "hi".to_owned(), ..Default::default() };
    owner.create_template(template).await.unwrap();
    let id = owner.send(to_somebody()).await.unwrap().into_inner().notification_id;

    let mut stranger = client(&service, &TestCaller::owner());
    assert_eq!(get(&mut stranger, &id).await.unwrap_err().code(), Code::NotFound);
    let retry = RetryNotificationRequest { id: id.clone() };
    assert_eq!(stranger.retry_notification(retry.clone()).await.unwrap_err().code(), Code::NotFound);
    assert!(
        stranger
            .list_notifications(ListNotificationsRequest::default())
            .await
            .unwrap()
            .into_inner()
            .notifications
            .is_empty()
    );
    assert!(
        stranger
            .list_templates(ListTemplatesRequest::default())
            .await
            .unwrap()
            .into_inner()
            .templates
            .is_empty()
    );
    let theirs = SendRequest { template: "welcome".to_owned(), body: String::new(), ..to_somebody() };
    assert_eq!(stranger.send(theirs).await.unwrap_err().code(), Code::NotFound);

    in_state(&owner, &id, "delivered").await;
    assert_eq!(owner.retry_notification(retry).await.unwrap_err().code(), Code::FailedPrecondition);
    let mut nobody = client(&service, &TestCaller::nobody());
    assert_eq!(nobody.send(to_somebody()).await.unwrap_err().code(), Code::Unauthenticated);
}

#[tokio::test]
async fn what_was_acknowledged_is_delivered_after_a_restart_and_its_events_go_out() {
    let mut service = TestService::<Notify>::start().await;
    let owner = TestCaller::owner();
    let traced =
        owner.clone().with_header("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
    let id = client(&service, &traced).send(to_somebody()).await.unwrap().into_inner().notification_id;
    let bus = FakeEventBus::start().await;
    // The queue is lost as well: the database alone must do.
    service
        .restart_with([
            ("EVENTS_URL", bus.url().to_owned()),
            ("TASKS_URL", format!("sqlite://{}/other-tasks.db", service.data().display())),
        ])
        .await;
    in_state(&client(&service, &owner), &id, "delivered").await;
    let queued = bus.wait_for("notify.notification.queued").await;
    assert_eq!(queued.event.trace_id, "4bf92f3577b34da6a3ce929d0e0e4736");
    let published = bus.wait_for("notify.notification.delivered").await;
    assert_eq!((published.tenant, published.event.key.as_str()), (owner.tenant, id.as_str()));
    let told = format!("{:?}", published.event.payload);
    assert!(!told.contains("hello"), "the text is private: {told}");
}

#[tokio::test]
async fn a_short_text_cannot_grow_into_gigabytes() {
    let service = TestService::<Notify>::start().await;
    let mut client = client(&service, &TestCaller::owner());
    let bomb = SendRequest {
        body: "{{a}}".repeat(10_000),
        variables: HashMap::from([("a".to_owned(), "x".repeat(900_000))]),
        ..to_somebody()
    };
    let refused = client.send(bomb).await.unwrap_err();
    assert_eq!((refused.code(), fields(&refused)), (Code::InvalidArgument, vec!["variables".to_owned()]));
    let message = SendRequest {
        body: "{{a}}".to_owned(),
        variables: HashMap::from([("a".to_owned(), "x".repeat(100_000))]),
        ..to_somebody()
    };
    client.send(message.clone()).await.unwrap();
    let recipients = vec![Uuid::now_v7().to_string(); 500];
    let batch = SendBatchRequest { message: Some(message), recipients };
    assert_eq!(client.send_batch(batch).await.unwrap_err().code(), Code::InvalidArgument, "50 MB in all");
    service.stop().await;
}
