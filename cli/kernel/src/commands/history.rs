//! `kernel history`: what was deployed before.

use clap::Args;
use kernel_core::exit::ExitCode;
use kernel_deploy::{Outcome, Release, Releases};
use kernel_ops::Failure;
use kernel_report::{Cell, Paint, Table};
use serde::Serialize;

use crate::arguments::DataFormat;
use crate::commands::cluster::{self, Target};
use crate::context::Context;
use crate::work;

const EXAMPLES: &str = "\
Examples:
  kernel history staging           an environment's releases
  kernel history -n shop           the releases that can be rolled back to";

/// What can be said.
#[derive(Args, Debug)]
#[command(before_help = EXAMPLES)]
pub struct Arguments {
    #[command(flatten)]
    target: Target,

    /// The form of the answer
    #[arg(short = 'o', long = "output", value_enum, default_value_t, value_name = "FORMAT")]
    format: DataFormat,
}

#[derive(Serialize)]
struct Answer<'a> {
    schema: &'static str,
    releases: &'a [Release],
}

/// Shows it.
pub fn run(context: &mut Context, arguments: Arguments) -> Result<ExitCode, Failure> {
    let releases = work::run(context, async |_| {
        let cluster = arguments.target.connect(context).await?.cluster;
        let name = cluster::name(context, &cluster)?;
        let listed = Releases::new(&cluster, name.as_str()).list().await;
        listed.map_err(|fault| cluster::failure(&[fault]))
    })?;
    let table = || {
        if releases.is_empty() {
            return "nothing was deployed yet\n".to_owned();
        }
        let mut table = Table::new(["REVISION", "OUTCOME", "WHEN", "BY", "WHAT"]);
        for release in &releases {
            table.row([
                Cell::from(release.revision.to_string()),
                Cell::painted(release.outcome.as_str(), paint(release.outcome)),
                Cell::from(release.at.get(..19).unwrap_or(&release.at)),
                Cell::from(release.by.as_str()),
                Cell::from(release.note.as_str()),
            ]);
        }
        table.render(context.settings.answer)
    };
    let names = || releases.iter().map(|release| release.revision.to_string()).collect();
    let answer = Answer { schema: "kernel.releases/v1", releases: &releases };
    context.answer(arguments.format, &answer, table, names);
    Ok(ExitCode::Success)
}

const fn paint(outcome: Outcome) -> Paint {
    match outcome {
        Outcome::Deployed => Paint::Good,
        Outcome::Failed => Paint::Bad,
        Outcome::Deploying | Outcome::RolledBack => Paint::Careful,
        Outcome::Removed => Paint::Faint,
    }
}
