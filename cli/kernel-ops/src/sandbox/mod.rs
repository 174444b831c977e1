//! Sandboxes: a platform for one tenant, seeded, beside others on the same machine.
//!
//! A sandbox is a project of the workspace like any other, with a name that follows from its tenant's, ports of its own
//! and the flags of a sandbox: [`adjust`] sees to that whenever such a project is loaded, so that every command that is
//! given its name finds the same. What is started and ended goes the way of `up` and `down`. `docs/sandbox.md` tells
//! what there is and what is missing.

mod data;
mod environment;
mod project;
mod registry;
mod seed;
mod slots;
mod state;
mod summary;
mod tenant;
pub mod verify;

use kernel_compose::Project;
use kernel_core::name::ProjectName;

use crate::failure::Failure;
use crate::workspace::Workspace;

pub use environment::environment;
pub use project::give;
pub use registry::{Claim, Registry, Sandbox, WorkLock};
pub use seed::{Seed, Seeded, SeededUser, SeededWallet, seed};
pub use slots::{PORTS_PER_SLOT, SLOTS, Slot};
pub use state::{Credentials, State};
pub use summary::Summary;
pub use tenant::TenantName;

/// Gives a project the ports and flags of a sandbox, when it is one.
///
/// # Errors
/// When what is known of the sandbox can't be read, or it publishes more ports than a slot has.
pub fn adjust(workspace: &Workspace, name: &ProjectName, project: &mut Project) -> Result<(), Failure> {
    let Some(tenant) = TenantName::of_project(name) else { return Ok(()) };
    match Registry::of(workspace).get(&tenant)? {
        Some(sandbox) => give(project, sandbox.slot),
        None => Ok(()),
    }
}
