//! The port: what every engine can do.

use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use kernel_core::event::Event;
use kernel_core::examination::Examination;
use kernel_core::name::ServiceName;
use kernel_core::plan::{Plan, Step, Subject};
use kernel_core::unit::Observed;
use tokio_util::sync::CancellationToken;

use crate::error::EngineError;
use crate::events::Events;
use crate::executor::Outcome;

/// Something that units run on. An implementation is bound to one project of one workspace and touches nothing that
/// does not carry its scope.
///
/// Every engine passes the conformance suite of `kernel-testkit`.
#[async_trait]
pub trait Engine: Send + Sync {
    /// One word: `local`, `docker`.
    fn name(&self) -> &'static str;

    /// Looks at what is there. Changes nothing and is cheap: a command that finds nothing to do does only this.
    ///
    /// # Errors
    /// When the engine can't be asked.
    async fn observe(&self) -> Result<Observed, EngineError>;

    /// Checks everything that can be checked before the first step, such as ports that others hold, and reports all of
    /// it at once. Changes nothing.
    ///
    /// # Errors
    /// Says what stands in the way.
    async fn prepare(&self, plan: &Plan) -> Result<(), EngineError>;

    /// Does one step, whose `after` steps are done. Returns when the step's promise is true, not before; waits by
    /// listening where the engine can tell. The future may be dropped at any point of an await or build.
    ///
    /// # Errors
    /// Says why the promise could not be made true.
    async fn apply(&self, step: &Step, context: &Context) -> Result<(), EngineError>;

    /// Asked when a plan failed: whether the engine itself went away in the middle and is there again, so that it is worth
    /// looking at what is left to do. Waits for it with a patience that the implementation documents, says so, and gives up
    /// when `cancel` is cancelled. An engine that can't go away has nothing to wait for.
    async fn is_back(&self, failed: &Outcome, events: &Events, cancel: &CancellationToken) -> bool {
        let _ = (failed, events, cancel);
        false
    }

    /// What can be shown when a step ran out of time: the last log lines of its unit.
    async fn evidence(&self, subject: &Subject) -> Vec<String> {
        let _ = subject;
        Vec::new()
    }

    /// Looks closely at every process or container of a service, for `why`. Changes nothing.
    ///
    /// # Errors
    /// When the engine can't be asked.
    async fn examine(&self, service: &ServiceName) -> Result<Vec<Examination>, EngineError> {
        let last_lines = self.evidence(&Subject::Service(service.clone())).await;
        let name = service.to_string();
        Ok(vec![Examination { name, last_lines, ..Examination::default() }])
    }
}

/// What a step gets beside itself: a voice, and an ear for interruption.
#[derive(Debug)]
pub struct Context {
    step: Step,
    events: Events,
    cancel: CancellationToken,
    waiting: Mutex<Option<String>>,
}

impl Context {
    /// For `step`, with a voice and an ear.
    #[must_use]
    pub fn new(step: &Step, events: &Events, cancel: &CancellationToken) -> Self {
        Self { step: step.clone(), events: events.clone(), cancel: cancel.clone(), waiting: Mutex::new(None) }
    }

    /// Tells a fact.
    pub fn emit(&self, event: Event) {
        self.events.emit(event);
    }

    /// Tells how far the step is.
    pub fn progress(&self, message: impl Into<String>, done: Option<u64>, total: Option<u64>) {
        self.emit(Event::StepProgress { step: self.step.id, message: message.into(), done, total });
    }

    /// Tells what the step waits for; the same reason twice is told once. When the deadline passes, the last reason is
    /// part of the error.
    pub fn waiting(&self, reason: impl Into<String>) {
        let reason = reason.into();
        let mut last = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if last.as_deref() != Some(&*reason) {
            *last = Some(reason.clone());
            drop(last);
            let subject = self.step.subject.clone();
            self.emit(Event::StepWaiting { step: self.step.id, subject, reason });
        }
    }

    /// What the step said last that it waits for.
    #[must_use]
    pub fn last_reason(&self) -> Option<String> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Cancelled when somebody interrupts. Awaits and builds need not look: they are dropped.
    #[must_use]
    pub const fn cancellation(&self) -> &CancellationToken {
        &self.cancel
    }
}
