//! The real process, killed again and again while it works: what it acknowledged is there, once.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use svc_api::audit::v1::audit_service_client::AuditServiceClient;
use svc_api::audit::v1::*;
use svc_testkit::{KilledService, Kills, TestCaller};
use uuid::Uuid;

#[tokio::test]
async fn the_chain_holds_whenever_the_process_is_killed() {
    let caller = TestCaller::owner();
    let mut service = KilledService::start(env!("CARGO_BIN_EXE_audit"), &[]).await;
    let acknowledged = service
        .write(Kills::default(), async |target, turn| {
            let record = RecordRequest {
                id: Uuid::now_v7().to_string(),
                action: "invoice.approved".to_owned(),
                entity_type: "invoice".to_owned(),
                entity_id: turn.number.to_string(),
                ..RecordRequest::default()
            };
            let ask = async |channel| AuditServiceClient::new(channel).record(record.clone()).await;
            Some(target.persist("record", &caller, ask).await.audit_id)
        })
        .await;

    let target = service.target();
    let verify = async |channel| AuditServiceClient::new(channel).verify_chain(VerifyChainRequest {}).await;
    let verdict = target.persist("the verdict", &caller, verify).await;
    let recorded = i64::try_from(acknowledged.len()).unwrap();
    assert_eq!((verdict.intact, verdict.checked), (true, recorded), "{}", verdict.reason);
    for id in acknowledged {
        let get = async |channel| {
            AuditServiceClient::new(channel).get_record(GetRecordRequest { id: id.clone() }).await
        };
        assert_eq!(target.persist("a record", &caller, get).await.audit_id, id);
    }
}
