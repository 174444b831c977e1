//! The labels that docker compose gives what it makes. Both tools find each other's stacks by them.

pub(crate) const PROJECT: &str = "com.docker.compose.project";
pub(crate) const SERVICE: &str = "com.docker.compose.service";
pub(crate) const ONE_OFF: &str = "com.docker.compose.oneoff";
pub(crate) const DEPENDS_ON: &str = "com.docker.compose.depends_on";
pub(crate) const NETWORK: &str = "com.docker.compose.network";
pub(crate) const VOLUME: &str = "com.docker.compose.volume";
pub(crate) const WORKING_DIRECTORY: &str = "com.docker.compose.project.working_dir";
pub(crate) const CONFIG_FILES: &str = "com.docker.compose.project.config_files";
pub(crate) const ENVIRONMENT_FILE: &str = "com.docker.compose.project.environment_file";
pub(crate) const VERSION: &str = "com.docker.compose.version";

/// The docker compose whose labels, names and hashes these are.
pub(crate) const COMPOSE_VERSION: &str = "2.40.3";
