//! Kubernetes: manifests in, a plan that the cluster itself has checked, what came of it out.
//!
//! ```text
//! read (files) → desired → observe (GET and dry-run of every object) → plan → executor → release
//! ```
//!
//! The plan and the executor are those of every other command: [`ClusterEngine`] is an engine whose steps are writes
//! of objects and waits for what they are for.

mod applyset;
pub mod cluster;
pub mod codes;
pub mod deploy;
mod difference;
mod engine;
mod fault;
mod fields;
mod happening;
mod lease;
mod live;
pub mod manifest;
mod observe;
mod one_way;
pub mod plan;
mod pods;
mod probe;
pub mod release;
mod room;
mod said;
mod severe;
mod stage;
mod status;
mod survey;
mod targets;

pub use self::applyset::ApplySet;
pub use self::cluster::{Address, Cluster};
pub use self::engine::ClusterEngine;
pub use self::fault::Fault;
pub use self::happening::{Happening, What};
pub use self::lease::{Lease, Waiting};
pub use self::manifest::{Manifest, Origin};
pub use self::observe::{Observation, Settings};
pub use self::plan::digest;
pub use self::probe::{Loss, ProbeSettings, Proof};
pub use self::release::{Outcome, Release, Releases};
pub use self::severe::severe;
pub use self::survey::{Surveyed, survey, watch};

/// Who writes, as the cluster's `managedFields` know us.
pub const FIELD_MANAGER: &str = "kernel";
