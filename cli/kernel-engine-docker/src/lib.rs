//! Adapter: Docker Engine API.
//!
//! For now it only says whether an Engine answers. Carrying out plans is not implemented: [`DockerEngine`] says so with
//! `K-ENGINE-004` and touches nothing.

mod engine;
pub mod images;
mod probe;
pub mod stack;

pub use engine::DockerEngine;
pub use probe::{DockerStatus, probe};
