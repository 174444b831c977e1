//! What must be true of every plan, tried on many random projects.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kernel_core::name::{ProjectName, ServiceName};
use kernel_core::plan::{Action, Plan, Subject};
use kernel_core::planner::{PlanOptions, plan};
use kernel_core::unit::{
    Condition, Dependency, Desired, DesiredItem, DesiredKind, DesiredProcess, ExitStatus, Fingerprint,
    Observed, ObservedItem, Package, ProcessSpec, RestartPolicy, Target, UnitState,
};
use proptest::prelude::*;

const DONE: UnitState = UnitState::Exited { status: ExitStatus::Code(0) };

fn name(index: usize) -> ServiceName {
    ServiceName::new(format!("s{index}")).unwrap()
}

fn fingerprint(version: u8) -> Fingerprint {
    Fingerprint(BTreeMap::from([("environment".to_owned(), version.to_string())]))
}

fn spec() -> ProcessSpec {
    ProcessSpec {
        program: "/bin/true".to_owned(),
        arguments: Vec::new(),
        environment: BTreeMap::new(),
        directory: "/tmp".to_owned(),
        ports: Vec::new(),
        readiness: None,
        restart: RestartPolicy::Always,
        stop_grace: Duration::from_secs(1),
    }
}

/// What one unit of a random project is like.
#[derive(Clone, Debug)]
struct Sample {
    embedded: bool,
    wanted: bool,
    stopped: bool,
    stale: bool,
    version: u8,
    needs: Vec<(usize, u8)>,
    found: Option<(u8, u8)>,
    restart: bool,
}

fn sample() -> impl Strategy<Value = Sample> {
    (
        (prop::bool::weighted(0.2), prop::bool::weighted(0.8), prop::bool::weighted(0.2), any::<bool>()),
        0..2_u8,
        prop::collection::vec((0..12_usize, 0..3_u8), 0..4),
        prop::option::of((0..2_u8, 0..9_u8)),
        prop::bool::weighted(0.2),
    )
        .prop_map(|((embedded, wanted, stopped, stale), version, needs, found, restart)| Sample {
            embedded,
            wanted,
            stopped,
            stale,
            version,
            needs,
            found,
            restart,
        })
}

fn state(number: u8) -> UnitState {
    match number {
        0 => UnitState::Starting,
        1 => UnitState::Ready,
        2 => UnitState::Unready,
        3 => UnitState::Restarting,
        4 => UnitState::CrashLooping { status: ExitStatus::Code(1) },
        5 => UnitState::Exited { status: ExitStatus::Code(0) },
        6 => UnitState::Stopping,
        7 => UnitState::Stopped,
        _ => UnitState::Leftover,
    }
}

fn world(samples: &[Sample]) -> (Desired, Observed, PlanOptions) {
    let dependencies = |index: usize, sample: &Sample| -> Vec<Dependency> {
        let mut seen = BTreeSet::new();
        sample
            .needs
            .iter()
            // Only backwards, so that there is no circle; only on what is there in some form.
            .filter(|(other, _)| *other < index && samples.get(*other).is_some_and(|other| other.wanted))
            .filter(|(other, _)| seen.insert(*other))
            .map(|(other, condition)| Dependency {
                name: name(*other),
                condition: [Condition::Started, Condition::Healthy, Condition::Completed]
                    [*condition as usize],
                required: true,
            })
            .collect()
    };
    let mut desired = Desired::of(ProjectName::new("p").unwrap(), Vec::new());
    let mut observed = Observed { present: true, data: true, ..Observed::default() };
    for (index, sample) in samples.iter().enumerate() {
        let depends_on = dependencies(index, sample);
        if let Some((version, number)) = sample.found.filter(|_| !sample.embedded) {
            observed.items.push(ObservedItem {
                name: name(index),
                state: state(number),
                fingerprint: Some(fingerprint(version)),
                depends_on: depends_on.iter().map(|needed| needed.name.clone()).collect(),
                stop_grace_ms: 10,
                pid: None,
                ports: Vec::new(),
                restarts: 0,
                since: String::new(),
                detail: None,
            });
        }
        if !sample.wanted {
            continue;
        }
        let process = DesiredProcess {
            spec: spec(),
            fingerprint: fingerprint(sample.version),
            package: sample
                .stale
                .then(|| Package { name: format!("p{index}"), stale: Some("main.rs is newer".to_owned()) }),
        };
        let kind =
            if sample.embedded { DesiredKind::Embedded } else { DesiredKind::Process(Box::new(process)) };
        let target = if sample.stopped { Target::Stopped } else { Target::Running };
        desired.items.push(DesiredItem { name: name(index), kind, depends_on, target });
    }
    let restart =
        samples.iter().enumerate().filter(|(_, s)| s.restart).map(|(index, _)| name(index)).collect();
    (desired, observed, PlanOptions { restart, remove_orphans: true, ..PlanOptions::default() })
}

/// Carries a plan out on paper, as an engine that never fails would; refuses what no engine could do.
fn apply(plan: &Plan, desired: &mut Desired, observed: &mut Observed) {
    for step in &plan.steps {
        let position = |observed: &Observed| {
            let service = step.subject.service().expect("a service");
            observed.items.iter().position(|item| item.name == *service)
        };
        match &step.action {
            Action::Build { packages } => {
                assert!(!packages.is_empty());
                for item in &mut desired.items {
                    if let DesiredKind::Process(process) = &mut item.kind
                        && let Some(package) = &mut process.package
                        && packages.contains(&package.name)
                    {
                        package.stale = None;
                    }
                }
            }
            Action::Start(start) => {
                let Subject::Service(service) = &step.subject else { panic!("{step}") };
                if let Some(index) = position(observed) {
                    assert!(!observed.items[index].state.is_alive(), "{step}: it runs already");
                    observed.items.remove(index);
                }
                let wanted = desired.items.iter().find(|item| item.name == *service).unwrap();
                let DesiredKind::Process(process) = &wanted.kind else { panic!("{step}: embedded") };
                assert!(
                    process.package.as_ref().is_none_or(|package| package.stale.is_none()),
                    "{step}: not built"
                );
                for needed in &wanted.depends_on {
                    let ok = desired.items.iter().any(|other| {
                        other.name == needed.name
                            && (matches!(other.kind, DesiredKind::Embedded)
                                || other.target == Target::Stopped)
                    }) || observed.items.iter().any(|other| {
                        other.name == needed.name
                            && match needed.condition {
                                Condition::Started => true,
                                Condition::Healthy => other.state == UnitState::Ready || other.state == DONE,
                                Condition::Completed => other.state == DONE,
                            }
                    });
                    assert!(ok, "{step}: {} is not {}\n{plan}", needed.name, needed.condition);
                }
                observed.items.push(ObservedItem {
                    name: service.clone(),
                    state: UnitState::Starting,
                    fingerprint: Some(process.fingerprint.clone()),
                    depends_on: start.depends_on.iter().map(|needed| needed.name.clone()).collect(),
                    stop_grace_ms: 10,
                    pid: None,
                    ports: Vec::new(),
                    restarts: 0,
                    since: String::new(),
                    detail: None,
                });
            }
            Action::Await { condition } => {
                let index = position(observed).expect("a unit to wait for");
                observed.items[index].state = match condition {
                    Condition::Completed => DONE,
                    _ => UnitState::Ready,
                };
            }
            Action::Stop { .. } => {
                let index = position(observed).expect("a unit to stop");
                assert!(observed.items[index].state.is_alive(), "{step}: it does not run");
                observed.items[index].state = UnitState::Stopped;
            }
            Action::Remove => {
                let index = position(observed).expect("a unit to remove");
                assert!(!observed.items[index].state.is_alive(), "{step}: it runs");
                observed.items.remove(index);
            }
            Action::Call(call) => panic!("{call}: nothing of this is a container"),
            Action::Object(action) => panic!("{action}: nothing of this is in a cluster"),
            Action::RemoveProject { data } => {
                assert!(observed.items.iter().all(|item| !item.state.is_alive()), "{step}\n{plan}");
                *observed = Observed { data: observed.data && !data, ..Observed::default() };
            }
        }
    }
}

proptest! {
    #[test]
    fn every_step_comes_after_steps_that_exist_and_stand_before_it(
        samples in prop::collection::vec(sample(), 0..12),
    ) {
        let (desired, observed, options) = world(&samples);
        let plan = plan(&desired, &observed, &options).unwrap();
        for (index, step) in plan.steps.iter().enumerate() {
            prop_assert_eq!(step.id.0 as usize, index + 1);
            prop_assert!(step.after.iter().all(|before| *before < step.id && before.0 > 0), "{}", plan);
            prop_assert!(step.deadline > Duration::ZERO);
        }
    }

    #[test]
    fn planning_again_plans_nothing(samples in prop::collection::vec(sample(), 0..12)) {
        let (mut desired, mut observed, options) = world(&samples);
        let first = plan(&desired, &observed, &options).unwrap();
        apply(&first, &mut desired, &mut observed);
        let options = PlanOptions { restart: BTreeSet::new(), ..options };
        let second = plan(&desired, &observed, &options).unwrap();
        prop_assert!(second.is_empty(), "first:\n{}second:\n{}", first, second);
    }

    #[test]
    fn planning_for_nothing_leaves_nothing(
        samples in prop::collection::vec(sample(), 0..12),
        data in any::<bool>(),
    ) {
        let (desired, mut observed, _) = world(&samples);
        let mut nothing = Desired::nothing(desired.project);
        let options = PlanOptions { remove_data: data, ..PlanOptions::default() };
        let first = plan(&nothing, &observed, &options).unwrap();
        apply(&first, &mut nothing, &mut observed);
        prop_assert_eq!(&observed, &Observed { data: !data, ..Observed::default() });
        prop_assert!(plan(&nothing, &observed, &options).unwrap().is_empty());
    }
}
