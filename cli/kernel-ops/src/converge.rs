//! Everything that changes what runs: `up`, `down`, `start`, `stop`, `restart` are one function with other wishes.
//! Observe, plan, carry out; with `--dry-run` the plan is shown by a type that can't do more.

use std::collections::BTreeSet;
use std::time::Duration;

use kernel_core::diagnostic::Diagnostic;
use kernel_core::event::{Event, Problem};
use kernel_core::exit::ExitCode;
use kernel_core::name::{ProjectName, ServiceName};
use kernel_core::plan::Plan;
use kernel_core::planner::{PlanError, PlanOptions, Replace, plan};
use kernel_core::unit::{Desired, DesiredKind, Observed, Target};
use kernel_engine::{DryRun, EngineError, Events, Outcome, execute};
use tokio_util::sync::CancellationToken;

use crate::codes;
use crate::failure::{Failure, problem};
use crate::host::{Host, WantedError};
use crate::load::Platform;
use crate::select;

/// What every change is done with.
#[derive(Clone, Copy)]
pub struct Work<'a> {
    /// Where services run.
    pub host: &'a dyn Host,
    /// Show the plan, change nothing.
    pub dry_run: bool,
    /// Where facts go.
    pub events: &'a Events,
    /// Cancelled when somebody interrupts.
    pub cancel: &'a CancellationToken,
    /// How to go on after an interruption: the command.
    pub command: &'a str,
}

/// What `up` and its relatives are asked for.
#[derive(Clone, Debug, Default)]
pub struct ChangeSettings {
    /// The services; empty means all.
    pub services: Vec<String>,
    /// How long a service may take from running to ready, when it is not the usual time.
    pub wait_timeout: Option<Duration>,
    /// End what runs for the project and is no longer in its files.
    pub remove_orphans: bool,
    /// When what runs is replaced.
    pub replace: Replace,
    /// The time between asking a service to end and ending it, in place of its own.
    pub grace: Option<Duration>,
    /// Only the services themselves, not what they need.
    pub alone: bool,
    /// What is replaced ends only when what takes its place is ready.
    pub rolling: bool,
}

/// What came of a change.
#[derive(Clone, Debug)]
pub struct Change {
    /// What was done, or would be.
    pub plan: Plan,
    /// What was there before.
    pub before: Observed,
}

/// Brings services and all that they need up, and waits until they are ready.
///
/// # Errors
/// What stood in the way, all of it.
pub async fn up(platform: &Platform, settings: &ChangeSettings, work: Work<'_>) -> Result<Change, Failure> {
    if settings.rolling && work.host.engine().name() == "local" {
        let message = "`--rolling` needs containers: a process has its port for itself";
        let help = "use `--engine docker`, or leave `--rolling` out";
        return Err(Failure::new(ExitCode::Prerequisite, problem(codes::ENGINE_UNAVAILABLE, message, help)));
    }
    let mut desired = wanted(platform, work.host, work.events)?;
    let chosen = match settings.services.as_slice() {
        [] => None,
        services if settings.alone => Some(select::named(&platform.project, services)?),
        services => Some(select::with_dependencies(&platform.project, services)?),
    };
    let narrow = |desired: &mut Desired| {
        desired.items.retain(|item| chosen.as_ref().is_none_or(|chosen| chosen.contains(item.name.as_str())));
        if settings.alone {
            let kept: BTreeSet<ServiceName> = desired.items.iter().map(|item| item.name.clone()).collect();
            for item in &mut desired.items {
                item.depends_on.retain(|needed| kept.contains(&needed.name));
            }
        }
    };
    narrow(&mut desired);
    for item in desired.items.iter().filter(|item| matches!(item.kind, DesiredKind::Embedded)) {
        let by = "answered for by the embedded default of the services that use it".to_owned();
        work.events.emit(Event::Embedded { service: item.name.clone(), by });
    }
    work.host.provide(platform, &desired, work).await?;
    let mut options = options(settings);
    options.keep = others(platform, &desired);
    let whole = settings.services.is_empty();
    let again = || {
        let mut desired = wanted_again(platform, work.host)?;
        narrow(&mut desired);
        Ok(desired)
    };
    let change = converge(&desired, again, options, work).await?;
    if whole && !settings.remove_orphans {
        tell_orphans(&desired, &change.before, work.events);
    }
    Ok(change)
}

/// Starts services that are stopped, with all that they need.
///
/// # Errors
/// As [`up`].
pub async fn start(
    platform: &Platform,
    settings: &ChangeSettings,
    work: Work<'_>,
) -> Result<Change, Failure> {
    up(platform, settings, work).await
}

/// Starts services again although nothing about them changed.
///
/// # Errors
/// As [`up`].
pub async fn restart(
    platform: &Platform,
    settings: &ChangeSettings,
    work: Work<'_>,
) -> Result<Change, Failure> {
    let mut desired = wanted(platform, work.host, work.events)?;
    let chosen = select::named(&platform.project, &settings.services)?;
    let reachable = select::with_dependencies(&platform.project, &settings.services)?;
    desired.items.retain(|item| reachable.contains(item.name.as_str()));
    let mut options = options(settings);
    options.keep = others(platform, &desired);
    options.restart = names(&desired, &chosen);
    converge(&desired, || Ok(desired.clone()), options, work).await
}

/// Ends services and keeps what is known of them.
///
/// # Errors
/// What stood in the way.
pub async fn stop(platform: &Platform, settings: &ChangeSettings, work: Work<'_>) -> Result<Change, Failure> {
    let mut desired = wanted(platform, work.host, work.events)?;
    let chosen = select::named(&platform.project, &settings.services)?;
    desired.items.retain(|item| chosen.contains(item.name.as_str()));
    for item in &mut desired.items {
        item.target = Target::Stopped;
        // Whom a stopped unit would need is no reason to refuse.
        item.depends_on.clear();
    }
    let options = PlanOptions { keep: others(platform, &desired), ..options(settings) };
    converge(&desired, || Ok(desired.clone()), options, work).await
}

/// Removes everything that runs for a project, and with `volumes` its data too. Needs no files: a project whose
/// files are broken or gone can be taken down all the same.
///
/// # Errors
/// What stood in the way.
pub async fn down(
    project: &ProjectName,
    volumes: bool,
    grace: Option<Duration>,
    work: Work<'_>,
) -> Result<Change, Failure> {
    let options = PlanOptions { remove_data: volumes, grace, ..PlanOptions::default() };
    let nothing = Desired::nothing(project.clone());
    converge(&nothing, || Ok(nothing.clone()), options, work).await
}

fn options(settings: &ChangeSettings) -> PlanOptions {
    let mut options = PlanOptions {
        remove_orphans: settings.remove_orphans,
        replace: settings.replace,
        grace: settings.grace,
        rolling: settings.rolling,
        ..PlanOptions::default()
    };
    if let Some(timeout) = settings.wait_timeout {
        options.deadlines.condition = timeout;
    }
    options
}

/// Services of the project that are not meant: they are no orphans.
fn others(platform: &Platform, desired: &Desired) -> BTreeSet<ServiceName> {
    let project = &platform.project;
    let all = project.services.keys().chain(project.hidden.keys());
    let names = all.filter_map(|name| ServiceName::new(name.clone()).ok());
    names.filter(|name| !desired.items.iter().any(|item| item.name == *name)).collect()
}

/// What the project means on this engine, its warnings told.
///
/// # Errors
/// Everything that is wrong with the project for this engine, or what is missing on this machine.
pub fn wanted(platform: &Platform, host: &dyn Host, events: &Events) -> Result<Desired, Failure> {
    let (desired, warnings) = desired(platform, host)?;
    for warning in &warnings {
        events.emit(Event::Problem(Problem::from(warning)));
    }
    Ok(desired)
}

/// The same without its warnings, which were told before.
fn wanted_again(platform: &Platform, host: &dyn Host) -> Result<Desired, Failure> {
    desired(platform, host).map(|(desired, _)| desired)
}

fn desired(platform: &Platform, host: &dyn Host) -> Result<(Desired, Vec<Diagnostic>), Failure> {
    match host.desired(&platform.project) {
        Ok(wanted) => Ok(wanted),
        Err(WantedError::Files(diagnostics)) => Err(Failure::in_files(diagnostics, platform.sources.clone())),
        Err(WantedError::Surroundings(error)) => Err(engine_failure(&error)),
    }
}

fn names(desired: &Desired, chosen: &BTreeSet<String>) -> BTreeSet<ServiceName> {
    let items = desired.items.iter().filter(|item| chosen.contains(item.name.as_str()));
    items.map(|item| item.name.clone()).collect()
}

fn tell_orphans(desired: &Desired, observed: &Observed, events: &Events) {
    let wanted: BTreeSet<&ServiceName> = desired.items.iter().map(|item| &item.name).collect();
    let orphans: Vec<&str> = observed
        .items
        .iter()
        .filter(|item| item.state.is_alive() && !wanted.contains(&item.name))
        .map(|item| item.name.as_str())
        .collect();
    if !orphans.is_empty() {
        let message = format!(
            "{} still run{} and {} no longer in the files; `kernel up --remove-orphans` ends {}",
            orphans.join(", "),
            if orphans.len() == 1 { "s" } else { "" },
            if orphans.len() == 1 { "is" } else { "are" },
            if orphans.len() == 1 { "it" } else { "them" },
        );
        events.emit(Event::Notice { message });
    }
}

/// How often a plan is made anew because another command changed the project while it was carried out.
const JOINS: usize = 5;

/// Observes, plans, carries out. When another command is at work on the same project, the two meet: `again` says what
/// is wanted now that the other has, perhaps, built what was stale; what it has started is seen by the next look, and
/// only the rest is done.
async fn converge(
    desired: &Desired,
    again: impl Fn() -> Result<Desired, Failure>,
    options: PlanOptions,
    work: Work<'_>,
) -> Result<Change, Failure> {
    let mut change = look(desired, &options, work).await?;
    if work.dry_run {
        DryRun.show(&change.plan, work.events);
        return Ok(change);
    }
    for attempt in 0.. {
        if change.plan.is_empty() {
            break;
        }
        work.events.emit(Event::PlanMade { plan: change.plan.clone(), dry_run: false });
        let outcome = execute(work.host.engine(), &change.plan, work.events, work.cancel).await;
        let overtaken = outcome.exit_code() == ExitCode::Conflict
            && options.restart.is_empty()
            && options.replace != Replace::Always;
        if !overtaken || attempt == JOINS || work.cancel.is_cancelled() {
            return judge(&outcome, &change.plan, work.command).map_or(Ok(change), Err);
        }
        let message =
            "another command works on this project too: looking again at what is left to do".to_owned();
        work.events.emit(Event::Notice { message });
        change.plan = look(&again()?, &options, work).await?.plan;
    }
    Ok(change)
}

async fn look(desired: &Desired, options: &PlanOptions, work: Work<'_>) -> Result<Change, Failure> {
    let before = work.host.engine().observe().await.map_err(|error| engine_failure(&error))?;
    let plan = plan(desired, &before, options).map_err(|error| {
        let help = match &error {
            PlanError::RunsOnce { .. } => "replace it without `--rolling`: the old one then ends first",
            PlanError::MissingImage { .. } => "fetch or build it, or give it another `pull_policy`",
            PlanError::MissingExternal { .. } => "make it, or take `external` out of the Compose file",
            PlanError::Foreign { .. } => "give it another name in the Compose file",
            PlanError::Cycle(_) | PlanError::MissingDependency { .. } | PlanError::NoHealthcheck { .. } => {
                "correct `depends_on` in the Compose file"
            }
        };
        Failure::new(ExitCode::Usage, problem(codes::NO_PLAN, format!("can't plan: {error}"), help))
    })?;
    Ok(Change { plan, before })
}

pub(crate) fn judge(outcome: &Outcome, plan: &Plan, command: &str) -> Option<Failure> {
    if outcome.is_success() {
        return None;
    }
    let mut problems: Vec<Problem> = outcome.failed.iter().map(|failure| failure.problem.clone()).collect();
    if problems.is_empty() {
        let message = format!(
            "interrupted: {} of {} steps were not done; what was done stays",
            outcome.cancelled.len(),
            plan.steps.len()
        );
        let help = format!("`{command}` goes on from here, `kernel down` takes everything back");
        problems.push(problem(codes::INTERRUPTED, message, help));
    }
    Some(Failure::several(outcome.exit_code(), problems))
}

/// An engine's error as the end of an operation.
#[must_use]
pub fn engine_failure(error: &EngineError) -> Failure {
    Failure::new(error.exit, error.problem())
}
