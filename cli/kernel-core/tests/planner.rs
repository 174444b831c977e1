//! Plans that people meet, as they are printed.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use insta::assert_snapshot;
use kernel_core::name::{ProjectName, ServiceName};
use kernel_core::planner::{PlanError, PlanOptions, plan};
use kernel_core::secret::{Secret, Value};
use kernel_core::unit::{
    Condition, Dependency, Desired, DesiredItem, DesiredKind, DesiredProcess, ExitStatus, Fingerprint,
    Observed, ObservedItem, Package, Port, ProcessSpec, Readiness, RestartPolicy, Target, UnitState,
};

fn name(text: &str) -> ServiceName {
    ServiceName::new(text).unwrap()
}

fn fingerprint(environment: &str) -> Fingerprint {
    Fingerprint(BTreeMap::from([("environment".to_owned(), environment.to_owned())]))
}

fn unit(text: &str, needs: &[&str]) -> DesiredItem {
    let environment = BTreeMap::from([("INTERNAL_TOKEN".to_owned(), Value::Secret(Secret::new("hunter2")))]);
    let spec = ProcessSpec {
        program: format!("/target/debug/{text}"),
        arguments: Vec::new(),
        environment,
        directory: format!("/data/{text}"),
        ports: vec![Port { host: 8081, container: 8080 }],
        readiness: Some(Readiness { port: 8081, path: "/health/ready".to_owned() }),
        restart: RestartPolicy::Always,
        stop_grace: Duration::from_secs(10),
    };
    let package = Some(Package { name: text.to_owned(), stale: None });
    let process = DesiredProcess { spec, fingerprint: fingerprint("a"), package };
    let needed =
        |other: &&str| Dependency { name: name(other), condition: Condition::Healthy, required: true };
    DesiredItem {
        name: name(text),
        kind: DesiredKind::Process(Box::new(process)),
        depends_on: needs.iter().map(needed).collect(),
        target: Target::Running,
    }
}

fn embedded(text: &str) -> DesiredItem {
    DesiredItem { kind: DesiredKind::Embedded, ..unit(text, &[]) }
}

fn found(text: &str, state: UnitState, needs: &[&str]) -> ObservedItem {
    ObservedItem {
        name: name(text),
        state,
        fingerprint: Some(fingerprint("a")),
        depends_on: needs.iter().map(|other| name(other)).collect(),
        stop_grace_ms: 10_000,
        pid: Some(7),
        ports: Vec::new(),
        restarts: 0,
        since: String::new(),
        detail: None,
    }
}

fn project(items: Vec<DesiredItem>) -> Desired {
    Desired::of(ProjectName::new("kernel").unwrap(), items)
}

fn platform() -> Desired {
    project(vec![unit("gateway", &["iam"]), unit("iam", &["postgres"]), embedded("postgres")])
}

fn running() -> Observed {
    let items =
        vec![found("iam", UnitState::Ready, &["postgres"]), found("gateway", UnitState::Ready, &["iam"])];
    Observed { present: true, data: true, items, ..Observed::default() }
}

#[test]
fn from_nothing_each_waits_for_what_it_needs() {
    let plan = plan(&platform(), &Observed::default(), &PlanOptions::default()).unwrap();
    assert_snapshot!(plan, @r"
    [] -> #1 service iam: start, not found
    [1] -> #2 service iam: wait until healthy, started
    [2] -> #3 service gateway: start, not found
    [3] -> #4 service gateway: wait until healthy, started
    ");
}

#[test]
fn what_is_as_wanted_is_left_alone() {
    assert!(plan(&platform(), &running(), &PlanOptions::default()).unwrap().is_empty());
}

#[test]
fn a_stale_package_is_built_before_what_runs_is_ended() {
    let mut desired = platform();
    for item in &mut desired.items {
        if let DesiredKind::Process(process) = &mut item.kind
            && let Some(package) = &mut process.package
        {
            package.stale = Some(format!("{}/src/main.rs is newer than the program", package.name));
        }
    }
    assert_snapshot!(plan(&desired, &running(), &PlanOptions::default()).unwrap(), @r"
    [] -> #1 workspace: build gateway iam, iam/src/main.rs is newer than the program, and 1 more
    [1] -> #2 service gateway: stop, replaced by #6
    [1,2] -> #3 service iam: stop, replaced by #4
    [1,3] -> #4 service iam: start, iam/src/main.rs is newer than the program
    [4] -> #5 service iam: wait until healthy, started
    [1,2,5] -> #6 service gateway: start, gateway/src/main.rs is newer than the program
    [6] -> #7 service gateway: wait until healthy, started
    ");
}

#[test]
fn what_is_not_there_is_built_and_started_because_it_is_not_there() {
    let mut iam = unit("iam", &[]);
    if let DesiredKind::Process(process) = &mut iam.kind {
        process.package = Some(Package { name: "iam".to_owned(), stale: Some("not built yet".to_owned()) });
    }
    assert_snapshot!(plan(&project(vec![iam]), &Observed::default(), &PlanOptions::default()).unwrap(), @r"
    [] -> #1 workspace: build iam, not built yet
    [1] -> #2 service iam: start, not found
    [2] -> #3 service iam: wait until healthy, started
    ");
}

#[test]
fn only_what_changed_is_replaced() {
    let mut observed = running();
    observed.items[1].fingerprint = Some(fingerprint("b"));
    assert_snapshot!(plan(&platform(), &observed, &PlanOptions::default()).unwrap(), @r"
    [] -> #1 service gateway: stop, replaced by #2
    [1] -> #2 service gateway: start, changed: environment
    [2] -> #3 service gateway: wait until healthy, started
    ");
}

#[test]
fn what_went_wrong_is_named() {
    let mut observed = running();
    observed.items[0].state = UnitState::CrashLooping { status: ExitStatus::Code(1) };
    observed.items[1].state = UnitState::Leftover;
    assert_snapshot!(plan(&platform(), &observed, &PlanOptions::default()).unwrap(), @r"
    [] -> #1 service gateway: stop, left over from a killed supervisor
    [] -> #2 service iam: start, was crash-looping
    [2] -> #3 service iam: wait until healthy, started
    [1,3] -> #4 service gateway: start, left over from a killed supervisor
    [4] -> #5 service gateway: wait until healthy, started
    ");
}

#[test]
fn a_restart_and_a_stop_are_plans_too() {
    let restart = PlanOptions { restart: BTreeSet::from([name("iam")]), ..PlanOptions::default() };
    assert_snapshot!(plan(&platform(), &running(), &restart).unwrap(), @r"
    [] -> #1 service iam: stop, replaced by #2
    [1] -> #2 service iam: start, requested
    [2] -> #3 service iam: wait until healthy, started
    ");
    let mut stopped = platform();
    stopped.items.iter_mut().for_each(|item| item.target = Target::Stopped);
    assert_snapshot!(plan(&stopped, &running(), &PlanOptions::default()).unwrap(), @r"
    [] -> #1 service gateway: stop, requested
    [1] -> #2 service iam: stop, requested
    ");
}

#[test]
fn planning_for_nothing_ends_dependents_first() {
    let nothing = project(Vec::new());
    assert_snapshot!(plan(&nothing, &running(), &PlanOptions::default()).unwrap(), @r"
    [] -> #1 service gateway: stop, not wanted
    [1] -> #2 service iam: stop, not wanted
    [1,2] -> #3 project kernel: remove, not wanted
    ");
    let volumes = PlanOptions { remove_data: true, ..PlanOptions::default() };
    let left = Observed { data: true, ..Observed::default() };
    assert_snapshot!(plan(&nothing, &left, &volumes).unwrap(), @"[] -> #1 project kernel: remove with its data, not wanted");
    assert!(plan(&nothing, &left, &PlanOptions::default()).unwrap().is_empty());
}

#[test]
fn only_some_units_are_taken_down() {
    let nothing = project(Vec::new());
    let only = PlanOptions { only: Some(BTreeSet::from([name("gateway")])), ..PlanOptions::default() };
    assert_snapshot!(plan(&nothing, &running(), &only).unwrap(), @r"
    [] -> #1 service gateway: stop, not wanted
    [1] -> #2 service gateway: remove, not wanted
    ");
    let unknown = PlanOptions { only: Some(BTreeSet::from([name("other")])), ..PlanOptions::default() };
    assert!(plan(&nothing, &running(), &unknown).unwrap().is_empty());
}

#[test]
fn an_orphan_stays_unless_its_removal_was_asked_for() {
    let mut observed = running();
    observed.items.push(found("old", UnitState::Ready, &["iam"]));
    assert!(plan(&platform(), &observed, &PlanOptions::default()).unwrap().is_empty());
    let remove = PlanOptions { remove_orphans: true, ..PlanOptions::default() };
    assert_snapshot!(plan(&platform(), &observed, &remove).unwrap(), @r"
    [] -> #1 service old: stop, not wanted
    [1] -> #2 service old: remove, not wanted
    ");
}

#[test]
fn a_circle_and_a_missing_need_are_told_by_name() {
    let circle = project(vec![unit("a", &["b"]), unit("b", &["c"]), unit("c", &["b"])]);
    let error = plan(&circle, &Observed::default(), &PlanOptions::default()).unwrap_err();
    assert_eq!(error.to_string(), "the services wait for each other in a circle: b → c → b");
    let missing = project(vec![unit("a", &["b"])]);
    let error = plan(&missing, &Observed::default(), &PlanOptions::default()).unwrap_err();
    assert_eq!(error, PlanError::MissingDependency { unit: name("a"), needs: name("b") });
}

#[test]
fn the_serialised_plan_hides_secrets_and_keeps_its_form() {
    let plan = plan(&project(vec![unit("iam", &[])]), &Observed::default(), &PlanOptions::default()).unwrap();
    let text = serde_json::to_string_pretty(&plan).unwrap();
    assert!(!text.contains("hunter2"));
    assert_snapshot!(text);
}
