//! Facts about what happens, from a closed list. Whoever works emits them; whoever prints listens. Nothing else leaves
//! the layers below the command.

use serde::Serialize;
use serde_json::json;

use crate::diagnostic::{Diagnostic, Severity};
use crate::name::ServiceName;
use crate::plan::{Plan, Step, StepId, Subject};
use crate::unit::UnitState;

/// The name and version of the serialised form. Fields and events are only ever added.
pub const SCHEMA: &str = "kernel.event/v1";

/// One fact.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// It is decided what will be done.
    PlanMade {
        /// All of it.
        plan: Plan,
        /// Nothing will be done: `--dry-run`.
        dry_run: bool,
    },
    /// A step can't begin yet.
    StepHeld {
        /// Which.
        step: StepId,
        /// To whom.
        subject: Subject,
        /// The steps that it waits for.
        waits_for: Vec<StepId>,
    },
    /// A step has begun.
    StepStarted {
        /// Which.
        step: StepId,
        /// To whom.
        subject: Subject,
        /// What: `build`, `start`, `await`, `stop`, `remove`.
        verb: &'static str,
    },
    /// A step has come further.
    StepProgress {
        /// Which.
        step: StepId,
        /// What it does now, a few words.
        message: String,
        /// So many parts are done, when they can be counted.
        done: Option<u64>,
        /// Of so many.
        total: Option<u64>,
    },
    /// A step that has begun waits for something outside.
    StepWaiting {
        /// Which.
        step: StepId,
        /// To whom.
        subject: Subject,
        /// For what, a few words: `/health/ready answers 503`.
        reason: String,
    },
    /// A step succeeded.
    StepFinished {
        /// Which.
        step: StepId,
        /// To whom.
        subject: Subject,
        /// What.
        verb: &'static str,
        /// How long it took.
        elapsed_ms: u64,
    },
    /// A step failed.
    StepFailed {
        /// Which.
        step: StepId,
        /// To whom.
        subject: Subject,
        /// What.
        verb: &'static str,
        /// How long it took.
        elapsed_ms: u64,
        /// Why, and what to do.
        problem: Problem,
    },
    /// A step never began or was given up, because another failed or somebody interrupted.
    StepCancelled {
        /// Which.
        step: StepId,
        /// To whom.
        subject: Subject,
        /// Because of what, a few words.
        because: String,
    },
    /// A plan has come to its end.
    PlanFinished {
        /// Steps that succeeded.
        finished: usize,
        /// Steps that failed.
        failed: usize,
        /// Steps that were cancelled.
        cancelled: usize,
        /// How long all took.
        elapsed_ms: u64,
    },
    /// A unit is in another state.
    UnitChanged {
        /// Which.
        unit: ServiceName,
        /// The new state.
        #[serde(flatten)]
        state: UnitState,
        /// What else is to be said.
        detail: Option<String>,
        /// Its last log lines, when it ended by itself.
        last_lines: Vec<String>,
    },
    /// A unit said something.
    LogLine(LogLine),
    /// Somebody can be reached.
    Endpoint {
        /// Who.
        service: ServiceName,
        /// Where.
        url: String,
        /// What it is, a few words: `REST`, `REST over TLS`, `gRPC and health`.
        what: String,
    },
    /// An infra service needs no process here.
    Embedded {
        /// Which.
        service: ServiceName,
        /// What answers for it, a few words.
        by: String,
    },
    /// A check has begun.
    CheckStarted {
        /// Of whom.
        service: ServiceName,
        /// Which.
        check: String,
    },
    /// A check is decided.
    CheckFinished(CheckResult),
    /// Something that people should know; the work goes on.
    Notice {
        /// One sentence.
        message: String,
    },
    /// Something is wrong, or may be.
    Problem(Problem),
}

impl Event {
    /// One JSON line: schema, milliseconds since the command began, the event.
    #[must_use]
    pub fn to_json_line(&self, at_ms: u64) -> String {
        let mut line = json!({ "schema": SCHEMA, "at_ms": at_ms });
        if let (Some(line), Ok(serde_json::Value::Object(event))) =
            (line.as_object_mut(), serde_json::to_value(self))
        {
            line.extend(event);
        }
        line.to_string()
    }

    /// That a step has begun.
    #[must_use]
    pub fn step_started(step: &Step) -> Self {
        Self::StepStarted { step: step.id, subject: step.subject.clone(), verb: step.action.verb() }
    }
}

/// One line of a unit's output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LogLine {
    /// Who said it.
    pub unit: ServiceName,
    /// When, RFC 3339 in UTC with microseconds.
    pub time: String,
    /// Where.
    pub stream: Stream,
    /// What, without the end of line.
    pub text: String,
}

/// Where a line came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// The supervisor speaks about the unit.
    Supervisor,
}

impl Stream {
    /// The word that stands in a log file.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
            Self::Supervisor => "supervisor",
        }
    }
}

/// What came of one check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CheckResult {
    /// Of whom.
    pub service: ServiceName,
    /// Which: `live`, `ready`, `grpc-health`, the name of a scenario.
    pub check: String,
    /// How it ended.
    pub verdict: Verdict,
    /// How long it took, all tries together.
    pub elapsed_ms: u64,
    /// How often it was tried.
    pub attempts: u32,
    /// What was expected, when it failed.
    pub expected: Option<String>,
    /// What came, when it failed.
    pub actual: Option<String>,
    /// The service's last log lines, when it failed.
    pub last_lines: Vec<String>,
}

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// As expected.
    Passed,
    /// Otherwise.
    Failed,
    /// Not tried, because something before it failed.
    Skipped,
}

/// A diagnostic or an error as everybody outside sees it. Texts only, no secrets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Stable name: `K-…`.
    pub code: &'static str,
    /// Whether the work could go on.
    #[serde(serialize_with = "severity")]
    pub severity: Severity,
    /// What was attempted and what is wrong.
    pub message: String,
    /// What led to it, outermost first.
    pub causes: Vec<String>,
    /// What to do.
    pub help: Option<String>,
    /// Evidence: last log lines, compiler output.
    pub evidence: Vec<String>,
}

impl Problem {
    /// An error with a code and a sentence.
    #[must_use]
    pub fn error(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            severity: Severity::Error,
            message: message.into(),
            causes: Vec::new(),
            help: None,
            evidence: Vec::new(),
        }
    }
}

/// A diagnostic without its places: `kernel-report` draws those from the diagnostic itself.
impl From<&Diagnostic> for Problem {
    fn from(diagnostic: &Diagnostic) -> Self {
        Self {
            severity: diagnostic.severity,
            help: diagnostic.help.clone(),
            ..Self::error(diagnostic.code.0, diagnostic.message.clone())
        }
    }
}

fn severity<S: serde::Serializer>(severity: &Severity, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(match severity {
        Severity::Warning => "warning",
        Severity::Error => "error",
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::unit::ExitStatus;

    #[test]
    fn a_line_starts_with_schema_and_time() {
        let event = Event::UnitChanged {
            unit: ServiceName::new("iam").unwrap(),
            state: UnitState::CrashLooping { status: ExitStatus::Code(1) },
            detail: None,
            last_lines: vec!["no database".to_owned()],
        };
        assert_eq!(
            event.to_json_line(12),
            r#"{"schema":"kernel.event/v1","at_ms":12,"event":"unit-changed","unit":"iam","state":"crash-looping","status":{"code":1},"detail":null,"last_lines":["no database"]}"#
        );
    }

    #[test]
    fn a_step_names_its_subject() {
        let event = Event::StepFinished {
            step: StepId(3),
            subject: Subject::Service(ServiceName::new("iam").unwrap()),
            verb: "start",
            elapsed_ms: 7,
        };
        assert_eq!(
            event.to_json_line(0),
            r#"{"schema":"kernel.event/v1","at_ms":0,"event":"step-finished","step":3,"subject":{"kind":"service","name":"iam"},"verb":"start","elapsed_ms":7}"#
        );
    }
}
