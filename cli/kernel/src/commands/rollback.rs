//! `kernel rollback`: deploy an earlier release again, its configuration included.

use clap::Args;
use kernel_core::event::Event;
use kernel_core::exit::ExitCode;
use kernel_deploy::deploy::{deploy, look};
use kernel_deploy::{Outcome, Releases};
use kernel_ops::{Failure, problem};

use crate::arguments::DataFormat;
use crate::commands::cluster::{self, Confirmation, Rules, Target};
use crate::commands::deploy::describe;
use crate::context::Context;
use crate::work;

const EXAMPLES: &str = "\
Examples:
  kernel rollback staging             an environment's release, the last good one before the newest
  kernel rollback -n shop             the last good release before the one that is there
  kernel rollback -n shop --to 7      that one
  kernel rollback -n shop --dry-run   what would change";

/// What can be said.
#[derive(Args, Debug)]
#[command(before_help = EXAMPLES)]
pub struct Arguments {
    /// The release [default: the last good one before the newest]
    #[arg(long, value_name = "REVISION")]
    to: Option<u32>,

    #[command(flatten)]
    target: Target,

    #[command(flatten)]
    rules: Rules,

    #[command(flatten)]
    confirmation: Confirmation,

    /// The form of the answer
    #[arg(short = 'o', long = "output", value_enum, default_value_t, value_name = "FORMAT")]
    format: DataFormat,
}

/// Does it.
pub fn run(context: &mut Context, arguments: Arguments) -> Result<ExitCode, Failure> {
    let dry_run = context.settings.dry_run;
    let (plan, exit, problems) = work::run(context, async |surroundings| {
        let mut place = arguments.target.connect(context).await?;
        let name = cluster::name(context, &place.cluster)?;
        let releases = Releases::new(&place.cluster, name.as_str());
        let listed = releases.list().await.map_err(|fault| cluster::failure(&[fault]))?;
        let newest = listed.last().map_or(0, |release| release.revision);
        let good = |release: &&kernel_deploy::Release| {
            release.outcome == Outcome::Deployed && release.revision < newest
        };
        let Some(revision) =
            arguments.to.or_else(|| listed.iter().rev().find(good).map(|good| good.revision))
        else {
            let message = format!("no release of {name} before the newest one was good");
            let help = "`kernel history` lists what there is; `--to REVISION` chooses one";
            let problem = problem(kernel_deploy::codes::NO_RELEASE, message, help);
            return Err(Failure::new(ExitCode::NothingSelected, problem));
        };
        let manifests = releases.manifests(revision).await.map_err(|fault| cluster::failure(&[fault]))?;
        let removed =
            listed.iter().any(|release| release.revision == revision && release.outcome == Outcome::Removed);
        let note = format!("roll back to {revision}");
        let mut settings = cluster::settings(context, &place.cluster, &arguments.rules, note)?;
        settings.remove = removed;
        let message = format!("cluster {}, release {name}, back to {revision}", place.cluster.server);
        surroundings.events.emit(Event::Notice { message });
        let look = look(&mut place.cluster, manifests, &settings).await;
        let look = look.map_err(|faults| cluster::failure(&faults))?;
        if dry_run {
            return Ok((look.proposal.plan, ExitCode::Success, Vec::new()));
        }
        arguments.confirmation.see(context, &place, &look.proposal.plan, &mut settings)?;
        let (events, cancel) = (&surroundings.events, &surroundings.cancel);
        let done = deploy(&mut place.cluster, look, &settings, events, cancel).await;
        let done = done.map_err(|faults| cluster::failure(&faults))?;
        Ok((done.plan, done.exit, done.problems))
    })?;
    if exit != ExitCode::Success {
        return Err(Failure::several(exit, problems));
    }
    let text = || match (dry_run, plan.is_empty()) {
        (true, _) | (_, true) => describe(&plan),
        _ => "rolled back\n".to_owned(),
    };
    let names = || plan.steps.iter().map(|step| step.subject.to_string()).collect();
    context.answer(arguments.format, &plan, text, names);
    Ok(ExitCode::Success)
}
