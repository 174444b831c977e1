//! Adapter: Docker Engine API. A full peer of docker compose: the same names, labels, networks and hashes, so that each
//! sees what the other made and takes it over.
//!
//! Data flows one way: a Compose project becomes wanted containers ([`DockerEngine::desired`]), what the Engine has
//! becomes found ones, `kernel-core` decides, and each step of the plan is one call here. `docs/docker-engine.md` tells
//! what each call is and why.

mod address;
mod ask;
mod await_condition;
mod away;
mod body;
mod calls;
pub mod codes;
mod credentials;
mod digest;
mod duration;
mod engine;
mod examine;
mod foresee;
mod hook;
pub mod images;
mod labels;
mod logs;
mod memory;
mod observe;
mod probe;
mod project;
pub mod provider;
mod settings;
mod ssh;
pub mod stack;
mod trouble;
mod watch;

pub use address::Address;
pub use engine::{DockerEngine, ImageNeeds};
pub use logs::LogRequest;
pub use probe::{DockerStatus, probe};
pub use settings::DockerSettings;
