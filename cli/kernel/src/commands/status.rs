//! `kernel status`: how a release in a cluster is now.

use clap::Args;
use kernel_core::exit::ExitCode;
use kernel_deploy::{Surveyed, survey};
use kernel_ops::Failure;
use kernel_report::{Cell, Paint, Table};
use serde::Serialize;

use crate::arguments::DataFormat;
use crate::commands::cluster::{self, Target};
use crate::context::Context;
use crate::work;

const EXAMPLES: &str = "\
Examples:
  kernel status -n shop           every object of the release; exits with 11 when something is not ready
  kernel status -n shop -o json";

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
    release: &'a str,
    objects: &'a [Surveyed],
}

/// Shows it.
pub fn run(context: &mut Context, arguments: Arguments) -> Result<ExitCode, Failure> {
    let (name, found) = work::run(context, async |_| {
        let mut cluster = arguments.target.connect().await?;
        let name = cluster::name(context, &cluster)?;
        let found = survey(&mut cluster, name.as_str()).await;
        Ok((name, found.map_err(|faults| cluster::failure(&faults))?))
    })?;
    let table = || {
        if found.is_empty() {
            return format!("nothing of `{name}` is deployed\n");
        }
        let mut table = Table::new(["KIND", "NAME", "STATE", "DETAIL"]);
        for object in &found {
            table.row([
                Cell::from(object.name.kind.as_str()),
                Cell::from(object.name.name.as_str()),
                Cell::painted(object.state, paint(object.state)),
                Cell::from(object.detail.clone().unwrap_or_default()),
            ]);
        }
        table.render(context.settings.answer)
    };
    let names = || found.iter().map(|object| object.name.to_string()).collect();
    let answer = Answer { schema: "kernel.status/v1", release: name.as_str(), objects: &found };
    context.answer(arguments.format, &answer, table, names);
    let well = found.iter().all(|object| matches!(object.state, "ready" | "there"));
    Ok(if well { ExitCode::Success } else { ExitCode::Unhealthy })
}

fn paint(state: &str) -> Paint {
    match state {
        "ready" => Paint::Good,
        "failed" => Paint::Bad,
        "waiting" => Paint::Careful,
        _ => Paint::Faint,
    }
}
