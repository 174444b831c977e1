//! An engine that only plays, and is harder to please than any real one: it refuses steps that nobody prepared, steps
//! out of order, steps that come twice, and whatever does not fit the state of a unit.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use kernel_core::exit::ExitCode;
use kernel_core::name::ServiceName;
use kernel_core::plan::{Action, Plan, Start, Step, StepId, Subject};
use kernel_core::unit::{Condition, ExitStatus, Fingerprint, Observed, ObservedItem, UnitState};
use kernel_engine::{Context, Engine, EngineError, codes};
use tokio::sync::Barrier;

use crate::sample::Behaviour;

/// An engine without a world.
#[derive(Debug, Default)]
pub struct FakeEngine {
    behaviours: BTreeMap<ServiceName, Behaviour>,
    meetings: BTreeMap<StepId, Arc<Barrier>>,
    refuses: Option<String>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    observed: Observed,
    plan: Option<Plan>,
    done: BTreeSet<StepId>,
    begun: Vec<StepId>,
}

impl FakeEngine {
    /// With nothing in it; all units are healthy.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A unit behaves otherwise.
    #[must_use]
    pub fn with(mut self, unit: ServiceName, behaviour: Behaviour) -> Self {
        self.behaviours.insert(unit, behaviour);
        self
    }

    /// These steps end only when all of them have begun: nobody gets through who runs them one by one.
    #[must_use]
    pub fn meeting(mut self, steps: &[u32]) -> Self {
        let barrier = Arc::new(Barrier::new(steps.len()));
        self.meetings.extend(steps.iter().map(|step| (StepId(*step), Arc::clone(&barrier))));
        self
    }

    /// Nothing can be prepared.
    #[must_use]
    pub fn refusing(mut self, because: &str) -> Self {
        self.refuses = Some(because.to_owned());
        self
    }

    /// The steps that have begun, in order.
    #[must_use]
    pub fn begun(&self) -> Vec<u32> {
        self.state().begun.iter().map(|step| step.0).collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What no executor may do, and no planner may plan.
    fn begin(&self, step: &Step) -> Result<(), EngineError> {
        let mut state = self.state();
        let known = state.plan.as_ref().and_then(|plan| plan.step(step.id));
        if known != Some(step) {
            return Err(refused(format!("{step}: it is not a step of the prepared plan")));
        }
        if state.begun.contains(&step.id) {
            return Err(refused(format!("{step}: it comes a second time")));
        }
        if let Some(before) = step.after.iter().find(|before| !state.done.contains(before)) {
            return Err(refused(format!("{step}: {before} is not done")));
        }
        state.begun.push(step.id);
        Ok(())
    }

    fn start(&self, name: &ServiceName, start: &Start) -> Result<(), EngineError> {
        let mut state = self.state();
        if let Some(item) =
            state.observed.items.iter().find(|item| item.name == *name && item.state.is_alive())
        {
            return Err(refused(format!("`{name}` is {} already", item.state)));
        }
        state.observed.items.retain(|item| item.name != *name);
        state.observed.present = true;
        let version = start.spec.environment.get("VERSION").map(|value| value.shown().to_owned());
        state.observed.items.push(ObservedItem {
            name: name.clone(),
            state: match self.behaviour(name) {
                Behaviour::Crashes => UnitState::CrashLooping { status: ExitStatus::Code(1) },
                Behaviour::Completes => UnitState::Exited { status: ExitStatus::Code(0) },
                Behaviour::Healthy | Behaviour::NeverReady => UnitState::Starting,
            },
            fingerprint: Some(Fingerprint(
                version.map(|version| ("environment".to_owned(), version)).into_iter().collect(),
            )),
            depends_on: start.depends_on.iter().map(|needed| needed.name.clone()).collect(),
            stop_grace_ms: 1000,
            pid: Some(1),
            ports: start.spec.ports.clone(),
            restarts: 0,
            since: String::new(),
            detail: None,
        });
        Ok(())
    }

    fn behaviour(&self, name: &ServiceName) -> Behaviour {
        self.behaviours.get(name).copied().unwrap_or(Behaviour::Healthy)
    }

    async fn wait(
        &self,
        name: &ServiceName,
        condition: Condition,
        context: &Context,
    ) -> Result<(), EngineError> {
        let now = self.with_item(name, |item| item.state)?;
        match now {
            UnitState::Exited { status } if status.is_success() => return Ok(()),
            state if !state.is_alive() => {
                let message = format!("`{name}` is {state}");
                return Err(EngineError::new(codes::OUT_OF_STEP, ExitCode::Unhealthy, message));
            }
            _ => {}
        }
        match (condition, self.behaviour(name)) {
            (Condition::Started, _) => Ok(()),
            (Condition::Healthy, Behaviour::Healthy) => {
                self.with_item(name, |item| item.state = UnitState::Ready)
            }
            _ => {
                context.waiting(format!("`{name}` is {now}"));
                std::future::pending().await
            }
        }
    }

    fn with_item<T>(
        &self,
        name: &ServiceName,
        change: impl FnOnce(&mut ObservedItem) -> T,
    ) -> Result<T, EngineError> {
        let mut state = self.state();
        let item = state.observed.items.iter_mut().find(|item| item.name == *name);
        item.map(change).ok_or_else(|| refused(format!("there is no `{name}`")))
    }
}

fn refused(message: String) -> EngineError {
    EngineError::new(codes::OUT_OF_STEP, ExitCode::Conflict, message)
}

#[async_trait]
impl Engine for FakeEngine {
    fn name(&self) -> &'static str {
        "fake"
    }

    async fn observe(&self) -> Result<Observed, EngineError> {
        Ok(self.state().observed.clone())
    }

    async fn prepare(&self, plan: &Plan) -> Result<(), EngineError> {
        if let Some(because) = &self.refuses {
            return Err(EngineError::new(codes::UNSUPPORTED, ExitCode::Prerequisite, because.clone()));
        }
        let mut state = self.state();
        (state.plan, state.done, state.begun) = (Some(plan.clone()), BTreeSet::new(), Vec::new());
        Ok(())
    }

    async fn apply(&self, step: &Step, context: &Context) -> Result<(), EngineError> {
        self.begin(step)?;
        if let Some(meeting) = self.meetings.get(&step.id) {
            meeting.wait().await;
        }
        match (&step.action, &step.subject) {
            (Action::Build { .. }, Subject::Workspace) => {}
            (Action::Start(start), Subject::Service(name)) => self.start(name, start)?,
            (Action::Await { condition }, Subject::Service(name)) => {
                self.wait(name, *condition, context).await?;
            }
            (Action::Stop { .. }, Subject::Service(name)) => self.with_item(name, |item| {
                if !item.state.is_alive() {
                    return Err(refused(format!("`{name}` is {} already", item.state)));
                }
                item.state = UnitState::Stopped;
                Ok(())
            })??,
            (Action::Remove, Subject::Service(name)) => {
                if self.with_item(name, |item| item.state.is_alive())? {
                    return Err(refused(format!("`{name}` still runs")));
                }
                self.state().observed.items.retain(|item| item.name != *name);
            }
            (Action::RemoveProject { data }, Subject::Project(_)) => {
                let mut state = self.state();
                if let Some(item) = state.observed.items.iter().find(|item| item.state.is_alive()) {
                    return Err(refused(format!("`{}` still runs", item.name)));
                }
                let data = state.observed.data && !data;
                state.observed = Observed { data, ..Observed::default() };
            }
            _ => return Err(refused(format!("{step}: action and subject do not fit"))),
        }
        self.state().done.insert(step.id);
        Ok(())
    }
}
