//! `kernel push`: send the images of services that are built here to their registries.

use clap::Args;
use kernel_core::exit::ExitCode;
use kernel_ops::Failure;
use kernel_ops::transfer::{self, TransferSettings};

use crate::arguments::DataFormat;
use crate::commands::change;
use crate::context::Context;

const EXAMPLES: &str = "\
Examples:
  kernel push                    the images of all services that have a `build` section
  kernel push worker             of one
  kernel images push --help      without an Engine, from this workspace";

/// What can be said.
#[derive(Args, Debug)]
#[command(before_help = EXAMPLES)]
pub struct Arguments {
    /// The services; without names all
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,

    /// Also the images of what they depend on
    #[arg(long)]
    include_deps: bool,

    /// Tell what is refused, and do not fail
    #[arg(long)]
    ignore_push_failures: bool,
}

/// Does it.
pub fn run(context: &mut Context, arguments: Arguments) -> Result<ExitCode, Failure> {
    let settings = TransferSettings {
        services: arguments.services,
        include_dependencies: arguments.include_deps,
        ignore_failures: arguments.ignore_push_failures,
        ..TransferSettings::default()
    };
    let (_, change) =
        change::run(context, "push", async |platform, work| transfer::push(platform, &settings, work).await)?;
    if context.settings.dry_run {
        change::show_plan(context, DataFormat::Table, &change);
    }
    Ok(ExitCode::Success)
}
