//! `kill`, `pause`, `unpause` and `wait`.

use std::time::Duration;

use bollard::Docker;
use bollard::errors::Error;
use bollard::query_parameters::{KillContainerOptionsBuilder, WaitContainerOptionsBuilder};
use futures::future::select_all;
use futures::stream::FuturesUnordered;
use futures::{StreamExt, TryStreamExt, stream};
use kernel_engine::EngineError;

use super::{Member, Stack, Which};
use crate::ask;
use crate::trouble::{ended_early, trouble};

/// How many containers are told something at the same time.
const AT_ONCE: usize = 8;

/// How long a container is left alone that the Engine starts again, before its end is waited for anew.
const MOMENT: Duration = Duration::from_millis(100);

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
            self.signal(&member, signal).await?;
            Ok(member)
        });
        told.buffered(AT_ONCE).try_collect().await
    }

    /// Sends a signal to one container. When it has ended, nobody is left who could be told, and that is fine.
    ///
    /// # Errors
    /// When the Engine refuses.
    pub async fn signal(&self, member: &Member, signal: &str) -> Result<(), EngineError> {
        let options = KillContainerOptionsBuilder::new().signal(signal).build();
        match self.docker.kill_container(&member.id, Some(options)).await {
            Ok(()) | Err(Error::DockerResponseServerError { status_code: 404 | 409, .. }) => Ok(()),
            Err(error) => Err(trouble(&format!("sending {signal} to `{}`", member.name), error)),
        }
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
            answer.map_err(|error| trouble(&format!("pausing `{}`", member.name), error))?;
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
            answer.map_err(|error| trouble(&format!("letting `{}` go on", member.name), error))?;
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

    /// Waits until a container of these services, of all without names, has ended for good in a way that `counts`: one
    /// that the Engine starts again has not ended. `None`: all have ended, and none of them so.
    ///
    /// # Errors
    /// When a service has no container, or the Engine refuses.
    pub async fn first_end(
        &self,
        services: &[String],
        counts: impl Fn(&Ended) -> bool,
    ) -> Result<Option<Ended>, EngineError> {
        let members = self.members(services, Which::All).await?;
        let mut ends: FuturesUnordered<_> =
            members.into_iter().map(|member| self.ended_for_good(member)).collect();
        while let Some(ended) = ends.try_next().await? {
            if counts(&ended) {
                return Ok(Some(ended));
            }
        }
        Ok(None)
    }

    async fn ended_for_good(&self, member: Member) -> Result<Ended, EngineError> {
        loop {
            let code = end_of(&self.docker, &member.id, &member.name).await?;
            let found = ask::inspect(&self.docker, &member.id).await;
            let found = found.map_err(|error| trouble(&format!("looking at `{}`", member.name), error))?;
            // While the Engine is about to start it again, it says that it runs.
            if found.state.and_then(|state| state.running) != Some(true) {
                return Ok(Ended { member, code });
            }
            tokio::time::sleep(MOMENT).await;
        }
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
        Some(Err(error)) => Err(trouble(&format!("waiting for the end of `{name}`"), error)),
        None => Err(ended_early(&format!("waiting for the end of `{name}`"))),
    }
}
