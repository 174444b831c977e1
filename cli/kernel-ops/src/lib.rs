//! The operations behind the commands: settings in, report out.
//!
//! Owns what is done and in which order: load the project, let an engine change the world, ask services how they are.
//! Prints nothing: facts leave as events, failures as [`Failure`]. Engines are handed in through their port.

mod archive;
pub mod codes;
pub mod converge;
pub mod copy;
pub mod doctor;
pub mod endpoints;
mod failure;
pub mod host;
pub mod images;
pub mod infra;
pub mod lint;
pub mod load;
pub mod manifests;
pub mod new_service;
pub mod one_off;
pub mod providers;
pub mod sandbox;
pub mod select;
pub mod setup;
pub mod smoke;
pub mod status;
#[cfg(test)]
mod testing;
pub mod transfer;
pub mod versions;
pub mod watch;
pub mod why;
pub mod workspace;

pub use failure::{Failure, problem};
pub use workspace::{PINS, Workspace};
