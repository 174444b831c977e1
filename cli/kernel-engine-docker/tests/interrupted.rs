//! Killed at any call, the next `up` or `down` does the rest and nothing is left over. Every changing call of the Engine
//! is cut once before it arrives and once after it was done.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod support;

use std::time::Duration;

use kernel_core::planner::{PlanOptions, plan};
use kernel_core::unit::Desired;
use kernel_engine::{Engine, Events, execute};
use support::proxy::{Cut, Proxy};
use support::{Bench, engine_host};
use tokio_util::sync::CancellationToken;

const FIRST: &str = r#"
services:
  db:
    image: IMAGE
    command: ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.1; done"]
    environment: { VERSION: "1" }
    healthcheck: { test: ["CMD", "true"], interval: 10s }
    volumes: [data:/data, /anonymous]
  web:
    image: IMAGE
    command: ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.1; done"]
    depends_on: { db: { condition: service_healthy, restart: true } }
    configs: [{ source: text, target: /text }]
    networks: [default, other]
configs: { text: { content: hello } }
networks: { other: }
volumes: { data: }
"#;

const ALL: [&str; 5] = [
    "container PROJECT-db-1",
    "container PROJECT-web-1",
    "network PROJECT_default",
    "network PROJECT_other",
    "volume PROJECT_data",
];

/// Carries out what is wanted through a wire that is cut. Says whether it was.
async fn cut_short(bench: &Bench, cut: Cut, down: bool) -> bool {
    let proxy = Proxy::start(&bench.host, cut);
    let engine = bench.engine_at(&proxy.host).await;
    let (desired, options) = if down {
        let options = PlanOptions { remove_data: true, ..PlanOptions::default() };
        (Desired::nothing(bench.name.clone()), options)
    } else {
        (bench.desired(&engine), PlanOptions::default())
    };
    let observed = engine.observe().await.unwrap();
    let plan = plan(&desired, &observed, &options).unwrap();
    let (events, _listener) = Events::channel();
    let run = async {
        execute(&engine, &plan, &events, &CancellationToken::new()).await;
    };
    // Dropping what is still under way is what a kill does. Whoever waits for health polls a dead wire.
    let killed = async {
        while !proxy.was_cut() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        () = run => proxy.was_cut(),
        () = killed => true,
    }
}

async fn walk(bench: &Bench, down: bool, mut prepare: impl AsyncFnMut(&Bench)) -> usize {
    let mut cuts = 0;
    for at in 1.. {
        let mut any = false;
        for cut in [Cut::Before(at), Cut::After(at)] {
            prepare(bench).await;
            if !cut_short(bench, cut, down).await {
                continue;
            }
            any = true;
            cuts += 1;
            if down {
                bench.down(true).await;
                assert_eq!(bench.everything().await, Vec::<String>::new(), "{cut:?}");
            } else {
                bench.up().await;
                assert_eq!(bench.everything().await, ALL, "{cut:?}");
                assert!(bench.up().await.is_empty(), "{cut:?}: a second look finds nothing to do");
            }
        }
        if !any {
            break;
        }
    }
    cuts
}

#[tokio::test]
async fn a_first_up_that_is_killed_goes_on() {
    let Some(host) = engine_host("a_first_up_that_is_killed_goes_on") else { return };
    let bench = Bench::new(&host, FIRST).await;
    let cuts = walk(&bench, false, async |bench| drop(bench.down(true).await)).await;
    assert!(cuts >= 16, "each of at least eight calls is cut twice: {cuts}");
    bench.down(true).await;
    assert_eq!(bench.everything().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_replacement_that_is_killed_goes_on() {
    let Some(host) = engine_host("a_replacement_that_is_killed_goes_on") else { return };
    let bench = Bench::new(&host, FIRST).await;
    let mut version = 1;
    bench.up().await;
    let cuts = walk(&bench, false, async |bench| {
        version += 1;
        bench.write(&FIRST.replace("VERSION: \"1\"", &format!("VERSION: \"{version}\"")));
    })
    .await;
    assert!(cuts >= 12, "create, stop, remove, rename, start of one and stop, start of the other: {cuts}");
    bench.down(true).await;
    assert_eq!(bench.everything().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_down_that_is_killed_goes_on() {
    let Some(host) = engine_host("a_down_that_is_killed_goes_on") else { return };
    let bench = Bench::new(&host, FIRST).await;
    let cuts = walk(&bench, true, async |bench| drop(bench.up().await)).await;
    assert!(cuts >= 14, "stop and remove of two, two networks, volumes: {cuts}");
    bench.down(true).await;
}
