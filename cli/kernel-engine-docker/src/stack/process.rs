//! `exec` and `attach`: a conversation with a process in a container.

use std::collections::HashMap;
use std::fmt;
use std::pin::Pin;
use std::time::Duration;

use bollard::container::LogOutput;
use bollard::exec::{ResizeExecOptions, StartExecOptions, StartExecResults};
use bollard::models::ExecConfig;
use bollard::query_parameters::{
    AttachContainerOptionsBuilder, EventsOptionsBuilder, ResizeContainerTTYOptionsBuilder,
    StartContainerOptions,
};
use bollard::{Docker, errors};
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt};
use kernel_engine::EngineError;
use tokio::io::AsyncWrite;
use tokio::task::JoinHandle;

use super::signal::end_of;
use super::{Member, Stack};
use crate::trouble::{ended_early, trouble};

/// How long after the last word of a container its end is waited for. When it does not come, the conversation was ended
/// and not the container.
const MOMENT: Duration = Duration::from_secs(1);

/// What is run in a container, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExecSettings {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// `NAME=value` each.
    pub environment: Vec<String>,
    /// The user, when not the container's.
    pub user: Option<String>,
    /// The folder, when not the container's.
    pub directory: Option<String>,
    /// With all privileges.
    pub privileged: bool,
    /// Nobody listens.
    pub detach: bool,
    /// On a terminal.
    pub tty: bool,
    /// It is spoken to.
    pub stdin: bool,
}

/// How the main process of a container is joined.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AttachSettings {
    /// It is spoken to.
    pub stdin: bool,
    /// The keys that end the conversation and not the process, when not the Engine's.
    pub detach_keys: Option<String>,
}

/// What a process said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// On standard output, or on its terminal.
    Out(Bytes),
    /// On standard error.
    Err(Bytes),
}

/// A process that is talked with.
pub struct Session {
    docker: Docker,
    process: Process,
    /// Whether it has a terminal.
    pub tty: bool,
    /// What it says, to its end. `None` when nobody listens.
    pub output: Option<BoxStream<'static, Result<Output, EngineError>>>,
    /// Where it is spoken to.
    pub input: Option<Pin<Box<dyn AsyncWrite + Send>>>,
}

/// Which process it is.
#[derive(Debug)]
enum Process {
    Exec {
        id: String,
        container: String,
    },
    Main {
        id: String,
        container: String,
    },
    /// It may be removed with its end, so that is waited for from before its start.
    Run {
        id: String,
        container: String,
        end: Box<JoinHandle<Result<i64, EngineError>>>,
    },
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("process", &self.process)
            .field("tty", &self.tty)
            .finish_non_exhaustive()
    }
}

impl Stack {
    /// Runs a program in a container beside what runs there.
    ///
    /// # Errors
    /// When the Engine does not start it.
    pub async fn exec(&self, member: &Member, settings: &ExecSettings) -> Result<Session, EngineError> {
        let failed = |error| trouble(&format!("running a program in `{}`", member.name), error);
        let talks = !settings.detach;
        let config = ExecConfig {
            attach_stdin: Some(talks && settings.stdin),
            attach_stdout: Some(talks),
            attach_stderr: Some(talks),
            tty: Some(settings.tty),
            env: Some(settings.environment.clone()),
            cmd: Some(settings.command.clone()),
            privileged: Some(settings.privileged),
            user: settings.user.clone(),
            working_dir: settings.directory.clone(),
            ..Default::default()
        };
        let id = self.docker.create_exec(&member.id, config).await.map_err(failed)?.id;
        let options = StartExecOptions { detach: settings.detach, tty: settings.tty, output_capacity: None };
        let started = self.docker.start_exec(&id, Some(options)).await.map_err(failed)?;
        let (output, input) = match started {
            StartExecResults::Attached { output, input } => {
                (Some(told(output, &member.name)), settings.stdin.then_some(input))
            }
            StartExecResults::Detached => (None, None),
        };
        let process = Process::Exec { id, container: member.name.clone() };
        Ok(Session { docker: self.docker.clone(), process, tty: settings.tty, output, input })
    }

    /// Joins the main process of a container.
    ///
    /// # Errors
    /// When the Engine refuses.
    pub async fn attach(&self, member: &Member, settings: &AttachSettings) -> Result<Session, EngineError> {
        let failed = |error| trouble(&format!("attaching to `{}`", member.name), error);
        let found = self.docker.inspect_container(&member.id, None).await.map_err(failed)?;
        let config = found.config.unwrap_or_default();
        let stdin = settings.stdin && config.open_stdin == Some(true);
        let mut options =
            AttachContainerOptionsBuilder::new().stream(true).stdout(true).stderr(true).stdin(stdin);
        if let Some(keys) = &settings.detach_keys {
            options = options.detach_keys(keys);
        }
        let joined = self.docker.attach_container(&member.id, Some(options.build())).await.map_err(failed)?;
        Ok(Session {
            docker: self.docker.clone(),
            process: Process::Main { id: member.id.clone(), container: member.name.clone() },
            tty: config.tty == Some(true),
            output: Some(told(joined.output, &member.name)),
            input: stdin.then_some(joined.input),
        })
    }
}

impl Stack {
    /// Starts a container that was made, and nobody listens.
    ///
    /// # Errors
    /// When the Engine does not start it.
    pub async fn start(&self, container: &str) -> Result<(), EngineError> {
        let started = self.docker.start_container(container, None::<StartContainerOptions>).await;
        started.map_err(|error| trouble(&format!("starting {container}"), error))
    }

    /// Starts a container that was made, and hears its first word.
    ///
    /// # Errors
    /// When the Engine does not start it.
    pub async fn start_and_attach(&self, container: &str, tty: bool) -> Result<Session, EngineError> {
        let options = AttachContainerOptionsBuilder::new().stream(true).stdin(true).stdout(true).stderr(true);
        let joined = self.docker.attach_container(container, Some(options.build())).await;
        let joined = joined.map_err(|error| trouble(&format!("attaching to {container}"), error))?;
        let found = self.docker.inspect_container(container, None).await;
        let found = found.map_err(|error| trouble(&format!("looking at {container}"), error))?;
        let (id, created) = (found.id.unwrap_or_default(), found.created.unwrap_or_default());
        let end = tokio::spawn(exit_code_of(self.docker.clone(), id.clone(), created));
        self.start(container).await?;
        Ok(Session {
            docker: self.docker.clone(),
            process: Process::Run { id, container: container.to_owned(), end: Box::new(end) },
            tty,
            output: Some(told(joined.output, container)),
            input: Some(joined.input),
        })
    }
}

impl Session {
    /// Tells a process with a terminal how large that is.
    ///
    /// # Errors
    /// When the Engine refuses, as it does when the process has ended.
    pub async fn resize(&self, columns: u16, rows: u16) -> Result<(), EngineError> {
        match &self.process {
            Process::Exec { id, container } => {
                let size = ResizeExecOptions { width: columns, height: rows };
                let answer = self.docker.resize_exec(id, size).await;
                answer.map_err(|error| trouble(&format!("resizing the terminal in `{container}`"), error))
            }
            Process::Main { id, container } | Process::Run { id, container, .. } => {
                let size = ResizeContainerTTYOptionsBuilder::new().w(columns.into()).h(rows.into()).build();
                let answer = self.docker.resize_container_tty(id, size).await;
                answer.map_err(|error| trouble(&format!("resizing the terminal of `{container}`"), error))
            }
        }
    }

    /// The exit code of the process, once it has said all; `None` while it runs, as after keys that end only the
    /// conversation.
    ///
    /// # Errors
    /// When the Engine can't be asked.
    pub async fn exit_code(&mut self) -> Result<Option<i64>, EngineError> {
        match &mut self.process {
            Process::Exec { id, container } => {
                let failed =
                    |error| trouble(&format!("asking how the program in `{container}` ended"), error);
                let answer = self.docker.inspect_exec(id).await.map_err(failed)?;
                Ok(if answer.running == Some(true) { None } else { answer.exit_code })
            }
            Process::Main { id, container } => {
                // It says its last word a moment before the Engine knows of its end.
                let end = end_of(&self.docker, id, container);
                tokio::time::timeout(MOMENT, end).await.ok().transpose()
            }
            Process::Run { end, container, .. } => match tokio::time::timeout(MOMENT, &mut **end).await {
                Ok(Ok(code)) => code.map(Some),
                Ok(Err(_)) => Err(ended_early(&format!("waiting for the end of {container}"))),
                Err(_) => Ok(None),
            },
        }
    }
}

/// The exit code of a container, from the Engine's account of what happened since it was made: there it stands also when
/// the container is gone.
async fn exit_code_of(docker: Docker, id: String, created: impl ToString) -> Result<i64, EngineError> {
    let what = "listening to the Engine";
    let since: jiff::Timestamp = created.to_string().parse().unwrap_or_default();
    let filters = HashMap::from([("container", vec![id]), ("event", vec!["die".to_owned()])]);
    let options = EventsOptionsBuilder::new().since(&since.as_second().to_string()).filters(&filters).build();
    let mut events = Box::pin(docker.events(Some(options)));
    while let Some(event) = events.next().await {
        let event = event.map_err(|error| trouble(what, error))?;
        let attributes = event.actor.and_then(|actor| actor.attributes).unwrap_or_default();
        if let Some(code) = attributes.get("exitCode").and_then(|code| code.parse().ok()) {
            return Ok(code);
        }
    }
    Err(ended_early(what))
}

fn told(
    output: impl Stream<Item = Result<LogOutput, errors::Error>> + Send + 'static,
    container: &str,
) -> BoxStream<'static, Result<Output, EngineError>> {
    let container = container.to_owned();
    let told = output.map(move |piece| match piece {
        Ok(LogOutput::StdErr { message }) => Ok(Output::Err(message)),
        Ok(piece) => Ok(Output::Out(piece.into_bytes())),
        Err(error) => Err(trouble(&format!("listening to `{container}`"), error)),
    });
    told.boxed()
}
