//! A replacement that starts first: nobody who asks the service meanwhile is left without an answer. On a real Engine.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod support;

use std::time::{Duration, Instant};

use bollard::Docker;
use bollard::container::LogOutput;
use bollard::query_parameters::LogsOptionsBuilder;
use futures::StreamExt;
use kernel_core::planner::PlanOptions;

use support::{Bench, client, converge, docker_compose, engine_host};

const PATIENCE: Duration = Duration::from_secs(60);

/// A server that says its version to everybody, and goes on for a second after it was told to end; and somebody who asks
/// it without a pause, each time anew by its name.
const COMPOSE: &str = r#"
services:
  web:
    image: IMAGE
    init: true
    stop_grace_period: 5s
    entrypoint:
      - perl
      - -MIO::Socket::INET
      - -e
      - |
        my $$end; $$SIG{TERM} = sub { $$end //= time + 2 };
        my $$s = IO::Socket::INET->new(LocalPort => 8080, Listen => 64, ReuseAddr => 1) or die;
        until ($$end and time >= $$end) {
          vec(my $$ready = '', fileno($$s), 1) = 1;
          next unless select($$ready, undef, undef, 0.1) > 0;
          my $$c = $$s->accept or next; print $$c "VERSION\n"; close $$c;
        }
    healthcheck:
      test: [CMD, perl, -MIO::Socket::INET, -e, "IO::Socket::INET->new('127.0.0.1:8080') or exit 1"]
      interval: 10s
  asker:
    image: IMAGE
    init: true
    entrypoint:
      - perl
      - -MIO::Socket::INET
      - -e
      - |
        $$| = 1; my $$last = '';
        for (;;) {
          my $$s = IO::Socket::INET->new(PeerAddr => 'web:8080', MultiHomed => 1, Timeout => 2);
          my $$said = $$s ? <$$s> : undef;
          $$said = "lost\n" unless defined $$said;
          print $$said if $$said ne $$last; $$last = $$said;
          select(undef, undef, undef, 0.01);
        }
    depends_on: { web: { condition: service_healthy } }
"#;

fn version(bench: &Bench, version: &str) {
    bench.write(&COMPOSE.replace("VERSION", version));
}

/// What the asker has heard so far, without repetitions.
async fn heard(docker: &Docker, bench: &Bench) -> Vec<String> {
    let options = LogsOptionsBuilder::new().stdout(true).stderr(true).build();
    let lines = docker.logs(&format!("{}-asker-1", bench.name), Some(options));
    let lines = lines.map(|line: Result<LogOutput, _>| line.unwrap().to_string());
    lines.collect::<Vec<_>>().await.concat().lines().map(str::to_owned).collect()
}

async fn until_heard(docker: &Docker, bench: &Bench, word: &str) -> Vec<String> {
    let begun = Instant::now();
    loop {
        let heard = heard(docker, bench).await;
        if heard.last().is_some_and(|last| last == word) {
            return heard;
        }
        assert!(begun.elapsed() < PATIENCE, "`{word}` is never heard: {heard:?}");
    }
}

#[tokio::test]
async fn a_rolling_replacement_loses_nobody() {
    let test = "a_rolling_replacement_loses_nobody";
    let Some(host) = engine_host(test) else { return };
    let bench = Bench::new(&host, "services: {}\n").await;
    let docker = client(&host);
    version(&bench, "one");
    bench.up().await;
    until_heard(&docker, &bench, "one").await;

    let engine = bench.engine().await;
    let rolling = PlanOptions { rolling: true, ..PlanOptions::default() };
    version(&bench, "two");
    let (plan, outcome, events) = converge(&engine, &bench.desired(&engine), &rolling).await;
    assert!(outcome.is_success(), "{plan}{outcome:#?}{events:#?}");
    let heard = until_heard(&docker, &bench, "two").await;
    assert!(!heard.contains(&"lost".to_owned()), "{heard:?}\n{plan}");
    let names = ["container PROJECT-asker-1", "container PROJECT-web-1", "network PROJECT_default"];
    assert_eq!(bench.everything().await, names, "nothing is left beside it");
    assert!(bench.up().await.is_empty(), "everything is as it should be");

    // One that ends at once, and with success, never takes the place of one that works.
    bench.write(&COMPOSE.replace("VERSION", "none").replacen("      - perl\n", "      - \"true\"\n", 1));
    let (_, outcome, _) = converge(&engine, &bench.desired(&engine), &rolling).await;
    assert!(!outcome.is_success());
    version(&bench, "two");
    let heard = until_heard(&docker, &bench, "two").await;
    assert!(!heard.contains(&"lost".to_owned()), "{heard:?}");
    bench.up().await;
    assert_eq!(bench.everything().await, names, "what was tried is gone");

    // docker compose finds its own stack.
    if let Some(program) = docker_compose(test) {
        let id = async || {
            let found = docker.inspect_container(&format!("{}-web-1", bench.name), None).await;
            found.unwrap().id
        };
        let before = id().await;
        bench.compose(&program, &host, &["up", "--detach", "--wait"]).await;
        assert_eq!(before, id().await, "docker compose replaces it");
    }

    // The usual way ends the old one first: whoever asks then is lost. So the asker would have told.
    version(&bench, "three");
    bench.up().await;
    let heard = until_heard(&docker, &bench, "three").await;
    assert!(heard.contains(&"lost".to_owned()), "{heard:?}");
}
