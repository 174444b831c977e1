//! The plan: an immutable graph of steps that leaves nothing to decide. It can be printed, compared, serialised, and
//! only then run. How it comes about is in [`crate::planner`], how it is run in `kernel-engine`.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::container::Call;
use crate::name::{ProjectName, ServiceName};
use crate::object::{ObjectAction, ObjectName};
use crate::unit::{Condition, Dependency, ExitStatus, ProcessSpec, millis};

/// Names one step of a plan, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct StepId(pub u32);

impl fmt::Display for StepId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

/// What will be done to a project, and why. Steps stand in an order in which they could run one by one: every
/// `after` names an earlier step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// `kernel.plan/v1`.
    pub schema: &'static str,
    /// Whose plan.
    pub project: ProjectName,
    /// The steps. Empty: there is nothing to do.
    pub steps: Vec<Step>,
}

impl Plan {
    /// The name and version of the serialised form. Fields are only ever added.
    pub const SCHEMA: &'static str = "kernel.plan/v1";

    /// Whether there is nothing to do.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// The step that `id` names.
    #[must_use]
    pub fn step(&self, id: StepId) -> Option<&Step> {
        self.steps.iter().find(|step| step.id == id)
    }

    /// Every port that the plan's starts will listen on, with who will.
    pub fn ports(&self) -> impl Iterator<Item = (&ServiceName, u16)> {
        self.steps.iter().flat_map(|step| match (&step.subject, &step.action) {
            (Subject::Service(name), Action::Start(start)) => {
                start.spec.ports.iter().map(|port| (name, port.host)).collect()
            }
            _ => Vec::new(),
        })
    }
}

/// One line for each step, as in `[1,2] -> #3 service iam: start, not found`.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.steps.iter().try_for_each(|step| writeln!(f, "{step}"))
    }
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// Its name in the plan.
    pub id: StepId,
    /// To whom.
    pub subject: Subject,
    /// What.
    pub action: Action,
    /// Why.
    pub cause: Cause,
    /// Which steps must have succeeded before.
    pub after: Vec<StepId>,
    /// How long it may take once it has begun.
    #[serde(rename = "deadline_ms", serialize_with = "millis")]
    pub deadline: Duration,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let after: Vec<String> = self.after.iter().map(|id| id.0.to_string()).collect();
        write!(f, "[{}] -> {} {}: {}, {}", after.join(","), self.id, self.subject, self.action, self.cause)
    }
}

/// What a step is done to.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(tag = "kind", content = "name", rename_all = "kebab-case")]
pub enum Subject {
    /// The project as a whole.
    Project(ProjectName),
    /// The source code of the workspace.
    Workspace,
    /// One service.
    Service(ServiceName),
    /// A network of a container engine, by its name there.
    Network(String),
    /// A volume of a container engine, by its name there.
    Volume(String),
    /// An image.
    Image(String),
    /// An object of a Kubernetes cluster.
    Object(ObjectName),
}

impl Subject {
    /// The service, when the subject is one.
    #[must_use]
    pub const fn service(&self) -> Option<&ServiceName> {
        match self {
            Self::Service(name) => Some(name),
            _ => None,
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Project(name) => write!(f, "project {name}"),
            Self::Workspace => f.write_str("workspace"),
            Self::Service(name) => write!(f, "service {name}"),
            Self::Network(name) => write!(f, "network {name}"),
            Self::Volume(name) => write!(f, "volume {name}"),
            Self::Image(name) => write!(f, "image {name}"),
            Self::Object(name) => fmt::Display::fmt(name, f),
        }
    }
}

/// What a step does. Closed, so that every engine and every renderer knows all of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "action", rename_all = "kebab-case")]
pub enum Action {
    /// Builds packages of the workspace, all in one go.
    Build {
        /// Their names, sorted.
        packages: Vec<String>,
    },
    /// Starts a unit that is not running. Done when its process runs.
    Start(Box<Start>),
    /// Waits until something is true of a unit, reacting to its end at once.
    Await {
        /// What.
        condition: Condition,
    },
    /// Ends a unit and keeps what is known of it. Done when no process of it is left.
    Stop {
        /// How long it has between SIGTERM and SIGKILL.
        #[serde(rename = "grace_ms", serialize_with = "millis")]
        grace: Duration,
    },
    /// Forgets a stopped unit; its data stays.
    Remove,
    /// Removes what the engine holds for the project: supervisor, files, logs.
    RemoveProject {
        /// Data too.
        data: bool,
    },
    /// One call of a container engine's API.
    Call(Box<Call>),
    /// Something done to an object of a Kubernetes cluster.
    Object(Box<ObjectAction>),
}

impl Action {
    /// Whether it may be given up at any point when somebody interrupts, with nothing half done.
    #[must_use]
    pub fn can_be_given_up(&self) -> bool {
        match self {
            Self::Await { .. } | Self::Build { .. } => true,
            Self::Call(call) => matches!(**call, Call::PullImage { .. } | Call::PushImage { .. }),
            Self::Object(action) => matches!(**action, ObjectAction::AwaitReady),
            _ => false,
        }
    }

    /// One word.
    #[must_use]
    pub fn verb(&self) -> &'static str {
        match self {
            Self::Build { .. } => "build",
            Self::Start(_) => "start",
            Self::Await { .. } => "await",
            Self::Stop { .. } => "stop",
            Self::Remove | Self::RemoveProject { .. } => "remove",
            Self::Call(call) => call.verb(),
            Self::Object(action) => action.verb(),
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Build { packages } => write!(f, "build {}", packages.join(" ")),
            Self::Await { condition } => write!(f, "wait until {condition}"),
            Self::RemoveProject { data: true } => f.write_str("remove with its data"),
            Self::Call(call) => fmt::Display::fmt(call, f),
            Self::Object(action) => fmt::Display::fmt(action, f),
            _ => f.write_str(self.verb()),
        }
    }
}

/// What a start needs to know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Start {
    /// The process.
    pub spec: ProcessSpec,
    /// Whom it needs: kept with the unit, so that it can be stopped in order.
    pub depends_on: Vec<Dependency>,
}

/// Why a step is in the plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "cause", rename_all = "kebab-case")]
pub enum Cause {
    /// It is wanted and not there.
    NotFound,
    /// What it was started with is no longer what is wanted.
    Changed {
        /// The parts that differ: arguments, environment, ports, program …
        parts: Vec<String>,
    },
    /// Its program is missing or older than what it is made from.
    Stale {
        /// What exactly.
        reason: String,
    },
    /// It will be started again by that step.
    ReplacedBy {
        /// The start.
        step: StepId,
    },
    /// It is stopped and should run.
    WasStopped,
    /// It was made and never started.
    NotStarted,
    /// It ended by itself and should run.
    HasExited {
        /// How.
        status: ExitStatus,
    },
    /// It was given up after too many crashes.
    WasCrashLooping,
    /// Its supervisor was killed and left it behind.
    LeftOver,
    /// It runs, but is not ready yet.
    NotReady,
    /// It was just started.
    Started,
    /// Somebody asked for exactly this.
    Requested,
    /// Nobody wants it any more.
    NotWanted,
    /// A service that it has to be started again with is started again.
    Follows {
        /// That service.
        service: ServiceName,
    },
    /// There are more of it than wanted.
    Surplus,
    /// A replacement was begun and never ended.
    Interrupted,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound => f.write_str("not found"),
            Self::Changed { parts } => write!(f, "changed: {}", parts.join(", ")),
            Self::Stale { reason } => f.write_str(reason),
            Self::ReplacedBy { step } => write!(f, "replaced by {step}"),
            Self::NotStarted => f.write_str("was never started"),
            Self::WasStopped => f.write_str("was stopped"),
            Self::HasExited { status } => write!(f, "has exited ({status})"),
            Self::WasCrashLooping => f.write_str("was crash-looping"),
            Self::LeftOver => f.write_str("left over from a killed supervisor"),
            Self::NotReady => f.write_str("not ready yet"),
            Self::Started => f.write_str("started"),
            Self::Requested => f.write_str("requested"),
            Self::NotWanted => f.write_str("not wanted"),
            Self::Follows { service } => write!(f, "follows {service}"),
            Self::Surplus => f.write_str("more than wanted"),
            Self::Interrupted => f.write_str("left by an interrupted replacement"),
        }
    }
}
