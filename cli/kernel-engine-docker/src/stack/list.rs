//! `top`, `port` and `images`: what containers run, where they are reached, what they are made from.

use bollard::models::BollardDate;
use futures::{StreamExt, TryStreamExt, stream};
use kernel_core::exit::ExitCode;
use kernel_engine::EngineError;
use serde::Serialize;

use super::{Member, NO_CONTAINER, Stack, Which};
use crate::trouble::trouble;

/// How many questions the Engine is asked at the same time.
const AT_ONCE: usize = 8;

/// The processes of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Processes {
    /// Whose.
    pub member: Member,
    /// What each column is called, as `ps` of the Engine's machine calls it.
    pub titles: Vec<String>,
    /// One row per process.
    pub rows: Vec<Vec<String>>,
}

/// The image of a container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ImageUse {
    /// The container's name.
    pub container: String,
    /// The image's name without its tag; empty when it has none.
    pub repository: String,
    /// Its tag; empty when it has none.
    pub tag: String,
    /// `os/architecture`.
    pub platform: String,
    /// What the Engine knows the image by.
    pub id: String,
    /// The sum of its layers in bytes.
    pub size: i64,
    /// When it was made, RFC 3339; empty when the image does not say.
    pub created: String,
    /// When it was given a name here last, RFC 3339; empty when it was not.
    pub tagged: String,
}

impl Stack {
    /// What runs in the containers of these services; of all without names.
    ///
    /// # Errors
    /// When a service has no running container, or the Engine does not tell.
    pub async fn top(&self, services: &[String]) -> Result<Vec<Processes>, EngineError> {
        let members = self.members(services, Which::Running).await?;
        let asked = stream::iter(members).map(|member| async move {
            let answer = self.docker.top_processes(&member.id, None).await;
            let answer =
                answer.map_err(|error| trouble(&format!("asking what `{}` runs", member.name), error))?;
            Ok(Processes {
                member,
                titles: answer.titles.unwrap_or_default(),
                rows: answer.processes.unwrap_or_default(),
            })
        });
        asked.buffered(AT_ONCE).try_collect().await
    }

    /// Where a port of a service is reached from the Engine's machine: `address:port`.
    ///
    /// # Errors
    /// When the port is not published.
    pub async fn port(
        &self,
        service: &str,
        private: u16,
        protocol: &str,
        number: Option<u32>,
    ) -> Result<String, EngineError> {
        let member = self.member(service, number).await?;
        let found = member.ports.iter().find(|port| port.private == private && port.protocol == protocol);
        found.map(|port| format!("{}:{}", bracketed(&port.ip), port.public)).ok_or_else(|| {
            let message = format!("`{}` does not publish port {private}/{protocol}", member.name);
            let published: Vec<String> =
                member.ports.iter().map(|port| format!("{}/{}", port.private, port.protocol)).collect();
            let help = if published.is_empty() {
                "it publishes none; `ports` of the service in the Compose file does".to_owned()
            } else {
                format!("it publishes {}", published.join(", "))
            };
            EngineError::new(NO_CONTAINER, ExitCode::Failed, message).help(help)
        })
    }

    /// The images that the containers of these services were made from; of all without names.
    ///
    /// # Errors
    /// When a service has no container, or the Engine does not tell.
    pub async fn images(&self, services: &[String]) -> Result<Vec<ImageUse>, EngineError> {
        let members = self.members(services, Which::All).await?;
        let asked = stream::iter(members).map(|member| async move {
            let answer = self.docker.inspect_image(&member.image_id).await;
            let image = answer
                .map_err(|error| trouble(&format!("asking for the image of `{}`", member.name), error))?;
            let (repository, tag) = split(&member.image);
            let parts = [image.os, image.architecture, image.variant].into_iter().flatten();
            Ok(ImageUse {
                container: member.name,
                repository,
                tag,
                platform: parts.filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/"),
                id: image.id.unwrap_or_default(),
                size: image.size.unwrap_or_default(),
                created: image.created.map(moment).unwrap_or_default(),
                tagged: image
                    .metadata
                    .and_then(|metadata| metadata.last_tag_time)
                    .map(moment)
                    .unwrap_or_default(),
            })
        });
        asked.buffered(AT_ONCE).try_collect().await
    }
}

/// As RFC 3339 has it, in universal time.
fn moment(time: BollardDate) -> String {
    time.to_rfc3339().replace("+00:00", "Z")
}

/// An address as it stands before a port.
fn bracketed(ip: &str) -> String {
    if ip.contains(':') { format!("[{ip}]") } else { ip.to_owned() }
}

/// The name and the tag of an image. One that is only known by its digest has neither.
fn split(image: &str) -> (String, String) {
    if image.starts_with("sha256:") {
        return (String::new(), String::new());
    }
    let name = image.split('@').next().unwrap_or(image);
    match name.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name.to_owned(), tag.to_owned()),
        _ => (name.to_owned(), "latest".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_told_from_its_tag() {
        let split = |image| {
            let (name, tag) = split(image);
            format!("{name} {tag}")
        };
        assert_eq!(split("postgres:17"), "postgres 17");
        assert_eq!(split("registry:5000/a/b"), "registry:5000/a/b latest");
        assert_eq!(split("registry:5000/a/b:1@sha256:00"), "registry:5000/a/b 1");
        assert_eq!(split("sha256:00"), " ");
    }

    #[test]
    fn an_address_with_colons_gets_brackets() {
        assert_eq!(bracketed("::"), "[::]");
        assert_eq!(bracketed("0.0.0.0"), "0.0.0.0");
    }
}
