//! What the caller hands in: this crate reads no file and no environment by itself.

use std::collections::BTreeMap;

use kernel_core::diagnostic::{Diagnostic, Severity};
use kernel_core::source::SourceId;

use crate::project::Project;

/// Everything that a load needs to know.
pub struct LoadRequest<'a> {
    /// The Compose files in the order of `-f`; a later one is merged over the former.
    pub files: &'a [SourceId],
    /// Env files for interpolation in order; a later one wins over an earlier one, the environment over all.
    pub env_files: &'a [SourceId],
    /// The environment of the command.
    pub environment: &'a BTreeMap<String, String>,
    /// Values of the variables that [`generated_variables`](crate::generated_variables) lists; used where neither the
    /// environment nor an env file has one.
    pub generated: &'a BTreeMap<String, String>,
    /// The active profiles; `*` means all.
    pub profiles: &'a [String],
    /// The project's name, when `-p` or `COMPOSE_PROJECT_NAME` gives one.
    pub project_name: Option<&'a str>,
    /// The absolute directory that relative paths of all files resolve against.
    pub project_directory: &'a str,
    /// Reads the files that a Compose file names.
    pub reader: &'a dyn Files,
}

/// What a load is to do beside the usual.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LoadOptions<'a> {
    /// Only these services and what they depend on; empty means all. Their profiles count as active.
    pub services: &'a [String],
    /// Networks, volumes, secrets and configs that no service uses stay.
    pub all_resources: bool,
    /// Names of containers and images have `_` between their parts, as docker-compose 1 made them.
    pub compatibility: bool,
    /// What is left undone.
    pub skip: Skip,
}

/// Steps that a load leaves out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Skip {
    /// Reading the env files of services: they stay in the model, for
    /// [`printed_service_hash`](crate::printed_service_hash).
    pub env_files: bool,
    /// Writing in what follows from the rest: names of resources, the default network, dependencies by links.
    pub normalization: bool,
    /// Checking that all of it fits together. What is wrong by itself is still told.
    pub consistency: bool,
    /// Making relative paths absolute.
    pub paths: bool,
}

/// Reads what a Compose file names: env files of services, `extends` and `include`. The caller implements it, so this
/// crate stays without I/O.
pub trait Files {
    /// Reads the file at an absolute path.
    fn read(&self, path: &str) -> FileText;

    /// Whether there is a directory at an absolute path. Where nobody can know, it is taken for one.
    fn is_directory(&self, path: &str) -> bool {
        let _ = path;
        true
    }

    /// Where the links on the way lead that an absolute path goes; nothing when there are none.
    fn follow(&self, path: &str) -> Option<String> {
        let _ = path;
        None
    }
}

/// What came of reading a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileText {
    /// Its text.
    Text(String),
    /// There is no such file.
    Missing,
    /// It is there and can't be read, with the reason.
    Unreadable(String),
}

/// Files held in memory, by absolute path; everything else is missing.
impl Files for BTreeMap<String, String> {
    fn read(&self, path: &str) -> FileText {
        self.get(path).cloned().map_or(FileText::Missing, FileText::Text)
    }
}

/// What came of a load.
#[derive(Debug)]
pub struct Loaded {
    /// The project; nothing when there was an error.
    pub project: Option<Project>,
    /// The environment that variables were looked up in, by name. Values that `kernel` made are not in it.
    pub environment: BTreeMap<String, String>,
    /// All that was found, errors and warnings, in the order of the files.
    pub diagnostics: Vec<Diagnostic>,
}

impl Loaded {
    /// Whether an error was found.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
    }
}
