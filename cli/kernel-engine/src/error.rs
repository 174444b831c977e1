//! What an engine says when it can't.

use std::fmt;

use kernel_core::diagnostic::Code;
use kernel_core::event::Problem;
use kernel_core::exit::ExitCode;

/// Why something could not be done: a stable code, a sentence, evidence, and what to do.
#[derive(Debug)]
pub struct EngineError {
    /// Its stable name.
    pub code: Code,
    /// How the command ends when this is the first that went wrong.
    pub exit: ExitCode,
    /// What was attempted and what is wrong.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
    /// Last log lines, compiler output and the like.
    pub evidence: Vec<String>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl EngineError {
    /// An error with a code and a sentence.
    pub fn new(code: Code, exit: ExitCode, message: impl Into<String>) -> Self {
        Self { code, exit, message: message.into(), help: None, evidence: Vec::new(), source: None }
    }

    /// Says what to do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Adds what was seen.
    #[must_use]
    pub fn evidence(mut self, lines: Vec<String>) -> Self {
        self.evidence = lines;
        self
    }

    /// Adds what led to it.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The error as everybody outside sees it.
    #[must_use]
    pub fn problem(&self) -> Problem {
        let mut causes = Vec::new();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            causes.push(error.to_string());
            cause = error.source();
        }
        Problem {
            causes,
            help: self.help.clone(),
            evidence: self.evidence.clone(),
            ..Problem::error(self.code.0, self.message.clone())
        }
    }
}

impl fmt::Display for EngineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.code)
    }
}

impl std::error::Error for EngineError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn std::error::Error + 'static))
    }
}
