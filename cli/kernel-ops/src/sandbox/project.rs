//! What makes a project a sandbox: its ports are those of its slot, and its flags those of a sandbox.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use kernel_compose::project::Protocol;
use kernel_compose::{Project, Service};
use kernel_core::exit::ExitCode;
use kernel_core::secret::Value;

use super::Slot;
use crate::codes;
use crate::endpoints::{GATEWAY, package};
use crate::failure::{Failure, problem};

/// The variable that says where flags are.
const FLAGS: &str = "FLAGS_URL";

/// The flags of a sandbox, as the overlay for Docker has them.
const SANDBOX_FLAGS: &str = "file://{root}/docker/feature-flags/sandbox.yaml";

/// Puts every published port of a service of ours into the slot, the gateway's first, and takes the flags of a sandbox.
/// Others publish nothing. What is published follows from the services' names and ports alone: given twice it is the
/// same.
///
/// # Errors
/// When there are more ports than a slot has.
pub fn give(project: &mut Project, slot: Slot) -> Result<(), Failure> {
    let wanted: BTreeSet<(bool, &str, u16)> = project
        .services
        .values()
        .filter(|service| package(service).is_some())
        .flat_map(|service| {
            let others = package(service) != Some(GATEWAY);
            let ports = service.local_ports().filter(|port| port.protocol == Protocol::Tcp);
            ports.map(move |port| (others, service.name.as_str(), port.target))
        })
        .collect();
    if wanted.len() > slot.ports().len() {
        return Err(too_many(wanted.len(), slot.ports().len()));
    }
    let given: BTreeMap<(String, u16), u16> = wanted
        .into_iter()
        .map(|(_, service, target)| (service.to_owned(), target))
        .zip(slot.ports())
        .collect();
    for service in project.services.values_mut() {
        publish(service, &given);
        let embedded = service.kernel.iter_mut().flat_map(|kernel| &mut kernel.embedded);
        for variable in embedded.filter(|variable| variable.name == FLAGS) {
            variable.value = Value::Plain(SANDBOX_FLAGS.to_owned());
        }
    }
    Ok(())
}

fn publish(service: &mut Service, given: &BTreeMap<(String, u16), u16>) {
    let name = service.name.clone();
    let own = service.kernel.iter_mut().map(|kernel| &mut kernel.ports);
    for ports in std::iter::once(&mut service.ports).chain(own) {
        ports.retain_mut(|port| {
            let published =
                given.get(&(name.clone(), port.target)).filter(|_| port.protocol == Protocol::Tcp);
            port.published = published.copied();
            port.published_end = None;
            port.host_ip = Some(IpAddr::V4(Ipv4Addr::LOCALHOST));
            published.is_some()
        });
    }
}

fn too_many(wanted: usize, there_are: usize) -> Failure {
    let message = format!("the project publishes {wanted} ports, and a sandbox has {there_are}");
    let help = "publish fewer ports in its Compose files";
    Failure::new(ExitCode::Usage, problem(codes::SANDBOX_PORTS, message, help))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::sandbox::TenantName;

    fn slot() -> Slot {
        Slot::of(&TenantName::new("acme").unwrap()).next().unwrap()
    }

    #[test]
    fn ports_of_ours_lie_in_the_slot_and_the_gateways_come_first() {
        let text = "services:\n  \
             audit: {image: a, ports: ['8086:8080'], x-kernel: {package: audit}}\n  \
             flags: {image: f, ports: ['1031:1031'], x-kernel: {embedded: {FLAGS_URL: 'file://x', OTHER: y}}}\n  \
             edge: {image: g, ports: ['8080:8080', '18000:18000', '53:53/udp'], x-kernel: {package: gateway, ports: ['8443:8443']}}\n";
        let mut project = crate::testing::project(Path::new("/nowhere"), text);
        let first = slot().ports().start;
        for _ in 0..2 {
            give(&mut project, slot()).unwrap();
            let published = |name: &str| -> Vec<(u16, Option<u16>)> {
                project.services[name].local_ports().map(|port| (port.target, port.published)).collect()
            };
            let edge = [(8080, Some(first)), (18000, Some(first + 2)), (8443, Some(first + 1))];
            assert_eq!(published("edge"), edge);
            assert_eq!(published("audit"), [(8080, Some(first + 3))]);
            assert_eq!(published("flags"), []);
        }
        let flags = &project.services["flags"].kernel.as_ref().unwrap().embedded;
        let flags: Vec<_> = flags.iter().map(|it| (it.name.as_str(), it.value.expose())).collect();
        assert_eq!(flags, [("FLAGS_URL", SANDBOX_FLAGS), ("OTHER", "y")]);
    }

    #[test]
    fn more_ports_than_a_slot_has_are_refused() {
        let service =
            |number| format!("  s{number}: {{image: a, ports: ['{number}:80'], x-kernel: {{package: a}}}}\n");
        let text: String = (1..=17).map(service).collect();
        let mut project = crate::testing::project(Path::new("/nowhere"), &format!("services:\n{text}"));
        let failure = give(&mut project, slot()).unwrap_err();
        assert_eq!(failure.problems[0].code, "K-SANDBOX-004");
    }

    #[test]
    fn the_platform_fits_and_its_flags_file_is_there() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let flags = SANDBOX_FLAGS.trim_start_matches("file://").replace("{root}", root.to_str().unwrap());
        assert!(Path::new(&flags).is_file(), "{flags}");
    }
}
