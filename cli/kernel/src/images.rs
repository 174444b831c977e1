//! The images of the Engine that the environment names, for the operations that build them.

use async_trait::async_trait;
use kernel_engine::EngineError;
use kernel_engine_docker::Address;
use kernel_engine_docker::images::{ImageBuild, Images};
use kernel_image::Reference;
use kernel_ops::images::{Archive, DockerBuild, ImageStore, StoredImage, Told};
use kernel_ops::{Failure, converge};

use crate::context::Context;

/// An Engine's images.
pub struct EngineImages(Images);

impl EngineImages {
    /// Of the Engine that the environment names.
    ///
    /// # Errors
    /// When none answers.
    pub async fn connect(context: &Context) -> Result<Box<dyn ImageStore>, Failure> {
        let address = Address::find(&|name| context.environment.get(name).map(str::to_owned));
        Self::at(&address.map_err(|error| converge::engine_failure(&error))?).await
    }

    /// Of the Engine at an address.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn at(address: &Address) -> Result<Box<dyn ImageStore>, Failure> {
        match Images::connect(address).await {
            Ok(images) => Ok(Box::new(Self(images))),
            Err(error) => Err(converge::engine_failure(&error)),
        }
    }
}

#[async_trait]
impl ImageStore for EngineImages {
    async fn find(&self, name: &str) -> Result<Option<StoredImage>, EngineError> {
        let found = self.0.find(name).await?;
        Ok(found.map(|image| StoredImage {
            id: image.id,
            layers: image.layers,
            labels: image.labels,
            size: image.size,
        }))
    }

    async fn load(&self, archive: Archive) -> Result<(), EngineError> {
        self.0.load(archive).await
    }

    async fn tag(&self, image: &str, name: &Reference) -> Result<(), EngineError> {
        let registry = name.registry().map(|registry| format!("{registry}/")).unwrap_or_default();
        self.0.tag(image, &format!("{registry}{}", name.repository()), name.tag()).await
    }

    async fn build(&self, build: &DockerBuild, context: Archive, told: Told<'_>) -> Result<(), EngineError> {
        let build = ImageBuild {
            name: build.name.clone(),
            dockerfile: build.dockerfile.clone(),
            arguments: build.arguments.clone(),
            labels: build.labels.clone(),
            stage: build.stage.clone(),
            no_cache: build.no_cache,
            pull: build.pull,
            classic: build.classic,
        };
        self.0.build(&build, context, told).await
    }
}
