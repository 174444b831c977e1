//! What images need of an Engine. Handed in from above, as everything that can change the world is.

use std::collections::BTreeMap;

use async_trait::async_trait;
use kernel_engine::EngineError;
use kernel_image::Reference;

use crate::archive::Archive;

/// Takes how far a build is, a few words.
pub type Told<'a> = &'a (dyn Fn(String) + Send + Sync);

/// The images of an Engine.
#[async_trait]
pub trait ImageStore: Send + Sync {
    /// The image that goes by a name or an id.
    ///
    /// # Errors
    /// When the Engine can't be asked.
    async fn find(&self, name: &str) -> Result<Option<StoredImage>, EngineError>;

    /// Takes in the image of an archive as `docker save` writes it.
    ///
    /// # Errors
    /// When the Engine does not take it.
    async fn load(&self, archive: Archive) -> Result<(), EngineError>;

    /// Gives an image another name.
    ///
    /// # Errors
    /// When the Engine does not.
    async fn tag(&self, image: &str, name: &Reference) -> Result<(), EngineError>;

    /// Builds a Dockerfile with the context of an archive, and gives the image its name.
    ///
    /// # Errors
    /// When it can't be built, with the last lines that the build said.
    async fn build(&self, build: &DockerBuild, context: Archive, told: Told<'_>) -> Result<(), EngineError>;
}

/// An image that an Engine has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoredImage {
    /// What the Engine knows it by.
    pub id: String,
    /// The digests of its layers before compression, the lowest first.
    pub layers: Vec<String>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// The sum of its layers in bytes.
    pub size: u64,
}

/// A build of a Dockerfile.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DockerBuild {
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
