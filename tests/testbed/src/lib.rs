//! Real parts for tests: a Docker Engine, the backing stores, Envoy, a Kubernetes control plane.
//!
//! Made once from package registries, kept in a cache, and proved through each part's own client before anybody uses
//! it. Users of `kernel` never need this: they pull images. `docs/testing.md` says what is real, and which version.

mod cache;
mod container;
mod daemon;
mod debian;
mod engine;
mod failure;
mod fault;
mod image;
pub mod kubernetes;
mod part;
mod pins;
mod program;
mod testbed;

pub use failure::Failure;
pub use fault::Fault;
pub use testbed::{Failures, Line, Say, Selection, Testbed, exports, table};
