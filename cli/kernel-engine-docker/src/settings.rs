//! What the engine has to know beside the project.

use std::path::PathBuf;

use kernel_core::name::ProjectName;

/// What the engine has to know beside the project.
#[derive(Clone, Debug)]
pub struct DockerSettings {
    /// The project that it is bound to.
    pub project: ProjectName,
    /// The Compose files, absolute.
    pub config_files: Vec<String>,
    /// The env files that were given by name, absolute.
    pub env_files: Vec<String>,
    /// Added to every published port.
    pub port_offset: u16,
    /// How many containers are created or started at once. `None`: as many as is quickest on that Engine.
    pub parallel: Option<usize>,
    /// The file in which it is kept which containers were seen to be ready before the Engine says so. `None`: nothing is
    /// kept.
    pub memory: Option<PathBuf>,
}
