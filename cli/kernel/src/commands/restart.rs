//! `kernel restart`: start services again although nothing about them changed.

use std::time::Duration;

use clap::Args;
use kernel_core::exit::ExitCode;
use kernel_ops::Failure;
use kernel_ops::converge::{self, ChangeSettings};

use crate::arguments::DataFormat;
use crate::commands::change;
use crate::context::Context;

const EXAMPLES: &str = "\
Examples:
  kernel restart gateway iam     two services
  kernel restart db --no-deps    one service, without those that are started again with it
  kernel restart                 all services";

/// What can be said.
#[derive(Args, Debug)]
#[command(before_help = EXAMPLES)]
pub struct Arguments {
    /// The services; without names all
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,

    /// So many seconds between asking a service to end and ending it, in place of its own time
    #[arg(short, long, value_name = "SECONDS")]
    timeout: Option<u64>,

    /// Not the services that say `restart: true` of their need for one of these
    #[arg(long)]
    no_deps: bool,
}

/// Does it.
pub fn run(context: &mut Context, arguments: Arguments) -> Result<ExitCode, Failure> {
    let grace = arguments.timeout.map(Duration::from_secs);
    let settings = ChangeSettings {
        services: arguments.services,
        grace,
        alone: arguments.no_deps,
        ..ChangeSettings::default()
    };
    let (_, change) = change::run(context, "restart", async |platform, work| {
        converge::restart(platform, &settings, work).await
    })?;
    if context.settings.dry_run {
        change::show_plan(context, DataFormat::Table, &change);
    }
    Ok(ExitCode::Success)
}
