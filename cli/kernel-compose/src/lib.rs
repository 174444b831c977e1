//! Pure: the Compose Specification, text in, project or diagnostics out.
//!
//! ```text
//! parse with spans → interpolate → merge → extends and include → check and normalise → project → validate
//! ```
//!
//! [`load`] runs the whole of it and reports every problem at once, each with its place in the file that caused it.
//! Nothing here reads a file or the environment: the caller hands in texts ([`Sources`]) and a reader for the files
//! that a Compose file names ([`Files`]). What the loader supports is told in `docs/compose.md`.

pub mod codes;
pub mod project;
mod request;
pub mod tree;

pub use project::{Project, Service};
pub use request::{FileText, Files, LoadRequest, Loaded};

use kernel_core::diagnostic::Diagnostic;
use kernel_core::source::{SourceId, Sources};

/// Loads a project.
pub fn load(_request: &LoadRequest<'_>, _sources: &mut Sources) -> Loaded {
    let missing = Diagnostic::error(codes::NOT_IMPLEMENTED, "the loader is not written yet");
    Loaded { project: None, diagnostics: vec![missing] }
}

/// The variables that the top-level `x-kernel.generate` of the given files lists, in order, each once. The caller makes
/// a value for each that has none and hands them to [`load`].
pub fn generated_variables(_files: &[SourceId], _sources: &Sources) -> Vec<String> {
    Vec::new()
}
