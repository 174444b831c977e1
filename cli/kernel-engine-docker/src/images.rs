//! The images of an Engine: which it has, taking in archives, giving names, building Dockerfiles.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io;

use bollard::errors::Error;
use bollard::models::{BuildInfo, BuildInfoAux};
use bollard::query_parameters::{
    BuildImageOptionsBuilder, BuilderVersion, ImportImageOptionsBuilder, RemoveImageOptions,
    TagImageOptionsBuilder,
};
use bollard::{Docker, body_try_stream};
use bytes::Bytes;
use futures::{Stream, StreamExt};
use kernel_core::diagnostic::Code;
use kernel_core::exit::ExitCode;
use kernel_engine::EngineError;

use crate::address::Address;
use crate::probe::{DockerStatus, probe};

/// No Engine answers that could have images.
pub const NO_ENGINE: Code = Code("K-IMAGE-020");
/// The Engine does not do what it is asked to with an image.
pub const REFUSED: Code = Code("K-IMAGE-021");
/// A Dockerfile could not be built.
pub const BUILD_FAILED: Code = Code("K-IMAGE-022");

/// How long one request may take, in seconds: a build of everything on a small machine.
const LIMIT: u64 = 60 * 60;

/// How many of the last lines of a build are told when it fails.
const EVIDENCE: usize = 60;

/// The images of one Engine.
#[derive(Clone, Debug)]
pub struct Images {
    docker: Docker,
}

/// An image that the Engine has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FoundImage {
    /// What the Engine knows it by.
    pub id: String,
    /// The digests of its layers before compression, the lowest first.
    pub layers: Vec<String>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// The sum of its layers in bytes.
    pub size: u64,
}

/// A Dockerfile to be built.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageBuild {
    /// The name that the image gets.
    pub name: String,
    /// The Dockerfile in the context.
    pub dockerfile: String,
    /// Build arguments.
    pub arguments: BTreeMap<String, String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// The stage to stop at.
    pub stage: Option<String>,
    /// Build every step again.
    pub no_cache: bool,
    /// Ask registries for newer base images.
    pub pull: bool,
    /// Take the classic builder also where BuildKit is there.
    pub classic: bool,
}

/// What came of a removal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removal {
    /// It is gone.
    Removed,
    /// It was not there.
    Missing,
    /// Something uses it, so it stays.
    InUse,
}

impl Images {
    /// Of the Engine at an address. Asks whether it answers.
    ///
    /// # Errors
    /// When it does not.
    pub async fn connect(address: &Address) -> Result<Self, EngineError> {
        let no_engine = |reason: String| {
            let message = format!("no Docker Engine answers that could take images: {reason}");
            EngineError::new(NO_ENGINE, ExitCode::Prerequisite, message).help(
                "start Docker or set DOCKER_HOST; without an Engine: `--oci-layout PATH`, or `kernel images push`",
            )
        };
        if let DockerStatus::Unavailable { reason } = probe(address).await {
            return Err(no_engine(reason));
        }
        Ok(Self { docker: address.connect(LIMIT).await?.0 })
    }

    /// Takes a name from an image, which goes with its last one.
    ///
    /// # Errors
    /// When the Engine refuses for another reason than that containers use it.
    pub async fn remove(&self, name: &str) -> Result<Removal, EngineError> {
        match self.docker.remove_image(name, None::<RemoveImageOptions>, None).await {
            Ok(_) => Ok(Removal::Removed),
            Err(Error::DockerResponseServerError { status_code: 404, .. }) => Ok(Removal::Missing),
            Err(Error::DockerResponseServerError { status_code: 409, .. }) => Ok(Removal::InUse),
            Err(error) => Err(refused(format!("removing the image `{name}` failed"), error)),
        }
    }

    /// Removes an image unless it has a name or a container uses it.
    ///
    /// # Errors
    /// When the Engine refuses for another reason.
    pub async fn remove_nameless(&self, id: &str) -> Result<Removal, EngineError> {
        match self.docker.inspect_image(id).await {
            Ok(image) if image.repo_tags.as_ref().is_none_or(Vec::is_empty) => self.remove(id).await,
            Ok(_) => Ok(Removal::InUse),
            Err(Error::DockerResponseServerError { status_code: 404, .. }) => Ok(Removal::Missing),
            Err(error) => Err(refused(format!("asking the Engine for the image `{id}` failed"), error)),
        }
    }

    /// The image that goes by a name or an id.
    ///
    /// # Errors
    /// When the Engine can't be asked.
    pub async fn find(&self, name: &str) -> Result<Option<FoundImage>, EngineError> {
        match self.docker.inspect_image(name).await {
            Ok(image) => Ok(Some(FoundImage {
                id: image.id.unwrap_or_default(),
                layers: image.root_fs.and_then(|root| root.layers).unwrap_or_default(),
                labels: image
                    .config
                    .and_then(|config| config.labels)
                    .map(|labels| labels.into_iter().collect())
                    .unwrap_or_default(),
                size: image.size.and_then(|size| u64::try_from(size).ok()).unwrap_or(0),
            })),
            Err(Error::DockerResponseServerError { status_code: 404, .. }) => Ok(None),
            Err(error) => Err(refused(format!("asking the Engine for the image `{name}` failed"), error)),
        }
    }

    /// Takes in the image of an archive as `docker save` writes it.
    ///
    /// # Errors
    /// When the Engine does not take it. It answers with success and says in the text that follows what went wrong.
    pub async fn load(
        &self,
        archive: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
    ) -> Result<(), EngineError> {
        let options = ImportImageOptionsBuilder::new().quiet(true).build();
        let mut told = self.docker.import_image_stream(options, archive, None);
        while let Some(line) = told.next().await {
            line.map_err(|error| refused("the Engine did not take the image".to_owned(), error))?;
        }
        Ok(())
    }

    /// Gives an image another name.
    ///
    /// # Errors
    /// When the Engine does not.
    pub async fn tag(&self, image: &str, repository: &str, tag: &str) -> Result<(), EngineError> {
        let options = TagImageOptionsBuilder::new().repo(repository).tag(tag).build();
        self.docker
            .tag_image(image, Some(options))
            .await
            .map_err(|error| refused(format!("naming an image `{repository}:{tag}` failed"), error))
    }

    /// Builds a Dockerfile with the context of an archive: with BuildKit where it is there, else with the classic
    /// builder. `told` takes how far it is.
    ///
    /// # Errors
    /// When it can't be built, with the last lines that the build said.
    pub async fn build(
        &self,
        build: &ImageBuild,
        context: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
        told: &(dyn Fn(String) + Send + Sync),
    ) -> Result<(), EngineError> {
        let pairs = |map: &BTreeMap<String, String>| map.clone().into_iter().collect::<HashMap<_, _>>();
        let mut options = BuildImageOptionsBuilder::new()
            .t(&build.name)
            .dockerfile(&build.dockerfile)
            .buildargs(&pairs(&build.arguments))
            .labels(&pairs(&build.labels))
            .nocache(build.no_cache)
            .rm(true)
            .forcerm(true);
        if let Some(stage) = &build.stage {
            options = options.target(stage);
        }
        if build.pull {
            options = options.pull("true");
        }
        let buildkit = !build.classic && self.has_buildkit().await;
        if buildkit {
            let session = uuid::Uuid::now_v7().to_string();
            options = options.version(BuilderVersion::BuilderBuildKit).session(&session);
        }
        let body = body_try_stream(context);
        let mut answers = self.docker.build_image(options.build(), None, Some(body));
        let mut transcript = Transcript::default();
        while let Some(answer) = answers.next().await {
            let answer = answer.map_err(|error| {
                EngineError::new(
                    BUILD_FAILED,
                    ExitCode::Failed,
                    format!("the Engine could not build `{}` from `{}`", build.name, build.dockerfile),
                )
                .because(error)
                .evidence(transcript.last())
                .help("correct what the build says; base images have to be there or in a registry that can be reached")
            })?;
            transcript.add(&answer, told);
            // A BuildKit session stays open after the image is there and has its name. The classic builder says the id
            // first and gives the name after that, so it has to be listened to until the end.
            if buildkit && matches!(answer.aux, Some(BuildInfoAux::Default(_))) {
                break;
            }
        }
        Ok(())
    }

    /// Whether BuildKit is there. Every Docker Engine for Linux that we know of has it; Podman's does not.
    async fn has_buildkit(&self) -> bool {
        let Ok(version) = self.docker.version().await else { return false };
        let components = version.components.unwrap_or_default();
        components.iter().any(|component| component.name == "Engine")
            && version.os.as_deref() == Some("linux")
    }
}

/// What a build says, the last lines of it.
#[derive(Debug, Default)]
struct Transcript(VecDeque<String>);

impl Transcript {
    fn add(&mut self, answer: &BuildInfo, told: &(dyn Fn(String) + Send + Sync)) {
        if let Some(text) = answer.stream.as_deref().or(answer.status.as_deref()) {
            self.lines(text, told);
        }
        let Some(BuildInfoAux::BuildKit(status)) = &answer.aux else { return };
        for vertex in &status.vertexes {
            if vertex.started.is_some() && vertex.completed.is_none() {
                self.lines(&vertex.name, told);
            }
            if !vertex.error.is_empty() {
                self.keep(vertex.error.clone());
            }
        }
        for log in &status.logs {
            self.lines(&String::from_utf8_lossy(&log.msg), told);
        }
    }

    fn lines(&mut self, text: &str, told: &(dyn Fn(String) + Send + Sync)) {
        for line in text.lines().map(str::trim_end).filter(|line| !line.is_empty()) {
            told(line.to_owned());
            self.keep(line.to_owned());
        }
    }

    fn keep(&mut self, line: String) {
        if self.0.len() == EVIDENCE {
            self.0.pop_front();
        }
        self.0.push_back(line);
    }

    fn last(&self) -> Vec<String> {
        self.0.iter().cloned().collect()
    }
}

fn refused(message: String, error: Error) -> EngineError {
    EngineError::new(REFUSED, ExitCode::Failed, message)
        .because(error)
        .help("`docker info` shows whether the Engine is well and has room left")
}
