//! Containers of the testbed: the parts that stay, and programs that run once.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use bollard::container::LogOutput;
use bollard::models::{ContainerCreateBody, HealthStatusEnum, HostConfig, NetworkCreateRequest, PortBinding};
use bollard::query_parameters::{
    CreateContainerOptions, ListContainersOptions, LogsOptions, RemoveContainerOptions, WaitContainerOptions,
};
use futures::StreamExt;

use crate::daemon::eventually;
use crate::engine::Engine;
use crate::failure::{Failure, because};
use crate::image::Image;
use crate::part::{Part, Passwords};

/// The network of the parts.
pub const NETWORK: &str = "kernel-testbed";
/// The label that names the part of a container.
pub const PART: &str = "kernel.testbed.part";
/// The label that tells what a container was made with: another value, and it is made again.
const SPECIFICATION: &str = "kernel.testbed.specification";

/// How long a part may take from its start to its first healthy answer.
const HEALTHY: Duration = Duration::from_secs(120);
/// How long a part has to end by itself.
const STOP: i32 = 10;

/// The name of a part's container.
#[must_use]
pub fn name(part: &Part) -> String {
    format!("kernel-testbed-{}", part.name)
}

/// Starts the part, or leaves it alone when it runs as it should, and waits until it is healthy.
///
/// # Errors
/// When it can't be started, ends, or does not become healthy; the end of its log is the evidence.
pub async fn up(
    engine: &Engine,
    root: &Path,
    part: &Part,
    image: &Image,
    passwords: &Passwords,
) -> Result<(), Failure> {
    let name = name(part);
    let (body, specification) = specify(engine, root, part, image, passwords).await?;
    let client = engine.client();
    let existing = client.inspect_container(&name, None).await.ok();
    let labels = existing.as_ref().and_then(|found| found.config.as_ref()?.labels.as_ref());
    if labels.is_some_and(|labels| !engine.is_ours(labels)) {
        let failure = Failure::new(format!("a container `{name}` is there that is not this testbed's"));
        return Err(failure.help(format!("rename or remove it: `docker rm {name}`")));
    }
    let current = labels.and_then(|labels| labels.get(SPECIFICATION)) == Some(&specification);
    if !current {
        if existing.is_some() {
            remove(engine, &name).await?;
        }
        let options =
            CreateContainerOptions { name: Some(name.clone()), ..CreateContainerOptions::default() };
        client.create_container(Some(options), body).await.map_err(because(format!("creating `{name}`")))?;
    }
    if existing.and_then(|found| found.state?.paused).unwrap_or_default() {
        client.unpause_container(&name).await.map_err(because(format!("resuming `{name}`")))?;
    }
    let started =
        client.start_container(&name, None::<bollard::query_parameters::StartContainerOptions>).await;
    if let Err(error) = started {
        let failure = Failure::new(format!("starting {}: {error}", part.name));
        return Err(failure.help("when a port is taken, end what holds it: `ss -ltnp` tells who does"));
    }
    healthy(engine, part).await
}

/// Stops it, starts it, waits until it is healthy.
///
/// # Errors
/// When it can't be stopped or started, or does not become healthy.
pub async fn restart(engine: &Engine, part: &Part) -> Result<(), Failure> {
    let options = None::<bollard::query_parameters::RestartContainerOptions>;
    let restarted = engine.client().restart_container(&name(part), options).await;
    restarted.map_err(because(format!("starting {} again", part.name)))?;
    healthy(engine, part).await
}

/// Waits until the part's own check says that it is healthy.
///
/// # Errors
/// When it ends or does not become healthy in time.
pub async fn healthy(engine: &Engine, part: &Part) -> Result<(), Failure> {
    let name = name(part);
    let look = async || {
        let state = engine.client().inspect_container(&name, None).await.ok()?.state?;
        if state.health.and_then(|health| health.status) == Some(HealthStatusEnum::HEALTHY) {
            return Some(Ok(()));
        }
        let ended = !state.running.unwrap_or_default();
        ended.then(|| {
            Err(format!("{} ended with exit code {}", part.name, state.exit_code.unwrap_or_default()))
        })
    };
    let message = match eventually(HEALTHY, look).await {
        Some(Ok(())) => return Ok(()),
        Some(Err(message)) => message,
        None => format!("{} is not healthy after {} s", part.name, HEALTHY.as_secs()),
    };
    Err(Failure::new(message)
        .evidence(&log(engine, &name).await)
        .help(format!("`docker logs {name}` tells more")))
}

/// Removes all containers and networks of this testbed.
///
/// # Errors
/// When one can't be removed.
pub async fn remove_all(engine: &Engine) -> Result<(), Failure> {
    let options =
        ListContainersOptions { all: true, filters: Some(engine.ours()), ..ListContainersOptions::default() };
    let found =
        engine.client().list_containers(Some(options)).await.map_err(because("listing the containers"))?;
    let removals = found
        .into_iter()
        .filter_map(|container| container.id)
        .map(|id| async move { remove(engine, &id).await });
    futures::future::try_join_all(removals).await?;
    let options = bollard::query_parameters::ListNetworksOptions { filters: Some(engine.ours()) };
    let networks =
        engine.client().list_networks(Some(options)).await.map_err(because("listing the networks"))?;
    for network in networks.into_iter().filter_map(|network| network.name) {
        let removed = engine.client().remove_network(&network).await;
        removed.map_err(because(format!("removing the network `{network}`")))?;
    }
    Ok(())
}

/// Makes the network of the parts, when it is not there.
///
/// # Errors
/// When it can't be made.
pub async fn network(engine: &Engine) -> Result<(), Failure> {
    let attempted = || format!("making the network `{NETWORK}`");
    if engine
        .client()
        .inspect_network(NETWORK, None::<bollard::query_parameters::InspectNetworkOptions>)
        .await
        .is_ok()
    {
        return Ok(());
    }
    let request = NetworkCreateRequest {
        name: NETWORK.to_owned(),
        labels: Some(engine.labels()),
        ..NetworkCreateRequest::default()
    };
    engine.client().create_network(request).await.map(drop).map_err(because(attempted()))
}

/// A program that runs once in a container of its own.
#[derive(Clone, Debug)]
pub struct Once<'a> {
    image: &'a str,
    entrypoint: &'a [&'a str],
    environment: Vec<String>,
    network: Option<String>,
    capabilities: Vec<String>,
    user: Option<String>,
    limit: Duration,
}

impl<'a> Once<'a> {
    /// A program of an image, without a network.
    #[must_use]
    pub const fn new(image: &'a str, entrypoint: &'a [&'a str]) -> Self {
        Self {
            image,
            entrypoint,
            environment: Vec::new(),
            network: None,
            capabilities: Vec::new(),
            user: None,
            limit: Duration::from_secs(60),
        }
    }

    /// In this network: `host`, or `container:name`.
    #[must_use]
    pub fn network(mut self, network: impl Into<String>) -> Self {
        self.network = Some(network.into());
        self
    }

    /// With these variables, `NAME=value` each.
    #[must_use]
    pub fn environment(mut self, variables: Vec<String>) -> Self {
        self.environment = variables;
        self
    }

    /// As root, with this capability.
    #[must_use]
    pub fn capability(mut self, capability: &str) -> Self {
        self.capabilities.push(capability.to_owned());
        self.user = Some("0:0".to_owned());
        self
    }
}

/// Runs it to its end and gives what it wrote to standard output. Its container is removed either way.
///
/// # Errors
/// When it can't be run, fails, or takes longer than a minute; what it said is the evidence.
pub async fn once(engine: &Engine, once: &Once<'_>) -> Result<String, Failure> {
    let attempted = format!("running `{}` in `{}`", once.entrypoint.join(" "), once.image);
    let body = ContainerCreateBody {
        image: Some(once.image.to_owned()),
        entrypoint: Some(once.entrypoint.iter().map(|&word| word.to_owned()).collect()),
        cmd: Some(Vec::new()),
        env: Some(once.environment.clone()),
        labels: Some(engine.labels()),
        user: once.user.clone(),
        host_config: Some(HostConfig {
            network_mode: Some(once.network.clone().unwrap_or_else(|| "none".to_owned())),
            cap_drop: Some(vec!["ALL".to_owned()]),
            cap_add: Some(once.capabilities.clone()),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    };
    let created = engine.client().create_container(None::<CreateContainerOptions>, body).await;
    let id = created.map_err(because(&attempted))?.id;
    let work = async {
        let started =
            engine.client().start_container(&id, None::<bollard::query_parameters::StartContainerOptions>);
        started.await.map_err(because(&attempted))?;
        let mut waiting = std::pin::pin!(engine.client().wait_container(&id, None::<WaitContainerOptions>));
        match waiting.next().await {
            Some(Ok(_)) | None => Ok(true),
            Some(Err(bollard::errors::Error::DockerContainerWaitError { .. })) => Ok(false),
            Some(Err(error)) => Err(because(&attempted)(error)),
        }
    };
    let ended = tokio::time::timeout(once.limit, work).await;
    let (output, errors) = words(engine, &id).await;
    remove(engine, &id).await?;
    match ended {
        Ok(Ok(true)) => Ok(output),
        Ok(Ok(false)) => {
            Err(Failure::new(format!("{attempted} failed")).evidence(&format!("{output}\n{errors}")))
        }
        Ok(Err(failure)) => Err(failure),
        Err(_) => {
            let message = format!("{attempted} did not end within {} s", once.limit.as_secs());
            Err(Failure::new(message).evidence(&format!("{output}\n{errors}")))
        }
    }
}

async fn specify(
    engine: &Engine,
    root: &Path,
    part: &Part,
    image: &Image,
    passwords: &Passwords,
) -> Result<(ContainerCreateBody, String), Failure> {
    let inspected = engine.client().inspect_image(&image.name).await;
    let id = inspected.map_err(because(format!("looking at `{}`", image.name)))?.id.unwrap_or_default();
    let binding =
        |host: u16| PortBinding { host_ip: Some("127.0.0.1".to_owned()), host_port: Some(host.to_string()) };
    let ports: HashMap<String, Option<Vec<PortBinding>>> = part
        .ports
        .iter()
        .map(|(inside, host)| (format!("{inside}/tcp"), Some(vec![binding(*host)])))
        .collect();
    let binds =
        part.files.iter().map(|(file, path)| format!("{}:{path}:ro", root.join(file).display())).collect();
    let tmpfs =
        part.memory.iter().map(|(path, options)| ((*path).to_owned(), (*options).to_owned())).collect();
    let mut body = ContainerCreateBody {
        image: Some(image.name.clone()),
        user: Some(part.user.to_owned()),
        hostname: Some(part.name.to_owned()),
        env: Some(
            (part.environment)(passwords)
                .into_iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect(),
        ),
        entrypoint: part.entrypoint.map(|words| words.iter().map(|&word| word.to_owned()).collect()),
        cmd: part.command.map(|words| words.iter().map(|&word| word.to_owned()).collect()),
        exposed_ports: Some(ports.keys().cloned().collect()),
        volumes: Some(part.data.iter().map(|&path| path.to_owned()).collect()),
        stop_timeout: Some(i64::from(STOP)),
        host_config: Some(HostConfig {
            network_mode: Some(NETWORK.to_owned()),
            port_bindings: Some(ports),
            binds: Some(binds),
            tmpfs: Some(tmpfs),
            readonly_rootfs: Some(true),
            cap_drop: Some(vec!["ALL".to_owned()]),
            security_opt: Some(vec!["no-new-privileges:true".to_owned()]),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    };
    let json = serde_json::to_string(&body).map_err(because(format!("describing {}", part.name)))?;
    let specification = crate::cache::Key::new().with(&json).with(&id).text();
    let mut labels = engine.labels();
    labels.insert(PART.to_owned(), part.name.to_owned());
    labels.insert(SPECIFICATION.to_owned(), specification.clone());
    body.labels = Some(labels);
    Ok((body, specification))
}

async fn remove(engine: &Engine, name: &str) -> Result<(), Failure> {
    let options = RemoveContainerOptions { force: true, v: true, ..RemoveContainerOptions::default() };
    match engine.client().remove_container(name, Some(options)).await {
        // Gone, or going by the word of somebody else.
        Ok(()) | Err(bollard::errors::Error::DockerResponseServerError { status_code: 404 | 409, .. }) => {
            Ok(())
        }
        Err(error) => Err(because(format!("removing the container `{name}`"))(error)),
    }
}

/// The end of what a container said.
pub async fn log(engine: &Engine, name: &str) -> String {
    let (output, errors) = words(engine, name).await;
    format!("{output}\n{errors}")
}

async fn words(engine: &Engine, name: &str) -> (String, String) {
    let options =
        LogsOptions { stdout: true, stderr: true, tail: "1000".to_owned(), ..LogsOptions::default() };
    let (mut output, mut errors) = (Vec::new(), Vec::new());
    let mut lines = std::pin::pin!(engine.client().logs(name, Some(options)));
    while let Some(Ok(line)) = lines.next().await {
        match line {
            LogOutput::StdErr { message } => errors.extend_from_slice(&message),
            LogOutput::StdOut { message } | LogOutput::Console { message } => {
                output.extend_from_slice(&message)
            }
            LogOutput::StdIn { .. } => {}
        }
    }
    (String::from_utf8_lossy(&output).into_owned(), String::from_utf8_lossy(&errors).into_owned())
}
