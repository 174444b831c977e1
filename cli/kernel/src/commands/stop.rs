//! `kernel stop`: end services and keep what is known of them.

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
  kernel stop notify             one service
  kernel stop                    all services; `kernel down` also removes what is known of them";

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
}

/// Does it.
pub fn run(context: &mut Context, arguments: Arguments) -> Result<ExitCode, Failure> {
    let grace = arguments.timeout.map(Duration::from_secs);
    let settings = ChangeSettings { services: arguments.services, grace, ..ChangeSettings::default() };
    let (_, change) =
        change::run(context, "stop", async |platform, work| converge::stop(platform, &settings, work).await)?;
    if context.settings.dry_run {
        change::show_plan(context, DataFormat::Table, &change);
    }
    Ok(ExitCode::Success)
}
