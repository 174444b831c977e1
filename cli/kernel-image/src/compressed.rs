//! Layers as they lie in registries and layouts: gzip, which every Engine from 20.10 on reads.

use std::io::{self, Write};

use flate2::{Compression, GzBuilder};

use crate::digest::{Digest, Hashed};
use crate::layer::Layer;

/// A compressed layer that was written somewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compressed {
    /// The digest of the compressed bytes.
    pub digest: Digest,
    /// How many there are.
    pub size: u64,
}

/// Writes a layer as gzip. The header names no file, no time and no system, so that equal layers are equal.
///
/// # Errors
/// When content can't be read or `out` takes no more.
pub fn compress(layer: &Layer, out: impl Write) -> io::Result<Compressed> {
    let hashed = Hashed::new(out);
    // 255 stands for an unknown operating system (RFC 1952).
    let mut gzip = GzBuilder::new().mtime(0).operating_system(255).write(hashed, Compression::default());
    layer.write(&mut gzip)?;
    let (digest, size, mut out) = gzip.finish()?.finish();
    out.flush()?;
    Ok(Compressed { digest, size })
}
