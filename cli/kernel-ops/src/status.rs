//! `ps`: what runs for a project.

use std::collections::BTreeSet;

use kernel_core::name::ProjectName;
use kernel_core::unit::{ObservedItem, UnitState};
use serde::Serialize;

use crate::converge::engine_failure;
use crate::endpoints::package;
use crate::failure::Failure;
use crate::host::Host;
use crate::load::Platform;

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

/// How the services of the project are. With `all` also those that are not there.
///
/// # Errors
/// When the engine can't be asked.
pub async fn status(platform: &Platform, host: &dyn Host, all: bool) -> Result<Status, Failure> {
    let engine = host.engine();
    let observed = engine.observe().await.map_err(|error| engine_failure(&error))?;
    let mut services: Vec<ServiceStatus> = observed.items.iter().map(of_item).collect();
    let found: BTreeSet<String> = services.iter().map(|service| service.name.clone()).collect();
    if all {
        for service in platform.project.services.values().filter(|service| !found.contains(&service.name)) {
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
