//! Where services run: chooses the engine and binds it to the project. The only place that knows which engines exist.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use async_trait::async_trait;
use kernel_compose::Project;
use kernel_core::diagnostic::Diagnostic;
use kernel_core::event::Event;
use kernel_core::exit::ExitCode;
use kernel_core::name::ProjectName;
use kernel_core::secret::Secret;
use kernel_core::unit::Desired;
use kernel_engine::{Engine, EngineError, Events};
use kernel_engine_docker::provider::{self, Provider};
use kernel_engine_docker::{Address, DockerEngine, DockerSettings, DockerStatus};
use kernel_engine_local::{
    BuildSettings, Layout, LocalEngine, LocalSettings, LogRequest, ProjectError, SupervisorCommand,
};
use kernel_ops::doctor::Seen;
use kernel_ops::host::{Host, LogSettings, WantedError};
use kernel_ops::load::{Generated, Platform};
use kernel_ops::providers::{Provided, Wish};
use kernel_ops::workspace::Workspace;
use kernel_ops::{Failure, codes, converge, images, problem};
use tokio_util::sync::CancellationToken;

use crate::arguments::EngineChoice;
use crate::commands::build;
use crate::context::Context;
use crate::images::EngineImages;

/// The hidden command that this program is started with to be the supervisor.
pub const SUPERVISOR: &str = "__supervisor";

/// Values that are made once per project, kept where the local engine keeps them.
#[derive(Clone, Copy, Debug)]
pub struct Secrets;

impl Generated for Secrets {
    fn values(
        &self,
        workspace: &Workspace,
        project: &ProjectName,
        names: &[String],
        keep: bool,
    ) -> Result<BTreeMap<String, Secret>, Failure> {
        let path = Layout::new(workspace.root(), project).secrets();
        kernel_engine_local::generated(&path, names, keep).map_err(|error| Failure::unreadable(&path, &error))
    }
}

/// Whose services are meant.
#[derive(Clone, Copy)]
pub struct Stack<'a> {
    /// Where it stands.
    pub workspace: &'a Workspace,
    /// Its name.
    pub name: &'a ProjectName,
    /// All of it, when its files were read.
    pub platform: Option<&'a Platform>,
}

impl<'a> Stack<'a> {
    /// A loaded one.
    #[must_use]
    pub fn of(platform: &'a Platform) -> Self {
        Self { workspace: &platform.workspace, name: &platform.name, platform: Some(platform) }
    }
}

/// The place where the services of a project run.
///
/// # Errors
/// When the engine that was asked for can't be used.
pub async fn choose(context: &Context, stack: Stack<'_>) -> Result<Box<dyn Host>, Failure> {
    match context.settings.engine {
        EngineChoice::Local => local(context, stack.workspace, stack.name),
        EngineChoice::Docker => Ok(Box::new(docker(context, stack).await?)),
        EngineChoice::Auto => choose_by_oneself(context, stack).await,
    }
}

/// Where something of the project runs already, it goes on; else in Docker, when everything for that is there; else here.
async fn choose_by_oneself(context: &Context, stack: Stack<'_>) -> Result<Box<dyn Host>, Failure> {
    let here = |reason: String| {
        let mut host = local_host(context, stack.workspace, stack.name)?;
        host.reason = Some(format!("engine: local, because {reason}"));
        Ok(Box::new(host) as Box<dyn Host>)
    };
    if Layout::new(stack.workspace.root(), stack.name).is_running() {
        return here("the project runs here already".to_owned());
    }
    let address = match address(context) {
        Ok(address) => address,
        Err(error) => return here(error.message),
    };
    if let DockerStatus::Unavailable { reason } = kernel_engine_docker::probe(&address).await {
        return here(format!("no Docker Engine answers ({reason})"));
    }
    let mut host = docker(context, stack).await?;
    let found = host.engine.observe().await.map_err(|error| converge::engine_failure(&error))?;
    // Whoever takes a project down takes the data that an earlier `down` left as well.
    if found.present || (found.data && stack.platform.is_none()) {
        host.reason = Some("engine: docker, because the project is there already".to_owned());
        return Ok(Box::new(host));
    }
    let Some(platform) = stack.platform else { return here("the Engine has nothing of it".to_owned()) };
    let only_docker = !platform.project.services.values().any(|service| service.kernel.is_some());
    if only_docker {
        host.reason = Some("engine: docker, because no service says how it runs without".to_owned());
        return Ok(Box::new(host));
    }
    let Ok((desired, _)) = host.engine.desired(&platform.project) else {
        return here("the project says what the Docker engine does not do".to_owned());
    };
    let needs = host.engine.needs(&desired).await.map_err(|error| converge::engine_failure(&error))?;
    match needs.missing.first() {
        None => {
            host.reason = Some("engine: docker, because its Engine has every image".to_owned());
            Ok(Box::new(host))
        }
        Some(image) => here(format!(
            "the Docker Engine has not the image {image}; `--engine docker` fetches and builds what is missing"
        )),
    }
}

/// Where the Engine is that the environment names.
///
/// # Errors
/// When what says where it is can't be understood.
pub fn address(context: &Context) -> Result<Address, EngineError> {
    Address::find(&|name| context.environment.get(name).map(str::to_owned))
}

/// Containers of a Docker Engine.
async fn docker(context: &Context, stack: Stack<'_>) -> Result<DockerHost, Failure> {
    let failed = |error: EngineError| converge::engine_failure(&error);
    let address = address(context).map_err(failed)?;
    let (files, env_files) = match stack.platform {
        Some(platform) => (platform.files.clone(), platform.env_files.clone()),
        None => (Vec::new(), Vec::new()),
    };
    let settings = DockerSettings {
        project: stack.name.clone(),
        config_files: files,
        env_files,
        port_offset: context.settings.port_offset,
        parallel: context.settings.parallel,
        memory: state(context).map(|state| state.join("containers").join(stack.name.as_str())),
    };
    let engine = DockerEngine::connect(&address, settings).await.map_err(failed)?;
    Ok(DockerHost { engine, address, build: build::from_environment(context), reason: None })
}

/// Where hints are kept between commands, beside what engines know.
pub fn state(context: &Context) -> Option<PathBuf> {
    let variable = |name| context.environment.get(name).map(PathBuf::from);
    let state = variable("XDG_STATE_HOME").or_else(|| variable("HOME").map(|home| home.join(".local/state")));
    state.map(|state| state.join("kernel"))
}

/// Processes of this machine.
///
/// # Errors
/// When it can't be found out where this program is, which is also the supervisor's.
pub fn local(
    context: &Context,
    workspace: &Workspace,
    project: &ProjectName,
) -> Result<Box<dyn Host>, Failure> {
    Ok(Box::new(local_host(context, workspace, project)?))
}

/// What the project's own services are as processes of this machine, when the services `beside` run in containers.
///
/// # Errors
/// What is wrong with the project for that.
pub fn beside(context: &Context, platform: &Platform, beside: &BTreeSet<String>) -> Result<Desired, Failure> {
    let host = local_host(context, &platform.workspace, &platform.name)?;
    match host.engine.desired_beside(&platform.project, host.port_offset, beside) {
        Ok(local) => Ok(local.desired),
        Err(ProjectError::Diagnostics(diagnostics)) => {
            Err(Failure::in_files(diagnostics, platform.sources.clone()))
        }
        Err(ProjectError::Engine(error)) => Err(converge::engine_failure(&error)),
    }
}

fn local_host(context: &Context, workspace: &Workspace, project: &ProjectName) -> Result<LocalHost, Failure> {
    let program = std::env::current_exe().map_err(|error| {
        let message = format!("could not find out where this program is: {error}");
        let help = "start it by its absolute path";
        Failure::new(ExitCode::Failed, problem(codes::ENGINE_UNAVAILABLE, message, help))
    })?;
    let settings = LocalSettings {
        root: workspace.root().to_owned(),
        project: project.clone(),
        supervisor: SupervisorCommand { program, arguments: vec![SUPERVISOR.to_owned()] },
        build: BuildSettings::from_variables(|name| context.environment.get(name).map(str::to_owned)),
    };
    let engine = LocalEngine::new(settings);
    Ok(LocalHost { engine, port_offset: context.settings.port_offset, reason: None })
}

/// Whether a Docker Engine answers, for `doctor`.
pub async fn look_for_docker(context: &Context) -> Seen {
    let address = match address(context) {
        Ok(address) => address,
        Err(error) => return Seen::pass(format!("{}; not needed: services run as processes", error.message)),
    };
    match kernel_engine_docker::probe(&address).await {
        DockerStatus::Available { api_version, version } => {
            Seen::pass(format!("Docker {version} answers with API {api_version}; `--engine docker` uses it"))
        }
        DockerStatus::Unavailable { reason, .. } => {
            let message = format!("does not answer ({reason}); not needed: services run as processes");
            Seen::pass(message)
        }
    }
}

/// Processes of this machine.
struct LocalHost {
    engine: LocalEngine,
    port_offset: u16,
    reason: Option<String>,
}

#[async_trait]
impl Host for LocalHost {
    fn engine(&self) -> &dyn Engine {
        &self.engine
    }

    fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }

    fn desired(&self, project: &Project) -> Result<(Desired, Vec<Diagnostic>), WantedError> {
        match self.engine.desired(project, self.port_offset) {
            Ok(local) => Ok((local.desired, local.warnings)),
            Err(ProjectError::Diagnostics(diagnostics)) => Err(WantedError::Files(diagnostics)),
            Err(ProjectError::Engine(error)) => Err(WantedError::Surroundings(error)),
        }
    }

    async fn logs(
        &self,
        settings: &LogSettings,
        events: &Events,
        cancel: &CancellationToken,
    ) -> Result<(), EngineError> {
        if let Some(number) = settings.number.filter(|number| *number != 1) {
            let message =
                format!("there is no process with number {number}: without containers a service has one");
            return Err(EngineError::new(codes::ENGINE_UNAVAILABLE, ExitCode::Usage, message)
                .help("leave `--index` out; `--engine docker` runs several containers of a service"));
        }
        let request = LogRequest {
            units: settings.services.iter().cloned().collect(),
            tail: settings.tail,
            follow: settings.follow,
        };
        tokio::select! {
            result = self.engine.logs(&request, |line| events.emit(Event::LogLine(line))) => result,
            () = cancel.cancelled() => Ok(()),
        }
    }
}

/// Containers of a Docker Engine.
struct DockerHost {
    engine: DockerEngine,
    address: Address,
    build: images::BuildSettings,
    reason: Option<String>,
}

#[async_trait]
impl Host for DockerHost {
    fn engine(&self) -> &dyn Engine {
        &self.engine
    }

    fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }

    fn desired(&self, project: &Project) -> Result<(Desired, Vec<Diagnostic>), WantedError> {
        self.engine.desired(project).map_err(WantedError::Files)
    }

    async fn provider(
        &self,
        platform: &Platform,
        provided: &Provided,
        wish: Wish,
        work: converge::Work<'_>,
    ) -> Result<BTreeMap<String, String>, EngineError> {
        let provider = Provider {
            project: platform.name.to_string(),
            service: provided.service.clone(),
            kind: provided.kind.clone(),
            options: provided.options.clone(),
            directory: PathBuf::from(&platform.project.directory),
            environment: platform.environment.clone(),
        };
        let wish = match wish {
            Wish::Up => provider::Wish::Up,
            Wish::Down => provider::Wish::Down,
        };
        let tell = |message| work.events.emit(Event::Notice { message });
        tokio::select! {
            told = provider.ask(wish, &tell) => told,
            () = work.cancel.cancelled() => {
                let message = format!("interrupted while the provider of `{}` was at work", provided.service);
                let error = EngineError::new(codes::INTERRUPTED, ExitCode::Interrupted, message);
                Err(error.help("run the command again"))
            }
        }
    }

    /// Builds what is missing and can be built, and fetches what is to be fetched anew.
    async fn provide(
        &self,
        platform: &Platform,
        desired: &Desired,
        work: converge::Work<'_>,
    ) -> Result<(), Failure> {
        let failed = |error: EngineError| converge::engine_failure(&error);
        let needs = self.engine.needs(desired).await.map_err(failed)?;
        if work.dry_run {
            for service in &needs.build {
                let message =
                    format!("the image of {service} would be built first: `kernel build {service}`");
                work.events.emit(Event::Notice { message });
            }
            return Ok(());
        }
        if !needs.build.is_empty() {
            let services = needs.build.iter().map(ToString::to_string).collect();
            let settings = images::BuildSettings { services, ..self.build.clone() };
            let store = EngineImages::at(&self.address);
            let output = images::Output::Engine(Box::pin(store));
            let image_work = images::ImageWork {
                dry_run: false,
                events: work.events,
                cancel: work.cancel,
                command: work.command,
            };
            Box::pin(images::build(platform, &settings, output, image_work)).await?;
        }
        for image in &needs.refresh {
            work.events.emit(Event::Notice { message: format!("fetching {image}, as its pull policy says") });
            self.engine.pull(image).await.map_err(failed)?;
        }
        Ok(())
    }

    async fn logs(
        &self,
        settings: &LogSettings,
        events: &Events,
        cancel: &CancellationToken,
    ) -> Result<(), EngineError> {
        let request = kernel_engine_docker::LogRequest {
            services: settings.services.clone(),
            tail: settings.tail,
            follow: settings.follow,
            until_end: settings.until_end,
            number: settings.number,
            since: settings.since,
            until: settings.until,
        };
        tokio::select! {
            result = self.engine.logs(&request, |line| events.emit(Event::LogLine(line))) => result,
            () = cancel.cancelled() => Ok(()),
        }
    }
}
