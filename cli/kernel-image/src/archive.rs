//! The archive that an Engine's load call takes (`docker load`), from 20.10 to the newest, and Podman's too.

use std::io::{self, Write};

use serde::Serialize;

use crate::config::Image;
use crate::layer::{Layer, Owner, append, header};
use crate::layout::blob_path;
use crate::reference::Reference;

/// One image of the archive's table of contents.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Item {
    config: String,
    repo_tags: Vec<String>,
    layers: Vec<String>,
}

/// Writes an archive with one image, which gets the names `references` where it is loaded. Layers are not compressed:
/// the Engine is near, and would only have to undo it.
///
/// # Errors
/// When content can't be read or `out` takes no more.
pub fn write_archive(image: &Image, references: &[Reference], out: impl Write) -> io::Result<()> {
    let mut archive = tar::Builder::new(out);
    let contents = serde_json::to_vec(&[Item {
        config: blob_path(image.id()),
        repo_tags: references.iter().map(ToString::to_string).collect(),
        layers: image.layers().iter().map(|layer| blob_path(layer.diff_id())).collect(),
    }])?;
    let file = || header(0o644, Owner::default());
    append(&mut archive, file(), "manifest.json", &contents)?;
    append(&mut archive, file(), &blob_path(image.id()), &image.configuration().to_vec())?;
    for layer in image.layers() {
        append_layer(&mut archive, layer)?;
    }
    archive.into_inner()?.flush()
}

/// A layer is made while it is written, so its bytes are pushed and not read: header, archive, padding.
fn append_layer<W: Write>(archive: &mut tar::Builder<W>, layer: &Layer) -> io::Result<()> {
    let mut header = header(0o644, Owner::default());
    header.set_entry_type(tar::EntryType::Regular);
    header.set_path(blob_path(layer.diff_id()))?;
    header.set_size(layer.size());
    header.set_cksum();
    let out = archive.get_mut();
    out.write_all(header.as_bytes())?;
    layer.write(&mut *out)?;
    // A tar archive is a multiple of its block size, so nothing is to be padded; should that change, readers would
    // be lost, and this says so first.
    if layer.size().is_multiple_of(512) {
        Ok(())
    } else {
        Err(io::Error::other("a layer is not a whole number of blocks"))
    }
}
