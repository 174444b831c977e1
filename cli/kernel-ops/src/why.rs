//! `why`: the root cause of a service's state, on one screen. Follows dependencies to the first one that does not hold,
//! looks closely at it, says what changed since it last worked and what to do. Changes nothing.

mod cause;
mod worked;

use std::collections::BTreeMap;

use kernel_compose::Project;
use kernel_compose::project::Condition;
use kernel_core::event::Problem;
use kernel_core::examination::Examination;
use kernel_core::exit::ExitCode;
use kernel_core::name::ServiceName;
use kernel_core::plan::Cause as PlanCause;
use kernel_core::planner::{PlanOptions, plan};
use kernel_core::unit::{Desired, Observed, ObservedItem, UnitState};
use serde::Serialize;

use crate::codes;
use crate::converge::engine_failure;
use crate::failure::{Failure, problem};
use crate::host::Host;
use crate::load::Platform;
use crate::select;

pub use worked::Worked;

/// Why a service is as it is.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Why {
    /// `kernel.why/v1`.
    pub schema: &'static str,
    /// The service that was asked for.
    pub service: String,
    /// The answer, in one sentence.
    pub verdict: String,
    /// From the service to the root cause, each needing the next.
    pub chain: Vec<Link>,
    /// The processes or containers of the root cause.
    pub found: Vec<Examination>,
    /// What stands in the way of starting the root cause now, such as a port that others have.
    pub obstacles: Vec<Problem>,
    /// What of the root cause differs from when it last worked; else from what it was started with.
    pub changes: Vec<String>,
    /// What to do, one command or change a line.
    pub next: Vec<String>,
}

/// A service in the chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Link {
    /// Its name.
    pub service: String,
    /// How it is, in full: `exited (exit code 1)`.
    pub state: String,
    /// Since when, RFC 3339; empty when unknown.
    pub since: String,
    /// What the one before it in the chain waits for; `None` for the first.
    pub waited_for: Option<String>,
}

/// Why one service is as it is.
///
/// # Errors
/// When the project has no such service, or the engine can't be asked.
pub async fn why(
    platform: &Platform,
    host: &dyn Host,
    service: &str,
    worked: &Worked,
) -> Result<Why, Failure> {
    select::named(&platform.project, &[service.to_owned()])?;
    let observed = host.engine().observe().await.map_err(|error| engine_failure(&error))?;
    explain(platform, host, service, &observed, worked).await
}

/// The same for the first service, in the order of dependencies, that should run and is not as it should be. `None`:
/// all is well.
///
/// # Errors
/// When the engine can't be asked.
pub async fn first(
    platform: &Platform,
    host: &dyn Host,
    services: &[String],
    worked: &Worked,
) -> Result<Option<Why>, Failure> {
    let chosen = select::with_dependencies(&platform.project, services)?;
    let observed = host.engine().observe().await.map_err(|error| engine_failure(&error))?;
    let items = by_name(&observed);
    let ill = |name: &&String| items.get(name.as_str()).is_some_and(|item| is_ill(item.state));
    // What never began is seldom the cause of what did and failed.
    let found =
        chosen.iter().find(ill).or_else(|| chosen.iter().find(|name| !items.contains_key(name.as_str())));
    match found {
        Some(service) => Ok(Some(explain(platform, host, service, &observed, worked).await?)),
        None => Ok(None),
    }
}

const fn is_ill(state: UnitState) -> bool {
    match state {
        UnitState::Exited { status } => !status.is_success(),
        UnitState::CrashLooping { .. } | UnitState::Unready | UnitState::Restarting | UnitState::Starting => {
            true
        }
        UnitState::Ready | UnitState::Stopping | UnitState::Stopped | UnitState::Leftover => false,
    }
}

async fn explain(
    platform: &Platform,
    host: &dyn Host,
    service: &str,
    observed: &Observed,
    worked: &Worked,
) -> Result<Why, Failure> {
    let chain = chain(&platform.project, observed, service);
    let root = chain.last().map_or_else(|| service.to_owned(), |link| link.service.clone());
    let name = ServiceName::new(root.clone()).map_err(|error| {
        let help = "name it as the Compose file does";
        Failure::new(ExitCode::Usage, problem(codes::UNKNOWN_SERVICE, error.to_string(), help))
    })?;
    let engine = host.engine();
    let found = engine.examine(&name).await.map_err(|error| engine_failure(&error))?;
    let item = observed.items.iter().find(|item| item.name == name);
    let desired = host.desired(&platform.project).ok().map(|(desired, _)| desired);
    let (obstacles, changes) = match &desired {
        Some(desired) => now(host, desired, observed, &name, worked).await,
        None => (Vec::new(), Vec::new()),
    };
    let cause = cause::of(&root, item, &found, &obstacles);
    Ok(Why {
        schema: "kernel.why/v1",
        service: service.to_owned(),
        verdict: verdict(service, &root, &chain, &cause.sentence),
        chain,
        found,
        obstacles,
        changes,
        next: cause.next,
    })
}

fn verdict(service: &str, root: &str, chain: &[Link], sentence: &str) -> String {
    if service == root {
        return format!("{service} {sentence}");
    }
    let waited_for = chain.get(1).and_then(|link| link.waited_for.as_deref()).unwrap_or_default();
    let next = chain.get(1).map_or(root, |link| &link.service);
    if next == root {
        format!("{service} waits for {root} ({waited_for}), and {root} {sentence}")
    } else {
        format!("{service} waits for {next} ({waited_for}), in the end because {root} {sentence}")
    }
}

/// What would be done about the root now: what stands in the way, and what differs.
async fn now(
    host: &dyn Host,
    desired: &Desired,
    observed: &Observed,
    root: &ServiceName,
    worked: &Worked,
) -> (Vec<Problem>, Vec<String>) {
    let Some(item) = desired.items.iter().find(|item| item.name == *root) else { return Default::default() };
    let mut alone = desired.clone();
    alone.items.retain(|item| item.name == *root);
    for item in &mut alone.items {
        item.depends_on.clear();
    }
    let keep = desired.items.iter().map(|item| item.name.clone()).filter(|name| name != root).collect();
    let Ok(plan) = plan(&alone, observed, &PlanOptions { keep, ..PlanOptions::default() }) else {
        return Default::default();
    };
    let obstacles = match host.engine().prepare(&plan).await {
        Ok(()) => Vec::new(),
        Err(error) => vec![error.problem()],
    };
    let changes = worked.differences(item).unwrap_or_else(|| {
        let causes = plan.steps.iter().filter_map(|step| match &step.cause {
            PlanCause::Changed { parts } => Some(parts.clone()),
            PlanCause::Stale { reason } => Some(vec![reason.clone()]),
            _ => None,
        });
        causes.flatten().collect()
    });
    (obstacles, changes)
}

fn by_name(observed: &Observed) -> BTreeMap<&str, &ObservedItem> {
    observed.items.iter().map(|item| (item.name.as_str(), item)).collect()
}

/// From a service to the first one whose own dependencies all hold.
fn chain(project: &Project, observed: &Observed, service: &str) -> Vec<Link> {
    let items = by_name(observed);
    let link = |name: &str, waited_for: Option<String>| Link {
        service: name.to_owned(),
        state: items.get(name).map_or_else(|| "not there".to_owned(), |item| item.state.to_string()),
        since: items.get(name).map(|item| item.since.clone()).unwrap_or_default(),
        waited_for,
    };
    let mut chain = vec![link(service, None)];
    let mut current = service.to_owned();
    while let Some((next, condition)) = unmet(project, &items, &current) {
        // A circle was refused before; this one is bounded all the same.
        if chain.iter().any(|link| link.service == next) {
            break;
        }
        chain.push(link(&next, Some(condition)));
        current = next;
    }
    chain
}

/// The first dependency that does not hold, and what it is needed for. One that failed comes before one that never began.
fn unmet(
    project: &Project,
    items: &BTreeMap<&str, &ObservedItem>,
    service: &str,
) -> Option<(String, String)> {
    // What works needs nobody's help.
    if items.get(service).is_some_and(|item| item.state == UnitState::Ready) {
        return None;
    }
    let needed = &project.services.get(service)?.depends_on;
    let unmet: Vec<(&String, Condition)> = needed
        .iter()
        .filter(|(name, _)| project.services.contains_key(*name))
        .filter_map(|(name, dependency)| {
            let condition = dependency.condition;
            (!holds(items.get(name.as_str()).copied(), condition)).then_some((name, condition))
        })
        .collect();
    let failed =
        unmet.iter().find(|(name, _)| items.get(name.as_str()).is_some_and(|item| is_ill(item.state)));
    let (name, condition) = failed.or(unmet.first())?;
    let wanted = match condition {
        Condition::Started => "started",
        Condition::Healthy => "healthy",
        Condition::CompletedSuccessfully => "completed successfully",
    };
    Some(((*name).clone(), wanted.to_owned()))
}

fn holds(item: Option<&ObservedItem>, condition: Condition) -> bool {
    let Some(item) = item else { return false };
    let done = matches!(item.state, UnitState::Exited { status } if status.is_success());
    match condition {
        Condition::Healthy => item.state == UnitState::Ready || done,
        Condition::CompletedSuccessfully => done,
        Condition::Started => item.state.is_alive() || done,
    }
}
