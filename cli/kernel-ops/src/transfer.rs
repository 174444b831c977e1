//! `pull` and `push`: the images of a project's services, from registries and to them. A plan of one step for each image.

use std::collections::BTreeSet;
use std::time::Duration;

use kernel_core::container::{Call, DesiredContainer};
use kernel_core::event::Event;
use kernel_core::plan::{Cause, Plan, Step, StepId, Subject};
use kernel_core::unit::DesiredKind;
use kernel_engine::{DryRun, execute};

use crate::converge::{self, Change, Work, engine_failure};
use crate::failure::Failure;
use crate::load::Platform;
use crate::select;

/// How long one image may take.
const DEADLINE: Duration = Duration::from_secs(60 * 60);

/// Which images are transferred.
#[derive(Clone, Debug, Default)]
pub struct TransferSettings {
    /// Of these services; of all without names.
    pub services: Vec<String>,
    /// Also of what those depend on.
    pub include_dependencies: bool,
    /// Not of services that can be built here.
    pub ignore_buildable: bool,
    /// One that can't be had is told, and no failure.
    pub ignore_failures: bool,
    /// Only those that are not there.
    pub only_missing: bool,
}

/// Fetches images, whether they are there or not.
///
/// # Errors
/// All that can't be had.
pub async fn pull(
    platform: &Platform,
    settings: &TransferSettings,
    work: Work<'_>,
) -> Result<Change, Failure> {
    transfer(platform, settings, work, |container| {
        let fits = !(settings.ignore_buildable && container.builds);
        fits.then(|| Call::PullImage { image: container.image.clone(), platform: container.platform.clone() })
    })
    .await
}

/// Sends the images of services that are built here to their registries.
///
/// # Errors
/// All that a registry does not take.
pub async fn push(
    platform: &Platform,
    settings: &TransferSettings,
    work: Work<'_>,
) -> Result<Change, Failure> {
    transfer(platform, settings, work, |container| {
        container.builds.then(|| Call::PushImage { image: container.image.clone() })
    })
    .await
}

async fn transfer(
    platform: &Platform,
    settings: &TransferSettings,
    work: Work<'_>,
    call: impl Fn(&DesiredContainer) -> Option<Call>,
) -> Result<Change, Failure> {
    let chosen = if settings.include_dependencies {
        select::with_dependencies(&platform.project, &settings.services)?
    } else {
        select::named(&platform.project, &settings.services)?
    };
    let desired = converge::wanted(platform, work.host, work.events)?;
    let before = work.host.engine().observe().await.map_err(|error| engine_failure(&error))?;
    let mut seen = BTreeSet::new();
    let mut steps = Vec::new();
    for item in desired.items.iter().filter(|item| chosen.contains(item.name.as_str())) {
        let DesiredKind::Container(container) = &item.kind else { continue };
        let is_there = before.world.as_ref().is_some_and(|world| world.images.contains_key(&container.image));
        if settings.only_missing && is_there {
            continue;
        }
        let Some(call) = call(container).filter(|_| seen.insert(&container.image)) else { continue };
        steps.push(Step {
            id: StepId(u32::try_from(steps.len() + 1).unwrap_or(u32::MAX)),
            subject: Subject::Image(container.image.clone()),
            action: call.into(),
            cause: Cause::Requested,
            after: Vec::new(),
            deadline: DEADLINE,
        });
    }
    let plan = Plan { schema: Plan::SCHEMA, project: platform.name.clone(), steps };
    let change = Change { plan, before };
    if work.dry_run {
        DryRun.show(&change.plan, work.events);
        return Ok(change);
    }
    if change.plan.is_empty() {
        return Ok(change);
    }
    work.events.emit(Event::PlanMade { plan: change.plan.clone(), dry_run: false });
    let outcome = execute(work.host.engine(), &change.plan, work.events, work.cancel).await;
    match converge::judge(&outcome, &change.plan, work.command) {
        Some(failure) if settings.ignore_failures && !work.cancel.is_cancelled() => {
            for problem in failure.problems {
                work.events.emit(Event::Notice { message: problem.message });
            }
            Ok(change)
        }
        Some(failure) => Err(failure),
        None => Ok(change),
    }
}
