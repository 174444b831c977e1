//! Looks at everything that the Engine has of a project. Only reads.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use bollard::Docker;
use bollard::models::{
    ContainerInspectResponse, ContainerStateStatusEnum, HealthStatusEnum, RestartPolicyNameEnum,
};
use bollard::query_parameters::{ListContainersOptionsBuilder, ListNetworksOptions, ListVolumesOptions};
use futures::future::{join_all, try_join_all};
use kernel_core::container::{
    ContainerState, FoundContainer, FoundImage, FoundMount, FoundNetwork, FoundVolume, HASH_LABEL,
    IMAGE_LABEL, NUMBER_LABEL, World,
};
use kernel_core::name::{ProjectName, ServiceName};
use kernel_core::unit::{ExitStatus, Observed, ObservedItem, Port, UnitState};
use kernel_engine::EngineError;

use crate::memory::Memory;
use crate::trouble::{is_missing, trouble};
use crate::{ask, labels};

/// How often a container that ends may be started again by the Engine before it counts as one that can't run.
pub(crate) const CRASHES: i64 = 3;

/// What is looked at.
pub(crate) struct Look<'a> {
    pub docker: &'a Docker,
    pub project: &'a ProjectName,
    pub images: &'a BTreeSet<String>,
    pub memory: &'a Memory,
    pub joins_at_create: bool,
}

impl Look<'_> {
    pub(crate) async fn observe(&self) -> Result<Observed, EngineError> {
        let label = format!("{}={}", labels::PROJECT, self.project);
        let (inspected, networks, volumes, images) = futures::try_join!(
            containers(self.docker, &label),
            self.networks(),
            self.volumes(),
            self.images(),
        )?;
        let ids: BTreeSet<&str> = inspected.iter().filter_map(|found| found.id.as_deref()).collect();
        self.memory.keep_only(&ids);
        let mut seen = Vec::new();
        let mut units: BTreeMap<ServiceName, ObservedItem> = BTreeMap::new();
        for response in &inspected {
            let Some(mut found) = found(response, self.memory) else { continue };
            name_networks_by_id(&mut found, &networks);
            if !found.one_off {
                let item = item(&found, response);
                match units.get_mut(&found.service) {
                    Some(known) => join(known, item),
                    None => drop(units.insert(found.service.clone(), item)),
                }
            }
            seen.push(found);
        }
        let world =
            World { joins_at_create: self.joins_at_create, containers: seen, networks, volumes, images };
        Ok(Observed {
            present: !world.containers.is_empty() || world.networks.iter().any(|network| network.ours),
            data: world.volumes.iter().any(|volume| volume.ours),
            items: units.into_values().collect(),
            world: Some(Box::new(world)),
        })
    }

    async fn networks(&self) -> Result<Vec<FoundNetwork>, EngineError> {
        let networks = self
            .docker
            .list_networks(None::<ListNetworksOptions>)
            .await
            .map_err(|error| trouble("asking the Engine for its networks", error))?;
        Ok(networks
            .into_iter()
            .map(|network| {
                let labels = network.labels.unwrap_or_default();
                FoundNetwork {
                    id: network.id.unwrap_or_default(),
                    name: network.name.unwrap_or_default(),
                    ours: self.is_ours(&labels),
                    key: labels.get(labels::NETWORK).cloned(),
                    hash: labels.get(HASH_LABEL).cloned(),
                }
            })
            .collect())
    }

    async fn volumes(&self) -> Result<Vec<FoundVolume>, EngineError> {
        let answer = self
            .docker
            .list_volumes(None::<ListVolumesOptions>)
            .await
            .map_err(|error| trouble("asking the Engine for its volumes", error))?;
        let volumes = answer.volumes.unwrap_or_default().into_iter();
        Ok(volumes
            .map(|volume| FoundVolume { ours: self.is_ours(&volume.labels), name: volume.name })
            .collect())
    }

    fn is_ours(&self, labels: &HashMap<String, String>) -> bool {
        labels.get(labels::PROJECT).is_some_and(|project| *project == self.project.as_str())
    }

    async fn images(&self) -> Result<BTreeMap<String, FoundImage>, EngineError> {
        let asked = self.images.iter().map(|name| image(self.docker, name));
        Ok(try_join_all(asked).await?.into_iter().flatten().collect())
    }
}

/// Podman 4 says the name of a network where Docker says its id.
fn name_networks_by_id(container: &mut FoundContainer, networks: &[FoundNetwork]) {
    for (name, id) in &mut container.networks {
        if let (true, Some(network)) = (name == id, networks.iter().find(|network| network.name == *name)) {
            id.clone_from(&network.id);
        }
    }
}

/// The image that goes by this name, if there is one.
pub(crate) async fn image(docker: &Docker, name: &str) -> Result<Option<(String, FoundImage)>, EngineError> {
    match docker.inspect_image(name).await {
        Ok(image) => {
            let config = image.config.unwrap_or_default();
            let test = config.healthcheck.and_then(|check| check.test).unwrap_or_default();
            let found = FoundImage {
                id: image.id.unwrap_or_default(),
                volumes: config.volumes.unwrap_or_default().into_iter().collect(),
                has_healthcheck: !test.is_empty() && test[0] != "NONE",
            };
            Ok(Some((name.to_owned(), found)))
        }
        Err(error) if is_missing(&error) => Ok(None),
        Err(error) => Err(trouble(&format!("asking the Engine for the image `{name}`"), error)),
    }
}

/// Every container with a label, in full. One that goes meanwhile is left out.
pub(crate) async fn containers(
    docker: &Docker,
    label: &str,
) -> Result<Vec<ContainerInspectResponse>, EngineError> {
    let filters = HashMap::from([("label", vec![label.to_owned()])]);
    let options = ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
    let listed = ask::list(docker, &options)
        .await
        .map_err(|error| trouble("asking the Engine for its containers", error))?;
    let ids = listed.into_iter().filter_map(|container| container.id);
    let asked = ids.map(|id| async move { ask::inspect(docker, &id).await });
    let mut found = Vec::new();
    for answer in join_all(asked).await {
        match answer {
            Ok(container) => found.push(container),
            Err(error) if is_missing(&error) => {}
            Err(error) => return Err(trouble("asking the Engine for a container", error)),
        }
    }
    Ok(found)
}

fn label<'a>(response: &'a ContainerInspectResponse, name: &str) -> Option<&'a String> {
    response.config.as_ref()?.labels.as_ref()?.get(name)
}

/// One container. `None`: it is no service's.
pub(crate) fn found(response: &ContainerInspectResponse, memory: &Memory) -> Option<FoundContainer> {
    let config = response.config.as_ref()?;
    let labelled = |name| label(response, name).cloned().unwrap_or_default();
    let depends_on = labelled(labels::DEPENDS_ON);
    let needed = depends_on.split(',').filter_map(|part| ServiceName::new(part.split(':').next()?).ok());
    let networks = response.network_settings.as_ref().and_then(|settings| settings.networks.clone());
    let grace = config.stop_timeout.and_then(|seconds| u64::try_from(seconds).ok());
    Some(FoundContainer {
        id: response.id.clone()?,
        name: response.name.as_deref()?.trim_start_matches('/').to_owned(),
        service: ServiceName::new(labelled(labels::SERVICE)).ok()?,
        number: labelled(NUMBER_LABEL).parse().unwrap_or(1),
        one_off: labelled(labels::ONE_OFF) == "True",
        hash: labelled(HASH_LABEL),
        image: label(response, IMAGE_LABEL).or(response.image.as_ref()).cloned().unwrap_or_default(),
        image_name: config.image.clone().unwrap_or_default(),
        depends_on: needed.collect(),
        state: state(response, memory),
        networks: networks
            .unwrap_or_default()
            .into_iter()
            .map(|(name, endpoint)| (name, endpoint.network_id.unwrap_or_default()))
            .collect(),
        volumes: mounts(response),
        stop_grace: grace.map(Duration::from_secs),
    })
}

fn mounts(response: &ContainerInspectResponse) -> Vec<FoundMount> {
    let mounts = response.mounts.iter().flatten();
    mounts
        .filter(|mount| mount.typ.as_deref() == Some("volume"))
        .filter_map(|mount| {
            Some(FoundMount {
                name: mount.name.clone()?,
                target: mount.destination.clone()?,
                read_only: mount.rw == Some(false),
            })
        })
        .collect()
}

/// When a container started and when it ended, as the Engine writes times.
pub(crate) fn moments(response: &ContainerInspectResponse) -> (&str, &str) {
    let state = response.state.as_ref();
    let started = state.and_then(|state| state.started_at.as_deref()).unwrap_or_default();
    let finished = state.and_then(|state| state.finished_at.as_deref()).unwrap_or_default();
    (started, finished)
}

fn state(response: &ContainerInspectResponse, memory: &Memory) -> ContainerState {
    use ContainerStateStatusEnum as Status;
    let Some(state) = &response.state else { return ContainerState::Dead };
    let id = response.id.as_deref().unwrap_or_default();
    let (started, finished) = moments(response);
    match state.status {
        Some(Status::CREATED) => ContainerState::Created,
        Some(Status::RUNNING) => match state.health.as_ref().and_then(|health| health.status) {
            Some(HealthStatusEnum::UNHEALTHY) => ContainerState::Unhealthy,
            Some(HealthStatusEnum::STARTING) if !memory.has(id, started) => ContainerState::Starting,
            _ => ContainerState::Ready,
        },
        Some(Status::PAUSED) => ContainerState::Paused,
        Some(Status::RESTARTING) => ContainerState::Restarting,
        Some(Status::EXITED | Status::STOPPING) => {
            let code = state.exit_code.unwrap_or_default();
            let killed = matches!(code, 137 | 143) && state.oom_killed != Some(true);
            if code == 0 && memory.has(id, finished) {
                ContainerState::Finished
            } else if killed || always_restarts(response) {
                // The Engine would have started it again, had nobody stopped it.
                ContainerState::Stopped
            } else {
                ContainerState::Exited(code)
            }
        }
        _ => ContainerState::Dead,
    }
}

fn always_restarts(response: &ContainerInspectResponse) -> bool {
    let policy = response.host_config.as_ref().and_then(|host| host.restart_policy.as_ref());
    matches!(
        policy.and_then(|policy| policy.name),
        Some(RestartPolicyNameEnum::ALWAYS | RestartPolicyNameEnum::UNLESS_STOPPED)
    )
}

fn item(found: &FoundContainer, response: &ContainerInspectResponse) -> ObservedItem {
    let state = response.state.as_ref();
    let restarts = response.restart_count.unwrap_or_default();
    let code = state.and_then(|state| state.exit_code).and_then(|code| i32::try_from(code).ok());
    let status = code.map_or(ExitStatus::Unknown, ExitStatus::Code);
    let (started, finished) = moments(response);
    let unit = match found.state {
        ContainerState::Created | ContainerState::Stopped => UnitState::Stopped,
        ContainerState::Ready => UnitState::Ready,
        ContainerState::Starting if restarts >= CRASHES => UnitState::CrashLooping { status },
        ContainerState::Starting => UnitState::Starting,
        ContainerState::Unhealthy | ContainerState::Paused => UnitState::Unready,
        ContainerState::Restarting if restarts >= CRASHES => UnitState::CrashLooping { status },
        ContainerState::Restarting => UnitState::Restarting,
        ContainerState::Exited(_) | ContainerState::Finished | ContainerState::Dead => {
            UnitState::Exited { status }
        }
    };
    let since = if found.state.is_alive() { started } else { finished };
    let since = if since.starts_with("0001") { "" } else { since };
    ObservedItem {
        name: found.service.clone(),
        state: unit,
        fingerprint: None,
        depends_on: found.depends_on.clone(),
        stop_grace_ms: found
            .stop_grace
            .map_or(10_000, |grace| u64::try_from(grace.as_millis()).unwrap_or(u64::MAX)),
        pid: state.and_then(|state| state.pid).and_then(|pid| u32::try_from(pid).ok()).filter(|pid| *pid > 0),
        ports: ports(response),
        restarts: u32::try_from(restarts).unwrap_or_default(),
        since: since.to_owned(),
        detail: detail(found, response),
    }
}

fn detail(found: &FoundContainer, response: &ContainerInspectResponse) -> Option<String> {
    let state = response.state.as_ref()?;
    match found.state {
        ContainerState::Paused => Some("paused".to_owned()),
        ContainerState::Unhealthy => {
            let last = state.health.as_ref()?.log.as_ref()?.last()?.output.clone()?;
            Some(format!("health check: {}", last.trim().lines().last().unwrap_or_default()))
        }
        _ if state.oom_killed == Some(true) && !found.state.is_alive() => {
            Some("killed: it used more memory than it may".to_owned())
        }
        _ => state.error.clone().filter(|error| !error.is_empty()),
    }
}

fn ports(response: &ContainerInspectResponse) -> Vec<Port> {
    let bound = response.network_settings.as_ref().and_then(|settings| settings.ports.as_ref());
    let mut ports: Vec<Port> = bound
        .into_iter()
        .flatten()
        .flat_map(|(container, hosts)| {
            let container = container.split('/').next().and_then(|port| port.parse().ok());
            hosts.iter().flatten().filter_map(move |binding| {
                Some(Port { host: binding.host_port.as_deref()?.parse().ok()?, container: container? })
            })
        })
        .collect();
    ports.sort();
    ports.dedup();
    ports
}

/// Several containers of a service: it is as the worst of them.
fn join(known: &mut ObservedItem, other: ObservedItem) {
    let rank = |state: UnitState| match state {
        UnitState::CrashLooping { .. } => 0,
        UnitState::Exited { .. } => 1,
        UnitState::Restarting => 2,
        UnitState::Unready => 3,
        UnitState::Stopped | UnitState::Stopping | UnitState::Leftover => 4,
        UnitState::Starting => 5,
        UnitState::Ready => 6,
    };
    known.ports.extend(other.ports.iter().copied());
    known.restarts += other.restarts;
    if rank(other.state) < rank(known.state) {
        let (ports, restarts) = (std::mem::take(&mut known.ports), known.restarts);
        *known = ObservedItem { ports, restarts, ..other };
    }
}
