//! The data-layer in this process: records, filters, pages, events, restart.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use data_layer::DataLayer;
use serde_json::{Value, json};
use svc_api::common::v1::QueryParameter;
use svc_api::data::v1::data_layer_service_client::DataLayerServiceClient;
use svc_api::data::v1::schema_service_client::SchemaServiceClient;
use svc_api::data::v1::*;
use svc_kit::{Problem, json};
use svc_testkit::{CallerChannel, FakeEventBus, TestCaller, TestService};
use tonic::Code;
use uuid::Uuid;

type Client = DataLayerServiceClient<CallerChannel>;

fn client(service: &TestService<DataLayer>, caller: &TestCaller) -> Client {
    DataLayerServiceClient::new(service.channel(caller)).max_decoding_message_size(64 << 20)
}

fn create(data: Value) -> CreateRecordRequest {
    let data = json::to_struct(data.as_object().unwrap().clone());
    CreateRecordRequest { module: "shop".to_owned(), model: "item".to_owned(), data: Some(data) }
}

fn data(record: &Record) -> Value {
    Value::Object(json::from_struct(record.data.clone().unwrap()))
}

fn get(id: &str) -> GetRecordRequest {
    GetRecordRequest { module: "shop".to_owned(), model: "item".to_owned(), id: id.to_owned() }
}

fn delete(id: &str) -> DeleteRecordRequest {
    DeleteRecordRequest { module: "shop".to_owned(), model: "item".to_owned(), id: id.to_owned() }
}

fn update(id: &str, change: Value, mask: &[&str]) -> UpdateRecordRequest {
    UpdateRecordRequest {
        module: "shop".to_owned(),
        model: "item".to_owned(),
        id: id.to_owned(),
        data: Some(json::to_struct(change.as_object().unwrap().clone())),
        update_mask: Some(prost_types::FieldMask { paths: mask.iter().map(ToString::to_string).collect() }),
    }
}

fn list(filters: &[(&str, &str)]) -> ListRecordsRequest {
    let filters =
        filters.iter().map(|(name, value)| QueryParameter { name: (*name).into(), value: (*value).into() });
    ListRecordsRequest {
        module: "shop".to_owned(),
        model: "item".to_owned(),
        page_size: 100,
        page_token: String::new(),
        filters: filters.collect(),
    }
}

/// The names of the records that match.
async fn names(client: &mut Client, filters: &[(&str, &str)]) -> Vec<String> {
    let reply =
        client.list_records(list(filters)).await.unwrap_or_else(|status| panic!("{filters:?}: {status}"));
    let records = reply.into_inner().records;
    records.iter().map(|record| data(record)["name"].as_str().unwrap().to_owned()).collect()
}

fn violations(status: tonic::Status) -> Vec<String> {
    assert_eq!(status.code(), Code::InvalidArgument, "{status}");
    Problem::from_status(&status).violation_list().iter().map(|violation| violation.field.clone()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_lives_through_create_change_restart_and_delete() {
    let bus = FakeEventBus::start().await;
    let mut service = TestService::<DataLayer>::start_with([("EVENTS_URL", bus.url())]).await;
    let owner = TestCaller::owner();
    let mut records = client(&service, &owner);
    let fields =
        json!({ "name": "thing", "size": 7, "tags": ["a", { "b": null }], "open": true, "price": 1.5 });
    let made = records.create_record(create(fields.clone())).await.unwrap().into_inner();
    assert_eq!((made.collection.as_str(), data(&made)), ("shop.item", fields));
    let changed =
        records.update_record(update(&made.id, json!({ "size": 8, "open": null }), &[])).await.unwrap();
    let changed = changed.into_inner();
    assert_eq!(
        data(&changed),
        json!({ "name": "thing", "size": 8, "tags": ["a", { "b": null }], "price": 1.5 })
    );
    let masked = records
        .update_record(update(&made.id, json!({ "size": 9, "name": "ignored" }), &["size", "tags"]))
        .await;
    let masked = masked.unwrap().into_inner();
    assert_eq!(data(&masked), json!({ "name": "thing", "size": 9, "price": 1.5 }));
    assert_eq!(masked.created_at, made.created_at);

    service.restart().await;
    let mut records = client(&service, &owner);
    assert_eq!(
        records.get_record(get(&made.id)).await.unwrap().into_inner(),
        masked,
        "it survives a restart"
    );
    records.delete_record(delete(&made.id)).await.unwrap();
    for gone in [
        records.get_record(get(&made.id)).await.unwrap_err(),
        records.delete_record(delete(&made.id)).await.unwrap_err(),
        records.update_record(update(&made.id, json!({}), &[])).await.unwrap_err(),
    ] {
        assert_eq!((gone.code(), Problem::from_status(&gone).slug()), (Code::NotFound, "not-found"));
    }
    assert_eq!(names(&mut records, &[]).await, [""; 0]);

    bus.wait_for("data.record.deleted").await;
    let events = bus.events();
    let types: Vec<_> = events.iter().map(|published| published.event.r#type.as_str()).collect();
    assert_eq!(
        types,
        ["data.record.created", "data.record.updated", "data.record.updated", "data.record.deleted"]
    );
    let told = Value::Object(json::from_struct(events[1].event.payload.clone().unwrap()));
    assert_eq!(told["record"], data(&changed), "the whole new record");
    assert_eq!((told["module"].as_str(), told["id"].as_str()), (Some("shop"), Some(made.id.as_str())));
    assert_eq!(
        (events[0].event.topic.as_str(), events[0].event.key.as_str()),
        ("platform.data.events", made.id.as_str())
    );
    assert!(events.iter().all(|published| published.tenant.is_some()));
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_find_what_they_say() {
    let service = TestService::<DataLayer>::start().await;
    let mut records = client(&service, &TestCaller::owner());
    for record in [
        json!({ "name": "Ada", "size": 7, "open": true, "at": { "city": "Köln" }, "code": "5", "due": "2026-01-31" }),
        json!({ "name": "ada*", "size": 1, "open": false, "at": { "city": "Rom" }, "code": 5, "due": "2026-02-01" }),
        json!({ "name": "Bob", "size": 7.5, "note": null, "code": "x,y" }),
        json!({ "name": "b_b%", "size": "7", "note": "it's" }),
    ] {
        records.create_record(create(record)).await.unwrap();
    }
    for (filter, expected) in [
        (("size", "gt.5"), &["Ada", "Bob"][..]),
        (("size", "gte.7"), &["Ada", "Bob"]),
        (("size", "lt.7"), &["ada*"]),
        (("size", "lte.7"), &["Ada", "ada*"]),
        (("size", "eq.7"), &["Ada", "b_b%"]),
        (("size", "neq.7"), &["ada*", "Bob"]),
        (("code", "eq.5"), &["Ada", "ada*"]),
        (("name", "eq.Ada"), &["Ada"]),
        (("name", "like.A*"), &["Ada"]),
        (("name", "like.*a*"), &["Ada", "ada*"]),
        (("name", "ilike.a*"), &["Ada", "ada*"]),
        (("name", "ilike.b_b*"), &["b_b%"]),
        (("name", "like.b?b*"), &[]),
        (("name", "like.[Ab]*"), &[]),
        (("name", "in.(Ada,Bob)"), &["Ada", "Bob"]),
        (("code", "in.(\"x,y\",9)"), &["Bob"]),
        (("note", "is.null"), &["Ada", "ada*", "Bob"]),
        (("note", "eq.it's"), &["b_b%"]),
        (("note", "neq.x"), &["b_b%"]),
        (("open", "is.true"), &["Ada"]),
        (("open", "eq.false"), &["ada*"]),
        (("open", "eq.1"), &[]),
        (("at.city", "eq.Köln"), &["Ada"]),
        (("at", "eq.Rom"), &[]),
        (("due", "lt.2026-02-01"), &["Ada"]),
        (("name", "eq.' OR 1=1 --"), &[]),
        (("createdAt", "gt.2000-01-01T00:00:00Z"), &["Ada", "ada*", "Bob", "b_b%"]),
        (("updatedAt", "lt.2000-01-01T00:00:00Z"), &[]),
        (("id", "eq.01900000-0000-7000-8000-000000000000"), &[]),
        (("absent", "lt.5"), &[]),
    ] {
        assert_eq!(names(&mut records, &[filter]).await, expected, "{filter:?}");
    }
    assert_eq!(names(&mut records, &[("size", "gt.5"), ("name", "like.A*")]).await, ["Ada"], "all must hold");
    let wrong =
        records.list_records(list(&[("size", "5"), ("name", "starts.a"), ("ok", "eq.1")])).await.unwrap_err();
    assert_eq!(violations(wrong), ["size", "name"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_follow_each_other_while_records_come_and_go() {
    let service = TestService::<DataLayer>::start().await;
    let mut records = client(&service, &TestCaller::owner());
    let mut ids = Vec::new();
    for number in 0..5 {
        let record =
            records.create_record(create(json!({ "name": number.to_string() }))).await.unwrap().into_inner();
        ids.push(record.id);
    }
    let mut page = ListRecordsRequest { page_size: 2, ..list(&[]) };
    let mut seen = Vec::new();
    loop {
        let reply = records.list_records(page.clone()).await.unwrap().into_inner();
        assert!(reply.records.len() <= 2);
        seen.extend(reply.records.into_iter().map(|record| record.id));
        if reply.next_page_token.is_empty() {
            break;
        }
        if seen.len() == 2 {
            // The last one that was seen goes: the next page begins where it should all the same.
            records.delete_record(delete(&seen[1])).await.unwrap();
        }
        page.page_token = reply.next_page_token;
    }
    assert_eq!(seen, ids, "oldest first, each once");
    let wrong = ListRecordsRequest { page_size: 101, ..list(&[]) };
    assert_eq!(violations(records.list_records(wrong).await.unwrap_err()), ["pageSize"]);
    let wrong = ListRecordsRequest { page_token: "2".to_owned(), ..list(&[]) };
    assert_eq!(violations(records.list_records(wrong).await.unwrap_err()), ["pageToken"]);
    let other = ListRecordsRequest { model: "other".to_owned(), ..list(&[]) };
    assert!(
        records.list_records(other).await.unwrap().into_inner().records.is_empty(),
        "another model is another place"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn tenants_do_not_meet() {
    let service = TestService::<DataLayer>::start().await;
    let (mut one, mut two) = (client(&service, &TestCaller::owner()), client(&service, &TestCaller::owner()));
    let made = one.create_record(create(json!({ "name": "mine" }))).await.unwrap().into_inner();
    assert_eq!(names(&mut two, &[]).await, [""; 0]);
    for refused in [
        two.get_record(get(&made.id)).await.unwrap_err(),
        two.update_record(update(&made.id, json!({ "name": "yours" }), &[])).await.unwrap_err(),
        two.delete_record(delete(&made.id)).await.unwrap_err(),
    ] {
        assert_eq!(refused.code(), Code::NotFound);
    }
    assert_eq!(names(&mut one, &[]).await, ["mine"]);
    let nobody = client(&service, &TestCaller::nobody()).get_record(get(&made.id)).await.unwrap_err();
    assert_eq!(Problem::from_status(&nobody).slug(), "tenant-missing");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idempotency_key_makes_one_record() {
    let service = TestService::<DataLayer>::start().await;
    let key = Uuid::now_v7().to_string();
    let owner = TestCaller::owner();
    let mut records = client(&service, &owner.clone().with_idempotency_key(&key));
    let first = records.create_record(create(json!({ "name": "a", "size": 1 }))).await.unwrap().into_inner();
    let again = records.create_record(create(json!({ "size": 1, "name": "a" }))).await.unwrap().into_inner();
    assert_eq!((&again.id, again.created_at), (&first.id, first.created_at), "the first answer again");
    assert_eq!(names(&mut records, &[]).await, ["a"]);
    let other = records.create_record(create(json!({ "name": "b" }))).await.unwrap_err();
    assert_eq!(Problem::from_status(&other).slug(), "idempotency-key-reused");
    let mut elsewhere = client(&service, &TestCaller::owner().with_idempotency_key(&key));
    let theirs = elsewhere.create_record(create(json!({ "name": "b" }))).await.unwrap().into_inner();
    assert_ne!(theirs.id, first.id, "keys belong to their tenant");
    let mut wrong = client(&service, &owner.with_idempotency_key("7"));
    assert_eq!(violations(wrong.create_record(create(json!({}))).await.unwrap_err()), ["Idempotency-Key"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_has_limits_and_big_ones_are_told_of_without_their_fields() {
    let bus = FakeEventBus::start().await;
    let service = TestService::<DataLayer>::start_with([("EVENTS_URL", bus.url())]).await;
    let mut records = client(&service, &TestCaller::owner());
    let text = "x".repeat(260_000);
    let fits = json!({ "name": "big", "a": text, "b": text, "c": text, "d": text });
    for _ in 0..3 {
        records.create_record(create(fits.clone())).await.unwrap();
    }
    let told = bus.wait_for("data.record.created").await.event;
    let told = Value::Object(json::from_struct(told.payload.unwrap()));
    assert_eq!((told["recordOmitted"].as_bool(), told.get("record")), (Some(true), None));
    let first = records.list_records(list(&[])).await.unwrap().into_inner();
    assert_eq!(
        (first.records.len(), first.next_page_token.is_empty()),
        (2, false),
        "a page of big records ends early"
    );

    let long = records.create_record(create(json!({ "a": "x".repeat(300_000) }))).await.unwrap_err();
    assert_eq!(violations(long), ["data.a"]);
    let grown = update(&first.records[0].id, json!({ "e": text }), &[]);
    assert_eq!(
        violations(records.update_record(grown).await.unwrap_err()),
        ["data"],
        "nor does a change grow it beyond"
    );
    let wrong = CreateRecordRequest { module: "Shop".to_owned(), model: "i tem".to_owned(), data: None };
    assert_eq!(violations(records.create_record(wrong).await.unwrap_err()), ["module", "model"]);
    assert_eq!(violations(records.get_record(get("7")).await.unwrap_err()), ["id"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_yet_says_so() {
    let service = TestService::<DataLayer>::start().await;
    let owner = TestCaller::owner();
    let aggregate = client(&service, &owner).aggregate(AggregateRequest::default()).await.unwrap_err();
    assert_eq!(aggregate.code(), Code::Unimplemented);
    let mut schema = SchemaServiceClient::new(service.channel(&owner));
    let models = schema.list_models(ListModelsRequest::default()).await.unwrap_err();
    assert_eq!(models.code(), Code::Unimplemented);
}
