//! `ps`: what runs for a project.

use std::collections::BTreeSet;

use kernel_core::container::ContainerState;
use kernel_core::name::ProjectName;
use kernel_core::unit::{Observed, ObservedItem, UnitState};
use serde::Serialize;

use crate::converge::engine_failure;
use crate::endpoints::package;
use crate::failure::Failure;
use crate::host::Host;
use crate::load::Platform;
use crate::select;

/// The states of containers by the names that Docker has for them. Processes have the same, as far as they can.
pub const STATES: [&str; 7] = ["paused", "restarting", "removing", "running", "dead", "created", "exited"];

/// Which services are shown.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Only these; all when empty.
    pub services: Vec<String>,
    /// Also those that are not there.
    pub all: bool,
    /// Only those with something in one of these states, by Docker's names; in any when empty.
    pub states: BTreeSet<String>,
    /// Not those that the project's files don't have.
    pub no_orphans: bool,
}

impl Selection {
    /// Whether a service of the project, or left over from it, is meant by its name.
    #[must_use]
    pub fn names(&self, platform: &Platform, service: &str) -> bool {
        let named = self.services.is_empty() || self.services.iter().any(|name| name == service);
        named && (!self.no_orphans || platform.project.services.contains_key(service))
    }

    /// Whether a state is meant.
    #[must_use]
    pub fn has_state(&self, state: &str) -> bool {
        self.states.is_empty() || self.states.contains(state)
    }
}

/// What runs for a project.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// `kernel.ps/v1`.
    pub schema: &'static str,
    /// Whose units these are.
    pub project: ProjectName,
    /// On what they run.
    pub engine: String,
    /// The units by name.
    pub services: Vec<ServiceStatus>,
}

/// How one service is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ServiceStatus {
    /// Its name.
    pub name: String,
    /// One word: `ready`, `starting`, … or `not-started`, `embedded`.
    pub state: &'static str,
    /// The same in full: `crash-looping (exit code 1)`.
    pub status: String,
    /// Its process, while it has one.
    pub pid: Option<u32>,
    /// Its ports on this machine.
    pub ports: Vec<u16>,
    /// How often it was started again by itself.
    pub restarts: u32,
    /// Since when it is so, RFC 3339; empty when unknown.
    pub since: String,
    /// What else is to be said.
    pub detail: Option<String>,
}

/// How the services of the project are that are meant.
///
/// # Errors
/// When a service was named that the project does not have, or the engine can't be asked.
pub async fn status(platform: &Platform, host: &dyn Host, selection: &Selection) -> Result<Status, Failure> {
    select::named(&platform.project, &selection.services)?;
    let engine = host.engine();
    let observed = engine.observe().await.map_err(|error| engine_failure(&error))?;
    let mut services: Vec<ServiceStatus> = observed
        .items
        .iter()
        .filter(|item| selection.names(platform, item.name.as_str()))
        .filter(|item| states(item, &observed).into_iter().any(|state| selection.has_state(state)))
        .map(of_item)
        .collect();
    if selection.all && selection.states.is_empty() {
        let found: BTreeSet<&str> = observed.items.iter().map(|item| item.name.as_str()).collect();
        let missing = platform.project.services.values().filter(|service| {
            !found.contains(service.name.as_str()) && selection.names(platform, &service.name)
        });
        for service in missing {
            let (state, detail) = match package(service) {
                Some(_) => ("not-started", None),
                None => ("embedded", Some("the services that use it answer for it".to_owned())),
            };
            services.push(ServiceStatus {
                name: service.name.clone(),
                state,
                status: state.to_owned(),
                pid: None,
                ports: Vec::new(),
                restarts: 0,
                since: String::new(),
                detail,
            });
        }
    }
    services.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(Status {
        schema: "kernel.ps/v1",
        project: platform.name.clone(),
        engine: engine.name().to_owned(),
        services,
    })
}

/// The states of a unit by Docker's names: those of its containers, where it has some.
fn states(item: &ObservedItem, observed: &Observed) -> BTreeSet<&'static str> {
    let containers = observed.world.iter().flat_map(|world| &world.containers);
    let states: BTreeSet<_> = containers
        .filter(|container| container.service == item.name && !container.one_off)
        .map(|container| match container.state {
            ContainerState::Created => "created",
            ContainerState::Starting | ContainerState::Ready | ContainerState::Unhealthy => "running",
            ContainerState::Paused => "paused",
            ContainerState::Restarting => "restarting",
            ContainerState::Stopped | ContainerState::Finished | ContainerState::Exited(_) => "exited",
            ContainerState::Dead => "dead",
        })
        .collect();
    if !states.is_empty() {
        return states;
    }
    BTreeSet::from([match item.state {
        UnitState::Starting
        | UnitState::Ready
        | UnitState::Unready
        | UnitState::Stopping
        | UnitState::Leftover => "running",
        UnitState::Restarting => "restarting",
        UnitState::Stopped | UnitState::Exited { .. } | UnitState::CrashLooping { .. } => "exited",
    }])
}

fn of_item(item: &ObservedItem) -> ServiceStatus {
    let state: UnitState = item.state;
    ServiceStatus {
        name: item.name.to_string(),
        state: state.word(),
        status: state.to_string(),
        pid: item.pid,
        ports: item.ports.iter().map(|port| port.host).collect(),
        restarts: item.restarts,
        since: item.since.clone(),
        detail: item.detail.clone(),
    }
}
