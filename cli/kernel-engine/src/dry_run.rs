//! `--dry-run`: an executor that holds no engine, and so can't change anything.

use kernel_core::event::Event;
use kernel_core::plan::Plan;

use crate::events::Events;

/// Shows a plan. There is nothing in it to write with: no engine, no path, no socket.
#[derive(Clone, Copy, Debug, Default)]
pub struct DryRun;

impl DryRun {
    /// Tells exactly the plan that would run.
    pub fn show(self, plan: &Plan, events: &Events) {
        events.emit(Event::PlanMade { plan: plan.clone(), dry_run: true });
    }
}
