//! The engine port and the executor that runs a plan over it.
//!
//! Owns how a plan is carried out: order, concurrency, deadlines, cancellation, events. What a step means on a
//! machine, in Docker or in a cluster is the adapter's; what the plan is was decided in `kernel-core`.

pub mod cargo;
pub mod codes;
mod dry_run;
mod engine;
mod error;
mod events;
mod executor;

pub use dry_run::DryRun;
pub use engine::{Context, Engine};
pub use error::EngineError;
pub use events::Events;
pub use executor::{Failure, Outcome, execute};
