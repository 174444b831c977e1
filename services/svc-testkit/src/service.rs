//! A service under test.

use std::{marker::PhantomData, path::Path};

use svc_kit::{Environment, NeighbourUrl, Running, Service, Setting as _, StartError};
use svc_stores::suite::TemporaryPostgres;
use tempfile::TempDir;
use tonic::transport::{Channel, Endpoint};

use crate::{CallerChannel, PATIENCE, TestCaller};

/// The internal token of every service under test.
pub const INTERNAL_TOKEN: &str = "test-internal-token";

/// An address that nobody answers at: the port is reserved and never served.
const NOBODY: &str = "http://127.0.0.1:1";

/// A running service with its own data folder, which is removed with it.
pub struct TestService<S> {
    environment: Environment,
    data: TempDir,
    running: Option<Running>,
    /// Dropped after the service: it takes the database with it.
    _postgres: Option<TemporaryPostgres>,
    service: PhantomData<fn() -> S>,
}

impl<S: Service> TestService<S> {
    /// Starts the service and waits until it is ready. Every store is embedded, every neighbour is away.
    pub async fn start() -> TestService<S> {
        TestService::start_with(Vec::<(String, String)>::new()).await
    }

    /// The same with these variables, which win over the usual ones. `{data}` stands for the data folder.
    pub async fn start_with<K, V>(variables: impl IntoIterator<Item = (K, V)>) -> TestService<S>
    where
        K: Into<String>,
        V: Into<String>,
    {
        let data = tempfile::tempdir().expect("a temporary folder");
        let mut environment = Environment::from_iter(usual_variables(S::NAME, data.path()));
        let postgres = postgres().await;
        if let Some(postgres) = &postgres {
            environment = environment.with("DATABASE_URL", postgres.database().await);
        }
        for (name, value) in variables {
            let value = value.into().replace("{data}", &data.path().display().to_string());
            environment = environment.with(name, value);
        }
        let mut service =
            TestService { environment, data, running: None, _postgres: postgres, service: PhantomData };
        service.run().await;
        service
    }

    /// What comes of a start with these variables, for tests of what must not start.
    pub async fn try_start(environment: &Environment) -> Result<Running, StartError> {
        svc_kit::start::<S>(environment).await
    }

    /// Stops gracefully and starts again on the same data. The port is another one: make new channels.
    pub async fn restart(&mut self) {
        self.stop_running().await;
        self.run().await;
    }

    /// The same, with these variables changed.
    pub async fn restart_with<K, V>(&mut self, variables: impl IntoIterator<Item = (K, V)>)
    where
        K: Into<String>,
        V: Into<String>,
    {
        self.stop_running().await;
        for (name, value) in variables {
            self.environment = std::mem::take(&mut self.environment).with(name, value);
        }
        self.run().await;
    }

    /// Stops gracefully. Panics when the service had to be cut off.
    pub async fn stop(mut self) {
        self.stop_running().await;
    }

    /// A channel that calls as this caller. Panics when the service is stopped.
    pub fn channel(&self, caller: &TestCaller) -> CallerChannel {
        CallerChannel::new(self.plain_channel(), caller.clone())
    }

    /// A channel that carries nothing, not even the internal token.
    pub fn plain_channel(&self) -> Channel {
        let url = NeighbourUrl::parse(&self.url()).expect("our own address is a URL");
        Endpoint::from(url.uri().clone()).connect_lazy()
    }

    /// Where it listens, such as `http://127.0.0.1:40001`.
    pub fn url(&self) -> String {
        format!("http://{}", self.running().address())
    }

    /// The running service itself.
    pub fn running(&self) -> &Running {
        self.running.as_ref().expect("the service runs")
    }

    /// The data folder.
    pub fn data(&self) -> &Path {
        self.data.path()
    }

    async fn run(&mut self) {
        let running = svc_kit::start::<S>(&self.environment)
            .await
            .unwrap_or_else(|error| panic!("{}: {error}", S::NAME));
        let ready = tokio::time::timeout(PATIENCE, running.readiness().ready()).await;
        assert!(ready.is_ok(), "{} is not ready: {}", S::NAME, running.readiness().reason());
        self.running = Some(running);
    }

    async fn stop_running(&mut self) {
        let running = self.running.take().expect("the service runs");
        assert!(running.stop().await, "{} did not stop by itself", S::NAME);
    }
}

/// With `TEST_DATABASE=postgres`, services keep their rows on the PostgreSQL of `TEST_POSTGRES_URL`.
async fn postgres() -> Option<TemporaryPostgres> {
    match std::env::var("TEST_DATABASE").ok()?.as_str() {
        "postgres" => {
            let postgres = TemporaryPostgres::from_environment().await;
            Some(postgres.expect("TEST_DATABASE=postgres needs TEST_POSTGRES_URL"))
        }
        "" | "sqlite" => None,
        other => panic!("TEST_DATABASE is `{other}`; use sqlite or postgres"),
    }
}

/// What a service needs at least: stores in the data folder, neighbours that do not answer.
pub(crate) fn usual_variables(service: &str, data: &Path) -> Vec<(&'static str, String)> {
    let data = data.display();
    let neighbours = [
        "IAM_URL",
        "DATA_LAYER_URL",
        "EVENT_BUS_URL",
        "NOTIFY_URL",
        "FILES_URL",
        "MONEY_URL",
        "AUDIT_URL",
        "BILLING_URL",
        "MODULE_REGISTRY_URL",
        "INTEGRATION_HUB_URL",
        "DOMAIN_RESOLVER_URL",
    ];
    let events =
        if service == "event-bus" { format!("sqlite://{data}/events.db") } else { NOBODY.to_owned() };
    let mut variables = vec![
        ("HOST", "127.0.0.1".to_owned()),
        ("PORT", "0".to_owned()),
        ("INTERNAL_TOKEN", INTERNAL_TOKEN.to_owned()),
        ("SHUTDOWN_TIMEOUT", "10s".to_owned()),
        ("DATABASE_URL", format!("sqlite://{data}/{service}.db")),
        ("EVENTS_URL", events),
        ("TASKS_URL", format!("sqlite://{data}/tasks.db")),
        ("CACHE_URL", "memory://".to_owned()),
        ("ANALYTICS_URL", format!("sqlite://{data}/analytics.db")),
        ("OBJECTS_URL", format!("file://{data}/objects")),
        ("SECRETS_URL", format!("sealed://{data}/secrets.sealed")),
        ("FLAGS_URL", format!("file://{data}/flags.yaml")),
    ];
    variables.extend(neighbours.map(|name| (name, NOBODY.to_owned())));
    variables
}
