//! The OCI image layout: names of its files, and its index.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::manifest::{Descriptor, INDEX_TYPE, media_type};
use crate::reference::Reference;

/// The file that marks a folder as a layout.
pub const MARKER_FILE: &str = "oci-layout";

/// What stands in it.
pub const MARKER: &str = r#"{"imageLayoutVersion":"1.0.0"}"#;

/// The file that lists the images.
pub const INDEX_FILE: &str = "index.json";

/// `org.opencontainers.image.ref.name`: the tag, as the image specification has it.
const TAG: &str = "org.opencontainers.image.ref.name";

/// The whole name, as containerd and Docker write and read it.
const NAME: &str = "io.containerd.image.name";

/// Where a blob lies in a layout.
#[must_use]
pub fn blob_path(digest: Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

/// The images of a layout by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    schema_version: u8,
    media_type: String,
    manifests: Vec<Descriptor>,
}

impl Default for Index {
    fn default() -> Self {
        Self { schema_version: 2, media_type: INDEX_TYPE.to_owned(), manifests: Vec::new() }
    }
}

impl Index {
    /// Adds the manifest of an image under a name; what had the name before goes.
    pub fn set(&mut self, name: &Reference, manifest: Digest, size: u64) {
        let full_name = name.to_string();
        self.manifests.retain(|known| known.annotations.get(NAME) != Some(&full_name));
        let mut descriptor = Descriptor::new(media_type::MANIFEST, manifest, size);
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        descriptor.annotations = BTreeMap::from([pair(TAG, name.tag()), pair(NAME, &full_name)]);
        descriptor.platform = BTreeMap::from([pair("architecture", "amd64"), pair("os", "linux")]);
        self.manifests.push(descriptor);
        self.manifests.sort_by(|one, other| one.annotations.get(NAME).cmp(&other.annotations.get(NAME)));
    }

    /// Every image that has a whole name, with its manifest.
    pub fn images(&self) -> impl Iterator<Item = (Reference, &Descriptor)> {
        self.manifests.iter().filter_map(|manifest| {
            let name = manifest.annotations.get(NAME)?.parse().ok()?;
            Some((name, manifest))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stands_for_one_image() {
        let mut index = Index::default();
        let name = |text: &str| text.parse::<Reference>().unwrap();
        index.set(&name("b/iam:1"), Digest::of(b"old"), 3);
        index.set(&name("a/iam:1"), Digest::of(b"other"), 5);
        index.set(&name("b/iam:1"), Digest::of(b"new"), 3);
        let images: Vec<(String, Digest)> =
            index.images().map(|(name, manifest)| (name.to_string(), manifest.digest)).collect();
        let expected =
            [("a/iam:1".to_owned(), Digest::of(b"other")), ("b/iam:1".to_owned(), Digest::of(b"new"))];
        assert_eq!(images, expected);
    }
}
