//! Runs a plan over an engine: every step as soon as the steps before it are done, all at the same time.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use kernel_core::event::{Event, Problem};
use kernel_core::exit::ExitCode;
use kernel_core::plan::{Action, Plan, Step, StepId, Subject};
use tokio_util::sync::CancellationToken;

use crate::codes;
use crate::engine::{Context, Engine};
use crate::error::EngineError;
use crate::events::Events;

/// What came of a plan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Steps that succeeded, in the order in which they did.
    pub finished: Vec<StepId>,
    /// What went wrong, in the order in which it did. The first is the cause of all cancellations.
    pub failed: Vec<Failure>,
    /// Steps that never began or were given up.
    pub cancelled: Vec<StepId>,
    /// Somebody interrupted before the end.
    pub interrupted: bool,
}

/// One thing that went wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The step; `None` when something stood in the way of the plan as a whole.
    pub step: Option<StepId>,
    /// Of whom.
    pub subject: Option<Subject>,
    /// What.
    pub problem: Problem,
    /// What that means for the exit code.
    pub exit: ExitCode,
}

impl Outcome {
    /// Whether every step succeeded.
    #[must_use]
    pub const fn is_success(&self) -> bool {
        self.failed.is_empty() && self.cancelled.is_empty()
    }

    /// How the command should end.
    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        match self.failed.first() {
            Some(failure) => failure.exit,
            None if self.interrupted && !self.cancelled.is_empty() => ExitCode::Interrupted,
            None => ExitCode::Success,
        }
    }
}

/// Carries out `plan` on `engine`.
///
/// The first failure lets running steps come to their end and cancels the rest. When `cancel` is cancelled, builds and
/// waits are given up at once, starts and stops that have begun are finished, the rest is cancelled. Either way every
/// step is told of: finished, failed or cancelled.
pub async fn execute(
    engine: &dyn Engine,
    plan: &Plan,
    events: &Events,
    cancel: &CancellationToken,
) -> Outcome {
    let begun = Instant::now();
    let mut run = Run { plan, events, outcome: Outcome::default(), done: BTreeSet::new(), because: None };
    match engine.prepare(plan).await {
        Ok(()) => run.steps(engine, cancel).await,
        Err(error) => {
            let problem = error.problem();
            events.emit(Event::Problem(problem.clone()));
            run.because = Some("nothing was begun".to_owned());
            run.outcome.failed.push(Failure { step: None, subject: None, problem, exit: error.exit });
        }
    }
    run.cancel_rest();
    let outcome = run.outcome;
    events.emit(Event::PlanFinished {
        finished: outcome.finished.len(),
        failed: outcome.failed.len(),
        cancelled: outcome.cancelled.len(),
        elapsed_ms: milliseconds(begun.elapsed()),
    });
    outcome
}

struct Run<'a> {
    plan: &'a Plan,
    events: &'a Events,
    outcome: Outcome,
    /// Steps about which everything is said.
    done: BTreeSet<StepId>,
    /// Why nothing new begins.
    because: Option<String>,
}

/// How one step ended.
enum End {
    Done(Result<(), EngineError>),
    GivenUp,
}

impl<'a> Run<'a> {
    async fn steps(&mut self, engine: &dyn Engine, cancel: &CancellationToken) {
        let mut open: BTreeMap<StepId, &'a Step> =
            self.plan.steps.iter().map(|step| (step.id, step)).collect();
        for step in self.plan.steps.iter().filter(|step| !step.after.is_empty()) {
            let (subject, waits_for) = (step.subject.clone(), step.after.clone());
            self.events.emit(Event::StepHeld { step: step.id, subject, waits_for });
        }
        let mut running = FuturesUnordered::new();
        loop {
            if cancel.is_cancelled() {
                self.outcome.interrupted = true;
                self.because.get_or_insert_with(|| "interrupted".to_owned());
            }
            if self.because.is_none() {
                let finished = &self.outcome.finished;
                let ready: Vec<&Step> = open
                    .values()
                    .filter(|step| step.after.iter().all(|before| finished.contains(before)))
                    .copied()
                    .collect();
                for step in ready {
                    open.remove(&step.id);
                    self.events.emit(Event::step_started(step));
                    running.push(run_step(engine, step, self.events, cancel));
                }
            }
            let Some((step, elapsed, end)) = running.next().await else { break };
            self.ended(step, elapsed, end);
        }
    }

    fn ended(&mut self, step: &Step, elapsed: Duration, end: End) {
        let (id, subject, verb) = (step.id, step.subject.clone(), step.action.verb());
        let elapsed_ms = milliseconds(elapsed);
        match end {
            End::Done(Ok(())) => {
                self.done.insert(id);
                self.outcome.finished.push(id);
                self.events.emit(Event::StepFinished { step: id, subject, verb, elapsed_ms });
            }
            End::Done(Err(error)) => {
                self.done.insert(id);
                let problem = error.problem();
                self.because.get_or_insert_with(|| format!("{id} {subject} failed"));
                self.outcome.failed.push(Failure {
                    step: Some(id),
                    subject: Some(subject.clone()),
                    problem: problem.clone(),
                    exit: error.exit,
                });
                self.events.emit(Event::StepFailed { step: id, subject, verb, elapsed_ms, problem });
            }
            End::GivenUp => self.outcome.interrupted = true,
        }
    }

    fn cancel_rest(&mut self) {
        let because = self.because.clone().unwrap_or_else(|| "interrupted".to_owned());
        for step in self.plan.steps.iter().filter(|step| !self.done.contains(&step.id)) {
            self.outcome.cancelled.push(step.id);
            let (subject, because) = (step.subject.clone(), because.clone());
            self.events.emit(Event::StepCancelled { step: step.id, subject, because });
        }
    }
}

async fn run_step<'a>(
    engine: &dyn Engine,
    step: &'a Step,
    events: &Events,
    cancel: &CancellationToken,
) -> (&'a Step, Duration, End) {
    let begun = Instant::now();
    let context = Context::new(step, events, cancel);
    let work = tokio::time::timeout(step.deadline, engine.apply(step, &context));
    let result = if step.action.can_be_given_up() {
        tokio::select! {
            result = work => result,
            () = cancel.cancelled() => return (step, begun.elapsed(), End::GivenUp),
        }
    } else {
        work.await
    };
    let end = match result {
        Ok(result) => result,
        Err(_) => Err(out_of_time(engine, step, &context).await),
    };
    (step, begun.elapsed(), End::Done(end))
}

async fn out_of_time(engine: &dyn Engine, step: &Step, context: &Context) -> EngineError {
    let limit = seconds(step.deadline);
    let seen = context.last_reason().map_or_else(String::new, |reason| format!(": {reason}"));
    let message = format!("{}: `{}` did not come to its end within {limit}{seen}", step.subject, step.action);
    let help = match (&step.subject, &step.action) {
        (Subject::Service(name), Action::Await { .. }) => {
            format!("read `kernel logs {name}`, or give it more time with `--wait-timeout`")
        }
        (Subject::Service(name), _) => format!("read `kernel logs {name}`, then run the command again"),
        _ => "run the command again: it goes on where this one ended".to_owned(),
    };
    EngineError::new(codes::DEADLINE, ExitCode::Timeout, message)
        .help(help)
        .evidence(engine.evidence(&step.subject).await)
}

fn seconds(duration: Duration) -> String {
    let milliseconds = duration.as_millis();
    if milliseconds.is_multiple_of(1000) {
        format!("{} s", milliseconds / 1000)
    } else {
        format!("{milliseconds} ms")
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
