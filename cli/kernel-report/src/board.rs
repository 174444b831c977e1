//! The state of everything that is worked on, kept from the event stream: what the living and the plain renderer
//! both tell. Pure: events in, changed rows out.

use std::collections::BTreeMap;

use kernel_core::event::{Event, Verdict};
use kernel_core::object::ObjectAction;
use kernel_core::plan::{Action, Plan, StepId, Subject};
use kernel_core::unit::{Condition, UnitState};

/// Rows in the order in which they will be worked on.
#[derive(Clone, Debug, Default)]
pub struct Board {
    rows: Vec<Row>,
    steps: BTreeMap<StepId, KnownStep>,
    checks: BTreeMap<String, Checks>,
}

/// What one thing is at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its name: a service, `workspace`, or the project.
    pub name: String,
    /// How it fares.
    pub phase: Phase,
    /// The same in words, with the reason.
    pub text: String,
    /// Since when, in milliseconds since the command began.
    pub since_ms: u64,
    /// Who is waited for, while it is held.
    waits_for: Vec<String>,
    steps_left: usize,
    /// An object of a cluster that only has to be there: one of many, and done in no time.
    brief: bool,
}

impl Row {
    /// Whether it is worth a line of a screen that is not endless.
    #[must_use]
    pub const fn is_worth_a_line(&self) -> bool {
        !self.brief || matches!(self.phase, Phase::Busy | Phase::Waiting | Phase::Bad)
    }
}

/// How one thing fares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Can't begin yet.
    Held,
    /// Is worked on.
    Busy,
    /// Waits for something outside.
    Waiting,
    /// Reached what was wanted.
    Good,
    /// Did not.
    Bad,
    /// Was given up because of something else.
    Cancelled,
}

#[derive(Clone, Debug)]
struct KnownStep {
    name: String,
    done: &'static str,
}

#[derive(Clone, Debug, Default)]
struct Checks {
    started: usize,
    finished: usize,
    failed: usize,
}

impl Board {
    /// The rows, in the order in which they will be worked on.
    #[must_use]
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// The rows that are not at their end.
    pub fn open(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(|row| matches!(row.phase, Phase::Held | Phase::Busy | Phase::Waiting))
    }

    /// Why a row is where it is, with the reason of the one that it waits for: `waiting for iam: …`.
    #[must_use]
    pub fn explain(&self, row: &Row) -> String {
        let [waited_for] = row.waits_for.as_slice() else { return row.text.clone() };
        match self.rows.iter().find(|other| &other.name == waited_for) {
            Some(other) if other.phase == Phase::Waiting => format!("{}: {}", row.text, other.text),
            _ => row.text.clone(),
        }
    }

    /// Takes a fact; returns the place of the row that it changed, if it changed one.
    pub fn apply(&mut self, at_ms: u64, event: &Event) -> Option<usize> {
        match event {
            Event::PlanMade { plan, .. } => {
                self.learn(plan, at_ms);
                None
            }
            Event::StepHeld { subject, waits_for, .. } => {
                let own = name_of(subject);
                let place = self.place(at_ms, &own);
                // The first step of a row tells what it waits for; the later ones wait for the first.
                if !self.rows[place].waits_for.is_empty() {
                    return None;
                }
                let steps = waits_for.iter().filter_map(|id| self.steps.get(id));
                let mut names: Vec<String> =
                    steps.map(|step| step.name.clone()).filter(|name| *name != own).collect();
                names.dedup();
                if names.is_empty() {
                    return None;
                }
                let changed = self.set(at_ms, &own, Phase::Held, format!("waiting for {}", names.join(", ")));
                self.rows[place].waits_for = names;
                changed
            }
            Event::StepStarted { subject, verb, .. } => {
                let doing = match *verb {
                    "build" => "building",
                    "start" => "starting",
                    "stop" => "stopping",
                    "remove" => "removing",
                    // The reason follows with the first look at it; until then "started" says it all.
                    "await" => return None,
                    other => other,
                };
                self.set(at_ms, &name_of(subject), Phase::Busy, doing.to_owned())
            }
            Event::StepProgress { step, message, done, total } => {
                let name = self.steps.get(step)?.name.clone();
                let text = match (done, total) {
                    (Some(done), Some(total)) => format!("{message} ({done}/{total})"),
                    _ => message.clone(),
                };
                self.set(at_ms, &name, Phase::Busy, text)
            }
            Event::StepWaiting { subject, reason, .. } => {
                self.set(at_ms, &name_of(subject), Phase::Waiting, reason.clone())
            }
            Event::StepFinished { step, subject, .. } => {
                let done = self.steps.get(step).map_or("done", |step| step.done);
                let name = name_of(subject);
                let place = self.place(at_ms, &name);
                self.rows[place].steps_left = self.rows[place].steps_left.saturating_sub(1);
                let phase = if self.rows[place].steps_left == 0 { Phase::Good } else { Phase::Busy };
                self.set(at_ms, &name, phase, done.to_owned())
            }
            Event::StepFailed { subject, verb, problem, .. } => {
                let name = name_of(subject);
                let place = self.place(at_ms, &name);
                // How its unit ended is told already.
                if self.rows[place].phase == Phase::Bad {
                    return None;
                }
                self.set(at_ms, &name, Phase::Bad, format!("{verb} failed: {}", problem.message))
            }
            Event::StepCancelled { subject, because, .. } => {
                let name = name_of(subject);
                let place = self.place(at_ms, &name);
                if self.rows[place].phase == Phase::Bad {
                    return None;
                }
                self.set(at_ms, &name, Phase::Cancelled, format!("given up: {because}"))
            }
            Event::UnitChanged { unit, state, detail, .. } => {
                let (phase, text) = match (state, detail) {
                    // The step that waits for it says the same.
                    (UnitState::Starting, Some(detail)) => (Phase::Waiting, detail.clone()),
                    (state, Some(detail)) => (phase_of(*state), format!("{state}: {detail}")),
                    (state, None) => (phase_of(*state), state.to_string()),
                };
                self.set(at_ms, unit.as_str(), phase, text)
            }
            Event::CheckStarted { service, .. } => {
                self.checks.entry(service.to_string()).or_default().started += 1;
                self.count_checks(at_ms, service.as_str())
            }
            Event::CheckFinished(result) => {
                let checks = self.checks.entry(result.service.to_string()).or_default();
                checks.finished += 1;
                checks.started = checks.started.max(checks.finished);
                checks.failed += usize::from(result.verdict == Verdict::Failed);
                self.count_checks(at_ms, result.service.as_str())
            }
            Event::PlanFinished { .. }
            | Event::LogLine(_)
            | Event::Endpoint { .. }
            | Event::Embedded { .. }
            | Event::Notice { .. }
            | Event::Problem(_) => None,
        }
    }

    fn learn(&mut self, plan: &Plan, at_ms: u64) {
        for step in &plan.steps {
            let name = name_of(&step.subject);
            let known = self.rows.len();
            let place = self.place(at_ms, &name);
            let row = &mut self.rows[place];
            row.steps_left += 1;
            let awaited = matches!(&step.action, Action::Object(action) if matches!(**action, ObjectAction::AwaitReady));
            let is_object = matches!(step.subject, Subject::Object(_));
            row.brief = is_object && !awaited && (row.brief || place == known);
            let done = match &step.action {
                Action::Build { .. } => "built",
                Action::Start(_) => "started",
                Action::Await { condition: Condition::Started } => "running",
                Action::Await { condition: Condition::Healthy } => "ready",
                Action::Await { condition: Condition::Completed } => "completed",
                Action::Stop { .. } => "stopped",
                Action::Remove | Action::RemoveProject { .. } => "removed",
                Action::Call(call) => call.done(),
                Action::Object(action) => action.done(),
            };
            self.steps.insert(step.id, KnownStep { name, done });
        }
    }

    fn count_checks(&mut self, at_ms: u64, name: &str) -> Option<usize> {
        let checks = self.checks.get(name)?;
        let (phase, text) = match checks {
            Checks { failed: 0, started, finished } if started == finished => {
                (Phase::Good, format!("{finished} checks passed"))
            }
            Checks { failed: 0, started, finished } => {
                (Phase::Busy, format!("checking ({finished}/{started})"))
            }
            Checks { failed, started, .. } => (Phase::Bad, format!("{failed} of {started} checks failed")),
        };
        self.set(at_ms, name, phase, text)
    }

    fn set(&mut self, at_ms: u64, name: &str, phase: Phase, text: String) -> Option<usize> {
        let place = self.place(at_ms, name);
        let row = &mut self.rows[place];
        row.waits_for.clear();
        row.phase = phase;
        if row.text == text {
            return None;
        }
        (row.text, row.since_ms) = (text, at_ms);
        Some(place)
    }

    fn place(&mut self, at_ms: u64, name: &str) -> usize {
        if let Some(place) = self.rows.iter().position(|row| row.name == name) {
            return place;
        }
        self.rows.push(Row {
            name: name.to_owned(),
            phase: Phase::Held,
            text: "planned".to_owned(),
            since_ms: at_ms,
            waits_for: Vec::new(),
            steps_left: 0,
            brief: false,
        });
        self.rows.len() - 1
    }
}

fn name_of(subject: &Subject) -> String {
    match subject {
        Subject::Project(name) => name.to_string(),
        Subject::Workspace => "workspace".to_owned(),
        Subject::Service(name) => name.to_string(),
        Subject::Network(name) | Subject::Volume(name) | Subject::Image(name) => name.clone(),
        Subject::Object(name) => name.to_string(),
    }
}

const fn phase_of(state: UnitState) -> Phase {
    match state {
        UnitState::Ready | UnitState::Stopped => Phase::Good,
        UnitState::Starting | UnitState::Stopping => Phase::Busy,
        UnitState::Unready | UnitState::Restarting | UnitState::Leftover => Phase::Waiting,
        UnitState::Exited { status } if status.is_success() => Phase::Good,
        UnitState::CrashLooping { .. } | UnitState::Exited { .. } => Phase::Bad,
    }
}
