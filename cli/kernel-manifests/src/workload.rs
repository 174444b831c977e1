//! What one service of the Compose project is on Kubernetes: everything that the template needs, with nothing left to look
//! up. The Compose file stays the one source; only what is particular to an environment comes from elsewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use kernel_compose::Service;
use kernel_compose::project::{Mount, MountKind, Test};
use kernel_core::diagnostic::Diagnostic;
use kernel_core::quantity;
use kernel_core::secret::Value;
use kernel_core::source::Span;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::calls::{self, Call};
use crate::environment::{Environment, Particulars, Scale};
use crate::render::Inputs;
use crate::{codes, images, placeholder};

/// The port of every service of ours.
const PORT: u16 = 8080;
/// Seconds that a pod has to end, by the deployment page.
const GRACE: u64 = 30;
/// How many hexadecimal digits of a hash stand in a name.
const HASH: usize = 10;
/// What a pod asks for when nothing says it.
const REQUEST: &str = "50m";

/// One workload, as the template sees it.
#[derive(Debug, Serialize)]
pub(crate) struct Workload {
    /// The service of the Compose project, and the name that others call it by.
    pub service: String,
    /// The name of its objects.
    pub name: String,
    /// Whether it is a program of this workspace, with the health paths of all of them.
    pub ours: bool,
    /// Whether it is one pod that must never stand beside its successor: a store.
    pub alone: bool,
    /// The image with its digest.
    pub image: String,
    /// The image as the Compose file names it.
    pub image_source: String,
    /// How many pods, where no autoscaler says it.
    pub replicas: u32,
    /// Between how many pods an autoscaler chooses.
    pub scale: Option<Scale>,
    /// The user that it runs as.
    pub user: Option<u32>,
    /// The group, which also owns its volumes.
    pub group: Option<u32>,
    /// Replaces the image's entry point.
    pub command: Option<Vec<String>>,
    /// Replaces the image's command.
    pub arguments: Option<Vec<String>>,
    /// The ports that it listens on.
    pub ports: BTreeSet<u16>,
    /// Variables that everybody may see.
    pub config: Option<Config>,
    /// Texts of files that are mounted.
    pub files: Option<Config>,
    /// Where those are mounted.
    pub mounts: Vec<MountedFile>,
    /// The secrets that it uses.
    pub secret: Option<SecretConfig>,
    /// Variables that take their value from a key of the secret, by name. They stand first, for others to refer to.
    pub secret_variables: BTreeMap<String, String>,
    /// Variables with references to those before.
    pub composed_variables: BTreeMap<String, String>,
    /// Places to write that are gone with the pod.
    pub scratch: Vec<Volume>,
    /// Places to write that stay.
    pub storage: Vec<Volume>,
    /// How the Compose file asks for its health.
    pub healthcheck: Option<Healthcheck>,
    /// Seconds from the decision to end a pod to its being killed.
    pub grace_seconds: u64,
    /// Seconds of those before SIGTERM.
    pub pre_stop_seconds: u32,
    /// What a pod asks for.
    pub requests: BTreeMap<String, String>,
    /// What a pod may use at most.
    pub limits: BTreeMap<String, String>,
    /// Who calls it, by port.
    pub callers: BTreeMap<u16, BTreeSet<String>>,
    /// Whom it calls in the cluster, and on which ports.
    pub callees: BTreeMap<String, BTreeSet<u16>>,
    /// Which stores of elsewhere it calls.
    pub external: Vec<Target>,
    /// On which ports it speaks to the world.
    pub internet_ports: Vec<u16>,
    /// Whether requests from outside of the cluster come to it.
    pub ingress: bool,
}

/// A ConfigMap.
#[derive(Debug, Serialize)]
pub(crate) struct Config {
    pub name: String,
    pub data: BTreeMap<String, String>,
}

/// A Secret. The values are in base64 and go to the template only.
#[derive(Serialize)]
pub(crate) struct SecretConfig {
    pub name: String,
    pub data: BTreeMap<String, String>,
    pub placeholder: bool,
}

impl std::fmt::Debug for SecretConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SecretConfig").field("name", &self.name).finish_non_exhaustive()
    }
}

#[derive(Debug, Serialize)]
pub(crate) struct MountedFile {
    pub path: String,
    pub key: String,
}

#[derive(Debug, Serialize)]
pub(crate) struct Volume {
    pub name: String,
    pub path: String,
    pub size: String,
}

#[derive(Debug, Serialize)]
pub(crate) struct Healthcheck {
    pub command: Vec<String>,
    pub interval_seconds: u64,
    pub timeout_seconds: u64,
    pub retries: u64,
    /// How often it is tried while the program starts.
    pub start_retries: u64,
}

/// A store outside of the cluster.
#[derive(Debug, Serialize)]
pub(crate) struct Target {
    pub network: String,
    pub port: u16,
}

/// Whether a service is carried over.
pub(crate) fn is_rendered(environment: &Environment, name: &str) -> bool {
    !environment.external.contains_key(name) && !environment.leave_out.iter().any(|left_out| left_out == name)
}

impl Workload {
    /// What `service` is in the environment of `inputs`. What can't be carried over is told.
    pub fn of(
        service: &Service,
        calls: &BTreeMap<String, BTreeSet<Call>>,
        inputs: &Inputs<'_>,
        diagnostics: &mut Vec<Diagnostic>,
    ) -> Self {
        let environment = inputs.environment;
        let particulars = environment.of(&service.name);
        let mut wrong = |span: Span, message: String, help: &str| {
            diagnostics.push(Diagnostic::error(codes::SERVICE, message).at(span, "here").help(help));
        };
        let package = service.kernel.as_ref().and_then(|kernel| kernel.package.as_ref());
        let ours = package.is_some();
        let variables = variables(service, inputs, &particulars, ours);
        let (storage, scratch) = volumes(service, ours, &particulars);
        let (files, mounts) = files(service, inputs, &mut wrong);
        let (user, group) = user(service);
        let replicas = particulars.replicas.unwrap_or(if ours { environment.replicas } else { 1 });
        let called: BTreeSet<Call> = calls.get(&service.name).cloned().unwrap_or_default();
        let mut callers: BTreeMap<u16, BTreeSet<String>> = BTreeMap::new();
        for (caller, calls) in calls.iter().filter(|(caller, _)| is_rendered(environment, caller)) {
            for call in calls.iter().filter(|call| call.callee == service.name) {
                callers.entry(call.port).or_default().insert(caller.clone());
            }
        }
        let mut ports: BTreeSet<u16> = callers.keys().copied().collect();
        if ours {
            ports.insert(PORT);
        } else {
            ports.extend(service.ports.iter().map(|port| port.target));
        }
        let mut callees: BTreeMap<String, BTreeSet<u16>> = BTreeMap::new();
        for call in called.iter().filter(|call| is_rendered(environment, &call.callee)) {
            callees.entry(call.callee.clone()).or_default().insert(call.port);
        }
        let external = called
            .iter()
            .filter_map(|call| environment.external.get(&call.callee))
            .map(|external| Target { network: external.network.clone(), port: external.port })
            .collect();
        let mut internet_ports = particulars.internet_ports.clone();
        if particulars.internet {
            internet_ports.splice(0..0, [80, 443]);
        }
        let (requests, limits) = resources(service, &particulars);
        let name = format!("platform-{}", service.name);
        let source = service.image.clone().unwrap_or_default();
        Self {
            image: image(service, &source, inputs, diagnostics),
            image_source: source,
            ours,
            alone: !ours && replicas == 1,
            replicas,
            scale: particulars.scale,
            user,
            group,
            command: service.entrypoint.clone(),
            arguments: service.command.clone(),
            ports,
            config: config(&name, "config", variables.plain),
            files,
            mounts,
            secret: secret(&name, &variables.keys, inputs, diagnostics),
            secret_variables: variables.secret,
            composed_variables: variables.composed,
            scratch,
            storage,
            healthcheck: healthcheck(service),
            // The pause before SIGTERM is a part of it; what a store is given besides is for itself.
            grace_seconds: if ours {
                GRACE
            } else {
                seconds(service.stop_grace_period, GRACE) + u64::from(environment.pre_stop_seconds)
            },
            pre_stop_seconds: environment.pre_stop_seconds,
            requests,
            limits,
            callers,
            callees,
            external,
            internet_ports,
            ingress: environment.ingress_service == service.name,
            service: service.name.clone(),
            name,
        }
    }
}

/// The variables of one service, by where their values come from.
#[derive(Default)]
struct Variables {
    plain: BTreeMap<String, String>,
    secret: BTreeMap<String, String>,
    composed: BTreeMap<String, String>,
    /// The keys that the secret has to have.
    keys: BTreeSet<String>,
}

fn variables(service: &Service, inputs: &Inputs<'_>, particulars: &Particulars, ours: bool) -> Variables {
    let mut all: BTreeMap<&str, &str> = BTreeMap::new();
    let mut secret: BTreeSet<&str> = BTreeSet::new();
    for variable in &service.environment {
        all.insert(&variable.name, variable.value.expose());
        if matches!(variable.value, Value::Secret(_)) {
            secret.insert(&variable.name);
        }
    }
    let everywhere = ours.then_some(&inputs.environment.variables).into_iter().flatten();
    for (name, value) in everywhere.chain(&particulars.variables) {
        secret.remove(name.as_str());
        match value {
            Some(value) => all.insert(name, value),
            None => all.remove(name.as_str()),
        };
    }
    let mut variables = Variables::default();
    for (name, value) in all {
        let value = elsewhere(value, inputs.environment);
        let used = inputs.secret_names.iter().filter(|key| value.contains(&reference(key)));
        let used: Vec<&String> = used.collect();
        match used.as_slice() {
            [] if !secret.contains(name) => {
                variables.plain.insert(name.to_owned(), value);
            }
            [key] if value == reference(key) => {
                variables.keys.insert((*key).clone());
                variables.secret.insert(name.to_owned(), (*key).clone());
            }
            used => {
                for key in used {
                    variables.keys.insert((*key).clone());
                    variables.secret.insert((*key).clone(), (*key).clone());
                }
                variables.composed.insert(name.to_owned(), value);
            }
        }
    }
    variables
}

/// How Kubernetes writes the value of an earlier variable into a later one.
pub(crate) fn reference(name: &str) -> String {
    format!("$({name})")
}

/// A value with the addresses of stores that somebody else runs.
fn elsewhere(value: &str, environment: &Environment) -> String {
    let mut text = value.to_owned();
    for (host, port) in calls::addresses(value) {
        let Some(external) = environment.external.get(host) else { continue };
        for before in ["@", "//"] {
            let here = format!("{before}{host}:{port}");
            text = text.replace(&here, &format!("{before}{}:{}", external.host, external.port));
        }
    }
    text
}

fn image(service: &Service, source: &str, inputs: &Inputs<'_>, diagnostics: &mut Vec<Diagnostic>) -> String {
    let built = service.build.is_some();
    let repository = if built {
        format!("{}/{}", inputs.environment.registry, service.name)
    } else {
        images::repository(source).to_owned()
    };
    let digest = match inputs.digests {
        None => images::placeholder(),
        Some(digests) => digests.get(&service.name).map(str::to_owned).unwrap_or_else(|| {
            let message = format!("the digests have none for `{}`", service.name);
            let help = format!("add `{}=sha256:…` of the image `{repository}`", service.name);
            diagnostics
                .push(Diagnostic::error(codes::DIGEST, message).at(service.span, "this service").help(help));
            images::placeholder()
        }),
    };
    format!("{repository}@{digest}")
}

fn user(service: &Service) -> (Option<u32>, Option<u32>) {
    let user = service.user.as_deref().unwrap_or_default();
    let (user, group) = user.split_once(':').unwrap_or((user, user));
    (user.parse().ok(), group.parse().ok())
}

/// What keeps data and what does not: a service of ours keeps nothing of its own.
fn volumes(service: &Service, ours: bool, particulars: &Particulars) -> (Vec<Volume>, Vec<Volume>) {
    let (mut storage, mut scratch) = (Vec::new(), Vec::new());
    for mount in service.volumes.iter().filter(|mount| mount.kind == MountKind::Volume) {
        let name = mount.source.clone().unwrap_or_else(|| format!("volume-{}", storage.len()));
        let path = mount.target.clone();
        if ours {
            scratch.push(Volume { name, path, size: "64Mi".to_owned() });
        } else {
            let size = particulars.storage.clone().unwrap_or_else(|| "1Gi".to_owned());
            storage.push(Volume { name, path, size });
        }
    }
    for tmpfs in &service.tmpfs {
        let (path, options) = tmpfs.split_once(':').unwrap_or((tmpfs, ""));
        let size = options.split(',').find_map(|option| option.strip_prefix("size="));
        let size = size.map_or("16Mi".to_owned(), |size| match size.strip_suffix('m') {
            Some(megabytes) => format!("{megabytes}Mi"),
            None => size.to_owned(),
        });
        scratch.push(Volume { name: format!("scratch-{}", scratch.len()), path: path.to_owned(), size });
    }
    (storage, scratch)
}

/// Files of the workspace that are mounted.
fn files(
    service: &Service,
    inputs: &Inputs<'_>,
    wrong: &mut impl FnMut(Span, String, &str),
) -> (Option<Config>, Vec<MountedFile>) {
    let (mut data, mut mounts) = (BTreeMap::new(), Vec::new());
    for mount in service.volumes.iter().filter(|mount| mount.kind == MountKind::Bind) {
        let Mount { source: Some(source), target, span, .. } = mount else { continue };
        let key = source.rsplit('/').next().unwrap_or(source).to_owned();
        match inputs.files.get(source) {
            Some(text) => {
                data.insert(key.clone(), text.clone());
                mounts.push(MountedFile { path: target.clone(), key });
            }
            None => wrong(
                *span,
                format!("`{}` mounts what is no text file, which Kubernetes has no place for", service.name),
                "mount a file, or name the service in `leaveOut` of the environment",
            ),
        }
    }
    (config(&format!("platform-{}", service.name), "files", data), mounts)
}

fn config(name: &str, what: &str, data: BTreeMap<String, String>) -> Option<Config> {
    (!data.is_empty()).then(|| Config { name: format!("{name}-{what}-{}", hash(&data)), data })
}

fn secret(
    name: &str,
    keys: &BTreeSet<String>,
    inputs: &Inputs<'_>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<SecretConfig> {
    if keys.is_empty() {
        return None;
    }
    let mut data = BTreeMap::new();
    for key in keys {
        let value = match inputs.secrets {
            None => placeholder::VALUE,
            Some(secrets) => match secrets.get(key) {
                Some(secret) => secret.expose(),
                None => {
                    let message = format!("the secrets have no value for `{key}`, which `{name}` needs");
                    let help = format!("add `{key}=…` to the file of secrets");
                    diagnostics.push(Diagnostic::error(codes::SECRET, message).help(help));
                    continue;
                }
            },
        };
        data.insert(key.clone(), BASE64.encode(value));
    }
    Some(SecretConfig {
        name: format!("{name}-secrets-{}", hash(&data)),
        data,
        placeholder: inputs.secrets.is_none(),
    })
}

fn hash(data: &BTreeMap<String, String>) -> String {
    let mut hash = Sha256::new();
    for text in data.iter().flat_map(|(key, value)| [key, value]) {
        hash.update(text.len().to_le_bytes());
        hash.update(text);
    }
    let mut digits = hex::encode(hash.finalize());
    digits.truncate(HASH);
    digits
}

fn healthcheck(service: &Service) -> Option<Healthcheck> {
    let check = service.healthcheck.as_ref()?;
    let command = match &check.test {
        Test::Command(words) => words.clone(),
        Test::Shell(line) => vec!["sh".to_owned(), "-c".to_owned(), line.clone()],
        Test::Inherited | Test::Disabled => return None,
    };
    let interval_seconds = seconds(check.interval, 10);
    Some(Healthcheck {
        command,
        interval_seconds,
        timeout_seconds: seconds(check.timeout, 3),
        retries: check.retries.map_or(3, u64::from),
        start_retries: (2 * seconds(check.start_period, 30)).div_ceil(interval_seconds),
    })
}

fn seconds(duration: Option<Duration>, default: u64) -> u64 {
    duration.map_or(default, |duration| duration.as_secs().max(1))
}

fn resources(
    service: &Service,
    particulars: &Particulars,
) -> (BTreeMap<String, String>, BTreeMap<String, String>) {
    let given = &service.resources;
    let (mut requests, mut limits) = (BTreeMap::new(), BTreeMap::new());
    let set = |map: &mut BTreeMap<String, String>, name: &str, value: Option<String>| {
        if let Some(value) = value {
            map.insert(name.to_owned(), value);
        }
    };
    let cpu = given.reserved_cpus.map(quantity::processors).unwrap_or_else(|| REQUEST.to_owned());
    set(&mut requests, "cpu", Some(cpu));
    set(&mut requests, "memory", given.reserved_memory.or(given.memory).map(quantity::bytes));
    set(&mut limits, "cpu", given.cpus.map(quantity::processors));
    set(&mut limits, "memory", given.memory.map(quantity::bytes));
    requests.extend(particulars.requests.clone());
    limits.extend(particulars.limits.clone());
    (requests, limits)
}
