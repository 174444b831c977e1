//! From what is wanted and what is there to a plan: pure, and the same each time.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kernel_core::name::ProjectName;
use kernel_core::object::{ObjectAction, ObjectName};
use kernel_core::plan::{Action, Cause, Plan, Step, StepId, Subject};
use sha2::{Digest, Sha256};

use crate::applyset::{ApplySet, Member, Scope};
use crate::codes;
use crate::fault::Fault;
use crate::manifest::Manifest;
use crate::observe::{Observation, Settings};
use crate::stage::{Stage, is_before};
use crate::status::{Readiness, is_awaited, readiness};

/// How long one write may take, tries again included.
const WRITE: Duration = Duration::from_secs(120);

/// Kinds whose end is the end of data: never removed only because they are no longer written.
const HOLD_DATA: [(&str, &str); 3] =
    [("", "Namespace"), ("", "PersistentVolumeClaim"), ("apiextensions.k8s.io", "CustomResourceDefinition")];

/// All that a plan is made from.
#[derive(Debug)]
pub struct Input<'a> {
    /// Whose plan.
    pub project: &'a ProjectName,
    /// What is wanted, complete.
    pub desired: &'a [Manifest],
    /// What is there of it, in the same order.
    pub observed: &'a [Observation],
    /// The set of the release.
    pub set: &'a ApplySet,
    /// What the set says of itself; `None` before the first deploy.
    pub recorded: Option<&'a Scope>,
    /// What carries the set's label.
    pub members: &'a [Member],
    /// What older releases still need to be rolled back to.
    pub kept: &'a BTreeSet<ObjectName>,
    /// What may be done.
    pub settings: Settings,
    /// How long a workload may take to become ready.
    pub wait: Duration,
    /// Whether what is no longer written is removed.
    pub prune: bool,
}

/// A plan, and what it leaves alone although nobody wants it any more.
#[derive(Debug)]
pub struct Proposal {
    /// The plan.
    pub plan: Plan,
    /// Objects that stay, with why.
    pub left: Vec<(ObjectName, &'static str)>,
}

/// Makes the plan.
///
/// # Errors
/// What can't be changed where it stands, all of it.
pub fn propose(input: &Input<'_>) -> Result<Proposal, Vec<Fault>> {
    let mut drafts = Drafts::default();
    let mut faults = Vec::new();
    let mut stages: BTreeMap<Stage, Vec<(&Manifest, Wish)>> = BTreeMap::new();
    for (manifest, observation) in input.desired.iter().zip(input.observed) {
        match wish(manifest, observation, input) {
            Ok(wish) => stages.entry(Stage::of(manifest)).or_default().push((manifest, wish)),
            Err(fault) => faults.push(fault),
        }
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    let wanted: BTreeSet<ObjectName> = input.desired.iter().map(Manifest::name).collect();
    let (remove, left) = surplus(input, &wanted);
    let scope = input.set.scope(&wanted);
    let kept_scope = input.set.scope(left.iter().map(|(name, _)| name));
    let exact = scope.with(&kept_scope);
    let writes = !remove.is_empty()
        || stages.values().flatten().any(|(_, wish)| !matches!(wish, Wish::Nothing | Wish::Await));
    let before = input.recorded.map_or_else(|| scope.clone(), |recorded| recorded.with(&scope));
    let parent = || Subject::Object(input.set.parent.clone());
    let record = |scope: &Scope| ObjectAction::Record { annotations: scope.annotations() };
    // The namespace of the parent may be one of the objects: nothing can be recorded before it is there.
    let mut barrier: Vec<StepId> = Vec::new();
    let mut recorded = !writes || input.recorded == Some(&before);
    if !recorded && !makes_parents_namespace(&stages, input.set) {
        barrier = vec![drafts.add(parent(), record(&before), Cause::Requested, &[], WRITE)];
        recorded = true;
    }
    let mut awaited = Vec::new();
    for (stage, wishes) in &stages {
        let mut ends = Vec::new();
        for (manifest, wish) in wishes {
            let (write, wait) = draft(&mut drafts, manifest, wish, &barrier, input.wait);
            let gate = matches!(stage, Stage::Ground | Stage::Before);
            ends.extend(if gate { wait.or(write) } else { write });
            awaited.extend(wait);
        }
        if !recorded && *stage == Stage::Ground {
            ends = vec![drafts.add(parent(), record(&before), Cause::Requested, &ends, WRITE)];
            recorded = true;
        }
        if !ends.is_empty() {
            barrier = ends;
        }
    }
    let mut last: Vec<StepId> = barrier.into_iter().chain(awaited).collect();
    last.sort();
    last.dedup();
    let mut removed = Vec::new();
    for name in remove {
        let subject = Subject::Object(name);
        removed.push(drafts.add(subject, ObjectAction::Delete, Cause::NotWanted, &last, WRITE));
    }
    let differs = input.recorded.is_some_and(|recorded| *recorded != exact) || (writes && before != exact);
    if differs {
        let after = if removed.is_empty() { &last } else { &removed };
        drafts.add(parent(), record(&exact), Cause::Requested, after, WRITE);
    }
    let plan = Plan { schema: Plan::SCHEMA, project: input.project.clone(), steps: drafts.steps };
    Ok(Proposal { plan, left })
}

/// What is to be done to one object.
#[derive(Debug)]
enum Wish {
    Nothing,
    Await,
    Create { awaited: bool },
    Update { action: ObjectAction, parts: Vec<String>, awaited: bool },
    Replace { fields: Vec<String>, awaited: bool },
}

fn wish(manifest: &Manifest, observation: &Observation, input: &Input<'_>) -> Result<Wish, Fault> {
    let name = manifest.name();
    let awaited = is_awaited(&name.group, &name.kind);
    match observation {
        Observation::Missing => Ok(Wish::Create { awaited }),
        Observation::Done => Ok(Wish::Nothing),
        Observation::Present { live, differences, adopt } => {
            if differences.is_empty() && !adopt {
                let ready = !awaited || readiness(live) == Readiness::Ready;
                return Ok(if ready { Wish::Nothing } else { Wish::Await });
            }
            let mut parts: Vec<String> =
                differences.iter().map(|difference| difference.path.clone()).collect();
            if parts.is_empty() {
                parts.push("who manages its fields".to_owned());
            }
            let action = ObjectAction::Update { differences: differences.clone(), adopt: *adopt };
            Ok(Wish::Update { action, parts, awaited })
        }
        // A job that ran before the last code is made anew for this one: that is what it is for.
        Observation::Immutable { fields, .. } if input.settings.replace || is_before(&manifest.body) => {
            Ok(Wish::Replace { fields: fields.clone(), awaited })
        }
        Observation::Immutable { fields, .. } => {
            let message = format!("{}: {name} can't be changed where it stands", manifest.origin);
            Err(Fault::new(codes::IMMUTABLE, message).evidence(fields.clone()).help(
                "give it another name, or let it be removed and made anew with `--replace`: \
                 it is not there in between",
            ))
        }
    }
}

/// The write and the wait that a wish means.
fn draft(
    drafts: &mut Drafts,
    manifest: &Manifest,
    wish: &Wish,
    after: &[StepId],
    wait: Duration,
) -> (Option<StepId>, Option<StepId>) {
    let subject = Subject::Object(manifest.name());
    let (action, cause, awaited) = match wish {
        Wish::Nothing => return (None, None),
        Wish::Await => {
            let step = drafts.add(subject, ObjectAction::AwaitReady, Cause::NotReady, after, wait);
            return (None, Some(step));
        }
        Wish::Create { awaited } => (ObjectAction::Create, Cause::NotFound, *awaited),
        Wish::Update { action, parts, awaited } => {
            (action.clone(), Cause::Changed { parts: parts.clone() }, *awaited)
        }
        Wish::Replace { fields, awaited } => {
            let action = ObjectAction::Replace { fields: fields.clone() };
            (action, Cause::Changed { parts: fields.clone() }, *awaited)
        }
    };
    let write = drafts.add(subject.clone(), action, cause, after, WRITE);
    let wait = awaited.then(|| drafts.add(subject, ObjectAction::AwaitReady, Cause::Started, &[write], wait));
    (Some(write), wait)
}

/// What carries the label and is not wanted: to be removed, or to be left with a reason.
fn surplus(
    input: &Input<'_>,
    wanted: &BTreeSet<ObjectName>,
) -> (Vec<ObjectName>, Vec<(ObjectName, &'static str)>) {
    let (mut remove, mut left) = (Vec::new(), Vec::new());
    for member in input.members.iter().filter(|member| !wanted.contains(&member.name)) {
        let name = member.name.clone();
        if !input.prune {
            left.push((name, "`--no-prune`"));
        } else if member.stays {
            left.push((name, "an annotation says so"));
        } else if HOLD_DATA.contains(&(&*name.group, &*name.kind)) {
            left.push((name, "with it data would go"));
        } else if input.kept.contains(&name) {
            left.push((name, "an earlier release needs it"));
        } else {
            remove.push(name);
        }
    }
    // Who looks at others goes before them.
    remove.sort_by_key(|name| std::cmp::Reverse(name.kind.clone()));
    (remove, left)
}

fn makes_parents_namespace(stages: &BTreeMap<Stage, Vec<(&Manifest, Wish)>>, set: &ApplySet) -> bool {
    stages.get(&Stage::Ground).into_iter().flatten().any(|(manifest, wish)| {
        manifest.kind() == "Namespace"
            && matches!(wish, Wish::Create { .. })
            && Some(manifest.own_name()) == set.parent.namespace.as_deref()
    })
}

#[derive(Default)]
struct Drafts {
    steps: Vec<Step>,
}

impl Drafts {
    fn add(
        &mut self,
        subject: Subject,
        action: ObjectAction,
        cause: Cause,
        after: &[StepId],
        deadline: Duration,
    ) -> StepId {
        let id = StepId(u32::try_from(self.steps.len()).unwrap_or(u32::MAX).saturating_add(1));
        let action = Action::Object(Box::new(action));
        self.steps.push(Step { id, subject, action, cause, after: after.to_vec(), deadline });
        id
    }
}

/// A plan in 64 characters: two plans with the same digest do the same.
#[must_use]
pub fn digest(plan: &Plan) -> String {
    let text = serde_json::to_vec(plan).unwrap_or_default();
    hex::encode(Sha256::digest(text))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::manifest::Origin;

    fn manifest(api_version: &str, kind: &str, name: &str) -> Manifest {
        let mut body = json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": name}});
        if kind != "Namespace" {
            body["metadata"]["namespace"] = json!("shop");
        }
        Manifest { origin: Origin { file: "a.yaml".to_owned(), line: 1 }, body }
    }

    fn same(body: Value) -> Observation {
        Observation::Present { live: body, differences: Vec::new(), adopt: false }
    }

    struct World {
        project: ProjectName,
        set: ApplySet,
        desired: Vec<Manifest>,
        observed: Vec<Observation>,
        recorded: Option<Scope>,
        members: Vec<Member>,
        kept: BTreeSet<ObjectName>,
        settings: Settings,
    }

    impl World {
        fn new(desired: Vec<Manifest>, observed: Vec<Observation>) -> Self {
            Self {
                project: ProjectName::new("shop").unwrap(),
                set: ApplySet::new("shop", "shop"),
                desired,
                observed,
                recorded: None,
                members: Vec::new(),
                kept: BTreeSet::new(),
                settings: Settings::default(),
            }
        }

        fn propose(&self) -> Result<Proposal, Vec<Fault>> {
            propose(&Input {
                project: &self.project,
                desired: &self.desired,
                observed: &self.observed,
                set: &self.set,
                recorded: self.recorded.as_ref(),
                members: &self.members,
                kept: &self.kept,
                settings: self.settings,
                wait: Duration::from_secs(60),
                prune: true,
            })
        }

        fn told(&self) -> Vec<String> {
            let plan = self.propose().unwrap().plan;
            plan.steps.iter().map(ToString::to_string).collect()
        }
    }

    #[test]
    fn the_first_deploy_records_then_makes_what_others_need_first() {
        let desired = vec![manifest("apps/v1", "Deployment", "web"), manifest("v1", "ConfigMap", "settings")];
        let world = World::new(desired, vec![Observation::Missing, Observation::Missing]);
        assert_eq!(
            world.told(),
            [
                "[] -> #1 ConfigMap kernel-shop: record what belongs to the release, requested",
                "[1] -> #2 ConfigMap settings: create, not found",
                "[2] -> #3 Deployment web: create, not found",
                "[3] -> #4 Deployment web: wait until ready, started",
            ]
        );
    }

    #[test]
    fn a_namespace_comes_before_the_record_in_it() {
        let desired = vec![manifest("v1", "Namespace", "shop"), manifest("v1", "ConfigMap", "settings")];
        let world = World::new(desired, vec![Observation::Missing, Observation::Missing]);
        assert_eq!(
            world.told(),
            [
                "[] -> #1 Namespace shop: create, not found",
                "[1] -> #2 ConfigMap kernel-shop: record what belongs to the release, requested",
                "[2] -> #3 ConfigMap settings: create, not found",
            ]
        );
    }

    #[test]
    fn nothing_changed_is_nothing_to_do() {
        let desired = vec![manifest("v1", "ConfigMap", "settings")];
        let mut world = World::new(desired, vec![same(json!({"kind": "ConfigMap"}))]);
        world.recorded = Some(world.set.scope(&[world.desired[0].name()]));
        assert_eq!(world.told(), Vec::<String>::new());
    }

    #[test]
    fn what_is_no_longer_written_goes_last_and_data_stays() {
        let desired = vec![manifest("v1", "ConfigMap", "settings")];
        let mut world = World::new(desired, vec![same(json!({"kind": "ConfigMap"}))]);
        let old = manifest("v1", "Service", "old").name();
        let volume = manifest("v1", "PersistentVolumeClaim", "data").name();
        let config = manifest("v1", "ConfigMap", "settings-1").name();
        world.kept.insert(config.clone());
        let names = [world.desired[0].name(), old.clone(), volume.clone(), config.clone()];
        world.recorded = Some(world.set.scope(&names));
        world.members = names.into_iter().map(|name| Member { name, stays: false }).collect();
        assert_eq!(
            world.told(),
            [
                "[] -> #1 Service old: remove, not wanted",
                "[1] -> #2 ConfigMap kernel-shop: record what belongs to the release, requested",
            ]
        );
        let left: Vec<ObjectName> = world.propose().unwrap().left.into_iter().map(|(name, _)| name).collect();
        assert_eq!(left, [volume, config]);
    }

    #[test]
    fn what_can_t_be_changed_is_refused_unless_it_may_be_replaced() {
        let desired = vec![manifest("v1", "Service", "web")];
        let fields = vec!["spec.clusterIP".to_owned()];
        let mut world = World::new(desired, vec![Observation::Immutable { live: json!({}), fields }]);
        let faults = world.propose().unwrap_err();
        assert_eq!(faults[0].code, codes::IMMUTABLE);
        world.settings.replace = true;
        assert!(
            world.told()[1].contains("Service web: replace, changed: spec.clusterIP"),
            "{:?}",
            world.told()
        );
    }

    #[test]
    fn a_migration_is_waited_for_before_the_code_and_made_anew() {
        let mut job = manifest("batch/v1", "Job", "migrate");
        job.body["metadata"]["annotations"] = json!({"kernel.dev/hook": "before"});
        let desired = vec![job, manifest("apps/v1", "Deployment", "web")];
        let fields = vec!["spec.template".to_owned()];
        let world = World::new(
            desired,
            vec![Observation::Immutable { live: json!({}), fields }, Observation::Missing],
        );
        let told = world.told();
        assert!(told[1].starts_with("[1] -> #2 Job migrate: replace"), "{told:?}");
        assert!(told[2].starts_with("[2] -> #3 Job migrate: wait until ready"), "{told:?}");
        assert!(told[3].starts_with("[3] -> #4 Deployment web: create"), "{told:?}");
    }
}
