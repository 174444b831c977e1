//! `kernel down`: end everything that runs for the project; keep its data unless told otherwise.

use std::time::Duration;

use clap::Args;
use kernel_core::event::Event;
use kernel_core::exit::ExitCode;
use kernel_ops::Failure;
use kernel_ops::converge::{self, Work};
use kernel_ops::load;
use kernel_ops::workspace::Workspace;

use crate::arguments::DataFormat;
use crate::commands::{change, why};
use crate::context::Context;
use crate::engine::Stack;
use crate::{engine, stack, work};

const EXAMPLES: &str = "\
Examples:
  kernel down                    no process, port or file is left but the data
  kernel down --volumes          the data too
  kernel down -p acme            another platform of this workspace";

/// What can be said.
#[derive(Args, Debug, Default)]
#[command(before_help = EXAMPLES)]
pub struct Arguments {
    /// Remove the data too. There is no way back
    #[arg(short, long)]
    volumes: bool,

    /// As docker compose has it. What is no longer in the files ends here anyway
    #[arg(long)]
    remove_orphans: bool,

    /// So many seconds between asking a service to end and ending it, in place of its own time
    #[arg(short, long, value_name = "SECONDS")]
    timeout: Option<u64>,

    /// Say more, as the global option; its short form means `--volumes` here
    // The same id as the global one: clap then takes this in its place.
    #[arg(long = "verbose", action = clap::ArgAction::Count, hide_short_help = true)]
    verbose: u8,
}

/// Takes it down.
pub fn run(context: &mut Context, arguments: Arguments) -> Result<ExitCode, Failure> {
    let settings = context.load_settings();
    let workspace = load::place(&settings);
    let name = stack::project(context)?;
    let grace = arguments.timeout.map(Duration::from_secs);
    let change = work::run(context, async |surroundings| {
        let workspace: &Workspace = &workspace;
        let host = engine::choose(context, Stack { workspace, name: &name, platform: None }).await?;
        let (events, cancel) = (&surroundings.events, &surroundings.cancel);
        let work =
            Work { host: &*host, dry_run: context.settings.dry_run, events, cancel, command: "kernel down" };
        let change = converge::down(&name, arguments.volumes, grace, work).await?;
        if change.plan.is_empty() && !context.settings.dry_run {
            events.emit(Event::Notice { message: format!("nothing of `{name}` is left; nothing to do") });
        }
        Ok(change)
    })?;
    if !context.settings.dry_run {
        // A hint for `why` about what is no longer there; nothing fails with it.
        drop(why::worked(context, &name).forget());
    }
    if context.settings.dry_run {
        change::show_plan(context, DataFormat::Table, &change);
    }
    Ok(ExitCode::Success)
}
