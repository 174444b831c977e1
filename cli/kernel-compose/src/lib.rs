//! Pure: the Compose Specification, text in, project or diagnostics out.
//!
//! ```text
//! parse with spans → interpolate → merge → extends and include → check and normalise → project → validate
//! ```
//!
//! [`load`] runs the whole of it and reports every problem at once, each with its place in the file that caused it.
//! Nothing here reads a file or the environment: the caller hands in texts ([`Sources`](kernel_core::source::Sources)) and a reader for the files
//! that a Compose file names ([`Files`]). What the loader supports is told in `docs/compose.md`.

pub mod codes;
pub mod discover;
pub mod hash;
pub mod project;
pub mod render;
pub mod tree;

mod combine;
mod complete;
mod container_environment;
mod dotenv;
mod environment;
mod interpolate;
mod load;
mod merge;
mod name;
mod normalise;
mod overrides;
mod parse;
mod place;
mod request;
mod schema;
mod select;
mod short;
mod suggest;
mod template;
mod validate;
pub mod yaml;

pub use dotenv::{Entry as EnvEntry, Values as EnvValues, parse as env_file};
pub use hash::{network_hash, printed_service_hash, service_hash, volume_hash};
pub use load::{generated_variables, load, load_with, templates, variables};
pub use parse::parse as documents;
pub use project::{Project, Service};
pub use request::{FileText, Files, LoadOptions, LoadRequest, Loaded, Skip};
pub use template::Mention;
