//! Module manifests, installation, versions.
//!
//! A manifest is checked whole (every fault at once), kept, and installed in the background: pending → installing →
//! active | failed. What an installation does so far is to see that the modules it depends on are active in a version
//! that fits. The least that a manifest needs:
//!
//! ```json
//! { "name": "@acme/crm", "version": "1.0.0", "kernelSdkVersion": "^1.0.0", "entry": "remoteEntry.js" }
//! ```
//!
//! Not there yet: updates and rollback (UNIMPLEMENTED), running a module's migrations, publishing its files, and
//! registering its permissions with iam; the events carry the permissions for whoever does that.

mod api;
pub mod domain;
mod error;
mod installer;
mod registry;
mod service;
mod store;

pub use error::{RegistryError, Result};
pub use installer::Installer;
pub use registry::Registry;
pub use service::{Config, ModuleRegistry};

/// The schema, for [`svc_stores::Database::migrate`].
pub const MIGRATIONS: &[svc_stores::relational::Migration] = store::MIGRATIONS;
