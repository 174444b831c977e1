//! The life of a service from its environment to its last answer. [`crate::run()`] wraps it in a process; tests
//! call it directly.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{Router, extract::DefaultBodyLimit, middleware, serve::ListenerExt as _};
use svc_stores::Opened;
use tokio::{net::TcpListener, task::JoinHandle};
use tonic_health::server::HealthReporter;

use crate::{
    Context, Environment, Metrics, Problem, Readiness, Routes, Service, StartError,
    health::{self, Health},
    in_flight::InFlight,
    layer::{self, Shared},
    settings::Settings,
    tasks::{Shutdown, Tasks},
};

/// The largest body of a raw HTTP request in bytes, unless a route sets its own [`DefaultBodyLimit`]. gRPC messages
/// are bounded by tonic to the same size.
const BODY_LIMIT: usize = 4 * 1024 * 1024;

/// What the last bytes of answers get to leave, where a peer keeps its connection open.
const LAST_BYTES: Duration = Duration::from_millis(300);

/// What background tasks get to stop when draining took all the time there was.
const TASK_GRACE: Duration = Duration::from_secs(1);

/// A running service.
pub struct Running {
    address: SocketAddr,
    readiness: Readiness,
    tasks: Tasks,
    draining: Shutdown,
    in_flight: InFlight,
    servers: Vec<JoinHandle<std::io::Result<()>>>,
    reporter: HealthReporter,
    names: Vec<&'static str>,
    opened: Opened,
    delay: Duration,
    timeout: Duration,
}

/// Reads the configuration, builds the service, opens the port and serves. Returns as soon as the port is open;
/// the service may still wait for a latch.
///
/// # Errors
///
/// When the environment is wrong, the service cannot be built, or its port is taken.
pub async fn start<S: Service>(environment: &Environment) -> Result<Running, StartError> {
    crate::install_crypto();
    let (settings, config) = read::<S>(environment)?;
    start_with::<S>(settings, config).await
}

/// Reads both configurations, or every problem in either.
pub(crate) fn read<S: Service>(environment: &Environment) -> Result<(Settings, S::Config), StartError> {
    match (environment.read(), environment.read()) {
        (Ok(settings), Ok(config)) => Ok((settings, config)),
        (Err(one), Err(other)) => Err(StartError::Configuration(one.join(other))),
        (Err(error), _) | (_, Err(error)) => Err(StartError::Configuration(error)),
    }
}

pub(crate) async fn start_with<S: Service>(
    settings: Settings,
    config: S::Config,
) -> Result<Running, StartError> {
    let metrics = Metrics::new(S::NAME);
    let readiness = Readiness::new();
    let listening = readiness.latch("listener");
    let tasks = Tasks::default();
    let draining = Shutdown::default();
    let context = Context {
        readiness: readiness.clone(),
        metrics: metrics.clone(),
        internal_token: settings.internal_token.clone(),
        draining: draining.clone(),
        tasks: tasks.clone(),
    };
    // Stores that are connected while the service is built tell its metrics what they do.
    let opened = Opened::default();
    let build =
        opened.scope(svc_stores::observe::scope(Arc::new(metrics.clone()), S::build(config, context)));
    let built = match build.await {
        Ok(routes) => bind(settings.address).await.map(|listener| (routes, listener)),
        Err(error) => Err(StartError::Build(error)),
    };
    let (mut routes, listener) = match built {
        Ok(built) => built,
        Err(error) => {
            // Tasks that `build` had started must not outlive the failure.
            tasks.stop(TASK_GRACE).await;
            close(&opened).await;
            return Err(error);
        }
    };
    let address = listener.local_addr().map_err(|source| bind_error(settings.address, source))?;
    let names = std::mem::take(&mut routes.names);
    let more_listeners = std::mem::take(&mut routes.more_listeners);
    let in_flight = InFlight::default();
    let shared = Shared::new(metrics, settings.internal_token, in_flight.clone(), settings.request_limit);
    let (router, reporter) = assemble::<S>(routes, &names, &readiness, Arc::new(shared))
        .map_err(|error| StartError::Build(error.into()))?;

    let mut servers = Vec::new();
    for (_, serve) in more_listeners {
        servers.push(tokio::spawn(serve(router.clone(), draining.clone())));
    }
    let stop = draining.clone();
    // Small frames, sent at once: a gRPC answer must not wait for an acknowledgement.
    let listener = listener.tap_io(|stream| {
        let _ = stream.set_nodelay(true);
    });
    servers.push(tokio::spawn(async move {
        let router = router.into_make_service_with_connect_info::<SocketAddr>();
        axum::serve(listener, router).with_graceful_shutdown(async move { stop.requested().await }).await
    }));
    health::report(&reporter, &names, false).await;
    follow_readiness(&tasks, &readiness, &reporter, &names);
    listening.release();
    let (delay, timeout) = (settings.shutdown_delay, settings.shutdown_timeout);
    Ok(Running {
        address,
        readiness,
        tasks,
        draining,
        in_flight,
        servers,
        reporter,
        names,
        opened,
        delay,
        timeout,
    })
}

impl Running {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it still waits for.
    pub fn readiness(&self) -> &Readiness {
        &self.readiness
    }

    /// Stops: not ready, then no new connections, then the last answers, then background tasks, then the databases.
    ///
    /// Returns whether everything ended by itself within `SHUTDOWN_TIMEOUT`.
    pub async fn stop(mut self) -> bool {
        self.readiness.latch("shutdown").hold("the service is shutting down");
        health::report(&self.reporter, &self.names, false).await;
        // Gives load balancers the time to notice before connections are refused.
        tokio::time::sleep(self.delay).await;
        let started = Instant::now();
        self.draining.request();
        // Nobody else ends a health watch; an open one would hold its connection to the end.
        for name in self.names.iter().copied().chain([""]) {
            self.reporter.clear_service_status(name).await;
        }
        let aborts: Vec<_> = self.servers.iter().map(JoinHandle::abort_handle).collect();
        let servers = futures::future::join_all(std::mem::take(&mut self.servers));
        let answered = async {
            // A peer that is slow to close an idle connection must not hold the process.
            loop {
                self.in_flight.idle().await;
                tokio::time::sleep(LAST_BYTES).await;
                if self.in_flight.count() == 0 {
                    return;
                }
            }
        };
        let over = async {
            tokio::select! {
                _ = servers => {}
                () = answered => {}
            }
        };
        let drained = tokio::time::timeout(self.timeout, over).await.is_ok();
        if !drained {
            let (timeout, requests) = (self.timeout, self.in_flight.count());
            tracing::warn!(
                ?timeout,
                requests,
                "requests were cut off: they took longer than SHUTDOWN_TIMEOUT"
            );
        }
        for abort in aborts {
            abort.abort();
        }
        let rest = self.timeout.saturating_sub(started.elapsed()).max(TASK_GRACE);
        let stopped = self.tasks.stop(rest).await;
        if !stopped {
            tracing::warn!("background tasks were cut off: they did not stop when asked");
        }
        close(&self.opened).await;
        drained && stopped
    }
}

/// Closes the databases. Requests that were cut off may hold a connection: nothing is lost when it stays open.
async fn close(opened: &Opened) {
    if tokio::time::timeout(TASK_GRACE, opened.close()).await.is_err() {
        tracing::warn!(
            "a database is still in use and stays as it is; its log is taken in at the next start"
        );
    }
}

async fn bind(address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|source| bind_error(address, source))
}

fn bind_error(address: SocketAddr, source: std::io::Error) -> StartError {
    StartError::Bind { address: address.to_string(), source }
}

fn assemble<S: Service>(
    routes: Routes,
    names: &[&'static str],
    readiness: &Readiness,
    shared: Arc<Shared>,
) -> Result<(Router, HealthReporter), tonic_reflection::server::Error> {
    let health = Health {
        service: S::NAME,
        readiness: readiness.clone(),
        metrics: shared.metrics.clone(),
        internal_token: shared.internal_token.clone(),
        admit: routes.admit_to_health,
    };
    let (grpc, reporter) = health::grpc_routes(names)?;
    let mut guarded = routes.guarded;
    // axum refuses a layer around nothing.
    if guarded.has_routes() {
        guarded = guarded.route_layer(middleware::from_fn_with_state(Arc::clone(&shared), layer::guard));
    }
    let router = guarded.merge(routes.open).merge(grpc).merge(health::http_routes(health));
    let router = match routes.fallback {
        Some(fallback) => router.fallback_service(fallback),
        None => router.fallback(unknown),
    };
    let router = router
        .layer(middleware::from_fn_with_state(shared, layer::observe))
        .layer(DefaultBodyLimit::max(BODY_LIMIT));
    Ok((router, reporter))
}

async fn unknown(request: axum::extract::Request) -> axum::response::Response {
    if layer::is_grpc(request.headers()) {
        let problem = Problem::not_implemented("There is no such RPC here.");
        return tonic::Status::from(problem).into_http();
    }
    crate::http_problem(&Problem::not_found("There is no such path here."))
}

/// Keeps gRPC health in step with readiness.
fn follow_readiness(tasks: &Tasks, readiness: &Readiness, reporter: &HealthReporter, names: &[&'static str]) {
    let (watch, reporter, names) = (readiness.watch(), reporter.clone(), names.to_vec());
    tasks.spawn("grpc-health", move |shutdown| {
        let (mut watch, reporter, names) = (watch.clone(), reporter.clone(), names.clone());
        async move {
            watch.mark_changed();
            loop {
                tokio::select! {
                    () = shutdown.requested() => return,
                    changed = watch.changed() => if changed.is_err() { return },
                }
                let ready = *watch.borrow_and_update();
                health::report(&reporter, &names, ready).await;
            }
        }
    });
}
