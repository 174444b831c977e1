//! One service, typed.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use kernel_core::source::Span;

use super::value::Variable;

/// One active service of a project.
#[derive(Clone, Debug)]
pub struct Service {
    /// Its key in the file.
    pub name: String,
    /// Where its key stands.
    pub span: Span,
    /// The image to run; with [`Self::build`] the name that the built image gets.
    pub image: Option<String>,
    /// How to build the image.
    pub build: Option<Build>,
    /// `pull_policy` as written.
    pub pull_policy: Option<String>,
    /// `platform` as written.
    pub platform: Option<String>,
    /// Replaces the image's command. `None`: the image's own; empty: explicitly none.
    pub command: Option<Vec<String>>,
    /// Replaces the image's entry point. `None`: the image's own; empty: explicitly none.
    pub entrypoint: Option<Vec<String>>,
    /// The whole environment: env files first, `environment` over them; sorted by name, each name once. Entries that
    /// are declared without value and have none are not in it.
    pub environment: Vec<Variable>,
    /// Published ports, one entry per container port.
    pub ports: Vec<Port>,
    /// Ports that are only said to be used, as written.
    pub expose: Vec<String>,
    /// How the container says that it is healthy.
    pub healthcheck: Option<Healthcheck>,
    /// What has to be there before this service starts, by service name.
    pub depends_on: BTreeMap<String, Dependency>,
    /// The profiles that show it; empty: always shown.
    pub profiles: Vec<String>,
    /// What is mounted, unique by target.
    pub volumes: Vec<Mount>,
    /// Paths that hold a temporary file system, with their options as written (`/tmp:size=16m`).
    pub tmpfs: Vec<String>,
    /// Networks that it is a member of, by key.
    pub networks: BTreeMap<String, Membership>,
    /// `network_mode` as written.
    pub network_mode: Option<String>,
    /// Secrets that are mounted.
    pub secrets: Vec<Reference>,
    /// Configs that are mounted.
    pub configs: Vec<Reference>,
    /// When it is started again after it ended.
    pub restart: Restart,
    /// The time between the stop signal and the kill. `None`: the engine's own (10 s for Docker).
    pub stop_grace_period: Option<Duration>,
    /// The signal to stop it with, as written.
    pub stop_signal: Option<String>,
    /// Limits and reservations of `deploy.resources` and their short forms.
    pub resources: Resources,
    /// How many containers; 1 unless said otherwise.
    pub scale: u32,
    /// `container_name`.
    pub container_name: Option<String>,
    /// `hostname`.
    pub hostname: Option<String>,
    /// `user` as written (`10001:10001`).
    pub user: Option<String>,
    /// `working_dir`.
    pub working_directory: Option<String>,
    /// `read_only`: the root file system can't be written.
    pub read_only: bool,
    /// `init`: a small init process reaps children.
    pub init: bool,
    /// `tty`.
    pub tty: bool,
    /// `privileged`.
    pub privileged: bool,
    /// Capabilities to add.
    pub cap_add: Vec<String>,
    /// Capabilities to drop.
    pub cap_drop: Vec<String>,
    /// Security options such as `no-new-privileges:true`.
    pub security_opt: Vec<String>,
    /// Labels; those that `kernel` adds are not among them.
    pub labels: BTreeMap<String, String>,
    /// Where its output goes.
    pub logging: Option<Logging>,
    /// What only `kernel` needs: `x-kernel` of the service.
    pub kernel: Option<KernelExtension>,
}

impl Service {
    /// The ports that it publishes when it runs without Docker: its own, then those of `x-kernel.ports`.
    pub fn local_ports(&self) -> impl Iterator<Item = &Port> {
        self.ports.iter().chain(self.kernel.iter().flat_map(|kernel| &kernel.ports))
    }
}

/// How an image is built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Build {
    /// The context: an absolute path or a URL.
    pub context: String,
    /// The Dockerfile, relative to the context.
    pub dockerfile: Option<String>,
    /// The Dockerfile's text, when it stands in the Compose file.
    pub dockerfile_inline: Option<String>,
    /// Build arguments that have a value.
    pub args: BTreeMap<String, String>,
    /// The stage to stop at.
    pub target: Option<String>,
}

/// One container port and where it can be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// The address of this machine that it is published on; `None`: all.
    pub host_ip: Option<IpAddr>,
    /// The port of this machine. `None`: the engine picks one.
    pub published: Option<u16>,
    /// The last port when a range was given for one target: the engine picks one in it.
    pub published_end: Option<u16>,
    /// The port in the container.
    pub target: u16,
    /// The protocol.
    pub protocol: Protocol,
    /// Where it stands.
    pub span: Span,
}

/// What a port speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

impl Protocol {
    /// As Compose writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        }
    }
}

/// How a container says that it is healthy. Unset times are the engine's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Healthcheck {
    /// What is run.
    pub test: Test,
    /// Time between checks.
    pub interval: Option<Duration>,
    /// Time for one check.
    pub timeout: Option<Duration>,
    /// Time after the start in which failures do not count.
    pub start_period: Option<Duration>,
    /// Time between checks in the start period.
    pub start_interval: Option<Duration>,
    /// Failures in a row that make it unhealthy.
    pub retries: Option<u32>,
}

/// The command of a health check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Test {
    /// The image's own; only the times are set here.
    Inherited,
    /// Switched off, also the image's own.
    Disabled,
    /// An argument vector.
    Command(Vec<String>),
    /// A line for the container's shell.
    Shell(String),
}

/// What a service waits for before it starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dependency {
    /// What must be true of it.
    pub condition: Condition,
    /// Whether the failure of it stops this service; if not, it is only a warning.
    pub required: bool,
    /// Whether this service is restarted when the other one is.
    pub restart: bool,
    /// Where it stands.
    pub span: Span,
}

/// A condition on a dependency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Condition {
    /// Its start call returned.
    Started,
    /// Its health check says so.
    Healthy,
    /// It ran to its end with exit code 0.
    CompletedSuccessfully,
}

impl Condition {
    /// As Compose writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Started => "service_started",
            Self::Healthy => "service_healthy",
            Self::CompletedSuccessfully => "service_completed_successfully",
        }
    }
}

/// Something mounted into a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// What kind of thing.
    pub kind: MountKind,
    /// An absolute path for a bind, the key of a volume, nothing for an anonymous volume or tmpfs.
    pub source: Option<String>,
    /// The path in the container.
    pub target: String,
    /// Whether it can't be written.
    pub read_only: bool,
    /// Where it stands.
    pub span: Span,
}

/// The kind of a mount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MountKind {
    /// A path of this machine.
    Bind,
    /// A volume of the engine.
    Volume,
    /// Memory.
    Tmpfs,
    /// Another kind that the specification knows; see the model.
    Other,
}

/// Membership in a network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Membership {
    /// Further names of the service in that network.
    pub aliases: Vec<String>,
    /// A fixed address.
    pub ipv4_address: Option<String>,
    /// The network with the highest number is the default one.
    pub priority: i64,
}

/// Use of a secret or config.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// Its key at the top level.
    pub source: String,
    /// The path in the container.
    pub target: Option<String>,
    /// Where it stands.
    pub span: Span,
}

/// When a service is started again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Restart {
    /// Never.
    #[default]
    No,
    /// Whenever it ended.
    Always,
    /// Whenever it ended, unless somebody stopped it.
    UnlessStopped,
    /// After a failure, at most so often in a row (`None`: without limit).
    OnFailure(Option<u32>),
}

/// What a service may use.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Resources {
    /// Limit in processors (`0.5`).
    pub cpus: Option<f64>,
    /// Limit in bytes.
    pub memory: Option<u64>,
    /// Limit of processes.
    pub pids: Option<i64>,
    /// Reservation in processors.
    pub reserved_cpus: Option<f64>,
    /// Reservation in bytes.
    pub reserved_memory: Option<u64>,
}

/// Where the output of a container goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logging {
    /// The driver; `None`: the engine's own.
    pub driver: Option<String>,
    /// Options of the driver.
    pub options: BTreeMap<String, String>,
}

/// `x-kernel` of a service: how it runs without Docker. A service of this workspace has a package; an infra service has
/// embedded values. Placeholders in braces (`{data}`, `{service}`, `{port:8443}`) stay as they are: the local engine
/// fills them in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KernelExtension {
    /// The Cargo package, and binary, that is this service.
    pub package: Option<String>,
    /// The smoke scenario that it answers.
    pub scenario: Option<String>,
    /// Ports that it publishes on the local engine only, beside its Compose `ports`.
    pub ports: Vec<Port>,
    /// Variables for the local engine only; each replaces the one of the same name.
    pub environment: Vec<Variable>,
    /// Of an infra service: the variables of its dependents that it answers for, with the embedded default of each.
    pub embedded: Vec<Variable>,
}
