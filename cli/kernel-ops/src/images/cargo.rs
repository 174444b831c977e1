//! Static programs for images: one `cargo build` for all of them, beside and not among the developer's own builds.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use kernel_core::exit::ExitCode;
use kernel_engine::cargo::{CargoBuild, CargoError};
use kernel_engine::{Context, EngineError};
use serde::Deserialize;
use tokio::process::Command;

use crate::codes;

/// The target is always named, also where it is the machine's own: only then do the flags below hold for the programs
/// and not for the compiler's own plug-ins, and only then do these builds have folders of their own.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// A program that goes into an image, and what its manifest says of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Program {
    /// Where it is.
    pub path: PathBuf,
    /// The package's version.
    pub version: Option<String>,
    /// The package's licence.
    pub license: Option<String>,
}

/// Builds the programs of `packages`. Dropping the future ends cargo.
///
/// # Errors
/// When cargo can't be run, with all that the compiler said, or when a package has no program of its name.
pub async fn build(
    root: &Path,
    cargo: Option<&Path>,
    packages: &[String],
    context: &Context,
) -> Result<BTreeMap<String, Program>, EngineError> {
    let arguments = ["--release", "--target", TARGET].map(OsString::from).to_vec();
    let build = CargoBuild {
        root: root.to_owned(),
        cargo: cargo.map(Path::to_owned),
        packages: packages.to_vec(),
        arguments,
        environment: BTreeMap::from([("CARGO_ENCODED_RUSTFLAGS".to_owned(), flags(root))]),
    };
    let (made, manifests) = tokio::join!(build.run(context), manifests(root, cargo));
    let mut made = made.map_err(|error| failed(packages, error))?;
    let mut programs = BTreeMap::new();
    for package in packages {
        let Some(path) = made.remove(package) else {
            let message = format!("package `{package}` has no program of its name");
            return Err(EngineError::new(codes::IMAGE_NOT_STATIC, ExitCode::Usage, message)
                .help("`x-kernel.package` names a package whose binary has the same name"));
        };
        programs.insert(package.clone(), program(path, manifests.get(package)));
    }
    Ok(programs)
}

/// The programs of a folder where they lie ready-made.
///
/// # Errors
/// Every one that is missing.
pub async fn ready_made(
    root: &Path,
    folder: &Path,
    cargo: Option<&Path>,
    packages: &[String],
) -> Result<BTreeMap<String, Program>, EngineError> {
    let folder = root.join(folder);
    let missing: Vec<&str> =
        packages.iter().filter(|package| !folder.join(package).is_file()).map(String::as_str).collect();
    if !missing.is_empty() {
        let message =
            format!("KERNEL_BIN_DIR is `{}`, which has no {}", folder.display(), missing.join(", "));
        return Err(EngineError::new(codes::IMAGE_NOT_STATIC, ExitCode::Prerequisite, message)
            .help("put the programs there, or unset KERNEL_BIN_DIR to have them built"));
    }
    let manifests = manifests(root, cargo).await;
    let program = |package: &String| (package.clone(), program(folder.join(package), manifests.get(package)));
    Ok(packages.iter().map(program).collect())
}

fn program(path: PathBuf, manifest: Option<&Manifest>) -> Program {
    Program {
        path,
        version: manifest.map(|manifest| manifest.version.clone()),
        license: manifest.and_then(|manifest| manifest.license.clone()),
    }
}

/// Everything is linked in, and paths of this machine do not get into programs: neither into what they say when they
/// panic, nor into their bytes, which would then differ from machine to machine.
fn flags(root: &Path) -> String {
    let mut flags = vec!["-Ctarget-feature=+crt-static".to_owned()];
    let home = std::env::home_dir().map(|home| home.join(".cargo"));
    let cargo_home = std::env::var_os("CARGO_HOME").map(PathBuf::from).or(home);
    let places = [(Some(root), "/workspace"), (cargo_home.as_deref(), "/cargo")];
    for (from, to) in places {
        if let Some(from) = from.and_then(Path::to_str) {
            flags.push(format!("--remap-path-prefix={from}={to}"));
        }
    }
    flags.join("\u{1f}")
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Manifest>,
}

#[derive(Clone, Deserialize)]
struct Manifest {
    name: String,
    version: String,
    license: Option<String>,
}

/// What the manifests of the workspace say, by package. When cargo does not tell, images say less.
async fn manifests(root: &Path, cargo: Option<&Path>) -> BTreeMap<String, Manifest> {
    let output = Command::new(cargo.unwrap_or(Path::new("cargo")))
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .current_dir(root)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await;
    let metadata = output.ok().and_then(|output| serde_json::from_slice::<Metadata>(&output.stdout).ok());
    let packages = metadata.map(|metadata| metadata.packages).unwrap_or_default();
    packages.into_iter().map(|manifest| (manifest.name.clone(), manifest)).collect()
}

fn failed(packages: &[String], error: CargoError) -> EngineError {
    let names = packages.join(" ");
    match error {
        CargoError::Missing { cargo, source } => {
            let message = format!("could not run `{}` to build {names}", cargo.display());
            EngineError::new(codes::IMAGE_NO_CARGO, ExitCode::Prerequisite, message)
                .because(source)
                .help("install Rust from https://rustup.rs, or build with `--via docker`")
        }
        CargoError::Failed { said, source } => {
            let error = EngineError::new(
                codes::IMAGE_BUILD_FAILED,
                ExitCode::Failed,
                format!("building {names} for images failed"),
            )
            .evidence(said)
            .help("correct what the compiler says above");
            match source {
                Some(source) => error.because(source),
                None => error,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_link_everything_in_and_leave_the_machine_out() {
        let flags = flags(Path::new("/home/me/platform"));
        let flags: Vec<&str> = flags.split('\u{1f}').collect();
        assert_eq!(flags[0], "-Ctarget-feature=+crt-static");
        assert_eq!(flags[1], "--remap-path-prefix=/home/me/platform=/workspace");
    }

    #[tokio::test]
    async fn every_program_that_is_missing_is_told() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("iam"), "").unwrap();
        let packages = ["iam", "money", "files"].map(str::to_owned);
        let cargo = Some(Path::new("/nowhere/cargo"));
        let error = ready_made(folder.path(), Path::new("."), cargo, &packages).await.unwrap_err();
        assert!(error.message.ends_with("which has no money, files"), "{}", error.message);
        let programs = ready_made(folder.path(), Path::new(""), cargo, &packages[..1]).await.unwrap();
        assert_eq!((programs.len(), programs["iam"].version.as_deref()), (1, None));
    }
}
