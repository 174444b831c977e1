//! Units: what of a project runs, as it is wanted and as it is found.
//!
//! Owns the types both sides of a plan are made of. Where wanted units come from (Compose) and how found ones are
//! seen (an engine) is for others.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::container::{DesiredContainer, DesiredNetwork, DesiredVolume, World};
use crate::name::{ProjectName, ServiceName};
use crate::secret::Value;

/// What a project should look like. No items: it should not be there at all.
#[derive(Clone, Debug)]
pub struct Desired {
    /// Whose units these are.
    pub project: ProjectName,
    /// One for each service, names unique, in any order.
    pub items: Vec<DesiredItem>,
    /// The networks that containers among them are members of.
    pub networks: Vec<DesiredNetwork>,
    /// The named volumes that containers among them mount.
    pub volumes: Vec<DesiredVolume>,
}

impl Desired {
    /// Nothing: what `down` wants.
    #[must_use]
    pub const fn nothing(project: ProjectName) -> Self {
        Self::of(project, Vec::new())
    }

    /// Units that need neither networks nor volumes.
    #[must_use]
    pub const fn of(project: ProjectName, items: Vec<DesiredItem>) -> Self {
        Self { project, items, networks: Vec::new(), volumes: Vec::new() }
    }
}

/// One unit as it is wanted.
#[derive(Clone, Debug)]
pub struct DesiredItem {
    /// Its service.
    pub name: ServiceName,
    /// What it is.
    pub kind: DesiredKind,
    /// What must be there before it starts.
    pub depends_on: Vec<Dependency>,
    /// Whether it should run.
    pub target: Target,
}

/// Whether a wanted unit should run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// Up and ready.
    Running,
    /// Known, but not running: what `stop` wants.
    Stopped,
}

/// What a wanted unit is.
#[derive(Clone, Debug)]
pub enum DesiredKind {
    /// A process on this machine.
    Process(Box<DesiredProcess>),
    /// Containers of an engine that runs containers.
    Container(Box<DesiredContainer>),
    /// An infra service that the embedded defaults of its dependents answer for: no process, always satisfied.
    Embedded,
}

/// A process as it is wanted.
#[derive(Clone, Debug)]
pub struct DesiredProcess {
    /// All that is needed to start it.
    pub spec: ProcessSpec,
    /// What the engine will find later when it started exactly this.
    pub fingerprint: Fingerprint,
    /// The package that makes its program, when it is made here.
    pub package: Option<Package>,
}

/// A package of the workspace that a unit's program is built from.
#[derive(Clone, Debug)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Why the program can't be used as it is, such as "src/main.rs is newer". `None`: it is up to date.
    pub stale: Option<String>,
}

/// All that is needed to start one process; nothing is inherited beside it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ProcessSpec {
    /// Absolute path.
    pub program: String,
    /// Without the program's own name.
    pub arguments: Vec<String>,
    /// The whole environment.
    pub environment: BTreeMap<String, Value>,
    /// Absolute path of the folder to start in. Made when it is missing.
    pub directory: String,
    /// Ports of 127.0.0.1 that it will listen on.
    pub ports: Vec<Port>,
    /// How to ask whether it is ready. `None`: it is ready when it runs.
    pub readiness: Option<Readiness>,
    /// What to do when it ends by itself.
    pub restart: RestartPolicy,
    /// How long it has between SIGTERM and SIGKILL.
    #[serde(rename = "stop_grace_ms", serialize_with = "millis")]
    pub stop_grace: Duration,
}

/// Serialises a duration as whole milliseconds.
pub(crate) fn millis<S: serde::Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}

/// One port of a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Port {
    /// Where it can be reached on this machine.
    pub host: u16,
    /// What it is called inside the project.
    pub container: u16,
}

/// An HTTP endpoint on 127.0.0.1 that answers 200 when the unit is ready.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Readiness {
    /// The port.
    pub port: u16,
    /// The path, with its leading `/`.
    pub path: String,
}

/// What happens when a process ends without being asked to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RestartPolicy {
    /// It stays down.
    No,
    /// Started again after a failure, at most so many times when a number is given.
    OnFailure(Option<u32>),
    /// Always started again.
    Always,
}

/// What a unit needs from another before it starts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dependency {
    /// On whom.
    pub name: ServiceName,
    /// What must be true of it.
    pub condition: Condition,
    /// `false`: go on without it when it is not part of the project.
    pub required: bool,
}

/// Something to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Condition {
    /// The process runs.
    Started,
    /// Its readiness endpoint answers, or it did its work and ended with exit code 0.
    Healthy,
    /// It ended with exit code 0.
    Completed,
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Started => "started",
            Self::Healthy => "healthy",
            Self::Completed => "completed",
        })
    }
}

/// What a unit was started with, as named parts, so that a difference has a name. Holds hashes only.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fingerprint(pub BTreeMap<String, String>);

impl Fingerprint {
    /// The names of the parts that differ, in order. Empty: the same.
    #[must_use]
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let mut names: Vec<String> = self
            .0
            .iter()
            .filter(|(name, hash)| other.0.get(*name) != Some(hash))
            .chain(other.0.iter().filter(|(name, _)| !self.0.contains_key(*name)))
            .map(|(name, _)| name.clone())
            .collect();
        names.sort();
        names
    }
}

/// What an engine found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observed {
    /// The engine holds something for this project beside units and data: a supervisor, files, networks.
    pub present: bool,
    /// There is data that outlives `down`.
    pub data: bool,
    /// The units, names unique.
    pub items: Vec<ObservedItem>,
    /// Every container, network, volume and image behind them, on an engine that runs containers.
    #[serde(skip)]
    pub world: Option<Box<World>>,
}

/// One unit as it was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservedItem {
    /// Its service.
    pub name: ServiceName,
    /// How it is.
    pub state: UnitState,
    /// What it was started with, when that is known.
    pub fingerprint: Option<Fingerprint>,
    /// Whom it needed when it was started.
    pub depends_on: Vec<ServiceName>,
    /// How long it wants between SIGTERM and SIGKILL.
    pub stop_grace_ms: u64,
    /// Its process, while it has one.
    pub pid: Option<u32>,
    /// Its ports.
    pub ports: Vec<Port>,
    /// How often it was started again by itself.
    pub restarts: u32,
    /// When it came into this state, RFC 3339. Empty when unknown.
    pub since: String,
    /// What else is to be said of the state, such as why it is not ready.
    pub detail: Option<String>,
}

/// How a unit is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum UnitState {
    /// Runs, but was not ready yet since it was started.
    Starting,
    /// Runs and answers.
    Ready,
    /// Runs and was ready, but does not answer now.
    Unready,
    /// Ended by itself and will be started again after a pause.
    Restarting,
    /// Ended by itself so often that it is not started again.
    CrashLooping {
        /// How it ended last.
        status: ExitStatus,
    },
    /// Ended by itself and stays so.
    Exited {
        /// How.
        status: ExitStatus,
    },
    /// Was asked to end and has not yet.
    Stopping,
    /// Was asked to end and did.
    Stopped,
    /// Runs without anybody watching it: its supervisor was killed.
    Leftover,
}

impl UnitState {
    /// Whether there is a process now, or will be soon without anybody asking.
    #[must_use]
    pub const fn is_alive(self) -> bool {
        !matches!(self, Self::CrashLooping { .. } | Self::Exited { .. } | Self::Stopped)
    }

    /// One word for a table.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Unready => "unready",
            Self::Restarting => "restarting",
            Self::CrashLooping { .. } => "crash-looping",
            Self::Exited { .. } => "exited",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::Leftover => "leftover",
        }
    }
}

impl fmt::Display for UnitState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CrashLooping { status } | Self::Exited { status } => {
                write!(f, "{} ({status})", self.word())
            }
            _ => f.write_str(self.word()),
        }
    }
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExitStatus {
    /// By itself, with this code.
    Code(i32),
    /// By this signal.
    Signal(i32),
    /// Nobody saw it.
    Unknown,
}

impl ExitStatus {
    /// Exit code 0.
    #[must_use]
    pub const fn is_success(self) -> bool {
        matches!(self, Self::Code(0))
    }
}

impl fmt::Display for ExitStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit code {code}"),
            Self::Signal(number) => match signal_name(*number) {
                Some(name) => write!(f, "killed by {name}"),
                None => write!(f, "killed by signal {number}"),
            },
            Self::Unknown => f.write_str("exit status unknown"),
        }
    }
}

const fn signal_name(number: i32) -> Option<&'static str> {
    Some(match number {
        1 => "SIGHUP",
        2 => "SIGINT",
        3 => "SIGQUIT",
        4 => "SIGILL",
        6 => "SIGABRT",
        7 => "SIGBUS",
        8 => "SIGFPE",
        9 => "SIGKILL",
        11 => "SIGSEGV",
        13 => "SIGPIPE",
        15 => "SIGTERM",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_names_the_part() {
        let print = |parts: &[(&str, &str)]| {
            Fingerprint(parts.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect())
        };
        let old = print(&[("environment", "a"), ("program", "b"), ("ports", "c")]);
        let new = print(&[("environment", "x"), ("program", "b"), ("arguments", "d")]);
        assert_eq!(old.differences(&new), ["arguments", "environment", "ports"]);
        assert!(old.differences(&old).is_empty());
    }

    #[test]
    fn a_state_says_how_it_ended() {
        let state = UnitState::CrashLooping { status: ExitStatus::Signal(9) };
        assert_eq!(state.to_string(), "crash-looping (killed by SIGKILL)");
        let text = serde_json::to_string(&state).unwrap();
        assert_eq!(text, r#"{"state":"crash-looping","status":{"signal":9}}"#);
        assert_eq!(serde_json::from_str::<UnitState>(&text).unwrap(), state);
    }
}
