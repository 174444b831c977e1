//! The audit service in this process: records, queries, the chain, and events of the bus.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::fs;
use std::path::Path;

use audit::Audit;
use serde_json::json;
use svc_api::audit::v1::audit_service_client::AuditServiceClient;
use svc_api::audit::v1::*;
use svc_kit::Problem;
use svc_stores::{Database, values};
use svc_testkit::{CallerChannel, TestCaller, TestService};
use tonic::Code;
use uuid::Uuid;

type Client = AuditServiceClient<CallerChannel>;

fn client(service: &TestService<Audit>, caller: &TestCaller) -> Client {
    AuditServiceClient::new(service.channel(caller)).max_decoding_message_size(64 << 20)
}

fn header(caller: &TestCaller, name: &str) -> String {
    caller.headers()[name].to_str().unwrap().to_owned()
}

fn structure(value: serde_json::Value) -> Option<prost_types::Struct> {
    Some(svc_kit::json::to_struct(value.as_object().unwrap().clone()))
}

fn action(name: &str, entity: &str) -> RecordRequest {
    RecordRequest {
        action: name.to_owned(),
        entity_type: "invoice".to_owned(),
        entity_id: entity.to_owned(),
        after: structure(json!({ "total": 12.5, "lines": [1, "a"] })),
        ..RecordRequest::default()
    }
}

async fn listed(client: &mut Client, query: ListRecordsRequest) -> Vec<AuditRecord> {
    client.list_records(query).await.unwrap().into_inner().records
}

async fn verdict(client: &mut Client) -> VerifyChainReply {
    client.verify_chain(VerifyChainRequest {}).await.unwrap().into_inner()
}

fn violations(status: tonic::Status) -> Vec<String> {
    assert_eq!(status.code(), Code::InvalidArgument, "{status}");
    Problem::from_status(&status).violation_list().iter().map(|violation| violation.field.clone()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_is_found_by_everything_it_says() {
    let mut service = TestService::<Audit>::start().await;
    let owner =
        TestCaller::owner().with_header("x-forwarded-for", "203.0.113.9").with_header("x-user-agent", "test");
    let mut trail = client(&service, &owner);
    let id = trail.record(action("invoice.approved", "1")).await.unwrap().into_inner().audit_id;
    for (name, entity) in [("invoice.paid", "1"), ("invoice.approved", "2"), ("invoicing.started", "3")] {
        trail.record(action(name, entity)).await.unwrap();
    }
    service.restart().await;
    let mut trail = client(&service, &owner);
    let found = trail.get_record(GetRecordRequest { id: id.clone() }).await.unwrap().into_inner();
    assert_eq!((found.action.as_str(), found.sequence), ("invoice.approved", 1));
    assert_eq!(
        (found.user_id, found.ip, found.user_agent),
        (header(&owner, "x-user-id"), "203.0.113.9".into(), "test".into())
    );
    assert_eq!(found.after, structure(json!({ "total": 12.5, "lines": [1, "a"] })));
    assert_eq!(found.hash.len(), 64);

    let all = ListRecordsRequest::default;
    let time = found.timestamp.unwrap();
    let later = prost_types::Timestamp { seconds: time.seconds + 3600, ..time };
    for (query, expected) in [
        (all(), &[4, 3, 2, 1][..]),
        (ListRecordsRequest { action: "invoice.approved".to_owned(), ..all() }, &[3, 1]),
        (ListRecordsRequest { action: "invoice.*".to_owned(), ..all() }, &[3, 2, 1]),
        (ListRecordsRequest { action: "invoic*".to_owned(), entity_id: "3".to_owned(), ..all() }, &[4]),
        (
            ListRecordsRequest { entity_type: "invoice".to_owned(), entity_id: "1".to_owned(), ..all() },
            &[2, 1],
        ),
        (ListRecordsRequest { entity_type: "order".to_owned(), ..all() }, &[]),
        (ListRecordsRequest { user_id: header(&owner, "x-user-id"), ..all() }, &[4, 3, 2, 1]),
        (ListRecordsRequest { user_id: "somebody".to_owned(), ..all() }, &[]),
        (ListRecordsRequest { from: Some(time), to: Some(later), ..all() }, &[4, 3, 2, 1]),
        (ListRecordsRequest { to: Some(time), ..all() }, &[]),
        (ListRecordsRequest { from: Some(later), ..all() }, &[]),
    ] {
        let sequences: Vec<i64> =
            listed(&mut trail, query.clone()).await.iter().map(|record| record.sequence).collect();
        assert_eq!(sequences, expected, "{query:?}");
    }
    let entity = ListEntityRecordsRequest {
        entity_type: "invoice".to_owned(),
        entity_id: "1".to_owned(),
        ..Default::default()
    };
    assert_eq!(trail.list_entity_records(entity).await.unwrap().into_inner().records.len(), 2);

    let first = trail.list_records(ListRecordsRequest { page_size: 3, ..all() }).await.unwrap().into_inner();
    let second = ListRecordsRequest { page_size: 3, page_token: first.next_page_token.clone(), ..all() };
    let second = trail.list_records(second).await.unwrap().into_inner();
    assert_eq!((first.records.len(), second.records.len(), second.next_page_token.as_str()), (3, 1, ""));
    let wrong = ListRecordsRequest { page_size: 101, page_token: "x".into(), action: "A".into(), ..all() };
    assert_eq!(violations(trail.list_records(wrong).await.unwrap_err()), ["action", "pageSize", "pageToken"]);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_and_batches_are_exact() {
    let service = TestService::<Audit>::start().await;
    let owner = TestCaller::owner();
    let mut trail = client(&service, &owner);
    let id = Uuid::now_v7().to_string();
    for entity in ["1", "2"] {
        let request = RecordRequest { id: id.clone(), ..action("invoice.approved", entity) };
        assert_eq!(trail.record(request).await.unwrap().into_inner().audit_id, id);
    }
    let records = listed(&mut trail, ListRecordsRequest::default()).await;
    assert_eq!((records.len(), records[0].entity_id.as_str()), (1, "1"), "an id is added once");

    let wrong = RecordRequest { user_id: "somebody else".to_owned(), ..action("Approved", "") };
    let batch = RecordBatchRequest { records: vec![action("invoice.approved", "3"), wrong] };
    let refused = violations(trail.record_batch(batch).await.unwrap_err());
    assert_eq!(refused, ["records[1].action", "records[1].entityId", "records[1].userId"]);
    assert_eq!(listed(&mut trail, ListRecordsRequest::default()).await.len(), 1, "all or none");
    let batch = |count: usize| RecordBatchRequest {
        records: (0..count).map(|number| action("invoice.approved", &number.to_string())).collect(),
    };
    assert_eq!(trail.record_batch(batch(500)).await.unwrap().into_inner().audit_ids.len(), 500);
    assert_eq!(violations(trail.record_batch(batch(501)).await.unwrap_err()), ["records"]);
    assert_eq!(violations(trail.record_batch(batch(0)).await.unwrap_err()), ["records"]);
    let reply = verdict(&mut trail).await;
    assert_eq!((reply.intact, reply.checked), (true, 501));

    // A service that calls in its own name says for whom.
    let robot = TestCaller::nobody().with_header("x-tenant-id", header(&owner, "x-tenant-id"));
    let request = RecordRequest { user_id: "robot".to_owned(), ..action("invoice.exported", "9") };
    client(&service, &robot).record(request).await.unwrap();
    let query = ListRecordsRequest { user_id: "robot".to_owned(), ..Default::default() };
    assert_eq!(listed(&mut trail, query).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn tenants_do_not_meet() {
    let service = TestService::<Audit>::start().await;
    let (mut one, mut two) = (client(&service, &TestCaller::owner()), client(&service, &TestCaller::owner()));
    let id = one.record(action("invoice.approved", "1")).await.unwrap().into_inner().audit_id;
    assert_eq!(listed(&mut two, ListRecordsRequest::default()).await, []);
    let foreign = two.get_record(GetRecordRequest { id: id.clone() }).await.unwrap_err();
    assert_eq!(foreign.code(), Code::NotFound);
    // The same id in another tenant is another record, in a chain of its own.
    two.record(RecordRequest { id, ..action("invoice.approved", "2") }).await.unwrap();
    for trail in [&mut one, &mut two] {
        let reply = verdict(trail).await;
        assert_eq!((reply.intact, reply.checked), (true, 1));
    }
    let nobody = client(&service, &TestCaller::nobody()).record(action("a.b", "1")).await.unwrap_err();
    assert_eq!(Problem::from_status(&nobody).slug(), "tenant-missing");
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_come_at_the_same_time_make_one_chain() {
    let service = TestService::<Audit>::start().await;
    let owner = TestCaller::owner();
    let writers: Vec<_> = (0..8)
        .map(|writer| {
            let mut trail = client(&service, &owner);
            tokio::spawn(async move {
                for number in 0..5 {
                    trail.record(action("invoice.approved", &format!("{writer}-{number}"))).await.unwrap();
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    let reply = verdict(&mut client(&service, &owner)).await;
    assert_eq!((reply.intact, reply.checked), (true, 40));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_trail_refuses_changes_and_verify_finds_a_forced_one() {
    let service = TestService::<Audit>::start().await;
    let mut trail = client(&service, &TestCaller::owner());
    for entity in ["1", "2", "3"] {
        trail.record(action("invoice.approved", entity)).await.unwrap();
    }
    let url = format!("sqlite://{}/audit.db", service.data().display());
    let intruder = Database::connect(&url).await.unwrap();
    for attempt in
        ["UPDATE trail SET user_id = 'nobody' WHERE sequence = 2", "DELETE FROM trail WHERE sequence = 3"]
    {
        let refused = intruder.system().execute(attempt, values![]).await.unwrap_err().to_string();
        assert!(refused.contains("append-only"), "{refused}");
    }
    assert!(verdict(&mut trail).await.intact);

    intruder.system().execute("DROP TRIGGER trail_is_never_changed", values![]).await.unwrap();
    let forge = "UPDATE trail SET after_text = replace(after_text, '12.5', '99.5') WHERE sequence = 2";
    assert_eq!(intruder.system().execute(forge, values![]).await.unwrap(), 1);
    let reply = verdict(&mut trail).await;
    assert_eq!((reply.intact, reply.checked, reply.broken_at_sequence), (false, 1, 2));
    assert!(reply.reason.contains("not what it was"), "{}", reply.reason);

    let back = "UPDATE trail SET after_text = replace(after_text, '99.5', '12.5') WHERE sequence = 2";
    intruder.system().execute(back, values![]).await.unwrap();
    assert!(verdict(&mut trail).await.intact, "what is as it was fits again");
    intruder.system().execute("DROP TRIGGER trail_is_never_deleted", values![]).await.unwrap();
    intruder.system().execute("DELETE FROM trail WHERE sequence = 2", values![]).await.unwrap();
    let reply = verdict(&mut trail).await;
    assert_eq!((reply.intact, reply.broken_at_sequence), (false, 2));
    assert!(reply.reason.contains("missing"), "{}", reply.reason);
}

#[test]
fn the_program_holds_no_statement_that_changes_or_removes_a_record() {
    fn sources(folder: &Path, found: &mut Vec<std::path::PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { sources(&path, found) } else { found.push(path) }
        }
    }
    let mut found = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    assert!(found.len() > 5, "the sources are where this test looks");
    for path in found {
        let text = fs::read_to_string(&path).unwrap().to_uppercase();
        for verb in ["UPDATE ", "DELETE FROM", "REPLACE INTO", "DROP TABLE"] {
            assert!(!text.contains(verb), "{} holds `{verb}`", path.display());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_yet_says_so() {
    let service = TestService::<Audit>::start().await;
    let mut trail = client(&service, &TestCaller::owner());
    let anonymize = trail.anonymize(AnonymizeRequest::default()).await.unwrap_err();
    assert_eq!(anonymize.code(), Code::Unimplemented);
}
