//! What an operation needs of the place where services run, beside the engine port: what a Compose project means
//! there, and what the services said. One implementation for each engine, handed in from above.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use kernel_compose::Project;
use kernel_core::diagnostic::Diagnostic;
use kernel_core::exit::ExitCode;
use kernel_core::name::ServiceName;
use kernel_core::unit::Desired;
use kernel_engine::{Engine, EngineError, Events};
use tokio_util::sync::CancellationToken;

use crate::converge::Work;
use crate::failure::Failure;
use crate::load::Platform;
use crate::providers::{Provided, Wish};

/// The place where the services of one project run.
#[async_trait]
pub trait Host: Send + Sync {
    /// The engine, bound to the project.
    fn engine(&self) -> &dyn Engine;

    /// Why it was taken, one line, when nobody asked for it by name.
    fn reason(&self) -> Option<&str> {
        None
    }

    /// Sees to it that what units are made from is there before anything is planned: images that have to be built, or
    /// fetched anew. Changes nothing in a dry run.
    ///
    /// # Errors
    /// What can't be had.
    async fn provide(&self, platform: &Platform, desired: &Desired, work: Work<'_>) -> Result<(), Failure> {
        let _ = (platform, desired, work);
        Ok(())
    }

    /// Asks the provider of a service. Gives the variables that it tells.
    ///
    /// # Errors
    /// What it says; or that there are no providers here.
    async fn provider(
        &self,
        platform: &Platform,
        provided: &Provided,
        wish: Wish,
        work: Work<'_>,
    ) -> Result<BTreeMap<String, String>, EngineError> {
        let _ = (platform, wish, work);
        let message =
            format!("the service `{}` comes from a provider, and those need containers", provided.service);
        Err(EngineError::new(kernel_engine::codes::UNSUPPORTED, ExitCode::Prerequisite, message)
            .help("say `--engine docker`"))
    }

    /// What the project means here: its units, and what people should know about it.
    ///
    /// # Errors
    /// What is wrong with the project for this engine, with places in its files.
    fn desired(&self, project: &Project) -> Result<(Desired, Vec<Diagnostic>), WantedError>;

    /// Tells what services said, as [`LogLine`](kernel_core::event::Event::LogLine) events in the order of time.
    /// Returns when all is told; with `follow`, when `cancel` is cancelled.
    ///
    /// # Errors
    /// When what they said can't be read.
    async fn logs(
        &self,
        settings: &LogSettings,
        events: &Events,
        cancel: &CancellationToken,
    ) -> Result<(), EngineError>;
}

/// Why a project can't be had here.
#[derive(Debug)]
pub enum WantedError {
    /// Its files say something that this engine can't do.
    Files(Vec<Diagnostic>),
    /// The surroundings can't be asked.
    Surroundings(EngineError),
}

/// Which lines are told.
#[derive(Clone, Debug, Default)]
pub struct LogSettings {
    /// Of these services.
    pub services: BTreeSet<ServiceName>,
    /// At most so many last lines of each; all when `None`.
    pub tail: Option<usize>,
    /// Go on with what they say from now on.
    pub follow: bool,
    /// What is followed is followed until none of it runs any more: of containers only.
    pub until_end: bool,
    /// Only of the container of each service that has this number, from one.
    pub number: Option<u32>,
    /// Lines from before this second since 1970 are not needed.
    pub since: Option<i64>,
    /// Lines from after this second since 1970 are not needed.
    pub until: Option<i64>,
}
