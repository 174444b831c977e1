//! What a person waits for, measured over the built binary: `cargo bench --package kernel --bench platform`.
//!
//! Release builds on the local engine. Each figure stands beside a floor or a peer that was measured in the same run,
//! so that a slow machine shows in both. The load generator shares the machine's cores with the platform.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, missing_docs)]

#[path = "../e2e/support.rs"]
mod support;

use std::process::Command;
use std::time::{Duration, Instant};

use reqwest::{Client, Method, StatusCode};
use serde_json::Value;

use support::{Platform, root};

const SERVICES: [&str; 12] = [
    "audit",
    "billing",
    "data-layer",
    "domain-resolver",
    "event-bus",
    "files",
    "gateway",
    "iam",
    "integration-hub",
    "module-registry",
    "money",
    "notify",
];

/// Requests in flight.
const CONNECTIONS: usize = 16;

/// Tenants that share the load: one alone would meet its rate limit of 1,000 a minute.
const TENANTS: usize = 60;

/// Requests of one load run, below what the tenants may send in a minute.
const REQUESTS: usize = 50_000;

fn main() {
    // `cargo test --benches` runs this too, and wants to know only that it starts.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    build();
    println!("machine: {}", machine());
    let platform = Platform::new("bench");
    commands(&platform);
    tokio::runtime::Runtime::new().unwrap().block_on(requests(&platform));
}

/// Builds the services once and has `kernel` take them as they are, so that no figure holds a compiler.
fn build() {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--release"]).current_dir(root());
    for service in SERVICES {
        cargo.args(["--package", service]);
    }
    assert!(cargo.status().unwrap().success(), "the services do not build");
}

fn commands(platform: &Platform) {
    let cold = (0..5).map(|_| {
        platform.kernel(&["down", "--volumes"]);
        time(|| run(platform, &["up"]))
    });
    row("up, cold, to all twelve ready", cold.collect());
    let start = (0..20).map(|_| time(|| run(platform, &["--version"]))).collect();
    let start = row("  floor: the binary starts and says its version", start);
    let again = (0..20).map(|_| time(|| run(platform, &["up"]))).collect();
    let again = row("up again, nothing to do", again);
    println!("  {:.1} × the floor", again.as_secs_f64() / start.as_secs_f64());
    row("smoke, all services, all scenarios", (0..5).map(|_| time(|| run(platform, &["smoke"]))).collect());
}

fn run(platform: &Platform, arguments: &[&str]) {
    let directory = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), Into::into);
    let output =
        platform.command(arguments).env("KERNEL_BIN_DIR", directory.join("release")).output().unwrap();
    assert!(output.status.success(), "{}", support::describe(&output));
}

fn time(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

/// Prints minimum, median and maximum; gives the median.
fn row(what: &str, mut times: Vec<Duration>) -> Duration {
    times.sort();
    let median = times[times.len() / 2];
    let (first, last) = (times[0], times[times.len() - 1]);
    println!("{what}: median {median:.1?} (min {first:.1?}, max {last:.1?}, n = {})", times.len());
    median
}

async fn requests(platform: &Platform) {
    let mut tokens = Vec::new();
    for _ in 0..TENANTS {
        tokens.push(platform.register("bench").await.token);
    }
    let floor = load(format!("{}/health/live", platform.address(8081)), &[]).await;
    println!("  floor: iam /health/live, {floor}");
    let me = load(format!("{}/v1/auth/me", platform.address(8080)), &tokens).await;
    println!("gateway → iam, GET /v1/auth/me with a token: {me}");
}

/// Rate and latency of one closed-loop run.
async fn load(url: String, tokens: &[String]) -> String {
    let client = Client::builder().pool_max_idle_per_host(CONNECTIONS).build().unwrap();
    let start = Instant::now();
    let workers = (0..CONNECTIONS).map(|worker| {
        let (client, url, tokens) = (client.clone(), url.clone(), tokens.to_vec());
        tokio::spawn(async move {
            let mut times = Vec::with_capacity(REQUESTS / CONNECTIONS);
            for index in 0..REQUESTS / CONNECTIONS {
                let mut request = client.request(Method::GET, &url);
                if let Some(token) = tokens.get((index * CONNECTIONS + worker) % tokens.len().max(1)) {
                    request = request.bearer_auth(token);
                }
                let start = Instant::now();
                let response = request.send().await.unwrap();
                let status = response.status();
                let body: Value = response.json().await.unwrap_or_default();
                times.push(start.elapsed());
                assert_eq!(status, StatusCode::OK, "{body}");
            }
            times
        })
    });
    let mut times = Vec::new();
    for worker in workers.collect::<Vec<_>>() {
        times.extend(worker.await.unwrap());
    }
    let rate = times.len() as f64 / start.elapsed().as_secs_f64();
    times.sort();
    let at = |share: f64| times[(times.len() as f64 * share) as usize];
    format!(
        "{rate:.0} requests/s, p50 {:.1?}, p99 {:.1?} ({CONNECTIONS} in flight, {} requests, no errors)",
        at(0.5),
        at(0.99),
        times.len()
    )
}

fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let field = |file: &str, name: &str| {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default().to_owned();
        line.split(':').nth(1).unwrap_or("unknown").trim().to_owned()
    };
    format!(
        "{cores} cores ({}), {}",
        field("/proc/cpuinfo", "model name"),
        field("/proc/meminfo", "MemTotal")
    )
}
