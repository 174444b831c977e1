//! Why an operation did not do what it was asked to: all reasons at once, with the exit code that they mean.

use std::fmt::Display;
use std::path::Path;

use kernel_core::diagnostic::{Code, Diagnostic};
use kernel_core::event::Problem;
use kernel_core::exit::ExitCode;
use kernel_core::source::Sources;

use crate::codes;

/// Why an operation ended early.
#[derive(Debug)]
pub struct Failure {
    /// What the shell gets.
    pub exit: ExitCode,
    /// What is wrong with what people wrote, with places in [`Self::sources`].
    pub diagnostics: Vec<Diagnostic>,
    /// The texts that the diagnostics point into.
    pub sources: Sources,
    /// What went wrong otherwise.
    pub problems: Vec<Problem>,
}

impl Failure {
    /// One problem.
    #[must_use]
    pub fn new(exit: ExitCode, problem: Problem) -> Self {
        Self::several(exit, vec![problem])
    }

    /// Diagnostics of files: exit code 2.
    #[must_use]
    pub const fn in_files(diagnostics: Vec<Diagnostic>, sources: Sources) -> Self {
        Self { exit: ExitCode::Usage, diagnostics, sources, problems: Vec::new() }
    }

    /// Several problems.
    #[must_use]
    pub fn several(exit: ExitCode, problems: Vec<Problem>) -> Self {
        Self { exit, diagnostics: Vec::new(), sources: Sources::default(), problems }
    }

    /// A file could not be read.
    #[must_use]
    pub fn unreadable(path: &Path, error: &dyn Display) -> Self {
        let message = format!("could not read `{}`: {error}", path.display());
        Self::new(ExitCode::Usage, problem(codes::UNREADABLE, message, "check the path and its permissions"))
    }

    /// A file could not be written.
    #[must_use]
    pub fn unwritable(path: &Path, error: &dyn Display) -> Self {
        let message = format!("could not write `{}`: {error}", path.display());
        Self::new(
            ExitCode::Failed,
            problem(codes::UNWRITABLE, message, "check the folder, its permissions and the disk"),
        )
    }
}

/// An error with what to do about it.
#[must_use]
pub fn problem(code: Code, message: impl Into<String>, help: impl Into<String>) -> Problem {
    Problem { help: Some(help.into()), ..Problem::error(code.0, message) }
}
