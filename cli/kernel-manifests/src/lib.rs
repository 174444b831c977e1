//! Pure: Kubernetes manifests, rendered from templates and held to rules.
//!
//! ```text
//! Compose project + environment + pins + digests → workloads → templates → manifests → findings
//! ```
//!
//! Knows no cluster and reads no file: the caller hands in texts and gets texts back ([`render`]), or findings with their
//! places ([`lint`]). What is meant by the rules stands in `docs/lint.md`, how manifests come about in `docs/manifests.md`.

pub mod calls;
pub mod codes;
pub mod document;
pub mod environment;
pub mod images;
pub mod lint;
pub mod placeholder;
pub mod render;

mod decode;
mod workload;

pub use render::{File, Inputs, render};
