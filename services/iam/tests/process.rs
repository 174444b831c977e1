//! The binary as a process: what it says of a wrong environment, how it stops, and what a kill leaves.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::process::Command;

use svc_api::iam::v1::{LoginRequest, RegisterRequest, TokenReply, auth_service_client::AuthServiceClient};
use svc_testkit::{CallerChannel, KilledService, Kills, ServiceProcess, TestCaller};
use tonic::{Code, Status, transport::Endpoint};

const BINARY: &str = env!("CARGO_BIN_EXE_iam");
const PASSWORD: &str = "correct horse battery";

async fn register(channel: CallerChannel, email: &str) -> Result<TokenReply, Status> {
    let request = RegisterRequest {
        email: email.to_owned(),
        password: PASSWORD.to_owned(),
        name: String::new(),
        organization: "Acme".to_owned(),
    };
    AuthServiceClient::new(channel).register(request).await.map(tonic::Response::into_inner)
}

#[test]
fn a_wrong_environment_is_told_whole_with_exit_code_64() {
    let mut command = Command::new(BINARY);
    command.env_clear().env("PORT", "http").env("DATABASE_URL", "oracle://x");
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(64));
    let said = String::from_utf8(output.stderr).unwrap();
    for name in ["PORT", "INTERNAL_TOKEN", "DATABASE_URL", "SECRETS_URL", "CACHE_URL", "EVENTS_URL"] {
        assert!(said.contains(name), "{name} is missing in\n{said}");
    }
    assert!(output.stdout.is_empty());
}

#[tokio::test]
async fn a_terminated_process_drains_and_exits_with_0() {
    let folder = tempfile::tempdir().unwrap();
    let process = ServiceProcess::start(BINARY, folder.path(), &[]).await;
    let channel = Endpoint::from_shared(process.url().to_owned()).unwrap().connect_lazy();
    register(CallerChannel::new(channel, TestCaller::nobody()), "ada@example.com").await.unwrap();
    let (status, rest) = process.terminate().await;
    assert_eq!(status.code(), Some(0), "{rest:#?}");
    assert!(rest.iter().any(|line| line.contains(r#""message":"stopped""#)), "{rest:#?}");
}

#[tokio::test]
async fn a_killed_process_loses_nothing_that_was_acknowledged() {
    let nobody = TestCaller::nobody();
    let mut service = KilledService::start(BINARY, &[]).await;
    // Few: a password takes its time.
    let kills = Kills { times: 3, most_acknowledged: 3, writers: 2 };
    let acknowledged = service
        .write(kills, async |target, turn| {
            let email = format!("user-{}-{}@example.com", turn.writer, turn.number);
            match register(target.channel(&nobody).await, &email).await {
                Ok(_) => Some(email),
                // Gone before it answered: the account may be there or not.
                Err(status) => {
                    let gone = [Code::Unavailable, Code::Unknown, Code::Cancelled];
                    assert!(gone.contains(&status.code()), "{status:?}");
                    None
                }
            }
        })
        .await;

    let target = service.target();
    for email in acknowledged {
        let login = LoginRequest { email, password: PASSWORD.to_owned(), mfa_code: String::new() };
        let login = async |channel| AuthServiceClient::new(channel).login(login.clone()).await;
        assert_eq!(target.persist("a login", &nobody, login).await.tenant.unwrap().name, "Acme");
    }
}
