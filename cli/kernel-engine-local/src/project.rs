//! From a Compose project to the units that it means on this machine.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use kernel_compose::project::{Condition as ComposeCondition, Project, Protocol, Restart, Service};
use kernel_core::diagnostic::Diagnostic;
use kernel_core::name::{ProjectName, ServiceName};
use kernel_core::unit::{
    Condition, Dependency, Desired, DesiredItem, DesiredKind, DesiredProcess, Package, Port, ProcessSpec,
    Readiness, RestartPolicy, Target,
};

use crate::build::Program;
use crate::codes;
use crate::environment::{Entry, Party, Places, compose, inner_port};
use crate::fingerprint::fingerprint;
use crate::layout::Layout;

/// What a service has between SIGTERM and SIGKILL when its file does not say.
const STOP_GRACE: Duration = Duration::from_secs(10);

/// Where every service of ours says that it is ready.
const READINESS_PATH: &str = "/health/ready";

/// What the Compose file does not say.
pub(crate) struct Surroundings<'a> {
    /// The workspace, absolute.
    pub root: &'a Path,
    /// The folders of the project.
    pub layout: &'a Layout,
    /// Added to every published port.
    pub port_offset: u16,
    /// The program of each package, and whether it has to be built.
    pub programs: &'a BTreeMap<String, Program>,
    /// Services that run elsewhere on this machine.
    pub beside: &'a BTreeSet<String>,
}

/// The units of a project, and what should be said about it.
#[derive(Debug)]
pub struct LocalProject {
    /// The units.
    pub desired: Desired,
    /// What people should know, such as services that are left out here.
    pub warnings: Vec<Diagnostic>,
}

/// The packages that the project's services are made from.
pub(crate) fn packages(project: &Project) -> Vec<String> {
    project.services.values().filter_map(package).map(str::to_owned).collect()
}

fn package(service: &Service) -> Option<&str> {
    service.kernel.as_ref()?.package.as_deref()
}

/// Everything wrong is told at once.
pub(crate) fn desired(
    project: &Project,
    surroundings: &Surroundings<'_>,
) -> Result<LocalProject, Vec<Diagnostic>> {
    let mut conversion = Conversion { project, surroundings, problems: Vec::new(), warnings: Vec::new() };
    let parties: Vec<Party> = project.services.values().map(|service| conversion.party(service)).collect();
    conversion.check_ports(&parties);
    let mut items = Vec::with_capacity(parties.len());
    for (service, party) in project.services.values().zip(&parties) {
        items.extend(conversion.item(service, party, &parties));
    }
    let name = ProjectName::new(project.name.clone());
    if let Err(error) = &name {
        conversion.problems.push(Diagnostic::error(codes::BAD_NAME, error.to_string()));
    }
    match name {
        Ok(project) if conversion.problems.is_empty() => {
            let desired = Desired::of(project, items);
            Ok(LocalProject { desired, warnings: conversion.warnings })
        }
        _ => Err(conversion.problems),
    }
}

struct Conversion<'a> {
    project: &'a Project,
    surroundings: &'a Surroundings<'a>,
    problems: Vec<Diagnostic>,
    warnings: Vec<Diagnostic>,
}

impl Conversion<'_> {
    fn party(&mut self, service: &Service) -> Party {
        let extension = service.kernel.as_ref();
        let beside = self.is_beside(&service.name);
        let runs = package(service).is_some() || beside;
        Party {
            name: service.name.clone(),
            runs,
            environment: entries(&service.environment),
            local: extension.map(|extension| entries(&extension.environment)).unwrap_or_default(),
            embedded: extension
                .filter(|_| !beside)
                .map(|extension| entries(&extension.embedded))
                .unwrap_or_default(),
            depends_on: service.depends_on.keys().cloned().collect(),
            ports: if runs { self.ports(service) } else { Vec::new() },
        }
    }

    fn is_beside(&self, service: &str) -> bool {
        self.surroundings.beside.contains(service)
    }

    fn ports(&mut self, service: &Service) -> Vec<Port> {
        let mut ports = Vec::new();
        for port in service.local_ports().filter(|port| port.protocol == Protocol::Tcp) {
            let Some(published) = port.published else { continue };
            let host = published.checked_add(self.surroundings.port_offset);
            if host.is_none() {
                let message = format!(
                    "service `{}`: port {published} with the offset {} is above 65535",
                    service.name, self.surroundings.port_offset
                );
                let diagnostic = Diagnostic::error(codes::BAD_PORT, message).at(port.span, "this port");
                self.problems.push(diagnostic.help("take a smaller `--port-offset`"));
            }
            // Without the offset it serves to find what else is wrong.
            ports.push(Port { host: host.unwrap_or(published), container: port.target });
        }
        ports
    }

    fn check_ports(&mut self, parties: &[Party]) {
        let mut owners: BTreeMap<u16, &str> = BTreeMap::new();
        // Whoever runs elsewhere has its ports already.
        let beside = self.surroundings.beside;
        for party in parties.iter().filter(|party| !beside.contains(&party.name)) {
            for port in &party.ports {
                if let Some(other) = owners.insert(port.host, &party.name) {
                    let message =
                        format!("services `{other}` and `{}` both publish port {}", party.name, port.host);
                    let mut diagnostic =
                        Diagnostic::error(codes::BAD_PORT, message).help("give each its own published port");
                    if let Some(service) = self.project.services.get(&party.name) {
                        diagnostic = diagnostic.at(service.span, "the second of the two");
                    }
                    self.problems.push(diagnostic);
                }
            }
        }
    }

    /// `None` when the service is left out, which has been told then.
    fn item(&mut self, service: &Service, party: &Party, all: &[Party]) -> Option<DesiredItem> {
        let name = match ServiceName::new(service.name.clone()) {
            Ok(name) => name,
            Err(error) => {
                let diagnostic = Diagnostic::error(codes::BAD_NAME, error.to_string());
                self.problems.push(diagnostic.at(service.span, "this service"));
                return None;
            }
        };
        if self.is_beside(&service.name) {
            return None;
        }
        let kind = match package(service) {
            Some(package) => {
                DesiredKind::Process(Box::new(self.process(service, &name, package, party, all)?))
            }
            None if service.kernel.is_some() => DesiredKind::Embedded,
            None => {
                self.left_out(service);
                return None;
            }
        };
        Some(DesiredItem { name, kind, depends_on: self.dependencies(service), target: Target::Running })
    }

    fn process(
        &mut self,
        service: &Service,
        name: &ServiceName,
        package: &str,
        party: &Party,
        all: &[Party],
    ) -> Option<DesiredProcess> {
        let directory = self.surroundings.layout.data_of(name).to_string_lossy().into_owned();
        let root = self.surroundings.root.to_string_lossy().into_owned();
        let environment = compose(party, all, &Places { root, data: directory.clone() })
            .map_err(|problems| self.problems.extend(problems))
            .ok()?;
        let inside = inner_port(party);
        let Some(port) = party.ports.iter().find(|port| port.container == inside) else {
            let message = format!("service `{name}` publishes no port for its port {inside}");
            let help =
                format!("add `\"8080:{inside}\"` with a free port to its `ports`: it is reached there");
            let diagnostic = Diagnostic::error(codes::BAD_PORT, message).help(help);
            self.problems.push(diagnostic.at(service.span, "this service"));
            return None;
        };
        let program = self.surroundings.programs.get(package).cloned().unwrap_or_default();
        let spec = ProcessSpec {
            program: program.path.to_string_lossy().into_owned(),
            arguments: service.command.clone().unwrap_or_default(),
            environment,
            directory,
            ports: party.ports.clone(),
            readiness: Some(Readiness { port: port.host, path: READINESS_PATH.to_owned() }),
            restart: match service.restart {
                Restart::No => RestartPolicy::No,
                Restart::Always | Restart::UnlessStopped => RestartPolicy::Always,
                Restart::OnFailure(limit) => RestartPolicy::OnFailure(limit),
            },
            stop_grace: service.stop_grace_period.unwrap_or(STOP_GRACE),
        };
        let fingerprint = fingerprint(&spec);
        let package = Package { name: package.to_owned(), stale: program.stale };
        Some(DesiredProcess { spec, fingerprint, package: Some(package) })
    }

    /// Only what this project has here: an infra service that is left out is nobody's condition.
    fn dependencies(&self, service: &Service) -> Vec<Dependency> {
        let here = |name: &str| {
            !self.is_beside(name)
                && self.project.services.get(name).is_some_and(|other| other.kernel.is_some())
        };
        let needed = service.depends_on.iter().filter(|(name, _)| here(name));
        needed
            .filter_map(|(name, dependency)| {
                Some(Dependency {
                    name: ServiceName::new(name.clone()).ok()?,
                    condition: match dependency.condition {
                        ComposeCondition::Started => Condition::Started,
                        ComposeCondition::Healthy => Condition::Healthy,
                        ComposeCondition::CompletedSuccessfully => Condition::Completed,
                    },
                    required: dependency.required,
                })
            })
            .collect()
    }

    fn left_out(&mut self, service: &Service) {
        let needed_by = self.project.services.values().find(|other| {
            package(other).is_some()
                && other.depends_on.get(&service.name).is_some_and(|dependency| dependency.required)
        });
        let help = "give it `x-kernel.package` or `x-kernel.embedded`, or use `--engine docker`";
        match needed_by {
            Some(other) => {
                let message = format!(
                    "service `{}` can't run without Docker, and `{}` depends on it",
                    service.name, other.name
                );
                let diagnostic = Diagnostic::error(codes::NOT_LOCAL, message).help(help);
                self.problems.push(diagnostic.at(service.span, "this service"));
            }
            None => {
                let message = format!("service `{}` can't run without Docker and is left out", service.name);
                let diagnostic = Diagnostic::warning(codes::NOT_LOCAL, message).help(help);
                self.warnings.push(diagnostic.at(service.span, "this service"));
            }
        }
    }
}

fn entries(variables: &[kernel_compose::project::Variable]) -> Vec<Entry> {
    let entry = |variable: &kernel_compose::project::Variable| Entry {
        name: variable.name.clone(),
        value: variable.value.clone(),
        span: Some(variable.span),
    };
    variables.iter().map(entry).collect()
}
