//! The real process, killed again and again while it works: what it acknowledged is there, once.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use svc_api::audit::v1::audit_service_client::AuditServiceClient;
use svc_api::audit::v1::*;
use svc_testkit::{INTERNAL_TOKEN, TestCaller, wait_for};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use uuid::Uuid;

const RECORDS: i64 = 60;

/// A running process. Dropping it kills it as hard as it can be killed.
struct Process(Child);

impl Process {
    fn start(data: &Path, port: u16) -> Self {
        let child = Command::new(env!("CARGO_BIN_EXE_audit"))
            .env_clear()
            .env("HOST", "127.0.0.1")
            .env("PORT", port.to_string())
            .env("INTERNAL_TOKEN", INTERNAL_TOKEN)
            .env("DATABASE_URL", format!("sqlite://{}/audit.db", data.display()))
            .env("EVENTS_URL", "http://127.0.0.1:1")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the binary starts");
        Self(child)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A port that nobody holds now, below those that the system gives to outgoing connections, so that the process can
/// take it again after each kill.
fn free_port() -> u16 {
    let start = std::process::id() % 12_000;
    let mut candidates =
        (0..12_000).filter_map(|step| u16::try_from(20_000 + (start + step * 37) % 12_000).ok());
    let free = candidates.find(|port| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok());
    free.expect("one of twelve thousand ports is free")
}

fn request<T>(caller: &TestCaller, message: T) -> Request<T> {
    let metadata = tonic::metadata::MetadataMap::from_headers(caller.headers());
    let mut request = Request::from_parts(metadata, tonic::Extensions::default(), message);
    request.set_timeout(Duration::from_secs(5));
    request
}

/// Asks until the process answers, as a client does that wants to know.
async fn persist<T, F>(what: &str, ask: impl Fn() -> F) -> T
where
    F: Future<Output = Result<tonic::Response<T>, Status>>,
{
    wait_for(what, || async {
        match ask().await {
            Ok(reply) => Some(reply.into_inner()),
            Err(status) => {
                let gone = [Code::Unavailable, Code::Unknown, Code::Cancelled, Code::DeadlineExceeded];
                assert!(gone.contains(&status.code()), "{what}: {status:?}");
                None
            }
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_chain_holds_whenever_the_process_is_killed() {
    let data = tempfile::tempdir().unwrap();
    let port = free_port();
    let caller = TestCaller::owner();
    let channel: Channel = Endpoint::try_from(format!("http://127.0.0.1:{port}")).unwrap().connect_lazy();
    let client = AuditServiceClient::new(channel);
    let mut process = Process::start(data.path(), port);
    let work = tokio::spawn({
        let (client, caller) = (client.clone(), caller.clone());
        async move {
            for number in 0..RECORDS {
                let record = RecordRequest {
                    id: Uuid::now_v7().to_string(),
                    action: "invoice.approved".to_owned(),
                    entity_type: "invoice".to_owned(),
                    entity_id: number.to_string(),
                    ..RecordRequest::default()
                };
                persist("record", || {
                    let (mut client, request) = (client.clone(), request(&caller, record.clone()));
                    async move { client.record(request).await }
                })
                .await;
            }
        }
    });
    let mut kills = 0;
    // The moments are what matters here; nothing is waited for.
    for moment in [40, 7, 120, 19, 75].into_iter().map(Duration::from_millis) {
        if work.is_finished() {
            break;
        }
        tokio::time::sleep(moment).await;
        drop(process);
        process = Process::start(data.path(), port);
        kills += 1;
    }
    work.await.unwrap();
    assert!(kills >= 1, "it was killed at least once");

    let verdict = persist("the verdict", || {
        let (mut client, request) = (client.clone(), request(&caller, VerifyChainRequest {}));
        async move { client.verify_chain(request).await }
    })
    .await;
    assert_eq!((verdict.intact, verdict.checked), (true, RECORDS), "{}", verdict.reason);
}
