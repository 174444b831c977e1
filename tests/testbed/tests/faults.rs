//! Every fault is done to a real part and seen by a real client, and undone.
//!
//! Needs a testbed that is up: `cargo xtask testbed up --only valkey`, then `eval "$(cargo xtask testbed env)"`.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::time::Duration;

use testbed::Fault;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Within this an undisturbed server has long answered, and a disturbed one has not.
const MOMENT: Duration = Duration::from_secs(1);
/// How long anything may take that is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// Says 64 KiB to the server and gives back what it answers in this time.
async fn echo(address: &str, password: &str, limit: Duration) -> Option<usize> {
    const SIZE: usize = 64 * 1024;
    let work = async {
        let mut stream = TcpStream::connect(address).await.ok()?;
        let request = format!("AUTH {password}\r\n*2\r\n$4\r\nECHO\r\n${SIZE}\r\n{}\r\n", "x".repeat(SIZE));
        stream.write_all(request.as_bytes()).await.ok()?;
        let expected = "+OK\r\n".len() + format!("${SIZE}\r\n").len() + SIZE + 2;
        let mut answer = vec![0; expected];
        stream.read_exact(&mut answer).await.ok()
    };
    timeout(limit, work).await.ok().flatten()
}

#[tokio::test]
async fn faults_are_felt_by_clients_and_can_be_undone() {
    let (Ok(address), Ok(password)) =
        (std::env::var("TEST_VALKEY_ADDR"), std::env::var("TEST_VALKEY_PASSWORD"))
    else {
        println!(
            "left out: faults_are_felt_by_clients_and_can_be_undone needs the testbed's valkey (docs/testing.md)"
        );
        return;
    };
    let answers = async || echo(&address, &password, PATIENCE).await.is_some();
    let is_silent = async || echo(&address, &password, MOMENT).await.is_none();
    let valkey = Fault::of("valkey").await.unwrap();
    assert!(answers().await, "the part is well before anything is done to it");

    valkey.pause().await.unwrap();
    assert!(is_silent().await, "a frozen server says nothing");
    valkey.resume().await.unwrap();
    assert!(answers().await);

    valkey.cut().await.unwrap();
    assert!(is_silent().await, "nothing comes through a link that is down");
    valkey.heal().await.unwrap();
    assert!(answers().await);

    // 64 KiB at 64 kbit/s take eight seconds.
    valkey.slow().await.unwrap();
    assert!(is_silent().await, "the answer does not fit through the pipe in this time");
    assert!(answers().await, "a slow server answers all the same");
    valkey.heal().await.unwrap();
    assert!(!is_silent().await);

    valkey.stop().await.unwrap();
    assert!(TcpStream::connect(&address).await.is_err(), "a stopped server has no port");
    valkey.start().await.unwrap();
    assert!(answers().await);

    valkey.kill().await.unwrap();
    assert!(TcpStream::connect(&address).await.is_err());
    valkey.start().await.unwrap();
    valkey.restart().await.unwrap();
    assert!(answers().await);
}

#[tokio::test]
async fn a_part_that_does_not_exist_is_told_with_those_that_do() {
    let failure = Fault::of("oracle").await.unwrap_err();
    assert_eq!(failure.message, "there is no part `oracle`");
    assert!(failure.help.unwrap().contains("postgres, valkey, kafka"));
}
