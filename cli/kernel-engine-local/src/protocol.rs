//! What a command and the supervisor say to each other: one JSON object per line over a Unix socket, one request per
//! connection, any number of answers, the last of them `done` or `failed`.

use std::collections::BTreeMap;
use std::time::Duration;

use kernel_core::event::{LogLine, Stream};
use kernel_core::name::ServiceName;
use kernel_core::secret::{Secret, Value};
use kernel_core::unit::{
    Condition, Dependency, Observed, ObservedItem, Port, ProcessSpec, Readiness, RestartPolicy,
};
use serde::{Deserialize, Serialize};

/// Raised whenever one side would not understand the other. A supervisor of another version is replaced.
pub(crate) const VERSION: u32 = 1;

/// The first and only line that a command sends.
#[derive(Serialize, Deserialize)]
pub(crate) struct Call {
    /// [`VERSION`] of who asks.
    pub version: u32,
    /// What is asked.
    #[serde(flatten)]
    pub request: Request,
}

/// What a command asks for.
#[derive(Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "kebab-case")]
pub(crate) enum Request {
    /// How is everything?
    Observe,
    /// Start a unit.
    Start {
        /// Which.
        name: ServiceName,
        /// With what.
        spec: WireSpec,
        /// Whom it needs.
        depends_on: Vec<Dependency>,
    },
    /// Tell every change of a unit until something is true of it, or can't become so.
    Await {
        /// Which.
        name: ServiceName,
        /// What.
        condition: Condition,
    },
    /// End a unit.
    Stop {
        /// Which.
        name: ServiceName,
        /// Milliseconds between SIGTERM and SIGKILL.
        grace_ms: u64,
    },
    /// Forget a unit.
    Remove {
        /// Which.
        name: ServiceName,
    },
    /// Tell what units said, and will say.
    Logs {
        /// Whose; of all when empty.
        units: Vec<ServiceName>,
        /// So many lines of each.
        tail: Option<usize>,
        /// Whether to go on.
        follow: bool,
    },
    /// End; refused while a unit runs.
    Shutdown,
}

/// One line that the supervisor answers.
#[derive(Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "kebab-case")]
pub(crate) enum Answer {
    /// How everything is.
    Observed {
        /// All units.
        observed: Observed,
    },
    /// How a unit is now.
    Unit {
        /// It.
        item: ObservedItem,
        /// What it said last, when it ended by itself.
        last_lines: Vec<String>,
    },
    /// Something that a unit said.
    Line {
        /// Who.
        unit: ServiceName,
        /// When.
        time: String,
        /// [`Stream::word`].
        stream: String,
        /// What.
        text: String,
    },
    /// It is so; nothing follows.
    Done,
    /// It can't be; nothing follows.
    Failed {
        /// Why.
        reason: Refusal,
        /// One sentence.
        message: String,
        /// Last log lines.
        evidence: Vec<String>,
    },
}

/// Why the supervisor can't do what was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Refusal {
    /// Who asks speaks another version.
    Version,
    /// The unit is not in a state for that.
    OutOfStep,
    /// The process can't be started.
    Start,
    /// The unit crashed or was given up.
    Crashed,
    /// Processes are left that do not end.
    WillNotEnd,
    /// The request can't be read.
    Unreadable,
}

impl Answer {
    pub(crate) fn line(line: &LogLine) -> Self {
        Self::Line {
            unit: line.unit.clone(),
            time: line.time.clone(),
            stream: line.stream.word().to_owned(),
            text: line.text.clone(),
        }
    }
}

/// The stream that a word names.
pub(crate) fn stream(word: &str) -> Stream {
    match word {
        "stdout" => Stream::Stdout,
        "stderr" => Stream::Stderr,
        _ => Stream::Supervisor,
    }
}

/// A [`ProcessSpec`] with its secrets in the open, for the way over the socket only, which is the owner's alone.
#[derive(Serialize, Deserialize)]
pub(crate) struct WireSpec {
    program: String,
    arguments: Vec<String>,
    environment: BTreeMap<String, WireValue>,
    directory: String,
    ports: Vec<Port>,
    readiness: Option<Readiness>,
    restart: RestartPolicy,
    stop_grace_ms: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum WireValue {
    Plain(String),
    Secret(String),
}

impl From<&ProcessSpec> for WireSpec {
    fn from(spec: &ProcessSpec) -> Self {
        let wire = |value: &Value| match value {
            Value::Plain(text) => WireValue::Plain(text.clone()),
            Value::Secret(secret) => WireValue::Secret(secret.expose().to_owned()),
        };
        Self {
            program: spec.program.clone(),
            arguments: spec.arguments.clone(),
            environment: spec.environment.iter().map(|(name, value)| (name.clone(), wire(value))).collect(),
            directory: spec.directory.clone(),
            ports: spec.ports.clone(),
            readiness: spec.readiness.clone(),
            restart: spec.restart,
            stop_grace_ms: u64::try_from(spec.stop_grace.as_millis()).unwrap_or(u64::MAX),
        }
    }
}

impl From<WireSpec> for ProcessSpec {
    fn from(wire: WireSpec) -> Self {
        let value = |wire: WireValue| match wire {
            WireValue::Plain(text) => Value::Plain(text),
            WireValue::Secret(text) => Value::Secret(Secret::new(text)),
        };
        Self {
            program: wire.program,
            arguments: wire.arguments,
            environment: wire.environment.into_iter().map(|(name, wire)| (name, value(wire))).collect(),
            directory: wire.directory,
            ports: wire.ports,
            readiness: wire.readiness,
            restart: wire.restart,
            stop_grace: Duration::from_millis(wire.stop_grace_ms),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_specification_comes_over_whole_and_its_secrets_stay_secrets() {
        let spec = ProcessSpec {
            program: "/bin/iam".to_owned(),
            arguments: vec!["a".to_owned()],
            environment: BTreeMap::from([
                ("A".to_owned(), Value::Plain("1".to_owned())),
                ("B".to_owned(), Value::Secret(Secret::new("hunter2"))),
            ]),
            directory: "/data".to_owned(),
            ports: vec![Port { host: 8081, container: 8080 }],
            readiness: Some(Readiness { port: 8081, path: "/health/ready".to_owned() }),
            restart: RestartPolicy::OnFailure(Some(3)),
            stop_grace: Duration::from_millis(1500),
        };
        let name = ServiceName::new("iam").unwrap();
        let request = Request::Start { name, spec: WireSpec::from(&spec), depends_on: Vec::new() };
        let text = serde_json::to_string(&Call { version: VERSION, request }).unwrap();
        assert!(!text.contains('\n'));
        let Request::Start { spec: back, .. } = serde_json::from_str::<Call>(&text).unwrap().request else {
            panic!("another request came back");
        };
        let back = ProcessSpec::from(back);
        assert_eq!(back, spec);
        assert!(!format!("{back:?}").contains("hunter2"));
    }
}
