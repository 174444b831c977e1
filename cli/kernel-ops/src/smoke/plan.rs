//! Which checks a project asks for: every service of a package, with the scenario that stands beside its code.

use std::time::Duration;

use kernel_core::diagnostic::Diagnostic;
use kernel_core::exit::ExitCode;
use kernel_core::name::ServiceName;
use kernel_core::source::Sources;

use super::scenario::Scenario;
use super::{SmokeSettings, Subject};
use crate::failure::{Failure, problem};
use crate::load::Platform;
use crate::{codes, endpoints, select};

/// What is asked for.
#[derive(Clone, Debug)]
pub struct SmokeRequest {
    /// The services; empty means all.
    pub services: Vec<String>,
    /// A gateway elsewhere: only scenarios are run.
    pub target: Option<String>,
    /// How long a check may fail before that counts.
    pub retry_for: Duration,
    /// What was added to every published port.
    pub port_offset: u16,
}

/// The checks of a project.
///
/// # Errors
/// When a service is not known, nothing can be checked, or a scenario can't be read.
pub fn settings(platform: &Platform, request: &SmokeRequest) -> Result<SmokeSettings, Failure> {
    let chosen = select::named(&platform.project, &request.services)?;
    let offset = request.port_offset;
    let mut sources = Sources::default();
    let mut diagnostics: Vec<Diagnostic> = Vec::new();
    let mut services = Vec::new();
    for service in platform.project.services.values().filter(|service| chosen.contains(&service.name)) {
        let (Some(package), Ok(name)) = (endpoints::package(service), ServiceName::new(service.name.clone()))
        else {
            continue;
        };
        let address = if request.target.is_none() { endpoints::of(service, offset) } else { None };
        let wanted = service.kernel.as_ref().and_then(|kernel| kernel.scenario.clone());
        let scenario = match wanted.map(|wanted| read(platform, package, &wanted, &mut sources)) {
            Some(Ok(scenario)) => Some(scenario),
            Some(Err(Unreadable::File(failure))) => return Err(failure),
            Some(Err(Unreadable::Text(diagnostic))) => {
                diagnostics.push(*diagnostic);
                None
            }
            None => None,
        };
        services.push(Subject { name, address, scenario });
    }
    if !diagnostics.is_empty() {
        return Err(Failure::in_files(diagnostics, sources));
    }
    let target = request.target.as_ref().map(|target| target.trim_end_matches('/').to_owned());
    let Some(gateway) = target.or_else(|| endpoints::gateway(&platform.project, offset)) else {
        let help = "name one with `--target URL`";
        let message = "the project has no gateway with a published port, and scenarios go through it";
        return Err(Failure::new(ExitCode::Usage, problem(codes::NOTHING_SELECTED, message, help)));
    };
    if services.is_empty() {
        let help = "checks are made of services with `x-kernel: { package: … }`";
        let message = "none of these services has anything to check";
        return Err(Failure::new(ExitCode::NothingSelected, problem(codes::NOTHING_SELECTED, message, help)));
    }
    Ok(SmokeSettings { gateway, services, retry_for: request.retry_for })
}

enum Unreadable {
    File(Failure),
    Text(Box<Diagnostic>),
}

/// The scenario `name` is the file `smoke.yaml` beside the package of that name, as a rule the service's own.
fn read(
    platform: &Platform,
    package: &str,
    name: &str,
    sources: &mut Sources,
) -> Result<(String, Scenario), Unreadable> {
    let folder = if name == package { package } else { name };
    let path = platform.workspace.root().join("services").join(folder).join("smoke.yaml");
    let text = std::fs::read_to_string(&path)
        .map_err(|error| Unreadable::File(Failure::unreadable(&path, &error)))?;
    let shown = platform.workspace.shown(&path);
    match Scenario::read(&shown, &text, sources) {
        Ok(scenario) => Ok((name.to_owned(), scenario)),
        Err(diagnostic) => Err(Unreadable::Text(diagnostic)),
    }
}
