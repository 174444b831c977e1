//! The executor over the strict fake engine, which refuses whatever comes out of order.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::time::Duration;

use kernel_core::event::Event;
use kernel_core::exit::ExitCode;
use kernel_core::name::ProjectName;
use kernel_core::plan::Plan;
use kernel_core::planner::{Deadlines, PlanOptions, plan};
use kernel_core::unit::{Desired, Observed};
use kernel_engine::{DryRun, Engine, Events, Outcome, execute};
use kernel_testkit::{Behaviour, FakeEngine, Sample, name};
use tokio_util::sync::CancellationToken;

fn planned(samples: &[Sample], options: &PlanOptions) -> Plan {
    let project = ProjectName::new("test").unwrap();
    let desired = Desired::of(project, samples.iter().map(Sample::item).collect());
    plan(&desired, &Observed::default(), options).unwrap()
}

async fn run(engine: &FakeEngine, plan: &Plan, cancel: &CancellationToken) -> (Outcome, Vec<String>) {
    let (events, mut listener) = Events::channel();
    let outcome = execute(engine, plan, &events, cancel).await;
    drop(events);
    let mut told = Vec::new();
    while let Some(event) = listener.recv().await {
        told.extend(words(&event));
    }
    (outcome, told)
}

/// An event in a few words, without times.
fn words(event: &Event) -> Option<String> {
    Some(match event {
        Event::StepHeld { step, waits_for, .. } => format!("{step} held by {waits_for:?}"),
        Event::StepStarted { step, subject, verb } => format!("{step} {verb} {subject}"),
        Event::StepWaiting { step, reason, .. } => format!("{step} waits: {reason}"),
        Event::StepFinished { step, .. } => format!("{step} done"),
        Event::StepFailed { step, problem, .. } => format!("{step} failed: {}", problem.message),
        Event::StepCancelled { step, because, .. } => format!("{step} cancelled: {because}"),
        Event::PlanFinished { finished, failed, cancelled, .. } => format!("{finished}/{failed}/{cancelled}"),
        Event::Problem(problem) => problem.message.clone(),
        _ => return None,
    })
}

#[tokio::test]
async fn every_step_is_told_from_held_to_done() {
    let plan = planned(&[Sample::new("iam", &[]), Sample::new("gateway", &["iam"])], &PlanOptions::default());
    let (outcome, told) = run(&FakeEngine::new(), &plan, &CancellationToken::new()).await;
    assert_eq!(outcome.exit_code(), ExitCode::Success);
    assert_eq!(
        told,
        [
            "#2 held by [StepId(1)]",
            "#3 held by [StepId(2)]",
            "#4 held by [StepId(3)]",
            "#1 start service iam",
            "#1 done",
            "#2 await service iam",
            "#2 done",
            "#3 start service gateway",
            "#3 done",
            "#4 await service gateway",
            "#4 done",
            "4/0/0",
        ]
    );
}

#[tokio::test]
async fn what_can_run_at_the_same_time_does() {
    let samples: Vec<Sample> = (0..12).map(|number| Sample::new(&format!("s{number}"), &[])).collect();
    let plan = planned(&samples, &PlanOptions { wait: false, ..PlanOptions::default() });
    let all: Vec<u32> = plan.steps.iter().map(|step| step.id.0).collect();
    assert_eq!(all.len(), 12);
    // Nobody ends before all twelve have begun.
    let (outcome, _) = run(&FakeEngine::new().meeting(&all), &plan, &CancellationToken::new()).await;
    assert!(outcome.is_success(), "{outcome:?}");
}

#[tokio::test]
async fn the_first_failure_lets_the_running_end_and_cancels_the_rest() {
    let samples = [Sample::new("a", &[]), Sample::new("b", &[]), Sample::new("c", &["a", "b"])];
    let plan = planned(&samples, &PlanOptions::default());
    // `a` fails its wait (#2) while the wait of `b` (#4) is under way.
    let engine = FakeEngine::new().with(name("a"), Behaviour::Crashes).meeting(&[2, 4]);
    let (outcome, told) = run(&engine, &plan, &CancellationToken::new()).await;
    assert_eq!(outcome.exit_code(), ExitCode::Unhealthy);
    let ids = |ids: &[kernel_core::plan::StepId]| {
        let mut ids: Vec<u32> = ids.iter().map(|id| id.0).collect();
        ids.sort_unstable();
        ids
    };
    assert_eq!(ids(&outcome.finished), [1, 3, 4]);
    assert_eq!(outcome.failed.len(), 1);
    assert_eq!(ids(&outcome.cancelled), [5, 6]);
    assert!(told.contains(&"#5 cancelled: #2 service a failed".to_owned()), "{told:#?}");
    assert_eq!(told.last().unwrap(), "3/1/2");
}

#[tokio::test(start_paused = true)]
async fn a_step_that_runs_out_of_time_says_what_it_waited_for() {
    let condition = Duration::from_secs(120);
    let options =
        PlanOptions { deadlines: Deadlines { condition, ..Deadlines::default() }, ..PlanOptions::default() };
    let plan = planned(&[Sample::new("iam", &[])], &options);
    let engine = FakeEngine::new().with(name("iam"), Behaviour::NeverReady);
    let (outcome, _) = run(&engine, &plan, &CancellationToken::new()).await;
    assert_eq!(outcome.exit_code(), ExitCode::Timeout);
    assert_eq!(
        outcome.failed[0].problem.message,
        "service iam: `wait until healthy` did not come to its end within 120 s: `iam` is starting"
    );
    assert!(outcome.failed[0].problem.help.as_ref().unwrap().contains("--wait-timeout"));
}

#[tokio::test]
async fn an_interruption_begins_nothing_more() {
    let plan = planned(&[Sample::new("iam", &[]), Sample::new("gateway", &["iam"])], &PlanOptions::default());
    let cancel = CancellationToken::new();
    cancel.cancel();
    let engine = FakeEngine::new();
    let (outcome, told) = run(&engine, &plan, &cancel).await;
    assert_eq!(outcome.exit_code(), ExitCode::Interrupted);
    assert_eq!(engine.begun(), Vec::<u32>::new());
    assert_eq!(told.last().unwrap(), "0/0/4");
}

#[tokio::test]
async fn what_stands_in_the_way_is_told_before_anything_begins() {
    let plan = planned(&[Sample::new("iam", &[])], &PlanOptions::default());
    let engine = FakeEngine::new().refusing("port 8081 is taken");
    let (outcome, told) = run(&engine, &plan, &CancellationToken::new()).await;
    assert_eq!(outcome.exit_code(), ExitCode::Prerequisite);
    assert_eq!(engine.begun(), Vec::<u32>::new());
    assert_eq!(told[0], "port 8081 is taken");
    assert_eq!(outcome.cancelled.len(), 2);
}

#[tokio::test]
async fn a_dry_run_shows_the_very_plan_and_has_nothing_to_write_with() {
    assert_eq!(size_of::<DryRun>(), 0, "no engine, no path, no socket");
    let engine = FakeEngine::new();
    let plan = planned(&[Sample::new("iam", &[])], &PlanOptions::default());
    let (events, mut listener) = Events::channel();
    DryRun.show(&plan, &events);
    assert_eq!(listener.recv().await, Some(Event::PlanMade { plan, dry_run: true }));
    assert_eq!(engine.observe().await.unwrap(), Observed::default());
}
