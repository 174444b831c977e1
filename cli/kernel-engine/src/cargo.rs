//! Runs one `cargo build` for many packages, tells how far it is, and says which programs came of it.

use std::collections::{BTreeMap, VecDeque};
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader, Lines};
use tokio::process::Command;

use crate::engine::Context;

/// How many lines of what the compiler says are kept.
const EVIDENCE: usize = 200;

/// What `cargo run` sets for its child, which would look like changes to build scripts.
const NOT_INHERITED: [&str; 4] = ["CARGO_MANIFEST_DIR", "CARGO_MANIFEST_PATH", "CARGO_BIN_NAME", "OUT_DIR"];

/// What is to be built, and how.
#[derive(Clone, Debug, Default)]
pub struct CargoBuild {
    /// Where to run cargo.
    pub root: PathBuf,
    /// The cargo to run; `cargo` of the search path when `None`.
    pub cargo: Option<PathBuf>,
    /// The packages, all in one call.
    pub packages: Vec<String>,
    /// Arguments beside them: `--profile`, `--target`, `--target-dir`.
    pub arguments: Vec<OsString>,
    /// Variables beside those of this process.
    pub environment: BTreeMap<String, String>,
}

/// Why there is nothing.
#[derive(Debug)]
pub enum CargoError {
    /// cargo could not be run.
    Missing {
        /// What was run.
        cargo: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// cargo ended with a failure.
    Failed {
        /// What cargo and the compiler said, the last lines of it.
        said: Vec<String>,
        /// Why its end could not be waited for, when it could not.
        source: Option<io::Error>,
    },
}

impl CargoBuild {
    /// Builds. Dropping the future ends cargo. Gives the programs that were made or found up to date, by their names.
    ///
    /// # Errors
    /// When cargo can't be run, or with what the compiler said.
    pub async fn run(&self, context: &Context) -> Result<BTreeMap<String, PathBuf>, CargoError> {
        let cargo = self.cargo.as_deref().unwrap_or(Path::new("cargo"));
        let mut command = Command::new(cargo);
        command.args(["build", "--color", "never", "--message-format", "json-render-diagnostics"]);
        command.args(&self.arguments);
        for package in &self.packages {
            command.args(["--package", package]);
        }
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("CARGO_PKG_") || NOT_INHERITED.contains(&&*text) {
                command.env_remove(&name);
            }
        }
        command.env("CARGO_TERM_PROGRESS_WHEN", "never").envs(&self.environment);
        command.current_dir(&self.root).kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child =
            command.spawn().map_err(|source| CargoError::Missing { cargo: cargo.to_owned(), source })?;
        let (made, said) = tokio::join!(
            artifacts(child.stdout.take().map(lines), context),
            conversation(child.stderr.take().map(lines), context)
        );
        match child.wait().await {
            Ok(status) if status.success() => Ok(made),
            Ok(_) => Err(CargoError::Failed { said, source: None }),
            Err(error) => Err(CargoError::Failed { said, source: Some(error) }),
        }
    }
}

fn lines<R: AsyncRead + Unpin>(pipe: R) -> Lines<BufReader<R>> {
    BufReader::new(pipe).lines()
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
