//! `kernel sandbox list` and `status`: which sandboxes there are and how they are.

use clap::Args;
use kernel_core::exit::ExitCode;
use kernel_ops::sandbox::{Registry, Sandbox, Summary, TenantName};
use kernel_ops::status::{self, Selection, Status};
use kernel_ops::{Failure, converge, load};
use kernel_report::{Cell, Paint, Table};
use serde::Serialize;

use super::Place;
use crate::arguments::DataFormat;
use crate::commands::build::megabytes;
use crate::commands::ps;
use crate::context::Context;
use crate::{engine, work};

const EXAMPLES: &str = "\
Examples:
  kernel sandbox list
  kernel sandbox list -o json | jq '.sandboxes[].url'";

const STATUS_EXAMPLES: &str = "\
Examples:
  kernel sandbox status acme
  kernel sandbox status acme -o json | jq .sandbox.memory_bytes";

/// What can be said.
#[derive(Args, Debug)]
#[command(before_help = EXAMPLES)]
pub struct Arguments {
    /// The form of the answer
    #[arg(short = 'o', long = "output", value_enum, default_value_t, value_name = "FORMAT")]
    format: DataFormat,
}

/// What can be said.
#[derive(Args, Debug)]
#[command(before_help = STATUS_EXAMPLES)]
pub struct StatusArguments {
    /// Whose sandbox
    #[arg(value_name = "TENANT")]
    tenant: TenantName,

    /// The form of the answer
    #[arg(short = 'o', long = "output", value_enum, default_value_t, value_name = "FORMAT")]
    format: DataFormat,
}

#[derive(Serialize)]
struct All {
    schema: &'static str,
    sandboxes: Vec<Summary>,
}

#[derive(Serialize)]
struct One {
    schema: &'static str,
    sandbox: Summary,
    status: Status,
}

/// Shows all.
pub fn run(context: &Context, arguments: Arguments) -> Result<ExitCode, Failure> {
    let registry = Registry::of(&load::workspace(&context.load_settings())?);
    let known = registry.all()?;
    let sandboxes = work::run(context, async |_| {
        let mut summaries = Vec::new();
        for (tenant, sandbox) in &known {
            summaries.push(summary(&Place::of(context, tenant)?, sandbox).await?);
        }
        Ok(summaries)
    })?;
    let all = All { schema: "kernel.sandboxes/v1", sandboxes };
    let table = || match all.sandboxes.as_slice() {
        [] => "there is no sandbox; `kernel sandbox create TENANT` makes one\n".to_owned(),
        sandboxes => table(context, sandboxes),
    };
    let names = || all.sandboxes.iter().map(|summary| summary.tenant.to_string()).collect();
    context.answer(arguments.format, &all, table, names);
    Ok(ExitCode::Success)
}

/// Shows one.
pub fn status(context: &Context, arguments: StatusArguments) -> Result<ExitCode, Failure> {
    let (place, sandbox) = Place::existing(context, &arguments.tenant)?;
    let inside = &place.inside;
    let platform = load::load(&inside.load_settings(), &engine::Secrets, false)?;
    let one = work::run(inside, async |_| {
        let host = engine::local(inside, &platform.workspace, &platform.name)?;
        let status = status::status(&platform, &*host, &Selection::default()).await?;
        let sandbox = summary(&place, &sandbox).await?;
        Ok(One { schema: "kernel.sandbox-status/v1", sandbox, status })
    })?;
    let look = inside.settings.answer;
    let text = || {
        let services = ps::table(&one.status, look);
        format!("{}\n{services}", table(inside, std::slice::from_ref(&one.sandbox)))
    };
    inside.answer(arguments.format, &one, text, || vec![one.sandbox.state.to_owned()]);
    Ok(ExitCode::Success)
}

async fn summary(place: &Place, sandbox: &Sandbox) -> Result<Summary, Failure> {
    let host = engine::local(&place.inside, &place.workspace, &place.tenant.project()?)?;
    let observed = host.engine().observe().await.map_err(|error| converge::engine_failure(&error))?;
    Ok(Summary::of(&place.tenant, sandbox, &observed))
}

fn table(context: &Context, sandboxes: &[Summary]) -> String {
    let mut table = Table::new(["TENANT", "STATE", "READY", "URL", "MEMORY", "EXPIRES"]);
    for summary in sandboxes {
        let paint = match summary.state {
            "ready" => Paint::Good,
            "asleep" => Paint::Faint,
            _ => Paint::Careful,
        };
        table.row([
            Cell::from(summary.tenant.as_str()),
            Cell::painted(summary.state, paint),
            Cell::from(format!("{}/{}", summary.ready, summary.services)),
            Cell::from(summary.url.as_str()),
            Cell::from(megabytes(summary.memory_bytes)),
            Cell::from(summary.expires_at.clone().unwrap_or_else(|| "-".to_owned())),
        ]);
    }
    table.render(context.settings.answer)
}
