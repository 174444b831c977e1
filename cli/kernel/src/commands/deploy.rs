//! `kernel deploy`: take a cluster to what files say, and prove that it got there.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use kernel_core::event::Event;
use kernel_core::exit::ExitCode;
use kernel_core::plan::Plan;
use kernel_deploy::codes::NO_RELEASE;
use kernel_deploy::deploy::{DeploySettings, Report, check, deploy, look};
use kernel_deploy::{Cluster, Fault, Manifest, Outcome, ProbeSettings, Proof, Releases, digest};
use kernel_manifests::environment::{Probe, ProbeAddress};
use kernel_ops::{Failure, problem};
use serde::{Deserialize, Serialize};

use crate::arguments::DataFormat;
use crate::codes::BAD_PLAN;
use crate::commands::cluster::{self, Confirmation, Files, Rules, Target};
use crate::context::Context;
use crate::work;

const EXAMPLES: &str = "\
Examples:
  kernel deploy staging --digests images.json --secrets staging.env    the workspace's manifests, in its cluster
  kernel deploy -f manifests/ -n shop             all objects of a folder, in order, until they are ready
  kernel deploy -f manifests/ -n shop --dry-run   the plan, as the cluster itself has checked it
  kernel deploy -f manifests/ -n shop --plan-only -o plan.json
  kernel deploy --plan plan.json                  exactly that plan, or nothing
  kernel deploy -f manifests/ -n shop --probe https://shop.example/health    prove that no request is lost";

/// What can be said.
#[derive(Args, Debug)]
#[command(before_help = EXAMPLES)]
pub struct Arguments {
    #[command(flatten)]
    files: Files,

    #[command(flatten)]
    target: Target,

    #[command(flatten)]
    rules: Rules,

    /// Make the plan and change nothing; the same as `--dry-run`
    #[arg(long)]
    plan_only: bool,

    /// Carry out a plan that was made before, if the cluster is still as it was then
    #[arg(long, value_name = "FILE", conflicts_with_all = ["files", "plan_only", "digests", "secrets"])]
    plan: Option<PathBuf>,

    /// Go on with the deploy that was killed, from what it wrote down in the cluster before its first change
    #[arg(long, conflicts_with_all = ["files", "plan", "digests", "secrets"])]
    resume: bool,

    /// Ask this address all the time during the rollout, with grpc://HOST:PORT for its health by gRPC; the first lost request
    /// stops it and goes back; may be said several times
    #[arg(long, value_name = "URL", value_parser = str::parse::<ProbeAddress>)]
    probe: Vec<ProbeAddress>,

    /// The same with every service whose pods are replaced, through the cluster's API
    #[arg(long)]
    probe_services: bool,

    /// Ask nobody, whatever the environment says
    #[arg(long, conflicts_with_all = ["probe", "probe_services", "probe_rate"])]
    no_probe: bool,

    /// So many requests a second, all that are asked together [default: 200]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=5000))]
    probe_rate: Option<u32>,

    /// Remove everything of the release but namespaces, volume claims and definitions of kinds; `kernel rollback` brings it
    /// back
    #[arg(long, conflicts_with_all = ["files", "plan", "resume", "digests", "secrets"])]
    remove: bool,

    #[command(flatten)]
    confirmation: Confirmation,

    /// Deploy also what there is no way back from
    #[arg(long)]
    one_way: bool,

    /// Leave a deploy that failed as it is, instead of going back to the release before
    #[arg(long)]
    no_rollback: bool,

    /// The form of the answer: table, json, yaml or name; or the FILE that a plan is written to
    #[arg(short = 'o', long = "output", value_name = "FORMAT|FILE", default_value = "table")]
    output: String,
}

impl Arguments {
    /// Who is asked during the rollout, if anybody is: whoever the environment names, and whoever is said beside it.
    fn probe_settings(&self, environment: &Probe) -> Option<ProbeSettings> {
        if self.no_probe {
            return None;
        }
        let addresses: Vec<ProbeAddress> = environment.addresses.iter().chain(&self.probe).cloned().collect();
        let services = environment.services || self.probe_services;
        let rate = self.probe_rate.or(environment.rate).unwrap_or(RATE);
        (services || !addresses.is_empty()).then_some(ProbeSettings { addresses, services, rate })
    }
}

/// A plan that was made and may be carried out. It holds the objects whole, secrets too: the file is for its owner only.
#[derive(Debug, Serialize, Deserialize)]
struct PlanFile {
    schema: String,
    server: String,
    namespace: String,
    name: String,
    digest: String,
    manifests: Vec<Manifest>,
}

/// Requests a second when nobody says.
const RATE: u32 = 200;

const PLAN_FILE: &str = "kernel.deploy-plan/v1";

#[derive(Serialize)]
struct Answer<'a> {
    schema: &'static str,
    release: &'a str,
    namespace: &'a str,
    changed: bool,
    revision: Option<u32>,
    rolled_back_to: Option<u32>,
    digest: String,
    plan: &'a Plan,
    left: Vec<Left>,
    proof: Option<&'a Proof>,
}

#[derive(Serialize)]
struct Left {
    object: String,
    because: &'static str,
}

/// Does it.
pub fn run(context: &mut Context, arguments: Arguments) -> Result<ExitCode, Failure> {
    let format = DataFormat::from_str(&arguments.output, true).ok();
    let plan_only = arguments.plan_only || context.settings.dry_run;
    let approved = arguments.plan.as_deref().map(read_plan).transpose()?;
    let manifests = match &approved {
        Some(plan) => plan.manifests.clone(),
        // The cluster has them, or nothing is wanted.
        None if arguments.resume || arguments.remove => Vec::new(),
        None => arguments.files.read(context, arguments.target.environment())?,
    };
    let (done, manifests) = work::run(context, async |surroundings| {
        let mut place = arguments.target.connect(context).await?;
        let note = if arguments.remove { "remove" } else { "deploy" };
        let mut settings = cluster::settings(context, &place.cluster, &arguments.rules, note.to_owned())?;
        let mut manifests = manifests;
        if arguments.resume {
            let (revision, unfinished) = unfinished(&place.cluster, &settings).await?;
            settings.note = format!("go on with {revision}");
            manifests = unfinished;
        }
        // A removal that was killed has nothing to deploy either.
        settings.remove = arguments.remove || (arguments.resume && manifests.is_empty());
        settings.roll_back = !arguments.no_rollback && !settings.remove;
        settings.check_way_back = !arguments.one_way;
        settings.probe = arguments.probe_settings(&place.probe);
        if settings.probe.is_none() && arguments.probe_rate.is_some() {
            let message = "`--probe-rate` says how often, and nothing says who is asked";
            let help = "add `--probe URL` or `--probe-services`";
            return Err(Failure::new(ExitCode::Usage, problem(BAD_PLAN, message, help)));
        }
        if let Some(plan) = &approved {
            same_target(plan, &place.cluster, &settings)?;
            settings.approved = Some(plan.digest.clone());
        }
        let (server, namespace) = (&place.cluster.server, &place.cluster.namespace);
        let message = format!("cluster {server}, namespace {namespace}, release {}", settings.name);
        surroundings.events.emit(Event::Notice { message });
        let failed = |faults: Vec<Fault>| cluster::failure(&faults);
        let look = look(&mut place.cluster, manifests.clone(), &settings).await.map_err(failed)?;
        let report = if plan_only {
            if let Some(message) = check(&place.cluster, &look, &settings).await.map_err(failed)? {
                surroundings.events.emit(Event::Notice { message });
            }
            Report {
                plan: look.proposal.plan,
                left: look.proposal.left,
                revision: None,
                exit: ExitCode::Success,
                problems: Vec::new(),
                rolled_back_to: None,
                proof: None,
            }
        } else {
            arguments.confirmation.see(context, &place, &look.proposal.plan, &mut settings)?;
            let (events, cancel) = (&surroundings.events, &surroundings.cancel);
            deploy(&mut place.cluster, look, &settings, events, cancel).await.map_err(failed)?
        };
        Ok((Done { report, settings, cluster: place.cluster }, manifests))
    })?;
    if plan_only && format.is_none() {
        write_plan(&arguments.output, &done, manifests)?;
    }
    show(context, format.unwrap_or_default(), plan_only, &done);
    if done.report.exit == ExitCode::Success {
        return Ok(ExitCode::Success);
    }
    Err(Failure::several(done.report.exit, done.report.problems))
}

struct Done {
    report: Report,
    settings: DeploySettings,
    cluster: Cluster,
}

/// The newest release, when it never came to its end.
async fn unfinished(cluster: &Cluster, settings: &DeploySettings) -> Result<(u32, Vec<Manifest>), Failure> {
    let releases = Releases::new(cluster, settings.name.as_str());
    let listed = releases.list().await.map_err(|fault| cluster::failure(&[fault]))?;
    let last = listed.last().filter(|release| release.outcome == Outcome::Deploying);
    let Some(last) = last else {
        let message = format!("no deploy of {} was killed: there is nothing to go on with", settings.name);
        let help = "`kernel history` shows how the last ones ended";
        return Err(Failure::new(ExitCode::NothingSelected, problem(NO_RELEASE, message, help)));
    };
    let manifests = releases.manifests(last.revision).await;
    Ok((last.revision, manifests.map_err(|fault| cluster::failure(&[fault]))?))
}

fn show(context: &Context, format: DataFormat, plan_only: bool, done: &Done) {
    let report = &done.report;
    let left = report.left.iter().map(|(name, because)| Left { object: name.to_string(), because });
    let answer = Answer {
        schema: "kernel.deploy/v1",
        release: done.settings.name.as_str(),
        namespace: &done.cluster.namespace,
        changed: !plan_only && !report.plan.is_empty(),
        revision: report.revision,
        rolled_back_to: report.rolled_back_to,
        digest: digest(&report.plan),
        plan: &report.plan,
        left: left.collect(),
        proof: report.proof.as_ref(),
    };
    let text = || {
        let mut text = String::new();
        if plan_only {
            text += &describe(&report.plan);
        } else if report.plan.is_empty() {
            text += "everything is as it should be; nothing to do\n";
        } else if let (true, ExitCode::Success) = (done.settings.remove, report.exit) {
            text += &format!("release {} is removed\n", done.settings.name);
        } else if let (Some(revision), ExitCode::Success) = (report.revision, report.exit) {
            text += &format!("release {revision} of {} is deployed\n", done.settings.name);
        } else if let Some(back) = report.rolled_back_to {
            text += &format!("release {back} of {} is there again\n", done.settings.name);
        }
        if let Some(proof) = &report.proof {
            text += &format!("{}\n", proof.sentence());
        }
        for left in &answer.left {
            text += &format!("left: {}, because {}\n", left.object, left.because);
        }
        text
    };
    let names = || report.plan.steps.iter().map(|step| step.subject.to_string()).collect();
    context.answer(format, &answer, text, names);
}

/// A plan for people: every step, and below it what changes.
pub fn describe(plan: &Plan) -> String {
    use kernel_core::object::ObjectAction;
    use kernel_core::plan::Action;
    if plan.is_empty() {
        return "everything is as it should be; nothing to do\n".to_owned();
    }
    let mut text = String::new();
    for step in &plan.steps {
        let Action::Object(action) = &step.action else { continue };
        match &**action {
            ObjectAction::Update { differences, .. } => {
                text += &format!("{} {}: {}\n", step.id, step.subject, step.action);
                differences.iter().for_each(|difference| text += &format!("    {difference}\n"));
            }
            _ => text += &format!("{} {}: {}, {}\n", step.id, step.subject, step.action, step.cause),
        }
    }
    text
}

fn write_plan(path: &str, done: &Done, manifests: Vec<Manifest>) -> Result<(), Failure> {
    let plan = PlanFile {
        schema: PLAN_FILE.to_owned(),
        server: done.cluster.server.clone(),
        namespace: done.cluster.namespace.clone(),
        name: done.settings.name.to_string(),
        digest: digest(&done.report.plan),
        manifests,
    };
    let path = Path::new(path);
    let text = serde_json::to_vec_pretty(&plan).unwrap_or_default();
    let written = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| file.write_all(&text));
    written.map_err(|error| Failure::unwritable(path, &error))
}

fn read_plan(path: &Path) -> Result<PlanFile, Failure> {
    let text = std::fs::read_to_string(path).map_err(|error| Failure::unreadable(path, &error))?;
    let wrong = |what: String| {
        let message = format!("`{}` is no plan of `kernel deploy`: {what}", path.display());
        let help = "make one with `kernel deploy … --plan-only -o FILE`";
        Failure::new(ExitCode::Usage, problem(BAD_PLAN, message, help))
    };
    let plan: PlanFile = serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
    if plan.schema != PLAN_FILE {
        return Err(wrong(format!("its schema is `{}`", plan.schema)));
    }
    Ok(plan)
}

/// A plan is for one place.
fn same_target(plan: &PlanFile, cluster: &Cluster, settings: &DeploySettings) -> Result<(), Failure> {
    let there = (&plan.server, &plan.namespace, plan.name.as_str());
    let here = (&cluster.server, &cluster.namespace, settings.name.as_str());
    if there == here {
        return Ok(());
    }
    let message = format!(
        "this plan is for release {} in namespace {} of {}, and this is release {} in namespace {} of {}",
        there.2, there.1, there.0, here.2, here.1, here.0
    );
    let help = "choose the place with `--context`, `-n` and `-p`, or make a plan for this one";
    Err(Failure::new(ExitCode::Usage, problem(BAD_PLAN, message, help)))
}
