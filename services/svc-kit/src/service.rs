//! What a service is to the chassis: a name, a configuration, and how it is built.

use std::{fmt, future::Future};

use crate::{
    ConfigurationError, Configure, Latch, Metrics, Readiness, Routes, Secret,
    problem::IntoChain,
    tasks::{Shutdown, Tasks},
};

/// One of the twelve services. `main` is `svc_kit::run::<Iam>()`.
pub trait Service: Send + Sync + 'static {
    /// The name: package, binary and Compose service, such as `data-layer`.
    const NAME: &'static str;

    /// The settings of this service beside those of the chassis.
    type Config: Configure + Send;

    /// Connects the stores, runs migrations, registers background tasks and returns the routes.
    ///
    /// No port is open yet. What may take long goes to a background task that holds a [latch](Context::latch).
    fn build(
        config: Self::Config,
        context: Context,
    ) -> impl Future<Output = Result<Routes, BuildError>> + Send;
}

/// Why a service could not be built. Any error becomes one with `?`.
pub type BuildError = Box<dyn std::error::Error + Send + Sync>;

/// What the chassis gives to a service. Cheap to clone.
#[derive(Clone)]
pub struct Context {
    pub(crate) readiness: Readiness,
    pub(crate) metrics: Metrics,
    pub(crate) internal_token: Secret,
    pub(crate) draining: Shutdown,
    pub(crate) tasks: Tasks,
}

impl Context {
    /// A latch by this name: the service is not ready before it is released.
    pub fn latch(&self, name: impl Into<String>) -> Latch {
        self.readiness.latch(name)
    }

    /// What the service still waits for.
    pub fn readiness(&self) -> &Readiness {
        &self.readiness
    }

    /// The metrics of this service.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// The token that every call between services carries.
    pub fn internal_token(&self) -> &Secret {
        &self.internal_token
    }

    /// Becomes true when the service starts to drain. A handler with an endless answer ends it then.
    pub fn draining(&self) -> Shutdown {
        self.draining.clone()
    }

    /// Runs a background task until it returns or the service stops, and again after a panic.
    ///
    /// The task is told to stop once the last request was answered. What it did not finish it finds again at the
    /// next start: a task must not hold the only copy of anything.
    pub fn spawn<F, T>(&self, name: &'static str, task: F)
    where
        F: Fn(Shutdown) -> T + Send + Sync + 'static,
        T: Future<Output = ()> + Send + 'static,
    {
        self.tasks.spawn(name, task);
    }
}

/// Why a service did not start.
#[derive(Debug)]
pub enum StartError {
    /// The environment is wrong.
    Configuration(ConfigurationError),
    /// The service could not be built.
    Build(BuildError),
    /// The port could not be opened.
    Bind {
        /// What was to be listened on.
        address: String,
        /// Why not.
        source: std::io::Error,
    },
}

impl fmt::Display for StartError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::Configuration(error) => write!(formatter, "{error}"),
            StartError::Build(error) => {
                write!(formatter, "cannot build the service: {}", error.as_ref().chain())
            }
            StartError::Bind { address, source } => {
                write!(formatter, "cannot listen on {address}: {source}; set HOST and PORT to a free address")
            }
        }
    }
}

impl std::error::Error for StartError {}
