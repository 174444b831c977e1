//! Everything that changes what runs: `up`, `down`, `start`, `stop`, `restart` are one function with other wishes.
//! Observe, plan, carry out; with `--dry-run` the plan is shown by a type that can't do more.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kernel_core::container::Hook;
use kernel_core::diagnostic::Diagnostic;
use kernel_core::event::{Event, Problem};
use kernel_core::exit::ExitCode;
use kernel_core::name::{ProjectName, ServiceName};
use kernel_core::plan::Plan;
use kernel_core::planner::{PlanError, PlanOptions, Replace, plan};
use kernel_core::unit::{Desired, DesiredItem, DesiredKind, Observed, Target};
use kernel_engine::{DryRun, EngineError, Events, Outcome, execute};
use tokio_util::sync::CancellationToken;

use crate::codes;
use crate::failure::{Failure, problem};
use crate::host::{Host, WantedError};
use crate::load::Platform;
use crate::{providers, select};

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
    /// When what runs of the named services is replaced; what they need is replaced when it changed, or never.
    pub replace: Replace,
    /// Replace what the named services need, too, although nothing about it changed.
    pub replace_needed: bool,
    /// What replaces a container gets new volumes where those have no name.
    pub renew_volumes: bool,
    /// Only make containers, start none.
    pub no_start: bool,
    /// Start again what has ended, also where it did its work.
    pub run_again: bool,
    /// Do not wait until what nobody else needs is ready.
    pub no_wait: bool,
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
    let platform = &*providers::up(platform, &settings.services, work).await?;
    let mut desired = wanted(platform, work.host, work.events)?;
    let pre_stop = pre_stop(&desired);
    let chosen = match settings.services.as_slice() {
        [] => None,
        services if settings.alone => Some(select::named(&platform.project, services)?),
        services => Some(select::with_dependencies(&platform.project, services)?),
    };
    let narrow = |desired: &mut Desired| {
        desired.items.retain(|item| chosen.as_ref().is_none_or(|chosen| chosen.contains(item.name.as_str())));
        if settings.alone {
            forget_needs(desired);
        }
    };
    narrow(&mut desired);
    for item in desired.items.iter().filter(|item| matches!(item.kind, DesiredKind::Embedded)) {
        let by = "answered for by the embedded default of the services that use it".to_owned();
        work.events.emit(Event::Embedded { service: item.name.clone(), by });
    }
    if settings.no_start {
        without_start(&desired)?;
    }
    work.host.provide(platform, &desired, work).await?;
    let mut options = PlanOptions { pre_stop, ..options(settings) };
    options.keep = others(platform, &desired);
    choose_replaced(settings, &desired, &mut options);
    if settings.run_again {
        options.restart = ended(&desired, &observe(work).await?);
    }
    let whole = settings.services.is_empty();
    let again = || {
        let mut desired = wanted_again(platform, work.host)?;
        narrow(&mut desired);
        Ok(desired)
    };
    let change = converge_some(&desired, again, options, work).await?;
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

/// Starts services again although nothing about them changed, and those that run and say `restart: true` of their need
/// for one of them.
///
/// # Errors
/// As [`up`].
pub async fn restart(
    platform: &Platform,
    settings: &ChangeSettings,
    work: Work<'_>,
) -> Result<Change, Failure> {
    let platform = &*providers::up(platform, &settings.services, work).await?;
    let mut desired = wanted(platform, work.host, work.events)?;
    let pre_stop = pre_stop(&desired);
    let mut chosen = select::named(&platform.project, &settings.services)?;
    if settings.alone {
        desired.items.retain(|item| chosen.contains(item.name.as_str()));
        forget_needs(&mut desired);
    } else {
        let before = observe(work).await?;
        let runs =
            |name: &str| before.items.iter().any(|item| item.name.as_str() == name && item.state.is_alive());
        chosen = select::with_followers(&platform.project, chosen, runs);
        let names: Vec<String> = chosen.iter().cloned().collect();
        let reachable = select::with_dependencies(&platform.project, &names)?;
        desired.items.retain(|item| reachable.contains(item.name.as_str()));
    }
    let mut options = PlanOptions { pre_stop, ..options(settings) };
    options.keep = others(platform, &desired);
    options.restart = names(&desired, &chosen);
    converge_some(&desired, || Ok(desired.clone()), options, work).await
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
    let options =
        PlanOptions { keep: others(platform, &desired), pre_stop: pre_stop(&desired), ..options(settings) };
    converge_some(&desired, || Ok(desired.clone()), options, work).await
}

/// What `down` is asked for.
#[derive(Clone, Debug, Default)]
pub struct DownSettings {
    /// The services; empty means the whole project.
    pub services: Vec<ServiceName>,
    /// Remove the data too.
    pub volumes: bool,
    /// The time between asking a service to end and ending it, in place of its own.
    pub grace: Option<Duration>,
    /// What runs in containers before they are stopped, as far as the files can be read that say so.
    pub pre_stop: BTreeMap<ServiceName, Vec<Hook>>,
}

/// What runs in the containers of each service before they are stopped.
#[must_use]
pub fn pre_stop(desired: &Desired) -> BTreeMap<ServiceName, Vec<Hook>> {
    let hooks = |item: &DesiredItem| match &item.kind {
        DesiredKind::Container(container) => Some((item.name.clone(), container.pre_stop.clone())),
        _ => None,
    };
    desired.items.iter().filter_map(hooks).filter(|(_, hooks)| !hooks.is_empty()).collect()
}

/// Removes everything that runs for a project, or services and whatever needs them. Needs no files: a project whose
/// files are broken or gone can be taken down all the same.
///
/// # Errors
/// What stood in the way.
pub async fn down(project: &ProjectName, settings: &DownSettings, work: Work<'_>) -> Result<Change, Failure> {
    let mut options = PlanOptions {
        remove_data: settings.volumes,
        grace: settings.grace,
        pre_stop: settings.pre_stop.clone(),
        ..PlanOptions::default()
    };
    if !settings.services.is_empty() {
        if settings.volumes && work.host.engine().name() != "docker" {
            let message =
                "`--volumes` is for the whole project here: its services keep their data in one folder";
            let help = "leave `--volumes` out, or the names";
            return Err(Failure::new(ExitCode::Usage, problem(codes::ENGINE_UNAVAILABLE, message, help)));
        }
        options.only = Some(with_dependents(&settings.services, &observe(work).await?));
    }
    let nothing = Desired::nothing(project.clone());
    converge(&nothing, || Ok(nothing.clone()), options, work).await
}

fn options(settings: &ChangeSettings) -> PlanOptions {
    let mut options = PlanOptions {
        renew_volumes: settings.renew_volumes,
        start: !settings.no_start,
        wait: !settings.no_wait,
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

/// What is replaced although nothing about it changed: the wish is about the services that are named, and about what they
/// need only when it says so.
fn choose_replaced(settings: &ChangeSettings, desired: &Desired, options: &mut PlanOptions) {
    let is_named = |name: &ServiceName| {
        settings.services.is_empty() || settings.services.iter().any(|named| named == name.as_str())
    };
    let all = desired.items.iter().map(|item| item.name.clone());
    let (named, needed): (BTreeSet<ServiceName>, BTreeSet<ServiceName>) = all.partition(is_named);
    if options.replace == Replace::Always {
        options.replace = Replace::Changed;
        options.replaced.extend(named);
    }
    if settings.replace_needed {
        options.replaced.extend(needed);
    }
}

/// Needs for what is not wanted here are nobody's business.
fn forget_needs(desired: &mut Desired) {
    let kept: BTreeSet<ServiceName> = desired.items.iter().map(|item| item.name.clone()).collect();
    for item in &mut desired.items {
        item.depends_on.retain(|needed| kept.contains(&needed.name));
    }
}

/// Only a container can be made and not started.
fn without_start(desired: &Desired) -> Result<(), Failure> {
    let processes = desired.items.iter().filter(|item| matches!(item.kind, DesiredKind::Process(_)));
    let names: Vec<String> = processes.map(|item| format!("`{}`", item.name)).collect();
    if names.is_empty() {
        return Ok(());
    }
    let message = format!("a process is made when it is started, and processes are: {}", names.join(", "));
    let help = "say `--engine docker`, or leave `--no-start` out";
    Err(Failure::new(ExitCode::Prerequisite, problem(codes::ENGINE_UNAVAILABLE, message, help)))
}

/// Of what is wanted: what was there and has ended.
fn ended(desired: &Desired, before: &Observed) -> BTreeSet<ServiceName> {
    let ended = before.items.iter().filter(|found| !found.state.is_alive()).map(|found| found.name.clone());
    ended.filter(|name| desired.items.iter().any(|item| item.name == *name)).collect()
}

/// These services, and all that were started with a need for one of them.
fn with_dependents(services: &[ServiceName], observed: &Observed) -> BTreeSet<ServiceName> {
    let mut all: BTreeSet<ServiceName> = services.iter().cloned().collect();
    loop {
        let more = observed.items.iter().find(|item| {
            !all.contains(&item.name) && item.depends_on.iter().any(|needed| all.contains(needed))
        });
        match more {
            Some(item) => all.insert(item.name.clone()),
            None => return all,
        };
    }
}

/// Services of the project that are not meant: they are no orphans.
pub(crate) fn others(platform: &Platform, desired: &Desired) -> BTreeSet<ServiceName> {
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

/// As [`converge`], for services that are wanted. To want nothing would take everything down, and where only services are
/// meant that providers make, there is nothing of an engine to want.
async fn converge_some(
    desired: &Desired,
    again: impl Fn() -> Result<Desired, Failure>,
    options: PlanOptions,
    work: Work<'_>,
) -> Result<Change, Failure> {
    if desired.items.is_empty() {
        let plan = Plan { schema: Plan::SCHEMA, project: desired.project.clone(), steps: Vec::new() };
        return Ok(Change { plan, before: observe(work).await? });
    }
    converge(desired, again, options, work).await
}

/// How often a plan is made anew because another command changed the project while it was carried out.
const JOINS: usize = 5;

/// Observes, plans, carries out. When another command is at work on the same project, the two meet: `again` says what
/// is wanted now that the other has, perhaps, built what was stale; what it has started is seen by the next look, and
/// only the rest is done. It is the same when the engine went away in the middle and is back: whether the last calls were
/// still done is seen by the next look, so that none is done twice.
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
            && options.replace != Replace::Always
            && options.replaced.is_empty();
        let again_at_all = !outcome.is_success() && attempt < JOINS && !work.cancel.is_cancelled();
        let why = if again_at_all && work.host.engine().is_back(&outcome, work.events, work.cancel).await {
            "it answers again"
        } else if again_at_all && overtaken {
            "another command works on this project too"
        } else {
            return judge(&outcome, &change.plan, work.command).map_or(Ok(change), Err);
        };
        let message = format!("{why}: looking again at what is left to do");
        work.events.emit(Event::Notice { message });
        change.plan = look(&again()?, &options, work).await?.plan;
    }
    Ok(change)
}

async fn observe(work: Work<'_>) -> Result<Observed, Failure> {
    work.host.engine().observe().await.map_err(|error| engine_failure(&error))
}

async fn look(desired: &Desired, options: &PlanOptions, work: Work<'_>) -> Result<Change, Failure> {
    let before = observe(work).await?;
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

#[cfg(test)]
mod tests {
    use kernel_core::unit::{DesiredItem, ExitStatus, ObservedItem, UnitState};

    use super::*;

    fn name(text: &str) -> ServiceName {
        ServiceName::new(text).unwrap()
    }

    fn set(names: &[&str]) -> BTreeSet<ServiceName> {
        names.iter().map(|text| name(text)).collect()
    }

    fn desired(names: &[&str]) -> Desired {
        let item = |text: &&str| DesiredItem {
            name: name(text),
            kind: DesiredKind::Embedded,
            depends_on: Vec::new(),
            target: Target::Running,
        };
        Desired::of(ProjectName::new("p").unwrap(), names.iter().map(item).collect())
    }

    fn found(text: &str, state: UnitState, needs: &[&str]) -> ObservedItem {
        ObservedItem {
            name: name(text),
            state,
            fingerprint: None,
            depends_on: needs.iter().map(|text| name(text)).collect(),
            stop_grace_ms: 0,
            pid: None,
            ports: Vec::new(),
            restarts: 0,
            since: String::new(),
            detail: None,
        }
    }

    #[test]
    fn a_replacement_that_is_asked_for_is_one_of_the_named_services() {
        let desired = desired(&["db", "web"]);
        let chosen = |services: &[&str], replace, replace_needed| {
            let services = services.iter().map(|text| (*text).to_owned()).collect();
            let settings = ChangeSettings { services, replace, replace_needed, ..ChangeSettings::default() };
            let mut options = options(&settings);
            choose_replaced(&settings, &desired, &mut options);
            (options.replace, options.replaced)
        };
        assert_eq!(chosen(&[], Replace::Always, false), (Replace::Changed, set(&["db", "web"])));
        assert_eq!(chosen(&["web"], Replace::Always, false), (Replace::Changed, set(&["web"])));
        assert_eq!(chosen(&["web"], Replace::Changed, true), (Replace::Changed, set(&["db"])));
        assert_eq!(chosen(&["web"], Replace::Always, true), (Replace::Changed, set(&["db", "web"])));
        assert_eq!(chosen(&[], Replace::Changed, true), (Replace::Changed, set(&[])));
        assert_eq!(chosen(&["web"], Replace::Never, false), (Replace::Never, set(&[])));
    }

    #[test]
    fn whoever_needs_what_goes_goes_too() {
        let items = vec![
            found("db", UnitState::Ready, &[]),
            found("api", UnitState::Ready, &["db"]),
            found("web", UnitState::Ready, &["api"]),
            found("other", UnitState::Ready, &[]),
        ];
        let observed = Observed { items, ..Observed::default() };
        assert_eq!(with_dependents(&[name("db")], &observed), set(&["api", "db", "web"]));
        assert_eq!(with_dependents(&[name("web"), name("other")], &observed), set(&["other", "web"]));
    }

    #[test]
    fn what_has_ended_and_is_wanted_runs_again() {
        let done = UnitState::Exited { status: ExitStatus::Code(0) };
        let items = vec![
            found("tests", done, &[]),
            found("db", UnitState::Ready, &[]),
            found("old", UnitState::Stopped, &[]),
        ];
        let observed = Observed { items, ..Observed::default() };
        assert_eq!(ended(&desired(&["db", "tests"]), &observed), set(&["tests"]));
    }
}
