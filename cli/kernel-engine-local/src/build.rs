//! Where the programs of packages are, whether they are up to date, and how they are made.
//!
//! A program that is up to date is found so without cargo: its dep-info file names all sources, and comparing times
//! takes milliseconds where asking cargo takes a good part of a second.

mod cargo;
mod dep_info;
mod freshness;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use kernel_core::exit::ExitCode;
use kernel_engine::EngineError;

pub(crate) use cargo::build;

use crate::build::freshness::Clock;
use crate::codes;

/// How programs come about.
#[derive(Clone, Debug, Default)]
pub struct BuildSettings {
    /// A folder with ready-made programs, named like their packages: nothing is ever built then. `KERNEL_BIN_DIR`.
    pub bin_dir: Option<PathBuf>,
    /// The cargo to run; `cargo` of the search path when `None`. `CARGO`.
    pub cargo: Option<PathBuf>,
    /// Where cargo builds, when that was said. `CARGO_TARGET_DIR`.
    pub target_dir: Option<PathBuf>,
}

impl BuildSettings {
    /// Reads the variables that the fields name.
    pub fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Self {
        let path = |name| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        Self {
            bin_dir: path("KERNEL_BIN_DIR"),
            cargo: path("CARGO"),
            target_dir: path("CARGO_TARGET_DIR").or_else(|| path("CARGO_BUILD_TARGET_DIR")),
        }
    }
}

/// The program of a package.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Program {
    /// Where it is or will be, absolute.
    pub path: PathBuf,
    /// Why it has to be built, when it has to.
    pub stale: Option<String>,
}

/// Finds the programs of `packages`. Runs nothing and writes nothing.
pub(crate) fn programs(
    root: &Path,
    settings: &BuildSettings,
    own_program: &Path,
    packages: &[String],
) -> Result<BTreeMap<String, Program>, EngineError> {
    if let Some(folder) = &settings.bin_dir {
        return ready_made(&root.join(folder), packages);
    }
    let target_dir = target_dir(root, settings, own_program);
    let folder = target_dir.join("debug");
    let mut clock = Clock::new(root, &target_dir);
    let program = |package: &String| {
        let path = folder.join(package);
        let stale = clock.stale(&path, &folder.join(format!("{package}.d")));
        (package.clone(), Program { path, stale })
    };
    Ok(packages.iter().map(program).collect())
}

/// What was said, else the target folder that our own program lies in, else the usual one.
pub(crate) fn target_dir(root: &Path, settings: &BuildSettings, own_program: &Path) -> PathBuf {
    if let Some(folder) = &settings.target_dir {
        return root.join(folder);
    }
    let own = own_program.ancestors().nth(2).filter(|folder| folder.join("CACHEDIR.TAG").is_file());
    own.map_or_else(|| root.join("target"), Path::to_owned)
}

fn ready_made(folder: &Path, packages: &[String]) -> Result<BTreeMap<String, Program>, EngineError> {
    let missing: Vec<&str> =
        packages.iter().filter(|package| !folder.join(package).is_file()).map(String::as_str).collect();
    if missing.is_empty() {
        let program =
            |package: &String| (package.clone(), Program { path: folder.join(package), stale: None });
        return Ok(packages.iter().map(program).collect());
    }
    let message = format!("KERNEL_BIN_DIR is `{}`, which has no {}", folder.display(), missing.join(", "));
    Err(EngineError::new(codes::NO_PROGRAM, ExitCode::Prerequisite, message)
        .help("put the programs there, or unset KERNEL_BIN_DIR to have them built"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_made_programs_are_taken_as_they_are_and_missing_ones_told_at_once() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("iam"), "").unwrap();
        let settings = BuildSettings { bin_dir: Some(folder.path().to_owned()), ..BuildSettings::default() };
        let find = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            programs(Path::new("/src"), &settings, Path::new("/bin/kernel"), &names)
        };
        assert_eq!(find(&["iam"]).unwrap()["iam"].stale, None);
        let error = find(&["money", "iam", "files"]).unwrap_err();
        assert!(error.message.ends_with("which has no money, files"), "{}", error.message);
    }

    #[test]
    fn the_target_folder_is_the_one_that_we_were_built_in() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("CACHEDIR.TAG"), "").unwrap();
        let own = folder.path().join("debug/kernel");
        let none = BuildSettings::default();
        assert_eq!(target_dir(Path::new("/src"), &none, &own), folder.path());
        assert_eq!(
            target_dir(Path::new("/src"), &none, Path::new("/usr/bin/kernel")),
            Path::new("/src/target")
        );
        let said = BuildSettings { target_dir: Some(PathBuf::from("out")), ..none };
        assert_eq!(target_dir(Path::new("/src"), &said, &own), Path::new("/src/out"));
    }
}
