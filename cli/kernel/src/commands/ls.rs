//! `kernel ls`: the Compose projects of the Engine.

use clap::Args;
use kernel_core::exit::ExitCode;
use kernel_engine_docker::stack::{ProjectSummary, projects};
use kernel_ops::{Failure, converge};
use kernel_report::{Cell, Table};
use serde::Serialize;

use crate::arguments::DataFormat;
use crate::context::Context;
use crate::format::Plain;
use crate::{engine, output, stack, work};

const EXAMPLES: &str = "\
Examples:
  kernel ls                      projects of which something runs
  kernel ls --all                also those of which nothing runs
  kernel ls -q                   their names only";

/// What can be said.
#[derive(Args, Debug)]
#[command(before_help = EXAMPLES)]
pub struct Arguments {
    /// Also projects of which nothing runs
    #[arg(short, long)]
    all: bool,

    /// Only projects whose name contains this text
    #[arg(long, value_name = "name=TEXT", value_parser = name_filter)]
    filter: Option<String>,

    /// The form of the answer
    #[arg(short = 'o', long = "output", value_enum, default_value_t, value_name = "FORMAT")]
    output: DataFormat,

    /// The form of the answer, by docker compose's words
    #[arg(long, value_enum, value_name = "FORMAT", conflicts_with = "output")]
    format: Option<Plain>,
}

#[derive(Serialize)]
struct Answer<'a> {
    schema: &'static str,
    projects: &'a [ProjectSummary],
}

/// Shows them.
pub fn run(context: &mut Context, arguments: Arguments) -> Result<ExitCode, Failure> {
    let mut found = work::run(context, async |_| {
        let found = async { projects(&engine::address(context)?, arguments.all).await };
        found.await.map_err(|error| converge::engine_failure(&error))
    })?;
    if let Some(text) = &arguments.filter {
        found.retain(|project| project.name.contains(text));
    }
    let table = || {
        let mut table = Table::new(["NAME", "STATUS", "CONFIG FILES"]);
        for project in &found {
            let cells = [&project.name, &project.status, &project.config_files];
            table.row(cells.map(|cell| Cell::from(cell.as_str())));
        }
        if found.is_empty() {
            "no project has containers\n".to_owned()
        } else {
            table.render(context.settings.answer)
        }
    };
    let names = || found.iter().map(|project| project.name.clone()).collect();
    let format = stack::with_quiet(context, arguments.output);
    if arguments.format == Some(Plain::Json) && format != DataFormat::Name {
        output::answer(&format!("{}\n", serde_json::to_string(&found).unwrap_or_default()));
        return Ok(ExitCode::Success);
    }
    context.answer(format, &Answer { schema: "kernel.projects/v1", projects: &found }, table, names);
    Ok(ExitCode::Success)
}

fn name_filter(text: &str) -> Result<String, String> {
    text.strip_prefix("name=").map(str::to_owned).ok_or_else(|| "only `name=TEXT` is a filter".to_owned())
}
