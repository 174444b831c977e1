//! Runs `cargo build` for all stale packages at once and tells how far it is.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::SystemTime;

use kernel_core::exit::ExitCode;
use kernel_engine::{Context, EngineError};
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader, Lines};
use tokio::process::Command;

use crate::codes;

/// How many lines of what the compiler says are kept.
const EVIDENCE: usize = 200;

/// What `cargo run` sets for its child, which would look like changes to build scripts.
const NOT_INHERITED: [&str; 4] = ["CARGO_MANIFEST_DIR", "CARGO_MANIFEST_PATH", "CARGO_BIN_NAME", "OUT_DIR"];

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
    let cargo = cargo.unwrap_or(Path::new("cargo"));
    let begun = SystemTime::now();
    let mut command = Command::new(cargo);
    command.args(["build", "--color", "never", "--message-format", "json-render-diagnostics"]);
    command.arg("--target-dir").arg(target_dir);
    for package in packages {
        command.args(["--package", package]);
    }
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || NOT_INHERITED.contains(&&*text) {
            command.env_remove(&name);
        }
    }
    command.env("CARGO_TERM_PROGRESS_WHEN", "never").current_dir(root).kill_on_drop(true);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| {
        let message = format!("could not run `{}` to build {}", cargo.display(), packages.join(" "));
        EngineError::new(codes::NO_CARGO, ExitCode::Prerequisite, message)
            .because(error)
            .help("install Rust from https://rustup.rs, or set KERNEL_BIN_DIR to a folder with the programs")
    })?;
    let (made, said) = tokio::join!(
        artifacts(child.stdout.take().map(lines), context),
        conversation(child.stderr.take().map(lines), context)
    );
    match child.wait().await {
        Ok(status) if status.success() => finish(target_dir, packages, &made, begun),
        Ok(_) => Err(failed(packages, said)),
        Err(error) => Err(failed(packages, said).because(error)),
    }
}

fn lines<R: AsyncRead + Unpin>(pipe: R) -> Lines<BufReader<R>> {
    BufReader::new(pipe).lines()
}

fn failed(packages: &[String], said: Vec<String>) -> EngineError {
    let message = format!("building {} failed", packages.join(" "));
    EngineError::new(codes::BUILD_FAILED, ExitCode::Failed, message)
        .evidence(said)
        .help("correct what the compiler says above; what ran before still runs")
}

/// One message of cargo, as far as it matters here.
#[derive(Deserialize)]
struct Message {
    reason: String,
    target: Option<Target>,
    executable: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
}

/// The programs that were made or found up to date, by name.
async fn artifacts(
    lines: Option<Lines<BufReader<impl AsyncRead + Unpin>>>,
    context: &Context,
) -> BTreeMap<String, PathBuf> {
    let mut made = BTreeMap::new();
    let Some(mut lines) = lines else { return made };
    let mut count = 0;
    while let Ok(Some(line)) = lines.next_line().await {
        let Ok(message) = serde_json::from_str::<Message>(&line) else { continue };
        if message.reason != "compiler-artifact" {
            continue;
        }
        count += 1;
        let Some(target) = message.target else { continue };
        context.progress(format!("compiled {}", target.name), Some(count), None);
        if let Some(executable) = message.executable {
            made.insert(target.name, executable);
        }
    }
    made
}

/// What cargo and the compiler say to people: progress now, the rest as evidence.
async fn conversation(
    lines: Option<Lines<BufReader<impl AsyncRead + Unpin>>>,
    context: &Context,
) -> Vec<String> {
    let mut kept = VecDeque::new();
    let Some(mut lines) = lines else { return Vec::new() };
    while let Ok(Some(line)) = lines.next_line().await {
        let doing = line.trim_start();
        let word = doing.split(' ').next().unwrap_or_default();
        if matches!(word, "Compiling" | "Downloading" | "Downloaded" | "Blocking" | "Updating" | "Locking") {
            context.progress(doing.to_owned(), None, None);
        } else if word != "Finished" {
            if kept.len() == EVIDENCE {
                kept.pop_front();
            }
            kept.push_back(line);
        }
    }
    kept.into()
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
