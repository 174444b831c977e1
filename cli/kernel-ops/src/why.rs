//! `why`: how a service is and what that comes from: along what it depends on down to the root, with what was said last
//! there and the command that goes on from it.

use std::collections::BTreeSet;

use kernel_core::name::ServiceName;
use kernel_core::plan::Subject;
use kernel_core::planner::{PlanOptions, plan};
use kernel_core::unit::{ExitStatus, Observed, ObservedItem, UnitState};
use serde::Serialize;

use crate::converge::engine_failure;
use crate::failure::Failure;
use crate::host::Host;
use crate::load::Platform;
use crate::select;

/// How a service is and what that comes from.
#[derive(Clone, Debug, Serialize)]
pub struct Why {
    /// `kernel.why/v1`.
    pub schema: &'static str,
    /// The service that was asked about, then each that the one before waits for, the last the root.
    pub chain: Vec<Link>,
    /// What the root said last.
    pub last_lines: Vec<String>,
    /// What `up` would do about the services of the chain, each step with its cause.
    pub would_do: Vec<String>,
    /// What to do.
    pub help: String,
}

/// One service of the chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Link {
    /// Its name.
    pub service: String,
    /// One word: `ready`, `exited`, … or `not-started`.
    pub state: &'static str,
    /// The same in a sentence.
    pub meaning: String,
    /// Since when it is so, RFC 3339; empty when unknown.
    pub since: String,
}

/// Finds out why a service is as it is.
///
/// # Errors
/// When there is no such service, or the engine can't be asked.
pub async fn why(platform: &Platform, host: &dyn Host, service: &str) -> Result<Why, Failure> {
    select::named(&platform.project, &[service.to_owned()])?;
    // What is wanted may not be known, when the surroundings can't be asked: then only that is left out.
    let desired = host.desired(&platform.project).ok().map(|(desired, _)| desired);
    let engine = host.engine();
    let observed = engine.observe().await.map_err(|error| engine_failure(&error))?;
    let chain = chain(platform, &observed, service);
    let names: BTreeSet<&str> = chain.iter().map(|link| link.service.as_str()).collect();
    let plan = desired.and_then(|desired| plan(&desired, &observed, &PlanOptions::default()).ok());
    let steps = plan.iter().flat_map(|plan| &plan.steps);
    let would_do = steps
        .filter(|step| step.subject.service().is_some_and(|service| names.contains(service.as_str())))
        .map(|step| format!("{}: {}, {}", step.subject, step.action, step.cause))
        .collect();
    let root = chain.last().map(|link| link.service.clone()).unwrap_or_default();
    let last_lines = match ServiceName::new(root.clone()) {
        Ok(root) => engine.evidence(&Subject::Service(root)).await,
        Err(_) => Vec::new(),
    };
    let help = help(chain.last(), observed.items.iter().find(|item| item.name.as_str() == root));
    Ok(Why { schema: "kernel.why/v1", chain, last_lines, would_do, help })
}

/// From a service along what it waits for, as long as that is not as it should be.
fn chain(platform: &Platform, observed: &Observed, service: &str) -> Vec<Link> {
    let mut chain: Vec<Link> = Vec::new();
    let mut next = Some(service.to_owned());
    while let Some(name) = next.take().filter(|name| !chain.iter().any(|link| link.service == *name)) {
        let found = |name: &str| observed.items.iter().find(|item| item.name.as_str() == name);
        let item = found(&name);
        chain.push(link(&name, item));
        if item.is_some_and(is_well) {
            break;
        }
        let needs = platform.project.services.get(&name).map(|service| service.depends_on.keys());
        let bad = needs.into_iter().flatten().find(|needed| {
            // What is embedded is never seen, and never wrong.
            let embedded = platform
                .project
                .services
                .get(*needed)
                .and_then(|service| service.kernel.as_ref())
                .is_some_and(|kernel| kernel.package.is_none());
            found(needed).map_or(!embedded, |item| !is_well(item))
        });
        next = bad.cloned();
    }
    chain
}

fn is_well(item: &ObservedItem) -> bool {
    match item.state {
        UnitState::Ready => true,
        UnitState::Exited { status } => status.is_success(),
        _ => false,
    }
}

fn link(name: &str, item: Option<&ObservedItem>) -> Link {
    let Some(item) = item else {
        let meaning = "it was never started, or taken down".to_owned();
        return Link { service: name.to_owned(), state: "not-started", meaning, since: String::new() };
    };
    let mut meaning = match item.state {
        UnitState::Ready => "it runs and is ready".to_owned(),
        UnitState::Starting => "it runs and was not ready yet".to_owned(),
        UnitState::Unready => "it runs and is not well".to_owned(),
        UnitState::Restarting => "it ended and is started again".to_owned(),
        UnitState::CrashLooping { status } => format!("it ends again and again: {}", of_status(status)),
        UnitState::Exited { status } => format!("it ended by itself: {}", of_status(status)),
        UnitState::Stopping => "it was asked to end".to_owned(),
        UnitState::Stopped => "somebody stopped it".to_owned(),
        UnitState::Leftover => "its supervisor was killed".to_owned(),
    };
    if let Some(detail) = &item.detail {
        meaning = format!("{meaning}; {detail}");
    }
    Link { service: name.to_owned(), state: item.state.word(), meaning, since: item.since.clone() }
}

/// What an exit code means. That it was killed for its memory, only the engine knows: it says so in the detail.
fn of_status(status: ExitStatus) -> String {
    let more = match status {
        ExitStatus::Code(126) => ", its program could not be run",
        ExitStatus::Code(127) => ", its program was not found",
        ExitStatus::Code(137) => ", it was killed",
        ExitStatus::Code(139) => ", it touched memory that is not its own",
        ExitStatus::Code(143) => ", it was asked to end",
        _ => "",
    };
    format!("{status}{more}")
}

fn help(root: Option<&Link>, item: Option<&ObservedItem>) -> String {
    let Some(root) = root else { return String::new() };
    let name = &root.service;
    match item.map(|item| item.state) {
        None | Some(UnitState::Stopped | UnitState::Leftover) => format!("`kernel up {name}` starts it"),
        Some(UnitState::Ready) => format!("nothing is wrong with {name}"),
        Some(UnitState::Exited { status }) if status.is_success() => format!("{name} did its work"),
        Some(UnitState::CrashLooping { .. } | UnitState::Exited { .. } | UnitState::Restarting) => {
            format!("correct what it said last (`kernel logs {name}`), then `kernel up {name}`")
        }
        Some(UnitState::Starting | UnitState::Unready | UnitState::Stopping) => {
            format!("`kernel logs -f {name}` shows what it does now")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn killed_and_not_found_are_told_apart() {
        assert_eq!(of_status(ExitStatus::Code(137)), "exit code 137, it was killed");
        assert_eq!(of_status(ExitStatus::Code(127)), "exit code 127, its program was not found");
        assert_eq!(of_status(ExitStatus::Code(1)), "exit code 1");
    }
}
