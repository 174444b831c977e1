//! Adapter: child processes on this machine under a small supervisor, no Docker.
//!
//! ```text
//! command ── LocalEngine ── Unix socket ── supervisor ── units (child processes)
//!                  └── cargo build, ports, files of .kernel/<project>/
//! ```
//!
//! The supervisor is the CLI's own program under a hidden subcommand; it outlives the command. `docs/local-engine.md`
//! tells how it works, which files there are, and how it repairs itself after a kill.

mod build;
mod client;
pub mod codes;
mod engine;
pub mod environment;
mod files;
mod fingerprint;
mod layout;
mod logs;
mod ports;
pub mod processes;
mod project;
mod protocol;
mod secrets;
mod settings;
mod state;
mod supervisor;
mod supervisor_lock;

pub use build::BuildSettings;
pub use engine::{LocalEngine, ProjectError};
pub use fingerprint::fingerprint;
pub use layout::Layout;
pub use logs::LogRequest;
pub use project::LocalProject;
pub use secrets::{ensure_generated, generated};
pub use settings::{LocalSettings, SupervisorCommand};
pub use supervisor::supervisor_main;
