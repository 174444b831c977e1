//! One thing that is wrong: a code, a sentence, and what to do.

use std::fmt;

use kernel_core::diagnostic::Code;
use kernel_core::event::Problem;
use kernel_core::exit::ExitCode;
use kernel_engine::EngineError;

use crate::codes;

/// Why something can't be deployed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Its stable name.
    pub code: Code,
    /// What was attempted and what is wrong.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
    /// What was seen.
    pub evidence: Vec<String>,
}

impl Fault {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), help: None, evidence: Vec::new() }
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    pub(crate) fn evidence(mut self, lines: Vec<String>) -> Self {
        self.evidence = lines;
        self
    }

    /// What the cluster said, in our words. `attempted` is what was done: `reading Deployment web`.
    pub(crate) fn of(attempted: &str, error: &kube::Error) -> Self {
        let kube::Error::Api(status) = error else {
            let message = format!("{attempted}: the cluster does not answer: {}", innermost(error));
            return Self::new(codes::UNREACHABLE, message).help(
                "check that the cluster runs and can be reached from here, then run the command again",
            );
        };
        match status.code {
            401 => Self::new(codes::FORBIDDEN, format!("{attempted}: the cluster does not know who we are"))
                .help("the login has ended or is wrong: log in again, as the provider of the cluster says"),
            403 => Self::new(codes::FORBIDDEN, format!("{attempted}: {}", status.message))
                .help("ask for this right, or use a context that has it"),
            _ => Self::new(codes::REFUSED, format!("{attempted}: {}", status.message))
                .help("mend what the message names, then run the command again"),
        }
    }

    /// How a command ends when this is the first that is wrong.
    #[must_use]
    pub fn exit(&self) -> ExitCode {
        match self.code {
            codes::NO_CLUSTER | codes::UNREACHABLE | codes::NO_ROOM => ExitCode::Prerequisite,
            codes::FORBIDDEN => ExitCode::Permission,
            codes::LOCKED => ExitCode::Locked,
            codes::PLAN_IS_OLD => ExitCode::Conflict,
            codes::DOOMED | codes::FAILED => ExitCode::Unhealthy,
            codes::REQUEST_LOST => ExitCode::CheckFailed,
            codes::NO_BASELINE => ExitCode::Invalid,
            _ => ExitCode::Usage,
        }
    }

    /// The fault as everybody outside sees it.
    #[must_use]
    pub fn problem(&self) -> Problem {
        Problem {
            help: self.help.clone(),
            evidence: self.evidence.clone(),
            ..Problem::error(self.code.0, self.message.clone())
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.code)
    }
}

impl std::error::Error for Fault {}

impl From<Fault> for EngineError {
    fn from(fault: Fault) -> Self {
        let error = Self::new(fault.code, fault.exit(), fault.message.clone()).evidence(fault.evidence);
        match fault.help {
            Some(help) => error.help(help),
            None => error,
        }
    }
}

/// What it all came from: the outer layers only repeat it.
pub(crate) fn innermost(error: &dyn std::error::Error) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}
