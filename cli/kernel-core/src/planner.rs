//! Decides what to do: compares what is wanted with what was found and writes it down as a [`Plan`].
//!
//! `up`, `stop`, `start`, `restart` and `down` are the same function with other wishes: removing is planning for
//! nothing. Planning again after a plan was carried out gives an empty plan; `tests/planner_properties.rs` holds it
//! to that.

mod containers;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::container::Hook;
use crate::name::ServiceName;
use crate::plan::{Action, Cause, Plan, Start, Step, StepId, Subject};
use crate::unit::{
    Condition, Desired, DesiredItem, DesiredKind, DesiredProcess, Observed, ObservedItem, RestartPolicy,
    Target, UnitState,
};

/// What beside the wanted units matters for a plan.
#[derive(Clone, Debug)]
pub struct PlanOptions {
    /// Units that are started again although nothing about them changed.
    pub restart: BTreeSet<ServiceName>,
    /// Also end and forget units that are not wanted. Always so when nothing at all is wanted.
    pub remove_orphans: bool,
    /// When nothing is wanted: remove the data too.
    pub remove_data: bool,
    /// Wait until every wanted unit is ready, not only those that others need.
    pub wait: bool,
    /// Units that are not among the wanted ones of this plan and are no orphans: services of the project that nobody
    /// named.
    pub keep: BTreeSet<ServiceName>,
    /// When units are replaced.
    pub replace: Replace,
    /// Units that are replaced although nothing about them changed, whatever `replace` says.
    pub replaced: BTreeSet<ServiceName>,
    /// A container that replaces another gets new volumes where those have no name. The old ones stay, with nobody.
    pub renew_volumes: bool,
    /// Start units. Without it containers are only made, and nothing that has ended or is frozen goes on.
    pub start: bool,
    /// When nothing is wanted: only these units, and what nobody else uses. `None`: all of the project.
    pub only: Option<BTreeSet<ServiceName>>,
    /// A container that is replaced ends only when the one in its place does what it is for.
    pub rolling: bool,
    /// How long each kind of step may take.
    pub deadlines: Deadlines,
    /// What is run in containers before they are stopped, by service.
    pub pre_stop: BTreeMap<ServiceName, Vec<Hook>>,
    /// The time between asking a unit to end and ending it, in place of its own: `--timeout`.
    pub grace: Option<Duration>,
}

/// When a unit that is there is replaced by a new one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Replace {
    /// When something about it changed.
    #[default]
    Changed,
    /// Always: `--force-recreate`.
    Always,
    /// Never: `--no-recreate`.
    Never,
}

impl PlanOptions {
    /// When this unit is replaced.
    fn replace(&self, unit: &ServiceName) -> Replace {
        if self.replaced.contains(unit) { Replace::Always } else { self.replace }
    }

    /// Whether a unit stays although nothing is wanted.
    fn spares(&self, unit: &ServiceName) -> bool {
        self.only.as_ref().is_some_and(|only| !only.contains(unit))
    }
}

impl Default for PlanOptions {
    fn default() -> Self {
        Self {
            restart: BTreeSet::new(),
            remove_orphans: false,
            remove_data: false,
            wait: true,
            keep: BTreeSet::new(),
            replace: Replace::Changed,
            replaced: BTreeSet::new(),
            renew_volumes: false,
            start: true,
            only: None,
            rolling: false,
            deadlines: Deadlines::default(),
            pre_stop: BTreeMap::new(),
            grace: None,
        }
    }
}

/// How long each kind of step may take.
#[derive(Clone, Copy, Debug)]
pub struct Deadlines {
    /// Building everything.
    pub build: Duration,
    /// From the decision to start a process until it runs.
    pub start: Duration,
    /// A hook, from its start to its end.
    pub hook: Duration,
    /// From running to the condition: `--wait-timeout`.
    pub condition: Duration,
    /// Beyond the grace period of a unit.
    pub stop: Duration,
    /// Removing records and files.
    pub remove: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            build: Duration::from_secs(60 * 60),
            start: Duration::from_secs(10),
            hook: Duration::from_secs(60 * 60),
            condition: Duration::from_secs(120),
            stop: Duration::from_secs(10),
            remove: Duration::from_secs(10),
        }
    }
}

/// Why there can be no plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// Units wait for each other in a circle.
    #[error("the services wait for each other in a circle: {}", .0.iter().map(ServiceName::as_str).collect::<Vec<_>>().join(" → "))]
    Cycle(Vec<ServiceName>),
    /// A unit needs one that is neither wanted nor there.
    #[error("service `{unit}` needs `{needs}`, which is not part of the project")]
    MissingDependency {
        /// Who needs it.
        unit: ServiceName,
        /// What is missing.
        needs: ServiceName,
    },
    /// A network or volume of others is not there.
    #[error("the external {kind} `{name}` is not there")]
    MissingExternal {
        /// `network` or `volume`.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// Something that others made has a name that the project needs.
    #[error("the {kind} `{name}` belongs to somebody else: {reason}")]
    Foreign {
        /// `network`.
        kind: &'static str,
        /// Its name.
        name: String,
        /// What shows it.
        reason: String,
    },
    /// An image is not there and may not be fetched.
    #[error("service `{unit}`: the image `{image}` is not there, and its pull policy is `never`")]
    MissingImage {
        /// Who needs it.
        unit: ServiceName,
        /// The image.
        image: String,
    },
    /// Services are to be replaced by a second container while the first one runs, and there can be one only.
    #[error("{}", runs_once(.units))]
    RunsOnce {
        /// Each with why.
        units: Vec<(ServiceName, &'static str)>,
    },
    /// A dependency can never be healthy.
    #[error("service `{unit}` waits until `{needs}` is healthy, and `{needs}` has no health check")]
    NoHealthcheck {
        /// Who waits.
        unit: ServiceName,
        /// For whom.
        needs: ServiceName,
    },
}

fn runs_once(units: &[(ServiceName, &str)]) -> String {
    let told = units.iter().map(|(unit, why)| format!("service `{unit}` can't run twice: {why}"));
    told.collect::<Vec<_>>().join("; ")
}

/// Decides what to do.
///
/// # Errors
/// When dependencies form a circle or name something that is neither wanted nor observed.
pub fn plan(desired: &Desired, observed: &Observed, options: &PlanOptions) -> Result<Plan, PlanError> {
    let order = order(desired)?;
    if let Some(world) = &observed.world {
        return containers::plan(desired, &order, world, options);
    }
    let mut planner = Planner {
        wanted: desired.items.iter().map(|item| (&item.name, item)).collect(),
        found: observed.items.iter().map(|item| (&item.name, item)).collect(),
        options,
        steps: Vec::new(),
        build: None,
        stops: BTreeMap::new(),
        starts: BTreeMap::new(),
        awaits: BTreeMap::new(),
    };
    planner.check_dependencies()?;
    let verdicts: Vec<(&DesiredItem, Verdict)> =
        order.iter().filter_map(|item| Some((*item, planner.judge(item)?))).collect();
    planner.plan_build(&verdicts);
    planner.plan_stops(&verdicts, desired.items.is_empty());
    for (item, verdict) in &verdicts {
        planner.plan_start(item, verdict);
    }
    planner.name_replacements();
    if desired.items.is_empty() && options.only.is_none() {
        planner.plan_removal_of_project(desired, observed);
    }
    Ok(Plan { schema: Plan::SCHEMA, project: desired.project.clone(), steps: planner.steps })
}

/// What is to be done with one wanted unit.
#[derive(Clone, Debug)]
struct Verdict {
    /// End what runs now.
    stop: Option<Cause>,
    /// Start it.
    start: Option<Cause>,
    /// It runs, but what others or we wait for is not yet true of it.
    unfinished: bool,
}

struct Planner<'a> {
    wanted: BTreeMap<&'a ServiceName, &'a DesiredItem>,
    found: BTreeMap<&'a ServiceName, &'a ObservedItem>,
    options: &'a PlanOptions,
    steps: Vec<Step>,
    build: Option<StepId>,
    stops: BTreeMap<&'a ServiceName, StepId>,
    starts: BTreeMap<&'a ServiceName, StepId>,
    awaits: BTreeMap<(&'a ServiceName, Condition), StepId>,
}

impl<'a> Planner<'a> {
    fn check_dependencies(&self) -> Result<(), PlanError> {
        for item in self.wanted.values() {
            for needed in item.depends_on.iter().filter(|needed| needed.required) {
                if !self.wanted.contains_key(&needed.name) && !self.found.contains_key(&needed.name) {
                    let (unit, needs) = (item.name.clone(), needed.name.clone());
                    return Err(PlanError::MissingDependency { unit, needs });
                }
            }
        }
        Ok(())
    }

    /// `None`: an embedded unit, about which there is nothing to do.
    fn judge(&self, item: &'a DesiredItem) -> Option<Verdict> {
        let DesiredKind::Process(process) = &item.kind else { return None };
        let found = self.found.get(&item.name);
        Some(match item.target {
            Target::Stopped => {
                let stop = found.filter(|found| found.state.is_alive()).map(|_| Cause::Requested);
                Verdict { stop, start: None, unfinished: false }
            }
            Target::Running => match found {
                None => Verdict { stop: None, start: Some(Cause::NotFound), unfinished: false },
                Some(found) => self.judge_found(item, process, found),
            },
        })
    }

    fn judge_found(&self, item: &DesiredItem, process: &DesiredProcess, found: &ObservedItem) -> Verdict {
        let again = |cause: Cause| {
            // The stop's cause becomes `replaced by #n` once the start has a number.
            let stop = found.state.is_alive().then_some(if found.state == UnitState::Leftover {
                Cause::LeftOver
            } else {
                Cause::Requested
            });
            Verdict { stop, start: Some(cause), unfinished: false }
        };
        if let Some(reason) = process.package.as_ref().and_then(|package| package.stale.clone()) {
            return again(Cause::Stale { reason });
        }
        let parts =
            found.fingerprint.as_ref().map_or_else(Vec::new, |old| old.differences(&process.fingerprint));
        let replace = self.options.replace(&item.name);
        if !parts.is_empty() && replace != Replace::Never {
            return again(Cause::Changed { parts });
        }
        if self.options.restart.contains(&item.name) || replace == Replace::Always {
            return again(Cause::Requested);
        }
        match found.state {
            UnitState::Leftover => again(Cause::LeftOver),
            UnitState::Stopped | UnitState::Stopping => again(Cause::WasStopped),
            UnitState::CrashLooping { .. } => again(Cause::WasCrashLooping),
            UnitState::Exited { status }
                if status.is_success()
                    && (self.is_job(&item.name) || process.spec.restart == RestartPolicy::No) =>
            {
                Verdict { stop: None, start: None, unfinished: false }
            }
            UnitState::Exited { status } => again(Cause::HasExited { status }),
            UnitState::Ready if !self.is_job(&item.name) => {
                Verdict { stop: None, start: None, unfinished: false }
            }
            UnitState::Starting | UnitState::Ready | UnitState::Unready | UnitState::Restarting => {
                Verdict { stop: None, start: None, unfinished: true }
            }
        }
    }

    /// A unit whose end others wait for.
    fn is_job(&self, name: &ServiceName) -> bool {
        self.conditions(name).contains(&Condition::Completed)
    }

    /// What the wanted units need of `name`.
    fn conditions(&self, name: &ServiceName) -> BTreeSet<Condition> {
        self.wanted
            .values()
            .filter(|item| item.target == Target::Running)
            .flat_map(|item| &item.depends_on)
            .filter(|needed| needed.name == *name)
            .map(|needed| needed.condition)
            .collect()
    }

    fn add(
        &mut self,
        subject: Subject,
        action: Action,
        cause: Cause,
        mut after: Vec<StepId>,
        deadline: Duration,
    ) -> StepId {
        let id = StepId(u32::try_from(self.steps.len() + 1).unwrap_or(u32::MAX));
        after.sort();
        after.dedup();
        self.steps.push(Step { id, subject, action, cause, after, deadline });
        id
    }

    fn plan_build(&mut self, verdicts: &[(&'a DesiredItem, Verdict)]) {
        let mut packages = BTreeSet::new();
        let mut because: Option<String> = None;
        for (item, verdict) in verdicts {
            let DesiredKind::Process(process) = &item.kind else { continue };
            let Some(package) = &process.package else { continue };
            if let (Some(_), Some(reason)) = (&verdict.start, &package.stale) {
                packages.insert(package.name.clone());
                because.get_or_insert_with(|| reason.clone());
            }
        }
        if let Some(reason) = because {
            let more = packages.len() - 1;
            let reason = if more == 0 { reason } else { format!("{reason}, and {more} more") };
            let packages = packages.into_iter().collect();
            let deadline = self.options.deadlines.build;
            let action = Action::Build { packages };
            self.build =
                Some(self.add(Subject::Workspace, action, Cause::Stale { reason }, Vec::new(), deadline));
        }
    }

    /// Whoever needs a unit ends before it.
    fn plan_stops(&mut self, verdicts: &[(&'a DesiredItem, Verdict)], nothing_wanted: bool) {
        let mut causes: BTreeMap<&'a ServiceName, (Cause, bool)> = verdicts
            .iter()
            .filter_map(|(item, verdict)| {
                Some((&item.name, (verdict.stop.clone()?, verdict.start.is_some())))
            })
            .collect();
        let mut forgotten = Vec::new();
        if nothing_wanted || self.options.remove_orphans {
            for (name, found) in &self.found {
                let kept = self.options.keep.contains(*name) || self.options.spares(name);
                if self.wanted.contains_key(name) || kept {
                    continue;
                }
                if found.state.is_alive() {
                    let left = found.state == UnitState::Leftover;
                    causes.insert(name, (if left { Cause::LeftOver } else { Cause::NotWanted }, false));
                }
                if !nothing_wanted || self.options.only.is_some() {
                    forgotten.push(*name);
                }
            }
        }
        let mut open: BTreeSet<&'a ServiceName> = causes.keys().copied().collect();
        while !open.is_empty() {
            // A circle among what was found must not stop us: then whoever is first goes first.
            let next = open
                .iter()
                .find(|name| !open.iter().any(|other| other != *name && self.needs(other, name)))
                .or(open.first())
                .copied();
            let Some(name) = next else { break };
            open.remove(name);
            let Some((cause, replaced)) = causes.get(name).cloned() else { continue };
            let mut after: Vec<StepId> =
                self.stops.iter().filter(|(other, _)| self.needs(other, name)).map(|(_, id)| *id).collect();
            // Nothing ends before what replaces it is built.
            after.extend(self.build.filter(|_| replaced));
            let own = Duration::from_millis(self.found.get(name).map_or(10_000, |f| f.stop_grace_ms));
            let grace = self.options.grace.unwrap_or(own);
            let deadline = grace + self.options.deadlines.stop;
            let id = self.add(Subject::Service(name.clone()), Action::Stop { grace }, cause, after, deadline);
            self.stops.insert(name, id);
        }
        for name in forgotten {
            let after = self.stops.get(name).copied().into_iter().collect();
            let deadline = self.options.deadlines.remove;
            self.add(Subject::Service(name.clone()), Action::Remove, Cause::NotWanted, after, deadline);
        }
    }

    /// Whether `unit` was started with a need for `other`.
    fn needs(&self, unit: &ServiceName, other: &ServiceName) -> bool {
        self.found.get(unit).is_some_and(|found| found.depends_on.contains(other))
    }

    fn plan_start(&mut self, item: &'a DesiredItem, verdict: &Verdict) {
        let DesiredKind::Process(process) = &item.kind else { return };
        let subject = Subject::Service(item.name.clone());
        if let Some(cause) = &verdict.start {
            let mut after: Vec<StepId> = self.stops.get(&item.name).copied().into_iter().collect();
            if process.package.as_ref().is_some_and(|package| package.stale.is_some()) {
                after.extend(self.build);
            }
            for needed in &item.depends_on {
                let step = match needed.condition {
                    Condition::Started => self.starts.get(&needed.name),
                    condition => self.awaits.get(&(&needed.name, condition)),
                };
                after.extend(step.copied());
            }
            let start = Start { spec: process.spec.clone(), depends_on: item.depends_on.clone() };
            let action = Action::Start(Box::new(start));
            let deadline = self.options.deadlines.start;
            let id = self.add(subject.clone(), action, cause.clone(), after, deadline);
            self.starts.insert(&item.name, id);
        } else if !verdict.unfinished {
            return;
        }
        let mut conditions = self.conditions(&item.name);
        conditions.remove(&Condition::Started);
        if self.options.wait && conditions.is_empty() && item.target == Target::Running {
            conditions.insert(Condition::Healthy);
        }
        for condition in conditions {
            let after: Vec<StepId> = self.starts.get(&item.name).copied().into_iter().collect();
            let cause = if after.is_empty() { Cause::NotReady } else { Cause::Started };
            let deadline = self.options.deadlines.condition;
            let id = self.add(subject.clone(), Action::Await { condition }, cause, after, deadline);
            self.awaits.insert((&item.name, condition), id);
        }
    }

    /// A stop that is followed by a start of the same unit says so.
    fn name_replacements(&mut self) {
        for (name, stop) in &self.stops {
            let (Some(start), Some(step)) =
                (self.starts.get(name), self.steps.iter_mut().find(|step| step.id == *stop))
            else {
                continue;
            };
            if step.cause != Cause::LeftOver {
                step.cause = Cause::ReplacedBy { step: *start };
            }
        }
    }

    fn plan_removal_of_project(&mut self, desired: &Desired, observed: &Observed) {
        let data = self.options.remove_data && observed.data;
        if observed.present || !observed.items.is_empty() || data {
            let after = self.stops.values().copied().collect();
            let (subject, action) =
                (Subject::Project(desired.project.clone()), Action::RemoveProject { data });
            self.add(subject, action, Cause::NotWanted, after, self.options.deadlines.remove);
        }
    }
}

/// The wanted units, each after all that it needs.
fn order(desired: &Desired) -> Result<Vec<&DesiredItem>, PlanError> {
    let mut open: BTreeMap<&ServiceName, &DesiredItem> =
        desired.items.iter().map(|item| (&item.name, item)).collect();
    let mut order = Vec::with_capacity(open.len());
    while !open.is_empty() {
        let free: Vec<&ServiceName> = open
            .values()
            .filter(|item| !item.depends_on.iter().any(|needed| open.contains_key(&needed.name)))
            .map(|item| &item.name)
            .collect();
        if free.is_empty() {
            return Err(PlanError::Cycle(circle(&open)));
        }
        order.extend(free.into_iter().filter_map(|name| open.remove(name)));
    }
    Ok(order)
}

/// Follows needs until a name comes back.
fn circle(open: &BTreeMap<&ServiceName, &DesiredItem>) -> Vec<ServiceName> {
    let mut path: Vec<ServiceName> = Vec::new();
    let mut next = open.values().next().copied();
    while let Some(item) = next {
        if let Some(start) = path.iter().position(|name| *name == item.name) {
            path.drain(..start);
            path.push(item.name.clone());
            break;
        }
        path.push(item.name.clone());
        next = item.depends_on.iter().find_map(|needed| open.get(&needed.name)).copied();
    }
    path
}
