//! Builds all stale packages at once, and sees to it that their programs are where they are looked for.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use kernel_core::exit::ExitCode;
use kernel_engine::cargo::{CargoBuild, CargoError};
use kernel_engine::{Context, EngineError};

use crate::codes;

/// Builds `packages`. Dropping the future ends cargo.
///
/// # Errors
/// When cargo can't be run, or with all that the compiler said.
pub(crate) async fn build(
    root: &Path,
    cargo: Option<&Path>,
    target_dir: &Path,
    packages: &[String],
    context: &Context,
) -> Result<(), EngineError> {
    let begun = SystemTime::now();
    let build = CargoBuild {
        root: root.to_owned(),
        cargo: cargo.map(Path::to_owned),
        packages: packages.to_vec(),
        arguments: vec!["--target-dir".into(), target_dir.into()],
        environment: BTreeMap::new(),
    };
    match build.run(context).await {
        Ok(made) => finish(target_dir, packages, &made, begun),
        Err(CargoError::Missing { cargo, source }) => {
            let message = format!("could not run `{}` to build {}", cargo.display(), packages.join(" "));
            Err(EngineError::new(codes::NO_CARGO, ExitCode::Prerequisite, message).because(source).help(
                "install Rust from https://rustup.rs, or set KERNEL_BIN_DIR to a folder with the programs",
            ))
        }
        Err(CargoError::Failed { said, source }) => {
            let message = format!("building {} failed", packages.join(" "));
            let error = EngineError::new(codes::BUILD_FAILED, ExitCode::Failed, message)
                .evidence(said)
                .help("correct what the compiler says above; what ran before still runs");
            Err(match source {
                Some(source) => error.because(source),
                None => error,
            })
        }
    }
}

/// Every program is where it is looked for; from now on it counts as up to date.
fn finish(
    target_dir: &Path,
    packages: &[String],
    made: &BTreeMap<String, PathBuf>,
    begun: SystemTime,
) -> Result<(), EngineError> {
    for package in packages {
        let expected = target_dir.join("debug").join(package);
        match made.get(package) {
            Some(path) if same_file(path, &expected) => {}
            Some(path) => {
                let message =
                    format!("cargo put `{package}` at `{}`, not at `{}`", path.display(), expected.display());
                return Err(EngineError::new(codes::NO_PROGRAM, ExitCode::Failed, message)
                    .help("remove `build.target` from cargo's configuration, or set KERNEL_BIN_DIR"));
            }
            None => {
                let message = format!("package `{package}` has no program of its name");
                return Err(EngineError::new(codes::NO_PROGRAM, ExitCode::Usage, message)
                    .help("`x-kernel.package` names a package whose binary has the same name"));
            }
        }
        let dep_info = target_dir.join("debug").join(format!("{package}.d"));
        if let Ok(file) = File::options().append(true).open(&dep_info) {
            // When it can't be set, the next command asks cargo again: slower, not wrong.
            drop(file.set_modified(begun));
        }
    }
    Ok(())
}

fn same_file(one: &Path, other: &Path) -> bool {
    one == other || matches!((one.canonicalize(), other.canonicalize()), (Ok(one), Ok(other)) if one == other)
}
