//! `exec` and `attach`: a conversation with a process in a container.

use std::fmt;
use std::pin::Pin;
use std::time::Duration;

use bollard::container::LogOutput;
use bollard::exec::{ResizeExecOptions, StartExecOptions, StartExecResults};
use bollard::models::ExecConfig;
use bollard::query_parameters::{AttachContainerOptionsBuilder, ResizeContainerTTYOptionsBuilder};
use bollard::{Docker, errors};
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt};
use kernel_engine::EngineError;
use tokio::io::AsyncWrite;

use super::signal::end_of;
use super::{Member, Stack, refused};

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
#[derive(Clone, Debug)]
enum Process {
    Exec { id: String, container: String },
    Main { id: String, container: String },
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
        let failed = |error| refused(format_args!("running a program in `{}` failed", member.name), error);
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
        let failed = |error| refused(format_args!("attaching to `{}` failed", member.name), error);
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
                answer.map_err(|error| {
                    refused(format_args!("resizing the terminal in `{container}` failed"), error)
                })
            }
            Process::Main { id, container } => {
                let size = ResizeContainerTTYOptionsBuilder::new().w(columns.into()).h(rows.into()).build();
                let answer = self.docker.resize_container_tty(id, size).await;
                answer.map_err(|error| {
                    refused(format_args!("resizing the terminal of `{container}` failed"), error)
                })
            }
        }
    }

    /// The exit code of the process, once it has said all; `None` while it runs, as after keys that end only the
    /// conversation.
    ///
    /// # Errors
    /// When the Engine can't be asked.
    pub async fn exit_code(&self) -> Result<Option<i64>, EngineError> {
        match &self.process {
            Process::Exec { id, container } => {
                let failed = |error| {
                    refused(format_args!("asking how the program in `{container}` ended failed"), error)
                };
                let answer = self.docker.inspect_exec(id).await.map_err(failed)?;
                Ok(if answer.running == Some(true) { None } else { answer.exit_code })
            }
            Process::Main { id, container } => {
                // It says its last word a moment before the Engine knows of its end.
                let end = end_of(&self.docker, id, container);
                tokio::time::timeout(MOMENT, end).await.ok().transpose()
            }
        }
    }
}

fn told(
    output: impl Stream<Item = Result<LogOutput, errors::Error>> + Send + 'static,
    container: &str,
) -> BoxStream<'static, Result<Output, EngineError>> {
    let container = container.to_owned();
    let told = output.map(move |piece| match piece {
        Ok(LogOutput::StdErr { message }) => Ok(Output::Err(message)),
        Ok(piece) => Ok(Output::Out(piece.into_bytes())),
        Err(error) => Err(refused(format_args!("listening to `{container}` failed"), error)),
    });
    told.boxed()
}
