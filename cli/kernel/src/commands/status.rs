//! `kernel status`: how a release in a cluster is now.

use clap::Args;
use kernel_core::exit::ExitCode;
use kernel_deploy::{Fault, Surveyed, survey, watch};
use kernel_ops::Failure;
use kernel_report::{Cell, Paint, Table};
use serde::Serialize;

use crate::arguments::DataFormat;
use crate::commands::cluster::{self, Target};
use crate::context::Context;
use crate::work;

const EXAMPLES: &str = "\
Examples:
  kernel status staging           an environment's release
  kernel status -n shop           every object of the release; exits with 11 when something is not ready
  kernel status -n shop --watch   the same again whenever something changes";

/// What can be said.
#[derive(Args, Debug)]
#[command(before_help = EXAMPLES)]
pub struct Arguments {
    #[command(flatten)]
    target: Target,

    /// Go on, and show it again whenever it changes, until Ctrl-C
    #[arg(short, long)]
    watch: bool,

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
    let failed = |faults: Vec<Fault>| cluster::failure(&faults);
    let found = work::run(context, async |surroundings| {
        let mut cluster = arguments.target.connect(context).await?.cluster;
        let name = cluster::name(context, &cluster)?;
        if !arguments.watch {
            let found = survey(&mut cluster, name.as_str()).await.map_err(failed)?;
            show(context, arguments.format, name.as_str(), &found);
            return Ok(Some(found));
        }
        let watching = watch(&mut cluster, name.as_str(), |found| {
            show(context, arguments.format, name.as_str(), found);
            true
        });
        tokio::select! {
            watched = watching => watched.map_err(failed).map(|()| None),
            () = surroundings.cancel.cancelled() => Ok(None),
        }
    })?;
    Ok(match found {
        // To be interrupted is the good end of a watch.
        None => ExitCode::Success,
        Some(found) if found.iter().all(|object| matches!(object.state, "ready" | "there")) => {
            ExitCode::Success
        }
        Some(_) => ExitCode::Unhealthy,
    })
}

fn show(context: &Context, format: DataFormat, release: &str, found: &[Surveyed]) {
    let table = || {
        if found.is_empty() {
            return format!("nothing of `{release}` is deployed\n");
        }
        let mut table = Table::new(["KIND", "NAME", "STATE", "DETAIL"]);
        for object in found {
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
    let answer = Answer { schema: "kernel.status/v1", release, objects: found };
    context.answer(format, &answer, table, names);
}

fn paint(state: &str) -> Paint {
    match state {
        "ready" => Paint::Good,
        "failed" => Paint::Bad,
        "waiting" => Paint::Careful,
        _ => Paint::Faint,
    }
}
