//! A deploy from its beginning to its end.

use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use kernel_core::event::{Event, Problem};
use kernel_core::exit::ExitCode;
use kernel_core::name::ProjectName;
use kernel_core::object::{ObjectAction, ObjectName};
use kernel_core::plan::{Action, Plan, Step, Subject};
use kernel_engine::{Events, Outcome as Executed, execute};
use tokio_util::sync::CancellationToken;

use crate::applyset::ApplySet;
use crate::cluster::Cluster;
use crate::codes;
use crate::engine::ClusterEngine;
use crate::fault::Fault;
use crate::happening::{Happening, What};
use crate::lease::Lease;
use crate::manifest::Manifest;
use crate::observe::{Observation, Settings, complete, observe};
use crate::one_way;
use crate::plan::{Input, Proposal, digest, propose};
use crate::probe::{Loss, ProbeSettings, Prober, Proof};
use crate::release::{Outcome, Release, Releases};
use crate::room;
use crate::targets::{Target, changed_services};

/// What happens so shortly before or after a lost request may have to do with it.
const NEAR_MS: i128 = 3000;

/// So long the nodes may still send to a pod after its address was taken out.
const PROXY_MS: i128 = 300;

/// What a deploy is asked for.
#[derive(Clone, Debug)]
pub struct DeploySettings {
    /// The release's name.
    pub name: ProjectName,
    /// What may be done to objects that are there.
    pub settings: Settings,
    /// How long a workload may take to become ready.
    pub wait: Duration,
    /// Whether what is no longer written is removed.
    pub prune: bool,
    /// Whether a deploy that fails is undone.
    pub roll_back: bool,
    /// Only a plan with this digest may be carried out.
    pub approved: Option<String>,
    /// Who deploys, for people: `ann@laptop`.
    pub by: String,
    /// What this is: `deploy`, `roll back to 3`.
    pub note: String,
    /// What is asked during the rollout, to prove that nothing is lost.
    pub probe: Option<ProbeSettings>,
    /// Everything of the release goes; what earlier releases need goes too.
    pub remove: bool,
    /// Whether a deploy is refused that the cluster has no room for.
    pub check_room: bool,
    /// Whether a deploy is refused that could not be undone.
    pub check_way_back: bool,
}

/// What came of it.
#[derive(Debug)]
pub struct Report {
    /// What was done, or would be.
    pub plan: Plan,
    /// Objects that nobody wants any more and that stay, with why.
    pub left: Vec<(ObjectName, &'static str)>,
    /// The release that this has become.
    pub revision: Option<u32>,
    /// How the command should end.
    pub exit: ExitCode,
    /// What went wrong.
    pub problems: Vec<Problem>,
    /// The release that is there again, after this one failed.
    pub rolled_back_to: Option<u32>,
    /// What came of the requests during the rollout.
    pub proof: Option<Proof>,
}

/// What is there, and what that means.
pub struct Look {
    manifests: Vec<Manifest>,
    desired: Vec<Manifest>,
    observed: Vec<Observation>,
    releases: Vec<Release>,
    /// What is to be done.
    pub proposal: Proposal,
}

/// A job that is not there, removes itself when it is done (`ttlSecondsAfterFinished`), and stood in the last good release as it
/// stands now, has run.
async fn mark_done(
    cluster: &Cluster,
    releases: &Releases,
    listed: &[Release],
    set: &ApplySet,
    desired: &[Manifest],
    observed: &mut [Observation],
) -> Result<(), Fault> {
    let removes_itself = |(manifest, observation): &(&Manifest, &mut Observation)| {
        manifest.kind() == "Job"
            && matches!(observation, Observation::Missing)
            && manifest.body.pointer("/spec/ttlSecondsAfterFinished").is_some()
    };
    let mut missing = desired.iter().zip(observed).filter(removes_itself).peekable();
    let good = last_good(listed).filter(|good| good.outcome == Outcome::Deployed);
    let (Some(_), Some(good)) = (missing.peek(), good) else { return Ok(()) };
    let before = complete(cluster, &releases.manifests(good.revision).await?, &set.id);
    for (manifest, observation) in missing {
        if before.iter().any(|one| one.body == manifest.body) {
            *observation = Observation::Done;
        }
    }
    Ok(())
}

/// The newest release that came to its end well: what a deploy that fails goes back to.
fn last_good(releases: &[Release]) -> Option<&Release> {
    let well = |release: &&Release| matches!(release.outcome, Outcome::Deployed | Outcome::Removed);
    releases.iter().rev().find(well)
}

/// Looks at the cluster and makes the plan. Writes nothing.
///
/// # Errors
/// Everything that the cluster refuses, and what can't be changed.
pub async fn look(
    cluster: &mut Cluster,
    manifests: Vec<Manifest>,
    settings: &DeploySettings,
) -> Result<Look, Vec<Fault>> {
    if manifests.is_empty() && !settings.remove {
        let message = "there is nothing in these files; everything that was deployed would be removed";
        let help = "check the path; to remove a release, say `kernel deploy --remove`";
        return Err(vec![Fault::new(codes::EMPTY, message).help(help)]);
    }
    cluster.learn(&manifests).await?;
    let cluster = &*cluster;
    let set = ApplySet::new(settings.name.as_str(), &cluster.namespace);
    let desired = complete(cluster, &manifests, &set.id);
    let releases = Releases::new(cluster, settings.name.as_str());
    let (observed, recorded, listed) = tokio::join!(
        observe(cluster, &desired, &set.id, settings.settings),
        set.recorded(cluster),
        releases.list()
    );
    let (recorded, listed) = (recorded.map_err(|fault| vec![fault])?, listed.map_err(|fault| vec![fault])?);
    let mut observed = observed?;
    let done = mark_done(cluster, &releases, &listed, &set, &desired, &mut observed).await;
    done.map_err(|fault| vec![fault])?;
    let names: Vec<ObjectName> = desired.iter().map(Manifest::name).collect();
    let scope = set.scope(&names).with(&recorded.clone().unwrap_or_default());
    let members = match &recorded {
        Some(_) => set.members(cluster, &scope).await.map_err(|fault| vec![fault])?,
        None => Vec::new(),
    };
    let kept: BTreeSet<ObjectName> = if settings.remove { BTreeSet::new() } else { releases.needed(&listed) };
    let proposal = propose(&Input {
        project: &settings.name,
        desired: &desired,
        observed: &observed,
        set: &set,
        recorded: recorded.as_ref(),
        members: &members,
        kept: &kept,
        settings: settings.settings,
        wait: settings.wait,
        prune: settings.prune,
    })?;
    Ok(Look { manifests, desired, observed, releases: listed, proposal })
}

/// Everything that is looked at before a deploy that would change something. Gives what could not be found out, as a
/// sentence.
///
/// # Errors
/// What stands in the way, or the cluster does not answer.
pub async fn check(
    cluster: &Cluster,
    look: &Look,
    settings: &DeploySettings,
) -> Result<Option<String>, Vec<Fault>> {
    if look.proposal.plan.is_empty() {
        return Ok(None);
    }
    let room = async {
        if !settings.check_room {
            return Ok(None);
        }
        room::check(cluster, &look.desired, &look.observed).await.map_err(|fault| vec![fault])
    };
    let (room, way_back) = tokio::join!(room, check_way_back(cluster, look, settings));
    match (room, way_back) {
        (room, Ok(())) => room,
        (Ok(_), Err(faults)) => Err(faults),
        (Err(mut faults), Err(more)) => {
            faults.extend(more);
            Err(faults)
        }
    }
}

/// Rehearses the way back: what was deployed last is tried as if it were deployed now, and what changes is looked at for
/// what can't be taken back.
async fn check_way_back(cluster: &Cluster, look: &Look, settings: &DeploySettings) -> Result<(), Vec<Fault>> {
    // Nothing is there, or nothing is to be there: the way back is to remove, or to make anew.
    let good = last_good(&look.releases).filter(|good| good.outcome == Outcome::Deployed);
    let (true, false, Some(good)) = (settings.check_way_back, settings.remove, good) else { return Ok(()) };
    let mut reasons = one_way::reasons(&look.desired, &look.observed);
    match rehearse(cluster, good, settings).await {
        Ok(()) => {}
        Err(faults) if faults.iter().any(|fault| fault.code == codes::UNREACHABLE) => return Err(faults),
        Err(faults) => {
            let told = |fault: Fault| format!("release {} is refused now: {}", good.revision, fault.message);
            reasons.extend(faults.into_iter().map(told));
        }
    }
    if reasons.is_empty() {
        return Ok(());
    }
    let message = format!("there would be no way back to release {}; nothing was changed", good.revision);
    let help = "if that is meant, say `--one-way`";
    Err(vec![Fault::new(codes::ONE_WAY, message).evidence(reasons).help(help)])
}

/// Everything that going back to a release begins with, and nothing that it writes.
async fn rehearse(cluster: &Cluster, good: &Release, settings: &DeploySettings) -> Result<(), Vec<Fault>> {
    let releases = Releases::new(cluster, settings.name.as_str());
    let manifests = releases.manifests(good.revision).await.map_err(|fault| vec![fault])?;
    look(&mut cluster.clone(), manifests, settings).await.map(drop)
}

/// Carries out what a look led to: lock, look again, write down, do, wait, write down how it ended; and when it fails,
/// the same with what was there before.
///
/// # Errors
/// What stood in the way before anything was changed.
pub async fn deploy(
    cluster: &mut Cluster,
    first: Look,
    settings: &DeploySettings,
    events: &Events,
    cancel: &CancellationToken,
) -> Result<Report, Vec<Fault>> {
    approve(settings, &first.proposal.plan)?;
    if first.proposal.plan.is_empty() {
        return Ok(report(first.proposal, None));
    }
    if let Some(message) = check(cluster, &first, settings).await? {
        events.emit(Event::Notice { message });
    }
    let lock = format!("kernel-{}", settings.name);
    let holder = format!("{} ({})", settings.by, uuid::Uuid::now_v7());
    let waiting = |waiting: crate::lease::Waiting| {
        let message = format!(
            "{} holds the lock of this release; waiting to see whether that deploy is still alive",
            waiting.holder
        );
        events.emit(Event::Notice { message });
    };
    let settings = &DeploySettings {
        // With the namespace the plan has lost a step; who asked for the whole of it gets the whole of it.
        approved: if ensure_namespace(cluster, settings, &first, events, cancel).await? {
            None
        } else {
            settings.approved.clone()
        },
        ..settings.clone()
    };
    let lease = Lease::acquire(cluster, &lock, &holder, waiting).await.map_err(|fault| vec![fault])?;
    let lease = Arc::new(lease);
    let result = locked(cluster, first.manifests, settings, events, cancel, &lease).await;
    if let Some(lease) = Arc::into_inner(lease) {
        lease.release().await;
    }
    result
}

/// A lock and a release live in the namespace, so where the files make it, that is done first and alone. Says whether it
/// was done.
async fn ensure_namespace(
    cluster: &Cluster,
    settings: &DeploySettings,
    first: &Look,
    events: &Events,
    cancel: &CancellationToken,
) -> Result<bool, Vec<Fault>> {
    let is_it = |step: &&Step| {
        let create = matches!(&step.action, Action::Object(action) if **action == ObjectAction::Create);
        let named = matches!(&step.subject, Subject::Object(name)
            if name.kind == "Namespace" && name.group.is_empty() && name.name == cluster.namespace);
        create && named
    };
    let Some(step) = first.proposal.plan.steps.iter().find(is_it) else { return Ok(false) };
    let plan = Plan { steps: vec![step.clone()], ..first.proposal.plan.clone() };
    let set = ApplySet::new(settings.name.as_str(), &cluster.namespace);
    let engine = ClusterEngine::new(cluster.clone(), &first.desired, set, settings.settings, None);
    let done = execute(&engine, &plan, events, cancel).await;
    match done.failed.first() {
        None => Ok(true),
        Some(failure) => Err(vec![
            Fault::new(codes::REFUSED, failure.problem.message.clone())
                .help(failure.problem.help.clone().unwrap_or_default()),
        ]),
    }
}

fn approve(settings: &DeploySettings, plan: &Plan) -> Result<(), Vec<Fault>> {
    let Some(approved) = &settings.approved else { return Ok(()) };
    if *approved == digest(plan) {
        return Ok(());
    }
    let lines = plan.steps.iter().map(ToString::to_string).collect();
    let message = "the cluster is no longer as it was when the plan was made; nothing was changed";
    Err(vec![
        Fault::new(codes::PLAN_IS_OLD, message).evidence(lines).help(
            "look at what would be done now (above), and make the plan anew with `--plan-only -o FILE`",
        ),
    ])
}

async fn locked(
    cluster: &mut Cluster,
    manifests: Vec<Manifest>,
    settings: &DeploySettings,
    events: &Events,
    cancel: &CancellationToken,
    lease: &Arc<Lease>,
) -> Result<Report, Vec<Fault>> {
    // Somebody may have deployed between the first look and the lock.
    let look = look(cluster, manifests, settings).await?;
    approve(settings, &look.proposal.plan)?;
    if look.proposal.plan.is_empty() {
        return Ok(report(look.proposal, None));
    }
    let prober = prober(cluster, &look, settings, events).await.map_err(|fault| vec![fault])?;
    let releases = Releases::new(cluster, settings.name.as_str());
    let begun = releases.begin(&look.releases, &look.manifests, &settings.by, &settings.note).await;
    let revision = begun.map_err(|fault| vec![fault])?;
    events.emit(Event::PlanMade { plan: look.proposal.plan.clone(), dry_run: false });
    let (done, timeline) = carry_out(cluster, &look, settings, lease, events, cancel, prober.as_ref()).await;
    let good = last_good(&look.releases).cloned();
    let mut report = report(look.proposal, Some(revision));
    report.exit = done.exit_code();
    report.problems = done.failed.iter().map(|failure| failure.problem.clone()).collect();
    let mut lost = false;
    if let Some(prober) = prober {
        let proof = prober.end().await;
        if let Some(loss) = proof.lost.first() {
            let fault = explain(loss, &timeline);
            report.exit = fault.exit();
            report.problems.insert(0, fault.problem());
            lost = true;
        }
        report.proof = Some(proof);
    }
    let outcome = match (done.is_success() && !lost, settings.remove) {
        (true, false) => Outcome::Deployed,
        (true, true) => Outcome::Removed,
        (false, _) => Outcome::Failed,
    };
    let mut ended = releases.end(revision, outcome).await;
    if let (Outcome::Failed, true, false, Some(good)) =
        (outcome, settings.roll_back, cancel.is_cancelled(), good)
    {
        match back_to(cluster, &good, settings, events, cancel, lease).await {
            Ok(()) => {
                report.rolled_back_to = Some(good.revision);
                ended = releases.end(revision, Outcome::RolledBack).await;
            }
            Err(problems) => {
                report.exit = ExitCode::RollbackFailed;
                report.problems.extend(problems);
            }
        }
    }
    if let Err(fault) = ended {
        report.problems.push(fault.problem());
        if report.exit == ExitCode::Success {
            report.exit = fault.exit();
        }
    }
    Ok(report)
}

/// Begins to ask whoever is to be asked during the rollout.
async fn prober(
    cluster: &Cluster,
    look: &Look,
    settings: &DeploySettings,
    events: &Events,
) -> Result<Option<Prober>, Fault> {
    let Some(probe) = &settings.probe else { return Ok(None) };
    let mut targets: Vec<Target> = probe.addresses.iter().cloned().map(Target::Address).collect();
    if probe.services {
        targets.extend(changed_services(&look.desired, &look.observed));
    }
    let names: Vec<String> = targets.iter().map(ToString::to_string).collect();
    let message = match names.as_slice() {
        [] => "no service that answers now has its pods replaced: nothing is probed".to_owned(),
        names => format!("{} requests a second during the rollout to {}", probe.rate, names.join(", ")),
    };
    events.emit(Event::Notice { message });
    if targets.is_empty() {
        return Ok(None);
    }
    Prober::begin(targets, probe.rate, &cluster.client).await.map(Some)
}

async fn carry_out(
    cluster: &Cluster,
    look: &Look,
    settings: &DeploySettings,
    lease: &Arc<Lease>,
    events: &Events,
    cancel: &CancellationToken,
    prober: Option<&Prober>,
) -> (Executed, Vec<Happening>) {
    let set = ApplySet::new(settings.name.as_str(), &cluster.namespace);
    let (writes, lease) = (settings.settings, Some(Arc::clone(lease)));
    let engine = ClusterEngine::new(cluster.clone(), &look.desired, set, writes, lease);
    let stop = cancel.child_token();
    let work = execute(&engine, &look.proposal.plan, events, &stop);
    let listen = async {
        match prober {
            Some(prober) => prober.first_loss().await,
            None => std::future::pending().await,
        }
        // Whoever loses a request goes no further.
        stop.cancel();
    };
    let done = {
        let (mut work, mut listen) = (pin!(work), pin!(listen));
        let mut ended = false;
        loop {
            tokio::select! {
                done = &mut work => break done,
                () = &mut listen, if !ended => ended = true,
            }
        }
    };
    (done, engine.timeline())
}

/// A lost request, with what happened to pods and addresses just before and after it.
fn explain(loss: &Loss, timeline: &[Happening]) -> Fault {
    let message = format!(
        "a request was lost: {} on a {} connection at {}: {}",
        loss.url, loss.connection, loss.at, loss.why
    );
    let milliseconds = |happening: &Happening| happening.at.duration_since(loss.at).as_millis();
    let near = timeline.iter().filter(|happening| milliseconds(happening).abs() <= NEAR_MS);
    let lines = near.map(|happening| format!("{:+} ms: {happening}", milliseconds(happening))).collect();
    let before = |one: &&Happening| (-NEAR_MS..=0).contains(&milliseconds(one));
    let added = || timeline.iter().filter(|one| one.what == What::Added).filter(before);
    // A pod that had begun to end when requests still went to it, or had until just now.
    let mut ending =
        timeline.iter().filter(|one| one.what == What::BeganToEnd).filter(before).filter(|began| {
            let removed = |one: &&Happening| one.pod == began.pod && one.what == What::Removed;
            timeline.iter().find(removed).is_none_or(|removed| milliseconds(removed) >= -PROXY_MS)
        });
    // Whoever is not asked is the likelier one: its first requests find nobody, and it is not known when that ends.
    let unasked = added().rfind(|one| one.unasked);
    let help = match (unasked, ending.next_back()) {
        (None, Some(ending)) => format!(
            "pod {} ended while requests still went to it: give it a preStop of some seconds, and let its program \
             finish what it has begun",
            ending.pod
        ),
        (unasked, _) => {
            let pod = unasked.or_else(|| added().next_back());
            let pod = pod.map_or_else(String::new, |one| format!(" {}", one.pod));
            format!(
                "requests went to a pod{pod} that could not answer yet: give it a readiness probe that says so"
            )
        }
    };
    Fault::new(codes::REQUEST_LOST, message).evidence(lines).help(help)
}

/// The same spine with what was deployed before, its configuration included.
async fn back_to(
    cluster: &mut Cluster,
    good: &Release,
    settings: &DeploySettings,
    events: &Events,
    cancel: &CancellationToken,
    lease: &Arc<Lease>,
) -> Result<(), Vec<Problem>> {
    let told = |faults: Vec<Fault>| faults.iter().map(Fault::problem).collect::<Vec<_>>();
    let revision = good.revision;
    events.emit(Event::Notice { message: format!("rolling back to release {revision}") });
    let releases = Releases::new(cluster, settings.name.as_str());
    let manifests = releases.manifests(revision).await.map_err(|fault| told(vec![fault]))?;
    let remove = good.outcome == Outcome::Removed;
    let settings = DeploySettings { approved: None, remove, ..settings.clone() };
    let look = look(cluster, manifests, &settings).await.map_err(told)?;
    events.emit(Event::PlanMade { plan: look.proposal.plan.clone(), dry_run: false });
    let (done, _) = carry_out(cluster, &look, &settings, lease, events, cancel, None).await;
    if done.is_success() {
        Ok(())
    } else {
        Err(done.failed.into_iter().map(|failure| failure.problem).collect())
    }
}

fn report(proposal: Proposal, revision: Option<u32>) -> Report {
    Report {
        plan: proposal.plan,
        left: proposal.left,
        revision,
        exit: ExitCode::Success,
        problems: Vec::new(),
        rolled_back_to: None,
        proof: None,
    }
}
