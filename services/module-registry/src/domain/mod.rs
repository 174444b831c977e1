//! The rules of modules: no store, no network, no clock.

mod manifest;
mod rules;
mod status;
mod version;

pub use manifest::{Fault, Manifest};
pub use status::Status;
pub use version::{Range, Version};

/// How many modules of a tenant may be registered and not disabled.
pub const MODULES_PER_TENANT: i64 = 50;
