//! Where the services of a project can be reached on this machine.

use kernel_compose::project::{Port, Protocol};
use kernel_compose::{Project, Service};
use serde::Serialize;

/// The port that every service of ours listens on inside the project.
const SERVICE_PORT: u16 = 8080;

/// The package whose service is the door from outside.
pub(crate) const GATEWAY: &str = "gateway";

/// One address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Endpoint {
    /// Who answers.
    pub service: String,
    /// Where.
    pub url: String,
    /// What it is, a few words.
    pub what: String,
}

/// The addresses of all services that run from a package, the gateway's first.
#[must_use]
pub fn all(project: &Project, port_offset: u16) -> Vec<Endpoint> {
    let mut endpoints: Vec<Endpoint> = project
        .services
        .values()
        .filter(|service| package(service).is_some())
        .flat_map(|service| {
            ports(service).filter(|port| port.protocol == Protocol::Tcp).filter_map(move |port| {
                let host = port.published?.checked_add(port_offset)?;
                let is_gateway = package(service) == Some(GATEWAY);
                let (scheme, what) = match (port.target, is_gateway) {
                    (SERVICE_PORT, true) => ("http", "REST, gRPC, health"),
                    (SERVICE_PORT, false) => ("http", "gRPC, health"),
                    (8443, true) => ("https", "REST over TLS, development certificate"),
                    _ => return None,
                };
                Some(Endpoint {
                    service: service.name.clone(),
                    url: format!("{scheme}://127.0.0.1:{host}"),
                    what: what.to_owned(),
                })
            })
        })
        .collect();
    endpoints.sort_by_key(|endpoint| (!endpoint.what.starts_with("REST"), endpoint.service.clone()));
    endpoints
}

/// What a service publishes: as in Compose, and what it publishes only here.
fn ports(service: &Service) -> impl Iterator<Item = &Port> {
    service.ports.iter().chain(service.kernel.iter().flat_map(|kernel| &kernel.ports))
}

/// Where one service answers gRPC and health.
#[must_use]
pub fn of(service: &Service, port_offset: u16) -> Option<String> {
    let port = service.ports.iter().find(|port| port.target == SERVICE_PORT)?;
    Some(format!("http://127.0.0.1:{}", port.published?.checked_add(port_offset)?))
}

/// Where the gateway answers REST.
#[must_use]
pub fn gateway(project: &Project, port_offset: u16) -> Option<String> {
    let service = project.services.values().find(|service| package(service) == Some(GATEWAY))?;
    of(service, port_offset)
}

/// The package that a service runs from.
#[must_use]
pub fn package(service: &Service) -> Option<&str> {
    service.kernel.as_ref()?.package.as_deref()
}
