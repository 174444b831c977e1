//! Containers: what is asked of an engine that runs them and what it answers, as data.
//!
//! Owns the container side of wanted and found units and the single API calls that a plan is made of. What a call looks
//! like on the wire, and how a Compose file becomes one, is the adapter's.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Serialize, Serializer};
use serde_json::Value as Json;

use crate::name::ServiceName;
use crate::plan::Action;
use crate::secret::{HIDDEN, Secret};

/// The label that numbers the containers of a service.
pub const NUMBER_LABEL: &str = "com.docker.compose.container-number";
/// The label that says what a container, network or volume was made from.
pub const HASH_LABEL: &str = "com.docker.compose.config-hash";
/// The label with the id of the image that a container was made from.
pub const IMAGE_LABEL: &str = "com.docker.compose.image";
/// The label that says which container it was made to replace.
pub const REPLACE_LABEL: &str = "com.docker.compose.replace";

/// What stands in texts where the id of a service's container will: it is known only once that one was created.
#[must_use]
pub fn id_of(service: &ServiceName) -> String {
    format!("@id({service})@")
}

/// The JSON of an API call. Secrets in it can't be seen in `Debug` and serialised forms.
#[derive(Clone, PartialEq, Eq)]
pub struct Body {
    value: Json,
    secrets: Arc<[Secret]>,
}

impl Body {
    /// A body in which the given texts may not be seen.
    pub fn new(value: Json, secrets: Arc<[Secret]>) -> Self {
        Self { value, secrets }
    }

    /// The whole of it, secrets included: only for the engine that it is for.
    #[must_use]
    pub const fn expose(&self) -> &Json {
        &self.value
    }

    /// The same, to be changed.
    pub const fn expose_mut(&mut self) -> &mut Json {
        &mut self.value
    }

    /// What people may see.
    #[must_use]
    pub fn shown(&self) -> Json {
        let mut shown = self.value.clone();
        hide(&mut shown, &self.secrets);
        shown
    }
}

fn hide(value: &mut Json, secrets: &[Secret]) {
    match value {
        Json::String(text) => {
            for secret in secrets.iter().filter(|secret| !secret.expose().is_empty()) {
                if text.contains(secret.expose()) {
                    *text = text.replace(secret.expose(), HIDDEN);
                }
            }
        }
        Json::Array(items) => items.iter_mut().for_each(|item| hide(item, secrets)),
        Json::Object(entries) => entries.values_mut().for_each(|entry| hide(entry, secrets)),
        _ => {}
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.shown())
    }
}

impl Serialize for Body {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.shown().serialize(serializer)
    }
}

/// The containers of one service as they are wanted.
#[derive(Clone, Debug)]
pub struct DesiredContainer {
    /// The image to run.
    pub image: String,
    /// `os/architecture` of the image, when it is not the engine's own.
    pub platform: Option<String>,
    /// When the image is fetched.
    pub pull: Pull,
    /// It can be built here, so it is never fetched because it is missing.
    pub builds: bool,
    /// How many.
    pub scale: u32,
    /// What their names begin with; a number follows.
    pub name: String,
    /// The whole name of the only one, when the file gives it one.
    pub fixed_name: Option<String>,
    /// The text whose SHA-256 says what the container was made from. [`id_of`] stands in it for ids.
    pub config: Secret,
    /// The body of the create call, but for number, name and what is known only later.
    pub body: Body,
    /// The services whose container it shares something with; their ids go into it.
    pub shares: BTreeSet<ServiceName>,
    /// Its networks by name, the main one first.
    pub networks: Vec<Endpoint>,
    /// The named volumes that it mounts, by name.
    pub volumes: BTreeSet<String>,
    /// Where it mounts volumes that have no name.
    pub anonymous: BTreeSet<String>,
    /// Files that are put into it before each start.
    pub files: Vec<ContainerFile>,
    /// Whether it says how it is: `None` when only the image knows.
    pub has_healthcheck: Option<bool>,
    /// Whether the engine starts it again when it ends.
    pub restarts: bool,
    /// The time between its stop signal and the kill. `None`: the engine's own.
    pub stop_grace: Option<Duration>,
    /// Services that it is started again with.
    pub follows: BTreeSet<ServiceName>,
    /// What is run in it once it was started, one after the other.
    pub post_start: Vec<Hook>,
    /// What is run in it before it is stopped, one after the other.
    pub pre_stop: Vec<Hook>,
}

/// A program that is run in a container beside what runs there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Hook {
    /// When.
    pub moment: Moment,
    /// The body of the call that makes it ready to run.
    pub body: Body,
}

/// When a hook is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Moment {
    /// After the container was started. Whoever needs it waits for that.
    PostStart,
    /// Before the container is stopped; not when it ends by itself.
    PreStop,
}

impl fmt::Display for Moment {
    /// By its name in Compose files.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PostStart => "post_start",
            Self::PreStop => "pre_stop",
        })
    }
}

impl DesiredContainer {
    /// The name of the container with this number.
    #[must_use]
    pub fn name_of(&self, number: u32) -> String {
        self.fixed_name.clone().unwrap_or_else(|| format!("{}{number}", self.name))
    }
}

/// Membership in a network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Endpoint {
    /// The network's name.
    pub network: String,
    /// The body of the connect call's `EndpointConfig`.
    pub settings: Body,
}

/// When an image is fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pull {
    /// When it is not there.
    Missing,
    /// Before every `up`.
    Always,
    /// When the one that is there was fetched or made longer ago.
    Older(Duration),
    /// It is never fetched.
    Never,
    /// It is built, not fetched.
    Build,
}

/// A file that is put into a container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ContainerFile {
    /// Its absolute path there.
    pub path: String,
    /// What is in it.
    pub content: Secret,
    /// Its permission bits.
    pub mode: u32,
    /// Whose it is.
    pub user: u64,
    /// Whose it is.
    pub group: u64,
}

/// A network as it is wanted.
#[derive(Clone, Debug)]
pub struct DesiredNetwork {
    /// Its key in the file.
    pub key: String,
    /// Its name in the engine.
    pub name: String,
    /// Somebody else makes it.
    pub external: bool,
    /// What it is made from, as a hash.
    pub hash: String,
    /// The body of the create call.
    pub body: Body,
}

/// A named volume as it is wanted.
#[derive(Clone, Debug)]
pub struct DesiredVolume {
    /// Its name in the engine.
    pub name: String,
    /// Somebody else makes it.
    pub external: bool,
    /// The body of the create call.
    pub body: Body,
}

/// One API call that changes something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "call", rename_all = "kebab-case")]
pub enum Call {
    /// Fetches an image.
    PullImage {
        /// Its name.
        image: String,
        /// `os/architecture`.
        platform: Option<String>,
    },
    /// Sends an image to its registry.
    PushImage {
        /// Its name.
        image: String,
    },
    /// Makes a network.
    CreateNetwork {
        /// Its name.
        name: String,
        /// The body.
        body: Body,
    },
    /// Removes a network that nobody is connected to.
    RemoveNetwork {
        /// Its id.
        id: String,
    },
    /// Makes a volume.
    CreateVolume {
        /// The body.
        body: Body,
    },
    /// Removes a volume and what is in it.
    RemoveVolume {
        /// Its name.
        name: String,
    },
    /// Makes a container; nothing of it runs yet.
    CreateContainer(Box<CreateContainer>),
    /// Makes a container a member of one more network.
    ConnectNetwork {
        /// Its name or id.
        container: String,
        /// The network's name.
        network: String,
        /// How.
        settings: Body,
    },
    /// Puts files into a container.
    CopyFiles {
        /// Its name or id.
        container: String,
        /// The files.
        files: Vec<ContainerFile>,
    },
    /// Starts a container.
    StartContainer {
        /// Its name or id.
        container: String,
    },
    /// Runs a hook in a container to its end.
    RunHook {
        /// Its name or id.
        container: String,
        /// What people know it by.
        name: String,
        /// The hook.
        hook: Hook,
    },
    /// Waits until a container does what it is for: its own check passes; without one, it runs.
    AwaitContainer {
        /// Its name or id.
        container: String,
    },
    /// Lets a paused container go on.
    UnpauseContainer {
        /// Its name or id.
        container: String,
    },
    /// Ends a container. Done when nothing of it runs.
    StopContainer {
        /// Its name or id.
        container: String,
        /// What people know it by.
        name: String,
        /// How long it has between its stop signal and the kill. `None`: what it was made with.
        #[serde(rename = "grace_ms", serialize_with = "maybe_millis")]
        grace: Option<Duration>,
    },
    /// Removes a container that is not running. Its volumes stay.
    RemoveContainer {
        /// Its name or id.
        container: String,
        /// What people know it by.
        name: String,
    },
    /// Gives a container another name.
    RenameContainer {
        /// Its name or id.
        container: String,
        /// The name that it gets.
        name: String,
    },
}

/// What a container is made from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CreateContainer {
    /// The name that it gets.
    pub name: String,
    /// The image.
    pub image: String,
    /// `os/architecture`.
    pub platform: Option<String>,
    /// The body, but for what `shares` tells.
    pub body: Body,
    /// By service: the container, by name or id, whose id goes into the body where [`id_of`] stands.
    pub shares: BTreeMap<ServiceName, String>,
    /// The text that the config hash is made of, when ids go into it.
    pub config: Option<Secret>,
}

fn maybe_millis<S: Serializer>(duration: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    match duration {
        Some(duration) => crate::unit::millis(duration, serializer),
        None => serializer.serialize_none(),
    }
}

impl Call {
    /// One word.
    #[must_use]
    pub const fn verb(&self) -> &'static str {
        match self {
            Self::PullImage { .. } => "pull",
            Self::PushImage { .. } => "push",
            Self::CreateNetwork { .. } | Self::CreateVolume { .. } | Self::CreateContainer(_) => "create",
            Self::RemoveNetwork { .. } | Self::RemoveVolume { .. } | Self::RemoveContainer { .. } => "remove",
            Self::ConnectNetwork { .. } => "connect",
            Self::CopyFiles { .. } => "copy",
            Self::StartContainer { .. } => "start",
            Self::RunHook { .. } => "run",
            Self::AwaitContainer { .. } => "await",
            Self::UnpauseContainer { .. } => "unpause",
            Self::StopContainer { .. } => "stop",
            Self::RenameContainer { .. } => "rename",
        }
    }

    /// One word for when it is done.
    #[must_use]
    pub const fn done(&self) -> &'static str {
        match self {
            Self::PullImage { .. } => "pulled",
            Self::PushImage { .. } => "pushed",
            Self::CreateNetwork { .. } | Self::CreateVolume { .. } | Self::CreateContainer(_) => "created",
            Self::RemoveNetwork { .. } | Self::RemoveVolume { .. } | Self::RemoveContainer { .. } => {
                "removed"
            }
            Self::ConnectNetwork { .. } => "connected",
            Self::CopyFiles { .. } => "files are in it",
            Self::StartContainer { .. } | Self::UnpauseContainer { .. } => "started",
            Self::RunHook { .. } => "hook has run",
            Self::AwaitContainer { .. } => "ready",
            Self::StopContainer { .. } => "stopped",
            Self::RenameContainer { .. } => "renamed",
        }
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = self.verb();
        match self {
            Self::CreateContainer(create) => write!(f, "{verb} container {}", create.name),
            Self::ConnectNetwork { container, network, .. } => write!(f, "{verb} {container} to {network}"),
            Self::CopyFiles { container, files } => {
                let paths: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
                write!(f, "{verb} {} into {container}", paths.join(" "))
            }
            Self::RunHook { name, hook, .. } => write!(f, "{verb} {} hook in {name}", hook.moment),
            Self::StartContainer { container }
            | Self::AwaitContainer { container }
            | Self::UnpauseContainer { container } => {
                write!(f, "{verb} container {container}")
            }
            Self::StopContainer { name, .. } | Self::RemoveContainer { name, .. } => {
                write!(f, "{verb} container {name}")
            }
            Self::RenameContainer { container, name } => write!(f, "{verb} {container} to {name}"),
            Self::PullImage { .. }
            | Self::PushImage { .. }
            | Self::CreateNetwork { .. }
            | Self::CreateVolume { .. }
            | Self::RemoveNetwork { .. }
            | Self::RemoveVolume { .. } => f.write_str(verb),
        }
    }
}

impl From<Call> for Action {
    fn from(call: Call) -> Self {
        Self::Call(Box::new(call))
    }
}

/// Everything of a project that a container engine has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct World {
    /// Whether all networks of a container can be named when it is created.
    pub joins_at_create: bool,
    /// Its containers, also those that do not run.
    pub containers: Vec<FoundContainer>,
    /// Its networks, and those that it needs of others.
    pub networks: Vec<FoundNetwork>,
    /// Its volumes, and those that it needs of others.
    pub volumes: Vec<FoundVolume>,
    /// The images that it needs, by the name that they are asked for.
    pub images: BTreeMap<String, FoundImage>,
}

/// One container as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundContainer {
    /// Its id.
    pub id: String,
    /// Its name, without the leading slash.
    pub name: String,
    /// Its service.
    pub service: ServiceName,
    /// Its number in the service.
    pub number: u32,
    /// It was made by `run`, not by `up`.
    pub one_off: bool,
    /// What it was made from, as a hash.
    pub hash: String,
    /// The id of the image that it was made from.
    pub image: String,
    /// The name that its image was asked for by.
    pub image_name: String,
    /// Whom it needed when it was made.
    pub depends_on: Vec<ServiceName>,
    /// How it is.
    pub state: ContainerState,
    /// The ids of the networks that it is a member of, by name.
    pub networks: BTreeMap<String, String>,
    /// The volumes that it mounts.
    pub volumes: Vec<FoundMount>,
    /// How long it wants between its stop signal and the kill.
    pub stop_grace: Option<Duration>,
}

/// How a container is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContainerState {
    /// Made and never started.
    Created,
    /// Runs; its health check, if it has one, is satisfied.
    Ready,
    /// Runs and was not ready yet.
    Starting,
    /// Runs, and its health check fails.
    Unhealthy,
    /// Runs and is frozen.
    Paused,
    /// Ended by itself; the engine starts it again.
    Restarting,
    /// Ended, with this code.
    Exited(i64),
    /// Did its work and ended by itself with success.
    Finished,
    /// Ended because it was asked to.
    Stopped,
    /// Can't be used any more.
    Dead,
}

impl ContainerState {
    /// Whether there is a process now, or will be soon without anybody asking.
    #[must_use]
    pub const fn is_alive(self) -> bool {
        matches!(self, Self::Ready | Self::Starting | Self::Unhealthy | Self::Paused | Self::Restarting)
    }
}

/// A volume of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundMount {
    /// The volume's name.
    pub name: String,
    /// Where.
    pub target: String,
    /// It can't be written.
    pub read_only: bool,
}

impl FoundMount {
    /// Whether nobody gave it a name: then its name is 64 hexadecimal digits.
    #[must_use]
    pub fn is_anonymous(&self) -> bool {
        self.name.len() == 64 && self.name.bytes().all(|byte| byte.is_ascii_hexdigit())
    }
}

/// One network as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundNetwork {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// It carries this project's label.
    pub ours: bool,
    /// Its key in the file that it was made from.
    pub key: Option<String>,
    /// What it was made from, as a hash.
    pub hash: Option<String>,
}

/// One volume as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundVolume {
    /// Its name.
    pub name: String,
    /// It carries this project's label.
    pub ours: bool,
}

/// One image as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundImage {
    /// Its id.
    pub id: String,
    /// Where it wants volumes.
    pub volumes: BTreeSet<String>,
    /// It says how its containers are asked whether they are healthy.
    pub has_healthcheck: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_does_not_show_its_secrets() {
        let value = serde_json::json!({ "Env": ["URL=postgres://u:hunter2@h/d"], "Cmd": null });
        let body = Body::new(value, Arc::from([Secret::new("hunter2")]));
        let shown = format!("{body:?}{}", serde_json::to_string(&body).unwrap());
        assert!(!shown.contains("hunter2") && shown.contains("postgres://u:[secret]@h/d"), "{shown}");
        assert!(body.expose().to_string().contains("hunter2"));
    }
}
