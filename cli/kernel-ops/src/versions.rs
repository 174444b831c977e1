//! `versions`: every pin of the workspace and where it is used; whether somebody states a version without them.

use std::path::{Path, PathBuf};

use kernel_core::diagnostic::{Diagnostic, Severity};
use kernel_core::pins::{Kind, Pins};
use kernel_core::source::Sources;
use serde::Serialize;

use crate::failure::Failure;
use crate::workspace::Workspace;

/// Folders that hold files which use pins. Others hold fixtures of tests and what was built.
const FOLDERS: [&str; 7] = [".ci", ".github", "docker", "k8s", "services", "templates", "tests/testbed/src"];

/// How deep folders are looked into.
const DEEPEST: usize = 8;

/// Every pin and where it is used.
#[derive(Clone, Debug, Serialize)]
pub struct Versions {
    /// `kernel.versions/v1`.
    pub schema: &'static str,
    /// The pins in the order of the file.
    pub pins: Vec<PinUse>,
    /// What is wrong.
    #[serde(skip)]
    pub diagnostics: Vec<Diagnostic>,
    /// The texts that the diagnostics point into.
    #[serde(skip)]
    pub sources: Sources,
}

/// A pin and where it is used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PinUse {
    /// Its name.
    pub name: String,
    /// The version.
    pub version: String,
    /// Places that use it, as `docker/docker-compose.yml:12`.
    pub used_at: Vec<String>,
}

/// Looks through the workspace.
///
/// # Errors
/// When a file can't be read.
pub fn versions(workspace: &Workspace) -> Result<Versions, Failure> {
    let mut sources = Sources::default();
    let path = workspace.pins_file();
    let text = std::fs::read_to_string(&path).map_err(|error| Failure::unreadable(&path, &error))?;
    let (pins, mut diagnostics) = Pins::parse(sources.add(workspace.shown(&path), text.as_str()), &text);
    let mut files = Vec::new();
    for path in candidates(workspace)? {
        let shown = workspace.shown(&path);
        let Some(kind) = Kind::of(&shown) else { continue };
        let text = std::fs::read_to_string(&path).map_err(|error| Failure::unreadable(&path, &error))?;
        files.push((kind, sources.add(shown, text)));
    }
    let checked = pins.check(&files, &sources);
    diagnostics.extend(checked.diagnostics);
    let pins = pins
        .iter()
        .map(|pin| {
            let spans = checked.uses.get(&pin.name).map(Vec::as_slice).unwrap_or_default();
            let mut used_at: Vec<String> = spans
                .iter()
                .filter_map(|span| {
                    let (line, _) = sources.position(span.source, span.start)?;
                    Some(format!("{}:{line}", sources.get(span.source)?.name))
                })
                .collect();
            used_at.dedup();
            PinUse { name: pin.name.clone(), version: pin.value.clone(), used_at }
        })
        .collect();
    Ok(Versions { schema: "kernel.versions/v1", pins, diagnostics, sources })
}

impl Versions {
    /// Why a check fails, when it does: all errors at once.
    #[must_use]
    pub fn failure(&self) -> Option<Failure> {
        let failed = self.diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error);
        failed.then(|| Failure::in_files(self.diagnostics.clone(), self.sources.clone()))
    }
}

fn candidates(workspace: &Workspace) -> Result<Vec<PathBuf>, Failure> {
    let mut found = Vec::new();
    walk(workspace.root(), 0, &mut found)?;
    for folder in FOLDERS {
        let folder = workspace.root().join(folder);
        if folder.is_dir() {
            walk(&folder, DEEPEST, &mut found)?;
        }
    }
    found.sort();
    Ok(found)
}

/// The files of a folder, and of those below it as deep as `deeper` says. Links are not followed.
fn walk(folder: &Path, deeper: usize, found: &mut Vec<PathBuf>) -> Result<(), Failure> {
    for entry in std::fs::read_dir(folder).map_err(|error| Failure::unreadable(folder, &error))? {
        let entry = entry.map_err(|error| Failure::unreadable(folder, &error))?;
        let kind = entry.file_type().map_err(|error| Failure::unreadable(&entry.path(), &error))?;
        if kind.is_dir() && deeper > 0 && entry.file_name() != "target" {
            walk(&entry.path(), deeper - 1, found)?;
        } else if kind.is_file() {
            found.push(entry.path());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workspace(compose: &str) -> (tempfile::TempDir, Workspace) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("docker")).unwrap();
        std::fs::write(folder.path().join("versions.env"), "POSTGRES_VERSION=17-alpine\n").unwrap();
        std::fs::write(folder.path().join("docker/docker-compose.yml"), compose).unwrap();
        let workspace = Workspace::find(folder.path()).unwrap();
        (folder, workspace)
    }

    #[test]
    fn a_pin_is_told_with_where_it_is_used() {
        let (_folder, workspace) = workspace("services:\n  db:\n    image: postgres:${POSTGRES_VERSION}\n");
        let versions = versions(&workspace).unwrap();
        assert_eq!(versions.pins[0].version, "17-alpine");
        assert_eq!(versions.pins[0].used_at, ["docker/docker-compose.yml:3"]);
        assert!(versions.failure().is_none());
    }

    #[test]
    fn a_version_that_somebody_states_is_told_with_its_place() {
        let (_folder, workspace) = workspace("services:\n  db:\n    image: postgres:16\n");
        let failure = versions(&workspace).unwrap().failure().unwrap();
        let places: Vec<String> = failure
            .diagnostics
            .iter()
            .filter_map(|diagnostic| failure.sources.locate(diagnostic.labels.first()?.span))
            .collect();
        assert!(places.iter().any(|place| place.starts_with("docker/docker-compose.yml:3:")), "{places:?}");
    }

    #[test]
    fn this_workspace_states_no_version_by_itself() {
        let workspace = Workspace::find(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap();
        let versions = versions(&workspace).unwrap();
        let told: Vec<String> = versions
            .diagnostics
            .iter()
            .filter(|diagnostic| diagnostic.severity == Severity::Error)
            .map(|diagnostic| {
                let place = diagnostic.labels.first().and_then(|label| versions.sources.locate(label.span));
                format!("{}: {}", place.unwrap_or_default(), diagnostic.message)
            })
            .collect();
        assert!(told.is_empty(), "{told:#?}");
    }
}
