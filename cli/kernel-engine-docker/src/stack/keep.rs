//! `commit`, `export` and `rm`: what a container became is kept, or is not.

use bollard::models::ContainerConfig;
use bollard::query_parameters::{CommitContainerOptionsBuilder, RemoveContainerOptionsBuilder};
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt, stream};
use kernel_engine::EngineError;

use super::{Member, Stack, Which};
use crate::trouble::{is_missing, trouble};

/// How many containers are removed at the same time.
const AT_ONCE: usize = 8;

/// What the image of a container is made with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CommitSettings {
    /// `NAME[:TAG]`; without it the image has no name.
    pub name: Option<String>,
    /// Who made it.
    pub author: Option<String>,
    /// What it is.
    pub message: Option<String>,
    /// Instructions of a Dockerfile that are applied.
    pub changes: Vec<String>,
    /// The container is frozen meanwhile.
    pub pause: bool,
}

impl Stack {
    /// Makes an image of what a container became. Gives its id.
    ///
    /// # Errors
    /// When the Engine refuses.
    pub async fn commit(&self, member: &Member, settings: &CommitSettings) -> Result<String, EngineError> {
        let mut options = CommitContainerOptionsBuilder::new().container(&member.id).pause(settings.pause);
        if let Some(name) = &settings.name {
            let (repository, tag) = match name.rsplit_once(':') {
                Some((repository, tag)) if !tag.contains('/') => (repository, tag),
                _ => (name.as_str(), "latest"),
            };
            options = options.repo(repository).tag(tag);
        }
        if let Some(author) = &settings.author {
            options = options.author(author);
        }
        if let Some(message) = &settings.message {
            options = options.comment(message);
        }
        let changes = settings.changes.join("\n");
        if !changes.is_empty() {
            options = options.changes(&changes);
        }
        let made = self.docker.commit_container(options.build(), ContainerConfig::default()).await;
        Ok(made.map_err(|error| trouble(&format!("making an image of `{}`", member.name), error))?.id)
    }

    /// The files of a container as a tar archive.
    pub fn export(&self, member: &Member) -> BoxStream<'static, Result<Bytes, EngineError>> {
        let (docker, id, name) = (self.docker.clone(), member.id.clone(), member.name.clone());
        let pieces = docker.export_container(&id);
        pieces.map_err(move |error| trouble(&format!("reading the files of `{name}`"), error)).boxed()
    }

    /// The containers of these services, of all without names, that don't run; those of `run` too. Where the services were
    /// `stopped` just now, their containers count as ended: the Engine's list is behind for a moment.
    ///
    /// # Errors
    /// When the Engine can't be asked.
    pub async fn ended_members(
        &self,
        services: &[String],
        stopped: bool,
    ) -> Result<Vec<Member>, EngineError> {
        let mut members = self.members(&[], Which::WithOneOff).await?;
        members.retain(|member| {
            let listed_alive = matches!(member.state.as_str(), "running" | "paused" | "restarting");
            let alive = listed_alive && (member.one_off || !stopped);
            !alive && (services.is_empty() || services.contains(&member.service))
        });
        Ok(members)
    }

    /// Removes containers that don't run, with their volumes without names if these are to go too.
    ///
    /// # Errors
    /// When the Engine refuses.
    pub async fn remove(&self, members: &[Member], volumes: bool) -> Result<(), EngineError> {
        let removed = stream::iter(members).map(|member| async move {
            let options = RemoveContainerOptionsBuilder::new().v(volumes).build();
            match self.docker.remove_container(&member.id, Some(options)).await {
                Err(error) if !is_missing(&error) => {
                    Err(trouble(&format!("removing the container `{}`", member.name), error))
                }
                _ => Ok(()),
            }
        });
        removed.buffer_unordered(AT_ONCE).try_collect().await
    }
}
