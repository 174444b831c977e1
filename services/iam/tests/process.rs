//! The binary as a process: what it says of a wrong environment, how it stops, and what a kill leaves.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
};

use svc_api::iam::v1::{LoginRequest, RegisterRequest, TokenReply, auth_service_client::AuthServiceClient};
use svc_testkit::{CallerChannel, INTERNAL_TOKEN, TestCaller};
use tonic::transport::Endpoint;

/// The running binary. Dropped, it is killed.
struct Process {
    child: Child,
    /// Kept open: a process whose log nobody reads may block.
    log: BufReader<ChildStdout>,
    url: String,
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_iam"));
    command.env_clear();
    command
}

fn start(data: &Path) -> Process {
    let data = data.display();
    let mut child = command()
        .env("HOST", "127.0.0.1")
        .env("PORT", "0")
        .env("INTERNAL_TOKEN", INTERNAL_TOKEN)
        .env("DATABASE_URL", format!("sqlite://{data}/iam.db"))
        .env("SECRETS_URL", format!("sealed://{data}/secrets"))
        .env("CACHE_URL", "memory://")
        .env("EVENTS_URL", "http://127.0.0.1:1")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut log = BufReader::new(child.stdout.take().unwrap());
    let address = loop {
        let mut line = String::new();
        assert_ne!(log.read_line(&mut line).unwrap(), 0, "the process ended before it listened");
        let entry: serde_json::Value = serde_json::from_str(&line).expect("every line of the log is JSON");
        if entry["message"] == "listening" {
            break entry["address"].as_str().unwrap().to_owned();
        }
    };
    Process { child, log, url: format!("http://{address}") }
}

impl Process {
    fn client(&self) -> AuthServiceClient<CallerChannel> {
        let channel = Endpoint::from_shared(self.url.clone()).unwrap().connect_lazy();
        AuthServiceClient::new(CallerChannel::new(channel, TestCaller::nobody()))
    }

    async fn register(&self, email: &str) -> Result<TokenReply, tonic::Status> {
        let request = RegisterRequest {
            email: email.to_owned(),
            password: "correct horse battery".to_owned(),
            name: String::new(),
            organization: "Acme".to_owned(),
        };
        self.client().register(request).await.map(tonic::Response::into_inner)
    }
}

#[test]
fn a_wrong_environment_is_told_whole_with_exit_code_64() {
    let output = command().env("PORT", "http").env("DATABASE_URL", "oracle://x").output().unwrap();
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
    let mut process = start(folder.path());
    process.register("ada@example.com").await.unwrap();
    let id = process.child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    let rest: Vec<String> = (&mut process.log).lines().map(Result::unwrap).collect();
    assert_eq!(process.child.wait().unwrap().code(), Some(0), "{rest:#?}");
    assert!(rest.iter().any(|line| line.contains(r#""message":"stopped""#)), "{rest:#?}");
}

#[tokio::test]
async fn a_killed_process_loses_nothing_that_was_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let mut acknowledged = Vec::new();
    for round in 0..3 {
        let mut process = start(folder.path());
        for number in 0..2 {
            let email = format!("user-{round}-{number}@example.com");
            process.register(&email).await.unwrap();
            acknowledged.push(email);
        }
        // One more is on its way when the process dies; it may be there afterwards or not.
        let unlucky = format!("unlucky-{round}@example.com");
        let client = process.client();
        let in_flight = tokio::spawn(async move {
            let mut client = client;
            client
                .register(RegisterRequest {
                    email: unlucky,
                    password: "correct horse battery".to_owned(),
                    name: String::new(),
                    organization: "Acme".to_owned(),
                })
                .await
        });
        tokio::task::yield_now().await;
        process.child.kill().unwrap();
        process.child.wait().unwrap();
        let _ = in_flight.await.unwrap();
    }
    let process = start(folder.path());
    for email in acknowledged {
        let request =
            LoginRequest { email, password: "correct horse battery".to_owned(), mfa_code: String::new() };
        let reply = process.client().login(request).await.unwrap().into_inner();
        assert_eq!(reply.tenant.unwrap().name, "Acme");
    }
}
