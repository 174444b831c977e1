//! Where services run: chooses the engine and binds it to the project. The only place that knows which engines exist.

use std::collections::BTreeMap;

use async_trait::async_trait;
use kernel_compose::Project;
use kernel_core::diagnostic::Diagnostic;
use kernel_core::event::Event;
use kernel_core::exit::ExitCode;
use kernel_core::name::ProjectName;
use kernel_core::secret::Secret;
use kernel_core::unit::Desired;
use kernel_engine::{Engine, EngineError, Events};
use kernel_engine_docker::{DockerEngine, DockerStatus};
use kernel_engine_local::{
    BuildSettings, Layout, LocalEngine, LocalSettings, LogRequest, ProjectError, SupervisorCommand,
};
use kernel_ops::doctor::Seen;
use kernel_ops::host::{Host, LogSettings, WantedError};
use kernel_ops::load::Generated;
use kernel_ops::workspace::Workspace;
use kernel_ops::{Failure, codes, converge, problem};
use tokio_util::sync::CancellationToken;

use crate::arguments::EngineChoice;
use crate::context::Context;

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

/// The place where the services of a project run.
///
/// # Errors
/// When the engine that was asked for can't be used.
pub async fn choose(
    context: &Context,
    workspace: &Workspace,
    project: &ProjectName,
) -> Result<Box<dyn Host>, Failure> {
    match context.settings.engine {
        EngineChoice::Auto | EngineChoice::Local => local(context, workspace, project),
        EngineChoice::Docker => {
            let refusal = DockerEngine.observe().await.err();
            Err(refusal.map_or_else(docker_is_missing, |error| converge::engine_failure(&error)))
        }
    }
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
    Ok(Box::new(LocalHost { engine, port_offset: context.settings.port_offset }))
}

fn docker_is_missing() -> Failure {
    let help = "leave `--engine` away, or say `--engine local`";
    let message = "services can't be run in Docker yet; nothing was done";
    Failure::new(ExitCode::Prerequisite, problem(codes::ENGINE_UNAVAILABLE, message, help))
}

/// Whether a Docker Engine answers, for `doctor`.
pub async fn look_for_docker(context: &Context) -> Seen {
    match kernel_engine_docker::probe(context.environment.get("DOCKER_HOST")).await {
        DockerStatus::Available { api_version, .. } => {
            let message =
                format!("answers with API {api_version}; not used yet: the Docker engine is not implemented");
            Seen::pass(message)
        }
        DockerStatus::Unavailable { reason, .. } => {
            let message = format!("does not answer ({reason}); not needed: services run as processes");
            Seen::pass(message)
        }
    }
}

/// Why the engine that nobody asked for was taken, in one line.
#[must_use]
pub fn reason(context: &Context) -> Option<&'static str> {
    (context.settings.engine == EngineChoice::Auto)
        .then_some("engine: local, because the Docker engine is not implemented yet")
}

/// Processes of this machine.
struct LocalHost {
    engine: LocalEngine,
    port_offset: u16,
}

#[async_trait]
impl Host for LocalHost {
    fn engine(&self) -> &dyn Engine {
        &self.engine
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
