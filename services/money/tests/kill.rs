//! The real process, killed at random moments: what it acknowledged is there, once.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rand::Rng as _;
use svc_api::money::v1::money_service_client::MoneyServiceClient;
use svc_api::money::v1::*;
use svc_testkit::{INTERNAL_TOKEN, TestCaller, wait_for};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use uuid::Uuid;

/// A running process. Dropping it kills it as hard as it can be killed.
struct Process(Child);

impl Process {
    fn start(data: &Path, port: u16) -> Process {
        let child = Command::new(env!("CARGO_BIN_EXE_money"))
            .env_clear()
            .env("HOST", "127.0.0.1")
            .env("PORT", port.to_string())
            .env("INTERNAL_TOKEN", INTERNAL_TOKEN)
            .env("DATABASE_URL", format!("sqlite://{}/money.db", data.display()))
            .env("EVENTS_URL", "http://127.0.0.1:1")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the binary starts");
        Process(child)
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
    let mut candidates = (0..1000).map(|_| rand::rng().random_range(20_000..32_000));
    let free = candidates.find(|port| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok());
    free.expect("one of a thousand ports is free")
}

fn request<T>(caller: &TestCaller, message: T, key: Uuid) -> Request<T> {
    let headers = caller.clone().with_idempotency_key(key.to_string()).headers();
    let mut request = Request::from_parts(
        tonic::metadata::MetadataMap::from_headers(headers),
        tonic::Extensions::default(),
        message,
    );
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
async fn what_was_acknowledged_is_there_once_whenever_the_process_is_killed() {
    let data = tempfile::tempdir().unwrap();
    let port = free_port();
    let caller = TestCaller::owner();
    let channel: Channel = Endpoint::try_from(format!("http://127.0.0.1:{port}")).unwrap().connect_lazy();
    let client = MoneyServiceClient::new(channel);
    let mut process = Process::start(data.path(), port);

    let (key, create) =
        (Uuid::now_v7(), CreateWalletRequest { currency: "EUR".to_owned(), ..Default::default() });
    let wallet = persist("a wallet", || {
        let (mut client, request) = (client.clone(), request(&caller, create.clone(), key));
        async move { client.create_wallet(request).await }
    })
    .await
    .id;

    let stream = tokio::spawn({
        let (client, caller, id) = (client.clone(), caller.clone(), wallet.clone());
        async move {
            for number in 0..60 {
                let (key, id) = (Uuid::now_v7(), id.clone());
                persist(&format!("credit {number}"), || {
                    let message = CreditRequest { id: id.clone(), amount: 1, ..Default::default() };
                    let (mut client, request) = (client.clone(), request(&caller, message, key));
                    async move { client.credit(request).await }
                })
                .await;
            }
        }
    });
    let mut kills = 0;
    while !stream.is_finished() && kills < 5 {
        // The moment is what is random here; nothing is waited for.
        let moment = Duration::from_millis(rand::rng().random_range(5..120));
        tokio::time::sleep(moment).await;
        drop(process);
        process = Process::start(data.path(), port);
        kills += 1;
    }
    stream.await.unwrap();
    assert!(kills >= 1, "it was killed at least once");

    let balance = persist("the balance", || {
        let message = GetBalanceRequest { id: wallet.clone() };
        let (mut client, request) = (client.clone(), request(&caller, message, Uuid::now_v7()));
        async move { client.get_balance(request).await }
    })
    .await;
    assert_eq!((balance.available, balance.frozen), (60, 0));
}
