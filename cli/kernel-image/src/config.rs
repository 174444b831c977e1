//! The configuration of an image: what an Engine runs and what a registry shows. Its digest names the image.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use crate::digest::Digest;
use crate::layer::Layer;

/// Where the program is in the image; the same as in `docker/Dockerfile.monorepo`.
pub const PROGRAM: &str = "/usr/local/bin/service";

/// The user and group that it runs as.
pub const USER: &str = "10001:10001";

/// The port that a service listens on in a container.
pub const PORT: u16 = 8080;

/// What is said of an image, in the words of the OCI annotations. They stand as labels in its configuration and as
/// annotations in its manifest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Description {
    /// `org.opencontainers.image.title`: the service.
    pub title: String,
    /// `org.opencontainers.image.created`, RFC 3339: the date of the commit and not of the build, which would make
    /// every build another image.
    pub created: String,
    /// `org.opencontainers.image.version`: the package's.
    pub version: Option<String>,
    /// `org.opencontainers.image.licenses`, an SPDX expression.
    pub licenses: Option<String>,
    /// `org.opencontainers.image.revision`: the commit.
    pub revision: Option<String>,
    /// `org.opencontainers.image.source`: where the source code can be found.
    pub source: Option<String>,
}

impl Description {
    /// As labels, sorted.
    #[must_use]
    pub fn labels(&self) -> BTreeMap<String, String> {
        let always = [("title", &self.title), ("created", &self.created)];
        let sometimes = [
            ("version", &self.version),
            ("licenses", &self.licenses),
            ("revision", &self.revision),
            ("source", &self.source),
        ];
        let sometimes = sometimes.into_iter().filter_map(|(name, value)| Some((name, value.as_ref()?)));
        always
            .into_iter()
            .chain(sometimes)
            .map(|(name, value)| (format!("org.opencontainers.image.{name}"), value.clone()))
            .collect()
    }
}

/// An image: its configuration, and the layers that it names.
#[derive(Clone, Debug)]
pub struct Image {
    layers: Vec<Arc<Layer>>,
    labels: BTreeMap<String, String>,
    configuration: Vec<u8>,
    id: Digest,
}

impl Image {
    /// An image for Linux on amd64 that runs the program at [`PROGRAM`] of its layers as [`USER`].
    ///
    /// # Errors
    /// Never for what can be said in a [`Description`]; the serialiser's type has the possibility.
    pub fn new(description: &Description, layers: Vec<Arc<Layer>>) -> Result<Self, serde_json::Error> {
        let labels = description.labels();
        let history = |what: &str| History {
            created: description.created.clone(),
            created_by: format!("kernel build: {what}"),
        };
        let configuration = serde_json::to_vec(&Configuration {
            architecture: "amd64",
            config: Runtime {
                entrypoint: [PROGRAM],
                env: ["PATH=/usr/local/bin"],
                exposed_ports: [(format!("{PORT}/tcp"), Empty {})].into(),
                labels: &labels,
                stop_signal: "SIGTERM",
                user: USER,
                working_dir: "/",
            },
            created: &description.created,
            history: [history("system files"), history(&description.title)],
            os: "linux",
            rootfs: RootFs { diff_ids: layers.iter().map(|layer| layer.diff_id()).collect(), kind: "layers" },
        })?;
        let id = Digest::of(&configuration);
        Ok(Self { layers, labels, configuration, id })
    }

    /// The digest of its configuration, by which an Engine knows it.
    #[must_use]
    pub const fn id(&self) -> Digest {
        self.id
    }

    /// Its configuration, JSON.
    #[must_use]
    pub fn configuration(&self) -> &[u8] {
        &self.configuration
    }

    /// Its layers, the lowest first.
    #[must_use]
    pub fn layers(&self) -> &[Arc<Layer>] {
        &self.layers
    }

    /// What is said of it.
    #[must_use]
    pub const fn labels(&self) -> &BTreeMap<String, String> {
        &self.labels
    }

    /// The size of all layers in bytes, before compression.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.layers.iter().map(|layer| layer.size()).sum()
    }
}

// The fields of the OCI image configuration, in alphabetical order.

#[derive(Serialize)]
struct Configuration<'a> {
    architecture: &'static str,
    config: Runtime<'a>,
    created: &'a str,
    history: [History; 2],
    os: &'static str,
    rootfs: RootFs,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Runtime<'a> {
    entrypoint: [&'static str; 1],
    env: [&'static str; 1],
    exposed_ports: BTreeMap<String, Empty>,
    labels: &'a BTreeMap<String, String>,
    stop_signal: &'static str,
    user: &'static str,
    working_dir: &'static str,
}

#[derive(Serialize)]
struct Empty {}

#[derive(Serialize)]
struct History {
    created: String,
    created_by: String,
}

#[derive(Serialize)]
struct RootFs {
    diff_ids: Vec<Digest>,
    #[serde(rename = "type")]
    kind: &'static str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_not_said() {
        let description = Description { title: "iam".to_owned(), ..Description::default() };
        let labels = description.labels();
        assert_eq!(labels["org.opencontainers.image.title"], "iam");
        assert!(!labels.contains_key("org.opencontainers.image.revision"));
    }
}
