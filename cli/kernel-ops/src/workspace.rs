//! Where the workspace is, and where in it things stand.

use std::path::{Path, PathBuf};

use kernel_core::exit::ExitCode;

use crate::codes;
use crate::failure::{Failure, problem};

/// The file that marks the root and holds every pin.
pub const PINS: &str = "versions.env";

/// The root of a workspace: the folder that holds [`PINS`], or of a project that stands in none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workspace {
    root: PathBuf,
}

impl Workspace {
    /// Looks in `start` and every folder above it. Symbolic links are resolved, so that one checkout has one name.
    ///
    /// # Errors
    /// When none of them holds `versions.env`.
    pub fn find(start: &Path) -> Result<Self, Failure> {
        let absolute = start.canonicalize().map_err(|error| Failure::unreadable(start, &error))?;
        let root = absolute.ancestors().find(|folder| folder.join(PINS).is_file());
        root.map(|root| Self { root: root.to_owned() }).ok_or_else(|| {
            let message = format!("no `{PINS}` in `{}` or any folder above it", absolute.display());
            let help = "change into a checkout of the platform, or name one with `--project-directory`";
            Failure::new(ExitCode::Usage, problem(codes::NO_WORKSPACE, message, help))
        })
    }

    /// The folder of a project that stands in no workspace: there are no pins, and what is kept is kept there.
    #[must_use]
    pub fn of_project(directory: &Path) -> Self {
        Self { root: directory.to_owned() }
    }

    /// The folder itself, absolute.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The Compose file that is taken when none is named.
    #[must_use]
    pub fn compose_file(&self) -> PathBuf {
        self.root.join("docker/docker-compose.yml")
    }

    /// The environment file that is taken when none is named.
    #[must_use]
    pub fn pins_file(&self) -> PathBuf {
        self.root.join(PINS)
    }

    /// Where everything of one project is kept.
    #[must_use]
    pub fn state(&self, project: &str) -> PathBuf {
        self.root.join(".kernel").join(project)
    }

    /// A path as people want to read it: below the root without the root.
    #[must_use]
    pub fn shown(&self, path: &Path) -> String {
        path.strip_prefix(&self.root).unwrap_or(path).display().to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_is_found_from_any_folder_below() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(PINS), "A=1\n").unwrap();
        let deep = folder.path().join("a/b");
        std::fs::create_dir_all(&deep).unwrap();
        let workspace = Workspace::find(&deep).unwrap();
        assert_eq!(workspace.root(), folder.path().canonicalize().unwrap());
        assert_eq!(workspace.shown(&workspace.compose_file()), "docker/docker-compose.yml");
    }

    #[test]
    fn without_a_root_the_failure_says_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let failure = Workspace::find(folder.path()).unwrap_err();
        assert_eq!(failure.exit, ExitCode::Usage);
        assert_eq!(failure.problems[0].code, "K-OPS-001");
        assert!(failure.problems[0].help.is_some());
    }
}
