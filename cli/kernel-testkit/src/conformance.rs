//! What every engine must do. An engine's own tests bring a [`Workbench`] and call [`run`].

use std::collections::BTreeSet;
use std::time::Duration;

use kernel_core::event::Event;
use kernel_core::exit::ExitCode;
use kernel_core::name::ProjectName;
use kernel_core::plan::{Action, Cause, Plan, Start, Step, StepId, Subject};
use kernel_core::planner::{Deadlines, PlanOptions, plan};
use kernel_core::unit::{
    Condition, Desired, DesiredItem, DesiredKind, ExitStatus, Observed, Target, UnitState,
};
use kernel_engine::{Context, Engine, EngineError, Events, Outcome, execute};
use tokio_util::sync::CancellationToken;

use crate::sample::{Behaviour, Sample, name, project};

/// An engine with nothing on it yet, and a way to say in its words what a unit should be like.
pub trait Workbench {
    /// The engine.
    fn engine(&self) -> &dyn Engine;

    /// The unit as this engine can run it.
    fn item(&self, sample: &Sample) -> DesiredItem;

    /// Steps that do not fit while the sample runs and nobody else is there. Each is refused as a conflict.
    fn misfits(&self, sample: &Sample) -> Vec<(Subject, Action)> {
        let service = || Subject::Service(sample.name.clone());
        let unknown = || Subject::Service(name("nobody"));
        let DesiredKind::Process(process) = self.item(sample).kind else { panic!("a process") };
        let start = Action::Start(Box::new(Start { spec: process.spec, depends_on: Vec::new() }));
        vec![
            (service(), start),
            (service(), Action::Remove),
            (unknown(), Action::Await { condition: Condition::Healthy }),
            (unknown(), Action::Stop { grace: Duration::from_secs(1) }),
            (unknown(), Action::Remove),
            (Subject::Project(project()), Action::RemoveProject { data: false }),
        ]
    }

    /// The project that this bench is for.
    fn project(&self) -> ProjectName {
        project()
    }

    /// How long a unit that never becomes ready is waited for.
    fn patience(&self) -> Duration {
        Duration::from_millis(300)
    }

    /// Looks with other eyes than the engine's that nothing but data is left.
    fn assert_nothing_left(&self);
}

/// The behaviours that the cases need, by unit: for engines that are told beforehand.
#[must_use]
pub fn behaviours() -> Vec<(&'static str, Behaviour)> {
    vec![("crashing", Behaviour::Crashes), ("stuck", Behaviour::NeverReady), ("job", Behaviour::Completes)]
}

/// Runs every case, each on a bench of its own.
///
/// # Panics
/// When a case does not hold.
pub async fn run<W: Workbench>(bench: impl Fn() -> W) {
    nothing_is_there_at_first(&bench()).await;
    up_comes_up_and_again_does_nothing(&bench()).await;
    only_what_changed_is_replaced(&bench()).await;
    restart_stop_and_start_do_what_they_say(&bench()).await;
    a_one_shot_is_done_once(&bench()).await;
    a_crash_is_told_and_stops_what_needs_it(&bench()).await;
    what_does_not_become_ready_runs_out_of_time(&bench()).await;
    an_interruption_ends_a_wait_at_once(&bench()).await;
    what_does_not_fit_is_refused(&bench()).await;
    an_orphan_is_removed_when_asked(&bench()).await;
}

async fn nothing_is_there_at_first<W: Workbench>(bench: &W) {
    let Observed { present, data, items, .. } = observe(bench).await;
    assert!(!present && !data && items.is_empty(), "{items:?}");
    let (plan, _, _) = converge(bench, Desired::nothing(bench.project()), &PlanOptions::default()).await;
    assert!(plan.is_empty(), "{plan}");
}

async fn up_comes_up_and_again_does_nothing<W: Workbench>(bench: &W) {
    let samples = [Sample::new("gateway", &["iam"]), Sample::new("iam", &[]), Sample::new("money", &["iam"])];
    up(bench, &samples).await;
    let states: BTreeSet<String> =
        observe(bench).await.items.iter().map(|item| item.state.to_string()).collect();
    assert_eq!(states, BTreeSet::from(["ready".to_owned()]));
    assert!(up(bench, &samples).await.is_empty());
    down(bench).await;
}

async fn only_what_changed_is_replaced<W: Workbench>(bench: &W) {
    up(bench, &[Sample::new("gateway", &["iam"]), Sample::new("iam", &[])]).await;
    let plan = up(bench, &[Sample::new("gateway", &["iam"]).version(2), Sample::new("iam", &[])]).await;
    let touched: BTreeSet<String> = plan.steps.iter().map(|step| step.subject.to_string()).collect();
    assert_eq!(touched, BTreeSet::from(["service gateway".to_owned()]), "{plan}");
    down(bench).await;
}

async fn restart_stop_and_start_do_what_they_say<W: Workbench>(bench: &W) {
    let samples = [Sample::new("gateway", &["iam"]), Sample::new("iam", &[])];
    up(bench, &samples).await;
    let restart = PlanOptions { restart: BTreeSet::from([name("iam")]), ..options() };
    let (plan, outcome, _) = converge(bench, wanted(bench, &samples), &restart).await;
    assert!(outcome.is_success() && plan.steps.len() == 3, "{plan}{outcome:?}");
    let mut stopped = wanted(bench, &samples);
    stopped.items.iter_mut().for_each(|item| item.target = Target::Stopped);
    let (plan, outcome, _) = converge(bench, stopped, &options()).await;
    assert!(outcome.is_success(), "{plan}{outcome:?}");
    assert!(observe(bench).await.items.iter().all(|item| item.state == UnitState::Stopped));
    up(bench, &samples).await;
    down(bench).await;
}

async fn a_one_shot_is_done_once<W: Workbench>(bench: &W) {
    let mut after = Sample::new("iam", &[]);
    after.needs.push((name("job"), Condition::Completed));
    let samples = [Sample::new("job", &[]).that(Behaviour::Completes), after];
    up(bench, &samples).await;
    assert_eq!(state(bench, "job").await, UnitState::Exited { status: ExitStatus::Code(0) });
    assert!(up(bench, &samples).await.is_empty());
    down(bench).await;
}

async fn a_crash_is_told_and_stops_what_needs_it<W: Workbench>(bench: &W) {
    let samples = [
        Sample::new("crashing", &[]).that(Behaviour::Crashes),
        Sample::new("gateway", &["crashing"]),
        Sample::new("money", &[]),
    ];
    let (plan, outcome, _) = converge(bench, wanted(bench, &samples), &options()).await;
    assert_eq!(outcome.exit_code(), ExitCode::Unhealthy, "{plan}{outcome:?}");
    let crashing = state(bench, "crashing").await;
    assert!(matches!(crashing, UnitState::CrashLooping { .. }), "{crashing}");
    let observed = observe(bench).await;
    let gateway = observed.items.iter().find(|item| item.name == name("gateway"));
    assert!(gateway.is_none_or(|item| item.state == UnitState::Stopped), "it was not started: {gateway:?}");
    down(bench).await;
}

async fn what_does_not_become_ready_runs_out_of_time<W: Workbench>(bench: &W) {
    let samples = [Sample::new("stuck", &[]).that(Behaviour::NeverReady)];
    let condition = bench.patience();
    let short = PlanOptions { deadlines: Deadlines { condition, ..Deadlines::default() }, ..options() };
    let (_, outcome, events) = converge(bench, wanted(bench, &samples), &short).await;
    assert_eq!(outcome.exit_code(), ExitCode::Timeout, "{outcome:?}");
    assert_eq!(outcome.failed[0].problem.code, "K-ENGINE-001");
    assert!(
        events.iter().any(|event| matches!(event, Event::StepWaiting { .. })),
        "it says for what it waits"
    );
    down(bench).await;
}

async fn an_interruption_ends_a_wait_at_once<W: Workbench>(bench: &W) {
    let samples = [Sample::new("stuck", &[]).that(Behaviour::NeverReady)];
    let cancel = CancellationToken::new();
    let plan = plan(&wanted(bench, &samples), &observe(bench).await, &options()).expect("a plan");
    let (events, mut listener) = Events::channel();
    let run = execute(bench.engine(), &plan, &events, &cancel);
    let interrupt = async {
        // Once it waits, somebody presses Ctrl-C.
        while let Some(event) = listener.recv().await {
            if matches!(event, Event::StepWaiting { .. }) {
                cancel.cancel();
                break;
            }
        }
    };
    let both = async { tokio::join!(run, interrupt).0 };
    let outcome = tokio::time::timeout(Duration::from_secs(30), both).await.expect("it ends");
    assert_eq!(outcome.exit_code(), ExitCode::Interrupted, "{outcome:?}");
    assert!(state(bench, "stuck").await.is_alive(), "what was started stays");
    down(bench).await;
}

async fn what_does_not_fit_is_refused<W: Workbench>(bench: &W) {
    let sample = Sample::new("iam", &[]);
    up(bench, std::slice::from_ref(&sample)).await;
    for (subject, action) in bench.misfits(&sample) {
        let what = format!("{subject}: {action}");
        let error = apply(bench, subject, action).await.expect_err(&what);
        assert_eq!(error.exit, ExitCode::Conflict, "{what}: {error}");
        assert!(error.help.is_some() || bench.engine().name() == "fake", "{what}: {error}");
    }
    assert_eq!(state(bench, "iam").await, UnitState::Ready, "it was not touched");
    down(bench).await;
}

async fn an_orphan_is_removed_when_asked<W: Workbench>(bench: &W) {
    up(bench, &[Sample::new("iam", &[]), Sample::new("old", &["iam"])]).await;
    assert!(up(bench, &[Sample::new("iam", &[])]).await.is_empty(), "it is not touched unasked");
    let remove = PlanOptions { remove_orphans: true, ..options() };
    let (plan, outcome, _) = converge(bench, wanted(bench, &[Sample::new("iam", &[])]), &remove).await;
    assert!(outcome.is_success(), "{plan}{outcome:?}");
    assert_eq!(observe(bench).await.items.len(), 1);
    down(bench).await;
}

fn options() -> PlanOptions {
    PlanOptions::default()
}

fn wanted<W: Workbench>(bench: &W, samples: &[Sample]) -> Desired {
    Desired::of(bench.project(), samples.iter().map(|sample| bench.item(sample)).collect())
}

async fn observe<W: Workbench>(bench: &W) -> Observed {
    bench.engine().observe().await.expect("it can be observed")
}

async fn state<W: Workbench>(bench: &W, unit: &str) -> UnitState {
    let observed = observe(bench).await;
    observed.items.iter().find(|item| item.name == name(unit)).expect("the unit").state
}

async fn converge<W: Workbench>(
    bench: &W,
    desired: Desired,
    options: &PlanOptions,
) -> (Plan, Outcome, Vec<Event>) {
    let plan = plan(&desired, &observe(bench).await, options).expect("a plan");
    let (events, mut listener) = Events::channel();
    let outcome = execute(bench.engine(), &plan, &events, &CancellationToken::new()).await;
    drop(events);
    let mut told = Vec::new();
    while let Some(event) = listener.recv().await {
        told.push(event);
    }
    (plan, outcome, told)
}

async fn up<W: Workbench>(bench: &W, samples: &[Sample]) -> Plan {
    let (plan, outcome, events) = converge(bench, wanted(bench, samples), &options()).await;
    assert!(outcome.is_success(), "{plan}{outcome:#?}{events:#?}");
    plan
}

async fn down<W: Workbench>(bench: &W) {
    let (plan, outcome, events) = converge(bench, Desired::nothing(bench.project()), &options()).await;
    assert!(outcome.is_success() && !plan.is_empty(), "{plan}{outcome:#?}{events:#?}");
    let left = observe(bench).await;
    assert!(left.items.is_empty() && !left.present, "{left:?}");
    bench.assert_nothing_left();
    let (again, _, _) = converge(bench, Desired::nothing(bench.project()), &options()).await;
    assert!(again.is_empty(), "{again}");
}

async fn apply<W: Workbench>(bench: &W, subject: Subject, action: Action) -> Result<(), EngineError> {
    let step = Step {
        id: StepId(1),
        subject,
        action,
        cause: Cause::Requested,
        after: Vec::new(),
        deadline: Duration::from_secs(30),
    };
    let plan = Plan { schema: Plan::SCHEMA, project: bench.project(), steps: vec![step.clone()] };
    bench.engine().prepare(&plan).await?;
    let (events, _listener) = Events::channel();
    bench.engine().apply(&step, &Context::new(&step, &events, &CancellationToken::new())).await
}
