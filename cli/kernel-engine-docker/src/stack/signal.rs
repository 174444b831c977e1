//! `kill`, `pause`, `unpause` and `wait`.

use bollard::Docker;
use bollard::errors::Error;
use bollard::query_parameters::{KillContainerOptionsBuilder, WaitContainerOptionsBuilder};
use futures::future::select_all;
use futures::{StreamExt, TryStreamExt, stream};
use kernel_core::exit::ExitCode;
use kernel_engine::EngineError;

use super::{Member, REFUSED, Stack, Which, refused};

/// How many containers are told something at the same time.
const AT_ONCE: usize = 8;

/// How a container ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Which.
    pub member: Member,
    /// Its exit code.
    pub code: i64,
}

impl Stack {
    /// Sends a signal (`SIGTERM`, `HUP`, `9`) to the running containers of these services; of all without names. Gives
    /// those that it was sent to.
    ///
    /// # Errors
    /// When a service has no running container, or the Engine refuses.
    pub async fn kill(&self, services: &[String], signal: &str) -> Result<Vec<Member>, EngineError> {
        let members = self.members(services, Which::Running).await?;
        let told = stream::iter(members).map(|member| async move {
            let options = KillContainerOptionsBuilder::new().signal(signal).build();
            match self.docker.kill_container(&member.id, Some(options)).await {
                // It ended between the look and the signal: nobody is left who could be told.
                Ok(()) | Err(Error::DockerResponseServerError { status_code: 404 | 409, .. }) => Ok(member),
                Err(error) => {
                    Err(refused(format_args!("sending {signal} to `{}` failed", member.name), error))
                }
            }
        });
        told.buffered(AT_ONCE).try_collect().await
    }

    /// Freezes the running containers of these services; of all without names. Those that are frozen stay so. Gives
    /// those that it froze.
    ///
    /// # Errors
    /// When a service has no running container, or the Engine refuses.
    pub async fn pause(&self, services: &[String]) -> Result<Vec<Member>, EngineError> {
        let members = self.members(services, Which::Running).await?;
        let told = stream::iter(members.into_iter().filter(|member| member.state != "paused"));
        let told = told.map(|member| async move {
            let answer = self.docker.pause_container(&member.id).await;
            answer.map_err(|error| refused(format_args!("pausing `{}` failed", member.name), error))?;
            Ok(member)
        });
        told.buffered(AT_ONCE).try_collect().await
    }

    /// Lets paused containers of these services go on; of all without names. Gives those that were paused.
    ///
    /// # Errors
    /// When a service has no running container, or the Engine refuses.
    pub async fn unpause(&self, services: &[String]) -> Result<Vec<Member>, EngineError> {
        let members = self.members(services, Which::Running).await?;
        let told = stream::iter(members.into_iter().filter(|member| member.state == "paused"));
        let told = told.map(|member| async move {
            let answer = self.docker.unpause_container(&member.id).await;
            answer.map_err(|error| refused(format_args!("letting `{}` go on failed", member.name), error))?;
            Ok(member)
        });
        told.buffered(AT_ONCE).try_collect().await
    }

    /// Waits until the first container of these services ends; of all without names. One that has ended counts at once.
    ///
    /// # Errors
    /// When a service has no container, or the Engine refuses.
    pub async fn wait(&self, services: &[String]) -> Result<Option<Ended>, EngineError> {
        let members = self.members(services, Which::All).await?;
        let ends: Vec<_> = members.into_iter().map(|member| Box::pin(self.ended(member))).collect();
        if ends.is_empty() {
            return Ok(None);
        }
        select_all(ends).await.0.map(Some)
    }

    async fn ended(&self, member: Member) -> Result<Ended, EngineError> {
        let code = end_of(&self.docker, &member.id, &member.name).await?;
        Ok(Ended { member, code })
    }
}

/// Waits until a container does not run, and gives its exit code.
pub(super) async fn end_of(docker: &Docker, id: &str, name: &str) -> Result<i64, EngineError> {
    let options = WaitContainerOptionsBuilder::new().condition("not-running").build();
    match docker.wait_container(id, Some(options)).next().await {
        Some(Ok(answer)) => Ok(answer.status_code),
        // The library takes an exit code that is not zero for a failure of the call.
        Some(Err(Error::DockerContainerWaitError { code, .. })) => Ok(code),
        Some(Err(error)) => Err(refused(format_args!("waiting for the end of `{name}` failed"), error)),
        None => {
            let message = format!("the Engine ended the wait for `{name}` without an answer");
            Err(EngineError::new(REFUSED, ExitCode::Failed, message))
        }
    }
}
