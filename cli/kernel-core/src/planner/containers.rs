//! The same decision for an engine that runs containers: a graph of single API calls.
//!
//! A container can't be changed, so what differs is replaced: the new one is created beside the old one, under a name
//! of its own, before the old one is touched; then the old one is stopped and removed, and the new one gets its name.
//! Creating waits for nobody's health, only starting does.
//!
//! First each container that is there is judged (`judge`), then the verdicts become steps (`draft`).

mod draft;
mod judge;
mod rolling;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{PlanError, PlanOptions};
use crate::container::{DesiredContainer, FoundContainer, World};
use crate::name::ServiceName;
use crate::plan::{Action, Cause, Plan, Subject};
use crate::unit::{Condition, Desired, DesiredItem, DesiredKind};

/// How many hexadecimal digits of the old container's id stand before the name of the one that replaces it.
const PREFIX: usize = 12;

/// Decides what to do. `order` has each wanted unit after all that it needs.
pub(super) fn plan(
    desired: &Desired,
    order: &[&DesiredItem],
    world: &World,
    options: &PlanOptions,
) -> Result<Plan, PlanError> {
    let mut planner = Planner {
        desired,
        wanted: order
            .iter()
            .filter_map(|item| match &item.kind {
                DesiredKind::Container(container) => Some(Wanted { item, container }),
                _ => None,
            })
            .collect(),
        world,
        options,
        renewed: BTreeSet::new(),
        members: BTreeMap::new(),
        unwanted: Vec::new(),
        drafts: Vec::new(),
        created: BTreeMap::new(),
        stops: BTreeMap::new(),
        starts: BTreeMap::new(),
        awaits: BTreeMap::new(),
    };
    planner.check()?;
    planner.find_renewed_networks()?;
    planner.judge_all();
    planner.check_rolling()?;
    planner.judge_unwanted();
    planner.draft()?;
    Ok(Plan { schema: Plan::SCHEMA, project: desired.project.clone(), steps: planner.ordered() })
}

/// The name of the container that will replace `found`.
fn temporary(found: &FoundContainer, name: &str) -> String {
    format!("{}_{name}", found.id.get(..PREFIX).unwrap_or(&found.id))
}

fn is_temporary(found: &FoundContainer, name: &str) -> bool {
    found
        .name
        .strip_suffix(name)
        .and_then(|rest| rest.strip_suffix('_'))
        .is_some_and(|prefix| prefix.len() == PREFIX && prefix.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

#[derive(Clone, Copy)]
struct Wanted<'a> {
    item: &'a DesiredItem,
    container: &'a DesiredContainer,
}

/// One container that there is or will be.
struct Member<'a> {
    number: u32,
    name: String,
    /// What is there now.
    found: Option<&'a FoundContainer>,
    /// Why a new one is made.
    create: Option<Cause>,
    /// The old one ends before the new one is made: what they share can't be had twice.
    ends_first: bool,
    /// Why it is started.
    start: Option<Cause>,
    /// It runs and is stopped before it is started.
    again: bool,
    /// It is frozen.
    paused: bool,
    /// It was made to replace another and did not get its name yet.
    unnamed: bool,
    /// It runs, and what others or we wait for is not yet true of it.
    unfinished: bool,
}

impl Member<'_> {
    /// Whether the container that is there will be gone.
    const fn is_replaced(&self) -> bool {
        self.found.is_some() && self.create.is_some()
    }
}

/// A step that has no number yet.
struct Draft {
    subject: Subject,
    action: Action,
    cause: Cause,
    after: Vec<usize>,
    deadline: Duration,
}

struct Planner<'a> {
    desired: &'a Desired,
    wanted: Vec<Wanted<'a>>,
    world: &'a World,
    options: &'a PlanOptions,
    /// Networks that are removed and made again.
    renewed: BTreeSet<&'a str>,
    members: BTreeMap<&'a ServiceName, Vec<Member<'a>>>,
    /// Containers that end and are removed.
    unwanted: Vec<(&'a FoundContainer, Cause)>,
    drafts: Vec<Draft>,
    /// By service: the create steps.
    created: BTreeMap<&'a ServiceName, Vec<usize>>,
    /// By container id: the step after which nothing of it runs.
    stops: BTreeMap<&'a str, usize>,
    /// By service: the start steps.
    starts: BTreeMap<&'a ServiceName, Vec<usize>>,
    awaits: BTreeMap<(&'a ServiceName, Condition), usize>,
}
