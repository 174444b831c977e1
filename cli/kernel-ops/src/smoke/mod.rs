//! `smoke`: every service is alive, ready, serves gRPC, and does its job. All checks run at the same time.

pub mod plan;
mod probe;
mod provider;
mod report;
mod runner;
pub mod scenario;
mod variables;

use std::error::Error;
use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use kernel_core::event::{CheckResult, Event, Verdict};
use kernel_core::name::ServiceName;
use kernel_core::plan::Subject as Unit;
use kernel_engine::{Engine, Events};
use tokio_util::sync::CancellationToken;

pub use self::report::SmokeReport;
use self::scenario::Scenario;

/// Time between two tries of a check.
const PACE: Duration = Duration::from_millis(250);

/// What is checked.
#[derive(Clone, Debug)]
pub struct SmokeSettings {
    /// Where the REST of the platform is answered: `http://127.0.0.1:8080`.
    pub gateway: String,
    /// The services.
    pub services: Vec<Subject>,
    /// How long a check may fail before that counts.
    pub retry_for: Duration,
}

/// One service to check.
#[derive(Clone, Debug)]
pub struct Subject {
    /// Its name.
    pub name: ServiceName,
    /// Where it answers by itself: `http://127.0.0.1:8081`. Without it only its scenario is run.
    pub address: Option<String>,
    /// What it must be able to do, with the scenario's name.
    pub scenario: Option<(String, Scenario)>,
}

/// What was expected and what came.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Mismatch {
    expected: String,
    actual: String,
}

/// One thing to find out.
#[derive(Clone, Debug)]
enum Check {
    Live(String),
    Ready(String),
    Grpc(String),
    Scenario(String, Box<Scenario>),
}

/// Runs every check; gives the results in the order of the services. Stops early, with what is known, when `cancel`
/// is cancelled.
pub async fn run(settings: &SmokeSettings, events: &Events, cancel: &CancellationToken) -> Vec<CheckResult> {
    // A proxy of this machine has no way to services on 127.0.0.1.
    let client = reqwest::Client::builder().no_proxy().build().unwrap_or_default();
    let mut running = FuturesUnordered::new();
    for (place, subject) in settings.services.iter().enumerate() {
        for (order, check) in checks(subject).into_iter().enumerate() {
            events.emit(Event::CheckStarted { service: subject.name.clone(), check: check.name() });
            let work = judge(&client, settings, subject.name.clone(), check);
            running.push(async move { ((place, order), work.await) });
        }
    }
    let mut results = Vec::new();
    loop {
        let next = tokio::select! {
            next = running.next() => next,
            () = cancel.cancelled() => None,
        };
        let Some((place, result)) = next else { break };
        events.emit(Event::CheckFinished(result.clone()));
        results.push((place, result));
    }
    results.sort_by_key(|(place, _)| *place);
    results.into_iter().map(|(_, result)| result).collect()
}

/// The names of the checks of a service.
#[must_use]
pub fn names(subject: &Subject) -> Vec<String> {
    checks(subject).iter().map(Check::name).collect()
}

/// All results together.
#[must_use]
pub fn report(settings: &SmokeSettings, checks: Vec<CheckResult>, interrupted: bool) -> SmokeReport {
    let passed = !interrupted && checks.iter().all(|check| check.verdict == Verdict::Passed);
    let gateway = settings.gateway.clone();
    SmokeReport { schema: "kernel.smoke/v1", gateway, passed, interrupted, checks }
}

/// Adds to every failed check what its service said last.
pub async fn add_last_lines(results: &mut [CheckResult], engine: &dyn Engine) {
    for result in results.iter_mut().filter(|result| result.verdict == Verdict::Failed) {
        result.last_lines = engine.evidence(&Unit::Service(result.service.clone())).await;
    }
}

fn checks(subject: &Subject) -> Vec<Check> {
    let mut checks = Vec::new();
    if let Some(address) = &subject.address {
        checks.extend([
            Check::Live(address.clone()),
            Check::Ready(address.clone()),
            Check::Grpc(address.clone()),
        ]);
    }
    if let Some((name, scenario)) = &subject.scenario {
        checks.push(Check::Scenario(name.clone(), Box::new(scenario.clone())));
    }
    checks
}

async fn judge(
    client: &reqwest::Client,
    settings: &SmokeSettings,
    service: ServiceName,
    check: Check,
) -> CheckResult {
    let begun = Instant::now();
    let mut attempts = 0;
    let outcome = loop {
        attempts += 1;
        let outcome = check.run(client, &settings.gateway).await;
        if outcome.is_ok() || begun.elapsed() >= settings.retry_for {
            break outcome;
        }
        tokio::time::sleep(PACE.min(settings.retry_for.saturating_sub(begun.elapsed()))).await;
    };
    let mismatch = outcome.err();
    CheckResult {
        service,
        check: check.name(),
        verdict: if mismatch.is_none() { Verdict::Passed } else { Verdict::Failed },
        elapsed_ms: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
        attempts,
        expected: mismatch.as_ref().map(|mismatch| mismatch.expected.clone()),
        actual: mismatch.map(|mismatch| mismatch.actual),
        last_lines: Vec::new(),
    }
}

impl Check {
    fn name(&self) -> String {
        match self {
            Self::Live(_) => "live".to_owned(),
            Self::Ready(_) => "ready".to_owned(),
            Self::Grpc(_) => "grpc-health".to_owned(),
            Self::Scenario(..) => "scenario".to_owned(),
        }
    }

    async fn run(&self, client: &reqwest::Client, gateway: &str) -> Result<(), Mismatch> {
        match self {
            Self::Live(address) => probe::http(client, address, "/health/live").await,
            Self::Ready(address) => probe::http(client, address, "/health/ready").await,
            Self::Grpc(address) => probe::grpc(address).await,
            Self::Scenario(name, scenario) => runner::run(client, gateway, name, scenario).await,
        }
    }
}

/// An error with what led to it, in one line.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let words = error.to_string();
        if !text.contains(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        cause = error.source();
    }
    text
}

/// The beginning of a text, in one line.
fn short(text: &str) -> String {
    const MOST: usize = 400;
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= MOST { line } else { line.chars().take(MOST).collect::<String>() + "…" }
}
