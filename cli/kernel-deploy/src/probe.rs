//! The proof that a rollout loses nothing: requests in an open loop, from its first write to its end, each of them
//! counted. A lane of its own asks the cluster's API at the same time, to tell our network's faults from the deploy's.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use kernel_manifests::environment::ProbeAddress;
use kube::Client as Cluster;
use reqwest::Client;
use serde::Serialize;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};

use crate::codes;
use crate::fault::Fault;
use crate::targets::Target;

/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(2);
/// How often the lane of its own asks.
const CONTROL: Duration = Duration::from_millis(100);
/// How long requests go on after the last pod is ready: until the last one of the old version is surely out of use.
const AFTERMATH: Duration = Duration::from_secs(2);
/// How long it has to be well before anything is changed.
const BASELINE: Duration = Duration::from_millis(500);

/// What is asked, and how often.
#[derive(Clone, Debug)]
pub struct ProbeSettings {
    /// Addresses.
    pub addresses: Vec<ProbeAddress>,
    /// Also every service whose pods are replaced, through the cluster's API.
    pub services: bool,
    /// Requests a second, all that are asked together.
    pub rate: u32,
}

/// One request that got no good answer although the network is well.
#[derive(Clone, Debug, Serialize)]
pub struct Loss {
    /// When it was sent.
    #[serde(serialize_with = "text")]
    pub at: Timestamp,
    /// Who was asked.
    pub url: String,
    /// On which connection: `new` or `kept`; those to the cluster's API are kept.
    pub connection: &'static str,
    /// What came instead of an answer.
    pub why: String,
}

/// What came of all requests.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Proof {
    /// So many were sent.
    pub requests: u64,
    /// Those that were lost. The first one ends the deploy, so there are seldom many.
    pub lost: Vec<Loss>,
    /// Those that failed while our own network did.
    pub unconfirmed: u64,
    /// Half of all answers took no longer, in milliseconds from the moment they were due.
    pub p50_ms: f64,
    /// 99 of 100 took no longer.
    pub p99_ms: f64,
    /// The share of requests that may be lost in truth, with 95 % certainty, when none was seen: three by their number.
    pub bound_95: f64,
}

impl Proof {
    /// One sentence.
    #[must_use]
    pub fn sentence(&self) -> String {
        let Self { requests, p50_ms, p99_ms, .. } = self;
        let lost = self.lost.len();
        let bound = if lost == 0 && *requests > 0 {
            format!("; with 95 % certainty fewer than 1 in {} are", (1.0 / self.bound_95) as u64)
        } else {
            String::new()
        };
        let unsure = match self.unconfirmed {
            0 => String::new(),
            count => format!("; {count} more failed while our own network did"),
        };
        format!("{requests} requests, {lost} lost{bound}{unsure} (p50 {p50_ms:.1} ms, p99 {p99_ms:.1} ms)")
    }
}

/// Requests that are under way until [`Prober::end`].
pub struct Prober {
    shared: Arc<Shared>,
    tasks: JoinSet<()>,
}

#[derive(Default)]
struct Shared {
    sent: AtomicU64,
    found: Mutex<Found>,
    lost: Notify,
}

#[derive(Default)]
struct Found {
    lost: Vec<Loss>,
    unconfirmed: u64,
    latencies_us: Vec<u32>,
    /// When the lane of its own last failed.
    trouble: Option<Instant>,
}

impl Shared {
    fn found(&self) -> MutexGuard<'_, Found> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Prober {
    /// Begins to ask by turns, `rate` times a second, and looks for a moment whether everything is well before anything is
    /// changed.
    ///
    /// # Errors
    /// When it is not: what would be lost then says nothing about the deploy.
    pub(crate) async fn begin(targets: Vec<Target>, rate: u32, cluster: &Cluster) -> Result<Self, Fault> {
        let shared: Arc<Shared> = Arc::default();
        let mut tasks = JoinSet::new();
        tasks.spawn(control(cluster.clone(), Arc::clone(&shared)));
        tasks.spawn(ask(targets, rate, cluster.clone(), Arc::clone(&shared)));
        let prober = Self { shared, tasks };
        let failed = tokio::time::timeout(BASELINE, prober.first_loss()).await.is_ok();
        if !failed {
            return Ok(prober);
        }
        let first = prober.shared.found().lost.first().cloned();
        let (url, why) = first.map_or_else(Default::default, |loss| (loss.url, loss.why));
        let message = format!("{url} does not answer well before anything is changed: {why}");
        Err(Fault::new(codes::NO_BASELINE, message)
            .help("mend that first, probe another address, or deploy without `--probe`"))
    }

    /// Comes back when a request is lost.
    pub async fn first_loss(&self) {
        loop {
            let mut lost = std::pin::pin!(self.shared.lost.notified());
            lost.as_mut().enable();
            if !self.shared.found().lost.is_empty() {
                return;
            }
            lost.await;
        }
    }

    /// Goes on for a moment when all is well, then ends.
    pub async fn end(mut self) -> Proof {
        drop(tokio::time::timeout(AFTERMATH, self.first_loss()).await);
        self.tasks.shutdown().await;
        let mut found = self.shared.found();
        let mut latencies = std::mem::take(&mut found.latencies_us);
        latencies.sort_unstable();
        let at = |share: f64| {
            let index = ((latencies.len() as f64) * share) as usize;
            latencies
                .get(index.min(latencies.len().saturating_sub(1)))
                .map_or(0.0, |us| f64::from(*us) / 1000.0)
        };
        let requests = self.shared.sent.load(Ordering::Relaxed);
        Proof {
            requests,
            lost: std::mem::take(&mut found.lost),
            unconfirmed: found.unconfirmed,
            p50_ms: at(0.5),
            p99_ms: at(0.99),
            bound_95: if requests == 0 { 1.0 } else { 3.0 / requests as f64 },
        }
    }
}

/// The lane of its own.
async fn control(cluster: Cluster, shared: Arc<Shared>) {
    let mut pace = tokio::time::interval(CONTROL);
    pace.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        pace.tick().await;
        if !is_reached(&cluster).await {
            shared.found().trouble = Some(Instant::now());
        }
    }
}

async fn is_reached(cluster: &Cluster) -> bool {
    matches!(tokio::time::timeout(ANSWER, cluster.apiserver_version()).await, Ok(Ok(_)))
}

/// Every request at its time, whatever became of those before: on a new connection and on one that is kept, by turns.
async fn ask(targets: Vec<Target>, rate: u32, cluster: Cluster, shared: Arc<Shared>) {
    let (Ok(fresh), Ok(kept)) = (Lane::new("new", 0), Lane::new("kept", usize::MAX)) else { return };
    let lanes = [fresh, kept];
    let mut pace = tokio::time::interval(Duration::from_secs(1) / rate.max(1));
    pace.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut requests = JoinSet::new();
    let mut number = 0_usize;
    loop {
        let due = pace.tick().await;
        let lane = lanes[number % lanes.len()].clone();
        let target = targets[(number / lanes.len()) % targets.len()].clone();
        number += 1;
        shared.sent.fetch_add(1, Ordering::Relaxed);
        requests.spawn(one(lane, target, due, cluster.clone(), Arc::clone(&shared)));
        while requests.try_join_next().is_some() {}
    }
}

/// How addresses are asked.
#[derive(Clone)]
struct Lane {
    connection: &'static str,
    http: Client,
    /// For gRPC, which begins with HTTP/2 where nothing is encrypted.
    grpc: Client,
}

impl Lane {
    fn new(connection: &'static str, kept: usize) -> reqwest::Result<Self> {
        let client = || {
            Client::builder()
                .timeout(ANSWER)
                .pool_max_idle_per_host(kept)
                .redirect(reqwest::redirect::Policy::none())
        };
        Ok(Self { connection, http: client().build()?, grpc: client().http2_prior_knowledge().build()? })
    }

    async fn ask(&self, url: &str) -> Result<(), String> {
        match url.strip_prefix("grpc") {
            Some(rest) => ask_health(&self.grpc, &format!("http{rest}")).await,
            None => ask_address(&self.http, url).await,
        }
    }
}

async fn one(lane: Lane, target: Target, due: Instant, cluster: Cluster, shared: Arc<Shared>) {
    let at = Timestamp::now();
    let (connection, why) = match &target {
        Target::Address(address) => (lane.connection, lane.ask(address.as_str()).await.err()),
        Target::Service { path, .. } => ("kept", ask_service(&cluster, path).await.err()),
    };
    let Some(why) = why else {
        let taken = u32::try_from(due.elapsed().as_micros()).unwrap_or(u32::MAX);
        return shared.found().latencies_us.push(taken);
    };
    let reached = is_reached(&cluster).await;
    let mut found = shared.found();
    let trouble = found.trouble.is_some_and(|last| last + ANSWER >= due);
    if reached && !trouble {
        found.lost.push(Loss { at, url: target.to_string(), connection, why });
        drop(found);
        shared.lost.notify_waiters();
    } else {
        found.unconfirmed += 1;
    }
}

/// Why it did not answer. Whoever refuses a request as wrong has answered it.
async fn ask_address(client: &Client, url: &str) -> Result<(), String> {
    let answered = async { client.get(url).send().await?.error_for_status()?.bytes().await };
    match answered.await {
        Ok(_) => Ok(()),
        Err(error) if error.status().is_some_and(|status| status.is_client_error()) => Ok(()),
        Err(error) => Err(innermost(&error)),
    }
}

/// The same of gRPC's health service: a call without a message's content, answered by SERVING.
///
/// Sources: gRPC over HTTP2, "Requests" and "Responses"; `grpc/health/v1/health.proto`.
async fn ask_health(client: &Client, server: &str) -> Result<(), String> {
    const EMPTY: &[u8] = &[0, 0, 0, 0, 0];
    const SERVING: &[u8] = &[0, 0, 0, 0, 2, 8, 1];
    let url = format!("{}/grpc.health.v1.Health/Check", server.trim_end_matches('/'));
    let call =
        client.post(url).header("content-type", "application/grpc").header("te", "trailers").body(EMPTY);
    let answer = call.send().await.and_then(reqwest::Response::error_for_status);
    let answer = answer.map_err(|error| innermost(&error))?;
    // Who refuses says so in the headers, and sends no message.
    let refused = answer.headers().get("grpc-status").map(|status| format!("gRPC status {status:?}"));
    let body = answer.bytes().await.map_err(|error| innermost(&error))?;
    match refused {
        Some(refused) => Err(refused),
        None if body == SERVING => Ok(()),
        None => Err("its health is not SERVING".to_owned()),
    }
}

/// The same of a service.
async fn ask_service(cluster: &Cluster, path: &str) -> Result<(), String> {
    let request = http::Request::get(path).body(Vec::new()).map_err(|error| error.to_string())?;
    match tokio::time::timeout(ANSWER, cluster.request_text(request)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(kube::Error::Api(status)))
            if (400..500).contains(&status.code) && status.reason != "NotFound" =>
        {
            Ok(())
        }
        Ok(Err(kube::Error::Api(status))) => {
            Err(format!("status {}: {}", status.code, status.message.trim()))
        }
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no answer within {} s", ANSWER.as_secs())),
    }
}

fn innermost(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return format!("no answer within {} s", ANSWER.as_secs());
    }
    if let Some(status) = error.status() {
        return format!("status {status}");
    }
    let mut last: &dyn std::error::Error = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}

fn text<S: serde::Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_says_what_it_can_stand_behind() {
        let mut proof =
            Proof { requests: 3000, p50_ms: 1.0, p99_ms: 4.2, bound_95: 0.001, ..Proof::default() };
        assert_eq!(
            proof.sentence(),
            "3000 requests, 0 lost; with 95 % certainty fewer than 1 in 1000 are (p50 1.0 ms, p99 4.2 ms)"
        );
        proof.unconfirmed = 2;
        assert!(proof.sentence().contains("2 more failed while our own network did"));
        let loss =
            Loss { at: Timestamp::UNIX_EPOCH, url: "u".to_owned(), connection: "new", why: "w".to_owned() };
        proof.lost = vec![loss];
        assert!(proof.sentence().starts_with("3000 requests, 1 lost; 2 more"));
    }
}
