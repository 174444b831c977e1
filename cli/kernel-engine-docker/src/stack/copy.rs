//! `cp`: files of a container, as archives.

use std::io;

use bollard::errors::Error;
use bollard::query_parameters::{
    ContainerArchiveInfoOptionsBuilder, DownloadFromContainerOptionsBuilder, UploadToContainerOptionsBuilder,
};
use bollard::{body_try_stream, container::PathStatResponse};
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt};
use kernel_engine::EngineError;

use super::{Member, Stack};
use crate::trouble::trouble;

/// The bit of Go's file modes that says: a folder.
const FOLDER: u32 = 1 << 31;
/// The bit of Go's file modes that says: a symbolic link.
const LINK: u32 = 1 << 27;

/// What is at a path in a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// A folder.
    Folder,
    /// A symbolic link, and where it leads, seen from the container's root.
    Link(String),
    /// A file or something else.
    File,
}

impl Stack {
    /// What is at `path` in a container; `None` when nothing is. A link is not followed.
    ///
    /// # Errors
    /// When the Engine can't tell.
    pub async fn look_at(&self, member: &Member, path: &str) -> Result<Option<Found>, EngineError> {
        let options = ContainerArchiveInfoOptionsBuilder::new().path(path).build();
        match self.docker.get_container_archive_info(&member.id, Some(options)).await {
            Ok(PathStatResponse { file_mode, .. }) if file_mode & FOLDER != 0 => Ok(Some(Found::Folder)),
            Ok(PathStatResponse { file_mode, link_target, .. }) if file_mode & LINK != 0 => {
                Ok(Some(Found::Link(link_target)))
            }
            Ok(_) => Ok(Some(Found::File)),
            Err(Error::DockerResponseServerError { status_code: 404, .. }) => Ok(None),
            Err(error) => Err(trouble(&format!("looking at `{path}` in `{}`", member.name), error)),
        }
    }

    /// What is at `path` in a container, as a tar archive whose first entry is its last name.
    pub fn download(&self, member: &Member, path: &str) -> BoxStream<'static, io::Result<Bytes>> {
        let options = DownloadFromContainerOptionsBuilder::new().path(path).build();
        let stream = self.docker.download_from_container(&member.id, Some(options));
        stream.map(|piece| piece.map_err(io::Error::other)).boxed()
    }

    /// Unpacks a tar archive below the folder `path` of a container.
    ///
    /// # Errors
    /// When the Engine refuses, such as a read-only file system.
    pub async fn upload(
        &self,
        member: &Member,
        path: &str,
        archive: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
        keep_owner: bool,
    ) -> Result<(), EngineError> {
        let owner = if keep_owner { "true" } else { "" };
        let options = UploadToContainerOptionsBuilder::new()
            .path(path)
            .no_overwrite_dir_non_dir("true")
            .copy_uidgid(owner)
            .build();
        let body = body_try_stream(archive);
        let answer = self.docker.upload_to_container(&member.id, Some(options), body).await;
        answer.map_err(|error| trouble(&format!("copying to `{path}` in `{}`", member.name), error))
    }
}
