//! What the engine is told once, by whoever knows the command line and the environment.

use std::path::PathBuf;

use kernel_core::name::ProjectName;

use crate::build::BuildSettings;

/// One project of one workspace.
#[derive(Clone, Debug)]
pub struct LocalSettings {
    /// The workspace, absolute, symbolic links resolved.
    pub root: PathBuf,
    /// The project.
    pub project: ProjectName,
    /// How the supervisor is started.
    pub supervisor: SupervisorCommand,
    /// How programs come about.
    pub build: BuildSettings,
}

/// The program that calls [`crate::supervisor_main`], and what it must be called with to do so.
#[derive(Clone, Debug)]
pub struct SupervisorCommand {
    /// Absolute path: the CLI's own.
    pub program: PathBuf,
    /// `__supervisor`.
    pub arguments: Vec<String>,
}
