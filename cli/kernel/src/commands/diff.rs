//! `kernel diff`: what a deploy would change.

use clap::Args;
use kernel_core::exit::ExitCode;
use kernel_deploy::deploy::look;
use kernel_ops::Failure;

use crate::arguments::DataFormat;
use crate::commands::cluster::{self, Files, Rules, Target};
use crate::commands::deploy;
use crate::context::Context;
use crate::work;

const EXAMPLES: &str = "\
Examples:
  kernel diff staging --digests images.json --secrets staging.env    the workspace's manifests and its cluster
  kernel diff -f manifests/ -n shop     what a deploy would change, as the cluster itself says; exits with 3 when anything
  kernel diff -f manifests/ -o json     the same for a program";

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

    /// The form of the answer
    #[arg(short = 'o', long = "output", value_enum, default_value_t, value_name = "FORMAT")]
    format: DataFormat,
}

/// Shows it.
pub fn run(context: &mut Context, arguments: Arguments) -> Result<ExitCode, Failure> {
    let manifests = arguments.files.read(context, arguments.target.environment())?;
    let plan = work::run(context, async |_| {
        let mut cluster = arguments.target.connect(context).await?.cluster;
        let settings = cluster::settings(context, &cluster, &arguments.rules, String::new())?;
        let look = look(&mut cluster, manifests, &settings).await;
        Ok(look.map_err(|faults| cluster::failure(&faults))?.proposal.plan)
    })?;
    let names = || plan.steps.iter().map(|step| step.subject.to_string()).collect();
    context.answer(arguments.format, &plan, || deploy::describe(&plan), names);
    Ok(if plan.is_empty() { ExitCode::Success } else { ExitCode::Changes })
}
