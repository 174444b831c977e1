//! Container images from scratch: names and bytes in, archives out.
//!
//! Owns what an image of ours looks like (its two layers, its configuration, its manifest) and the three forms in which
//! it leaves: an archive for an Engine's load call, an OCI image layout, blobs for a registry. Equal input gives equal
//! bytes: entries are sorted, times are zero, and nothing of this machine gets in.
//!
//! Does no I/O of its own: content comes through [`Blob`], bytes leave through [`std::io::Write`]. Programs are read
//! when they are written and never held whole. Building them, Engines and registries are left to others.

mod archive;
mod blob;
mod compressed;
mod config;
mod digest;
mod layer;
mod layout;
mod manifest;
mod program;
mod reference;
mod root;

pub use archive::write_archive;
pub use blob::Blob;
pub use compressed::{Compressed, compress};
pub use config::{Description, Image, PORT, PROGRAM, USER};
pub use digest::{Digest, DigestError, Hashed};
pub use layer::{Entry, Kind, Layer, LayerError, Owner};
pub use layout::{INDEX_FILE, Index, MARKER, MARKER_FILE, blob_path};
pub use manifest::{Descriptor, INDEX_TYPE, Manifest, media_type};
pub use program::{NotAProgram, check_static};
pub use reference::{Reference, ReferenceError};
pub use root::{program_layer, shared_layer};
