//! A service that is killed again and again while it is written to. What it acknowledged must be there afterwards; the
//! test of the service says what is written and judges what is found.
//!
//! ```no_run
//! # async fn example(binary: &'static str) {
//! use svc_api::audit::v1::{RecordRequest, audit_service_client::AuditServiceClient};
//! use svc_testkit::{KilledService, Kills, TestCaller};
//!
//! let caller = TestCaller::owner();
//! let mut service = KilledService::start(binary, &[]).await; // env!("CARGO_BIN_EXE_audit")
//! let acknowledged = service
//!     .write(Kills::default(), async |target, _| {
//!         let record = RecordRequest { /* an id that makes a repetition harmless, … */ ..Default::default() };
//!         let record = async |channel| AuditServiceClient::new(channel).record(record.clone()).await;
//!         Some(target.persist("record", &caller, record).await.audit_id)
//!     })
//!     .await;
//! // The service runs again: ask it for each of `acknowledged`.
//! # }
//! ```
//!
//! No clock decides when to kill. A kill comes with the acknowledgement that makes a random number full; the requests
//! of the other writers are then somewhere between their first byte and their answer. The numbers come from a seed that
//! a failing test prints; with `KILL_SEED` set to it they are the same again (how far the other requests are is not).

use std::{
    cell::{Cell, RefCell},
    future::Future,
};

use futures::future::{join, join_all};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use tempfile::TempDir;
use tokio::sync::watch;
use tonic::{
    Code, Response, Status,
    transport::{Channel, Endpoint},
};

use crate::{CallerChannel, PATIENCE, ServiceProcess, TestCaller, wait_for};

/// The variable that repeats a run: the seed that the failed one printed.
const SEED: &str = "KILL_SEED";

/// How often and how soon a service is killed.
#[derive(Debug, Clone, Copy)]
pub struct Kills {
    /// How many times.
    pub times: usize,
    /// At most so many writes are acknowledged between a start and the kill. With none it is killed as it begins to
    /// listen.
    pub most_acknowledged: usize,
    /// How many write at once.
    pub writers: usize,
}

impl Default for Kills {
    fn default() -> Kills {
        Kills { times: 5, most_acknowledged: 12, writers: 3 }
    }
}

/// Which write it is: the how manieth of which writer, both from 0.
#[derive(Debug, Clone, Copy)]
pub struct Turn {
    /// The writer. Its turns come one after the other.
    pub writer: usize,
    /// The number among the writer's turns.
    pub number: usize,
}

/// A service's binary with a data folder that outlives its processes.
pub struct KilledService {
    binary: &'static str,
    variables: Vec<(&'static str, String)>,
    data: TempDir,
    process: Option<ServiceProcess>,
    server: watch::Sender<Option<Server>>,
}

impl KilledService {
    /// Starts the binary, `env!("CARGO_BIN_EXE_<service>")`, as [`ServiceProcess::start`] does.
    pub async fn start(binary: &'static str, variables: &[(&'static str, &str)]) -> KilledService {
        let variables = variables.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        let data = tempfile::tempdir().expect("a temporary folder");
        let mut service =
            KilledService { binary, variables, data, process: None, server: watch::Sender::new(None) };
        service.run().await;
        service
    }

    /// Whichever process of it runs.
    pub fn target(&self) -> Target {
        Target { server: self.server.subscribe() }
    }

    /// Lets writers write until the service was killed as often as wanted, and starts it again after each kill. Gives
    /// what the writers gave, in the order in which it came.
    ///
    /// A writer that asks with [`Target::persist`] always has an answer. One that gives up when the process is gone
    /// returns `None`: such a write may be there or not, and counts for nothing.
    pub async fn write<T>(
        &mut self,
        kills: Kills,
        write: impl AsyncFn(&Target, Turn) -> Option<T>,
    ) -> Vec<T> {
        let mut random = StdRng::seed_from_u64(seed());
        let (target, acknowledged, done) = (self.target(), RefCell::new(Vec::new()), Cell::new(false));
        let count = watch::Sender::new(0);
        let (target, acknowledged, done, count, write) = (&target, &acknowledged, &done, &count, &write);
        let writers = (0..kills.writers).map(|writer| async move {
            let mut turns = (0..).map(|number| Turn { writer, number });
            while let Some(turn) = turns.next().filter(|_| !done.get()) {
                if let Some(answer) = write(target, turn).await {
                    acknowledged.borrow_mut().push(answer);
                    count.send_modify(|count| *count += 1);
                }
            }
        });
        let killer = async {
            let mut counted = count.subscribe();
            for _ in 0..kills.times {
                let enough = *counted.borrow() + random.random_range(0..=kills.most_acknowledged);
                in_time("enough acknowledgements", counted.wait_for(|count| *count >= enough))
                    .await
                    .expect("the counter outlives its readers");
                self.kill().await;
                self.run().await;
            }
            done.set(true);
        };
        join(join_all(writers), killer).await;
        acknowledged.take()
    }

    async fn kill(&mut self) {
        // From here on writers wait for the next process; those whose requests are on their way see them fail.
        self.server.send_replace(None);
        self.process.take().expect("the service runs").kill().await;
    }

    async fn run(&mut self) {
        let variables: Vec<_> = self.variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let process = ServiceProcess::start(self.binary, self.data.path(), &variables).await;
        self.server.send_replace(Some(Server::at(process.url())));
        self.process = Some(process);
    }
}

#[derive(Debug, Clone)]
struct Server {
    url: String,
    channel: Channel,
}

impl Server {
    fn at(url: &str) -> Server {
        let endpoint = Endpoint::from_shared(url.to_owned()).expect("the service's own address is a URL");
        Server { url: url.to_owned(), channel: endpoint.connect_lazy() }
    }
}

/// Whichever process of a [`KilledService`] runs. While none does, everything waits for the next.
#[derive(Debug, Clone)]
pub struct Target {
    server: watch::Receiver<Option<Server>>,
}

impl Target {
    /// Where it listens now.
    pub async fn url(&self) -> String {
        self.server().await.url
    }

    /// A channel to the process of now that calls as this caller.
    pub async fn channel(&self, caller: &TestCaller) -> CallerChannel {
        CallerChannel::new(self.server().await.channel, caller.clone())
    }

    /// Asks until there is an answer, of this process or of a later one, as a client does that wants to know. What is
    /// asked must be harmless to repeat. Panics when the service refuses.
    pub async fn persist<T>(
        &self,
        what: &str,
        caller: &TestCaller,
        ask: impl AsyncFn(CallerChannel) -> Result<Response<T>, Status>,
    ) -> T {
        wait_for(what, async || match ask(self.channel(caller).await).await {
            Ok(reply) => Some(reply.into_inner()),
            Err(status) => {
                let gone = [Code::Unavailable, Code::Unknown, Code::Cancelled];
                assert!(gone.contains(&status.code()), "{what}: {status:?}");
                None
            }
        })
        .await
    }

    async fn server(&self) -> Server {
        let mut server = self.server.clone();
        let running = in_time("a running process", server.wait_for(Option::is_some)).await;
        running.expect("the service outlives its writers").clone().expect("it was waited for")
    }
}

async fn in_time<T>(what: &str, awaited: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, awaited).await.unwrap_or_else(|_| panic!("waited {PATIENCE:?} for {what}"))
}

/// What the environment says, or a new one; told, so that a failure can be repeated.
#[allow(clippy::print_stderr, reason = "the test harness keeps it and shows it when the test fails")]
fn seed() -> u64 {
    let given = std::env::var(SEED).ok();
    let seed = given.map_or_else(rand::random, |text| {
        text.parse().unwrap_or_else(|error| panic!("{SEED} is no number ({error}): {text}"))
    });
    eprintln!("killed by chance; the same numbers again: {SEED}={seed}");
    seed
}
