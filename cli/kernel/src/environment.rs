//! The outside as it was when the program started: variables, working directory, terminal. Asked once, here only.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What the program was started in.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// Variables whose names and values are text; others can't be meant for us.
    pub variables: BTreeMap<String, String>,
    /// The working directory.
    pub working_directory: PathBuf,
    /// Whether the answer goes to a terminal.
    pub stdout_is_terminal: bool,
    /// Whether the conversation goes to a terminal.
    pub stderr_is_terminal: bool,
    /// Whether somebody can answer.
    pub stdin_is_terminal: bool,
    /// Columns of the terminal, when there is one.
    pub columns: Option<usize>,
}

impl Environment {
    /// Asks the process. A working directory that is gone is taken as `.`, and the first use says what is wrong.
    #[must_use]
    pub fn of_process() -> Self {
        let variables = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        Self {
            variables,
            working_directory: working_directory(),
            stdout_is_terminal: std::io::stdout().is_terminal(),
            stderr_is_terminal: std::io::stderr().is_terminal(),
            stdin_is_terminal: std::io::stdin().is_terminal(),
            columns: rustix::termios::tcgetwinsize(std::io::stderr())
                .or_else(|_| rustix::termios::tcgetwinsize(std::io::stdout()))
                .ok()
                .map(|size| usize::from(size.ws_col))
                .filter(|columns| *columns > 0),
        }
    }

    /// Whether questions can be asked and answered.
    #[must_use]
    pub const fn is_conversation(&self) -> bool {
        self.stdin_is_terminal && self.stderr_is_terminal
    }

    /// A variable that is set and not empty.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }
}

/// The name by which the shell came here when that is still true, so that a link in it keeps its name, as docker compose
/// has it; else the one that the system gives.
fn working_directory() -> PathBuf {
    let same = |path: &Path| {
        let (here, there) = (std::fs::metadata("."), std::fs::metadata(path));
        matches!((here, there), (Ok(here), Ok(there)) if here.dev() == there.dev() && here.ino() == there.ino())
    };
    let named = std::env::var_os("PWD").map(PathBuf::from);
    named
        .filter(|path| path.is_absolute() && same(path))
        .or_else(|| std::env::current_dir().ok())
        .unwrap_or_else(|| PathBuf::from("."))
}
