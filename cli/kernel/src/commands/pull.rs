//! `kernel pull`: fetch the images of services.

use clap::{Args, ValueEnum};
use kernel_core::exit::ExitCode;
use kernel_ops::Failure;
use kernel_ops::transfer::{self, TransferSettings};

use crate::arguments::DataFormat;
use crate::commands::change;
use crate::context::Context;

const EXAMPLES: &str = "\
Examples:
  kernel pull                    the images of all services
  kernel pull --policy missing   only those that are not there
  kernel pull --ignore-buildable postgres valkey";

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

    /// Not the images of services that can be built
    #[arg(long)]
    ignore_buildable: bool,

    /// Tell what can't be fetched, and do not fail
    #[arg(long)]
    ignore_pull_failures: bool,

    /// Which ones
    #[arg(long, value_enum, default_value_t, value_name = "POLICY")]
    policy: Policy,
}

/// Which images are fetched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Policy {
    /// All
    #[default]
    Always,
    /// Those that are not there
    Missing,
}

/// Does it.
pub fn run(context: &mut Context, arguments: Arguments) -> Result<ExitCode, Failure> {
    let settings = TransferSettings {
        services: arguments.services,
        include_dependencies: arguments.include_deps,
        ignore_buildable: arguments.ignore_buildable,
        ignore_failures: arguments.ignore_pull_failures,
        only_missing: arguments.policy == Policy::Missing,
    };
    let (_, change) =
        change::run(context, "pull", async |platform, work| transfer::pull(platform, &settings, work).await)?;
    if context.settings.dry_run {
        change::show_plan(context, DataFormat::Table, &change);
    }
    Ok(ExitCode::Success)
}
