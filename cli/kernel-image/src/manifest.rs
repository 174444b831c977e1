//! The OCI image manifest: which blobs an image is.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::compressed::Compressed;
use crate::config::Image;
use crate::digest::Digest;

/// Names of what blobs are.
pub mod media_type {
    /// A manifest.
    pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
    /// The configuration of an image.
    pub const CONFIGURATION: &str = "application/vnd.oci.image.config.v1+json";
    /// A layer.
    pub const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
}

/// An index of manifests.
pub const INDEX_TYPE: &str = "application/vnd.oci.image.index.v1+json";

/// Names a blob.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What it is.
    pub media_type: String,
    /// Its name.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
    /// What else is said of it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// What it runs on.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub platform: BTreeMap<String, String>,
}

impl Descriptor {
    /// Names a blob.
    #[must_use]
    pub fn new(media_type: &str, digest: Digest, size: u64) -> Self {
        let (annotations, platform) = (BTreeMap::new(), BTreeMap::new());
        Self { media_type: media_type.to_owned(), digest, size, annotations, platform }
    }
}

/// A manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    schema_version: u8,
    media_type: String,
    /// The configuration.
    pub config: Descriptor,
    /// The layers, the lowest first.
    pub layers: Vec<Descriptor>,
    /// What is said of the image.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

impl Manifest {
    /// The manifest of an image whose layers were compressed to `layers`, in the same order.
    #[must_use]
    pub fn new(image: &Image, layers: &[Compressed]) -> Self {
        let size = image.configuration().len() as u64;
        Self {
            schema_version: 2,
            media_type: media_type::MANIFEST.to_owned(),
            config: Descriptor::new(media_type::CONFIGURATION, image.id(), size),
            layers: layers
                .iter()
                .map(|layer| Descriptor::new(media_type::LAYER, layer.digest, layer.size))
                .collect(),
            annotations: image.labels().clone(),
        }
    }

    /// As JSON, whose digest names the manifest.
    ///
    /// # Errors
    /// Never for a manifest; the serialiser's type has the possibility.
    pub fn to_json(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(self)
    }
}
