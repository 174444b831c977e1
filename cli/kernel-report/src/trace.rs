//! The event stream as a trace in the format of Chrome and Perfetto: one row per service, one bar per step or check,
//! a counter of ready units. What set the time of the whole is then easy to see.

use std::collections::BTreeMap;

use kernel_core::event::{CheckResult, Event};
use kernel_core::plan::{StepId, Subject};
use kernel_core::unit::UnitState;
use serde_json::{Value, json};

use crate::Listener;
use crate::plain::word_of;

const PROCESS: u32 = 1;

/// Gathers a trace.
#[derive(Debug, Default)]
pub struct Trace {
    entries: Vec<Value>,
    rows: BTreeMap<String, usize>,
    running: BTreeMap<StepId, u64>,
    causes: BTreeMap<StepId, String>,
    ready: BTreeMap<String, bool>,
}

impl Trace {
    /// The trace so far, as the text of a file.
    #[must_use]
    pub fn to_json(&self) -> String {
        json!({ "displayTimeUnit": "ms", "traceEvents": self.entries }).to_string()
    }

    fn row(&mut self, name: &str) -> usize {
        if let Some(row) = self.rows.get(name) {
            return *row;
        }
        let row = self.rows.len() + 1;
        self.rows.insert(name.to_owned(), row);
        self.entries.push(json!({
            "name": "thread_name", "ph": "M", "pid": PROCESS, "tid": row, "args": { "name": name },
        }));
        row
    }

    fn bar(&mut self, row: &str, name: &str, from_ms: u64, elapsed_ms: u64, arguments: &Value) {
        let row = self.row(row);
        self.entries.push(json!({
            "name": name, "ph": "X", "pid": PROCESS, "tid": row,
            "ts": from_ms * 1000, "dur": elapsed_ms * 1000, "args": arguments,
        }));
    }

    fn mark(&mut self, row: &str, name: &str, at_ms: u64) {
        let row = self.row(row);
        self.entries.push(json!({
            "name": name, "ph": "i", "s": "t", "pid": PROCESS, "tid": row, "ts": at_ms * 1000,
        }));
    }

    fn step(
        &mut self,
        step: StepId,
        subject: &Subject,
        verb: &str,
        at_ms: u64,
        elapsed_ms: u64,
        result: &str,
    ) {
        let from = self.running.remove(&step).unwrap_or(at_ms.saturating_sub(elapsed_ms));
        let cause = self.causes.get(&step).cloned();
        let arguments = json!({ "step": step, "cause": cause, "result": result });
        self.bar(&subject.to_string(), verb, from, at_ms.saturating_sub(from), &arguments);
    }

    fn check(&mut self, result: &CheckResult, at_ms: u64) {
        let from = at_ms.saturating_sub(result.elapsed_ms);
        let arguments = json!({ "result": word_of(result.verdict), "attempts": result.attempts });
        // Checks of one service overlap, so each has a row of its own.
        let row = format!("{} {}", result.service, result.check);
        self.bar(&row, &result.check, from, result.elapsed_ms, &arguments);
    }
}

impl Listener for Trace {
    fn on(&mut self, at_ms: u64, event: &Event) {
        match event {
            Event::PlanMade { plan, .. } => {
                let causes = plan.steps.iter().map(|step| (step.id, step.cause.to_string()));
                self.causes.extend(causes);
            }
            Event::StepStarted { step, .. } => {
                self.running.insert(*step, at_ms);
            }
            Event::StepWaiting { subject, reason, .. } => self.mark(&subject.to_string(), reason, at_ms),
            Event::StepFinished { step, subject, verb, elapsed_ms } => {
                self.step(*step, subject, verb, at_ms, *elapsed_ms, "finished");
            }
            Event::StepFailed { step, subject, verb, elapsed_ms, problem } => {
                self.step(*step, subject, verb, at_ms, *elapsed_ms, &problem.message);
            }
            Event::UnitChanged { unit, state, .. } => {
                self.mark(&Subject::Service(unit.clone()).to_string(), &state.to_string(), at_ms);
                self.ready.insert(unit.to_string(), *state == UnitState::Ready);
                let ready = self.ready.values().filter(|ready| **ready).count();
                self.entries.push(json!({
                    "name": "ready units", "ph": "C", "pid": PROCESS, "ts": at_ms * 1000, "args": { "ready": ready },
                }));
            }
            Event::CheckFinished(result) => self.check(result, at_ms),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    #[test]
    fn every_step_is_a_bar_with_its_cause() {
        let mut trace = Trace::default();
        for (at_ms, event) in &samples::up() {
            trace.on(*at_ms, event);
        }
        let trace: Value = serde_json::from_str(&trace.to_json()).unwrap();
        let bars: Vec<String> = trace["traceEvents"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|entry| entry["ph"] == "X")
            .map(|bar| {
                let time = (bar["ts"].as_u64().unwrap() / 1000, bar["dur"].as_u64().unwrap() / 1000);
                format!("{} {} {}+{} {}", bar["tid"], bar["name"], time.0, time.1, bar["args"]["cause"])
            })
            .collect();
        insta::assert_snapshot!(bars.join("\n"), @r#"
        1 "build" 6+894 "not built yet"
        2 "start" 901+49 "not found"
        2 "await" 951+249 "started"
        3 "start" 1201+29 "not found"
        3 "await" 1231+169 "started"
        "#);
    }
}
