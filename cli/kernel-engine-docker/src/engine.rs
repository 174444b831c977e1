//! The engine port over the Docker Engine API.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use async_trait::async_trait;
use bollard::Docker;
use kernel_compose::Project;
use kernel_core::container::{Call, Pull};
use kernel_core::diagnostic::Diagnostic;
use kernel_core::event::{Event, LogLine};
use kernel_core::examination::Examination;
use kernel_core::exit::ExitCode;
use kernel_core::name::ServiceName;
use kernel_core::plan::{Action, Plan, Step, Subject};
use kernel_core::unit::{Desired, DesiredKind, Observed};
use kernel_engine::{Context, Engine, EngineError, Events, Outcome};
use tokio_util::sync::CancellationToken;

use crate::address::{Address, ApiVersion};
use crate::await_condition::Waiter;
use crate::calls::Calls;
use crate::logs::{self, LogRequest};
use crate::memory::Memory;
use crate::observe::{self, Look};
use crate::settings::DockerSettings;
use crate::trouble::{is_missing, trouble};
use crate::watch::Watch;
use crate::{away, calls, codes, examine, foresee, labels, project};

/// How long one request may take, in seconds. Steps have deadlines of their own.
const LIMIT: u64 = 60 * 60;

/// From here on all networks of a container are named when it is created, and health checks have a start interval.
const JOINS_AT_CREATE: ApiVersion = ApiVersion(1, 44);

/// How many last lines of a service are shown when it ran out of time.
const EVIDENCE: usize = 20;

/// The containers of one project on a Docker Engine.
pub struct DockerEngine {
    docker: Docker,
    settings: DockerSettings,
    api: ApiVersion,
    calls: Calls,
    waiter: Waiter,
    watch: Watch,
    memory: Memory,
    /// The images that the project needs, once that is known.
    images: Mutex<BTreeSet<String>>,
}

/// What has to be done about images before anything can be planned.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageNeeds {
    /// Services whose image has to be built.
    pub build: BTreeSet<ServiceName>,
    /// Images that are fetched anew, whether they are there or not.
    pub refresh: BTreeSet<String>,
    /// Images that are not there.
    pub missing: Vec<String>,
}

impl DockerEngine {
    /// Speaks to the Engine at `address` for the first time and agrees on a version of its API.
    ///
    /// # Errors
    /// When it does not answer, or speaks no version that is understood.
    pub async fn connect(address: &Address, settings: DockerSettings) -> Result<Self, EngineError> {
        let (docker, api) = address.connect(LIMIT).await?;
        let project = settings.project.clone();
        Ok(Self {
            calls: Calls::new(docker.clone(), api, settings.parallel),
            waiter: Waiter::new(docker.clone(), project.clone()),
            watch: Watch::new(docker.clone(), project),
            memory: Memory::open(settings.memory.clone()),
            images: Mutex::default(),
            docker,
            settings,
            api,
        })
    }

    /// What a Compose project means here. Reads nothing and asks nobody.
    ///
    /// # Errors
    /// Everything that the project says and this engine does not do.
    pub fn desired(&self, project: &Project) -> Result<(Desired, Vec<Diagnostic>), Vec<Diagnostic>> {
        let wanted = project::desired(project, &self.settings, self.api >= JOINS_AT_CREATE)?;
        self.expect(&wanted.0);
        Ok(wanted)
    }

    /// Tells which images are needed, so that [`Engine::observe`] looks for them.
    pub fn expect(&self, desired: &Desired) {
        let mut images = self.images.lock().unwrap_or_else(PoisonError::into_inner);
        for item in &desired.items {
            if let DesiredKind::Container(container) = &item.kind {
                images.insert(container.image.clone());
            }
        }
    }

    /// What has to be done about images before anything can be planned.
    ///
    /// # Errors
    /// When the Engine can't be asked.
    pub async fn needs(&self, desired: &Desired) -> Result<ImageNeeds, EngineError> {
        let mut needs = ImageNeeds::default();
        for item in &desired.items {
            let DesiredKind::Container(container) = &item.kind else { continue };
            let found = self.docker.inspect_image(&container.image).await;
            let found = match found {
                Ok(image) => Some(image),
                Err(error) if is_missing(&error) => None,
                Err(error) => return Err(trouble("asking the Engine for its images", error)),
            };
            let tagged = found.as_ref().and_then(|image| image.metadata.as_ref()?.last_tag_time);
            let age = tagged.and_then(|time| SystemTime::from(time).elapsed().ok());
            let too_old = match container.pull {
                Pull::Always => true,
                Pull::Older(limit) => found.is_none() || age.is_some_and(|age| age > limit),
                _ => false,
            };
            if container.builds && (found.is_none() || container.pull == Pull::Build) {
                needs.build.insert(item.name.clone());
            } else if too_old && !container.builds {
                needs.refresh.insert(container.image.clone());
            }
            if found.is_none() {
                needs.missing.push(container.image.clone());
            }
        }
        Ok(needs)
    }

    /// Fetches an image, whether it is there or not.
    ///
    /// # Errors
    /// When it can't be had.
    pub async fn pull(&self, image: &str) -> Result<(), EngineError> {
        calls::pull(&self.docker, image, None, &|_| ()).await
    }

    /// Gives lines of logs to `take`, merged by time; with `follow`, until the future is dropped.
    ///
    /// # Errors
    /// When the Engine can't be asked.
    pub async fn logs(
        &self,
        request: &LogRequest,
        take: impl FnMut(LogLine) + Send,
    ) -> Result<(), EngineError> {
        logs::tell(&self.docker, &self.settings.project, &self.watch, request, take).await
    }
}

#[async_trait]
impl Engine for DockerEngine {
    fn name(&self) -> &'static str {
        "docker"
    }

    async fn observe(&self) -> Result<Observed, EngineError> {
        let images = self.images.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let look = Look {
            docker: &self.docker,
            project: &self.settings.project,
            images: &images,
            memory: &self.memory,
            joins_at_create: self.api >= JOINS_AT_CREATE,
        };
        look.observe().await
    }

    async fn prepare(&self, plan: &Plan) -> Result<(), EngineError> {
        let awaits = |step: &Step| match &step.action {
            Action::Await { .. } => true,
            Action::Call(call) => matches!(**call, Call::AwaitContainer { .. }),
            _ => false,
        };
        if plan.steps.iter().any(awaits) {
            drop(self.watch.listen());
        }
        foresee::check(&self.docker, &self.settings.project, plan).await
    }

    async fn apply(&self, step: &Step, context: &Context) -> Result<(), EngineError> {
        match (&step.action, &step.subject) {
            (Action::Call(call), subject) => match (&**call, subject) {
                (Call::AwaitContainer { container }, Subject::Service(service)) => {
                    self.waiter.wait_for(service, container, &self.watch, &self.memory, context).await
                }
                (call, _) => self.calls.apply(call, context).await,
            },
            (Action::Await { condition }, Subject::Service(service)) => {
                self.waiter.wait(service, *condition, &self.watch, &self.memory, context).await
            }
            _ => {
                let message = format!("the Docker engine can't do this: {step}");
                Err(EngineError::new(kernel_engine::codes::UNSUPPORTED, ExitCode::Failed, message))
            }
        }
    }

    async fn examine(&self, service: &ServiceName) -> Result<Vec<Examination>, EngineError> {
        examine::examine(&self.docker, &self.settings.project, service).await
    }

    async fn is_back(&self, failed: &Outcome, events: &Events, cancel: &CancellationToken) -> bool {
        let hung_up = failed.failed.iter().any(|failure| failure.problem.code == codes::WENT_AWAY.0);
        // Before it hangs up, an Engine that ends has ended its containers: then something else is the first failure.
        if !hung_up && away::answers(&self.docker).await {
            return false;
        }
        let patience = away::PATIENCE.as_secs();
        let message =
            format!("the Docker Engine went away in the middle: waiting for it, {patience} s at most");
        events.emit(Event::Notice { message });
        tokio::select! {
            back = away::is_back(&self.docker) => back,
            () = cancel.cancelled() => false,
        }
    }

    async fn evidence(&self, subject: &Subject) -> Vec<String> {
        let Some(service) = subject.service() else { return Vec::new() };
        let label = format!("{}={service}", labels::SERVICE);
        let containers = observe::containers(&self.docker, &label).await.unwrap_or_default();
        let ours = containers.into_iter().filter(|container| {
            let labels = container.config.as_ref().and_then(|config| config.labels.as_ref());
            labels.and_then(|labels| labels.get(labels::PROJECT)).map(String::as_str)
                == Some(self.settings.project.as_str())
        });
        let mut lines = Vec::new();
        for id in ours.filter_map(|container| container.id) {
            lines.extend(logs::last_lines(&self.docker, &id, EVIDENCE).await);
        }
        lines
    }
}
