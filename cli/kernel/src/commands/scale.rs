//! `kernel scale`: how many containers services have.

use clap::Args;
use kernel_core::exit::ExitCode;
use kernel_ops::converge::{self, ChangeSettings};
use kernel_ops::{Failure, select};

use crate::arguments::DataFormat;
use crate::commands::change;
use crate::context::Context;

const EXAMPLES: &str = "\
Examples:
  kernel scale worker=4          four of them
  kernel scale worker=1 web=2    several services";

/// What can be said.
#[derive(Args, Debug)]
#[command(before_help = EXAMPLES)]
pub struct Arguments {
    /// Which service, and how many containers it shall have
    #[arg(value_name = "SERVICE=NUMBER", required = true, value_parser = replicas)]
    services: Vec<(String, u32)>,

    /// Only the services that are named, not what they need
    #[arg(long)]
    no_deps: bool,
}

/// Does it.
pub fn run(context: &mut Context, arguments: Arguments) -> Result<ExitCode, Failure> {
    let names: Vec<String> = arguments.services.iter().map(|(name, _)| name.clone()).collect();
    let settings =
        ChangeSettings { services: names.clone(), alone: arguments.no_deps, ..ChangeSettings::default() };
    let adjust = |platform: &mut kernel_ops::load::Platform| {
        select::named(&platform.project, &names)?;
        for (name, number) in &arguments.services {
            if let Some(service) = platform.project.services.get_mut(name) {
                service.scale = *number;
            }
        }
        Ok(())
    };
    let (_, change) = change::run_adjusted(context, "scale", adjust, async |platform, work| {
        converge::up(platform, &settings, work).await
    })?;
    if context.settings.dry_run {
        change::show_plan(context, DataFormat::Table, &change);
    }
    Ok(ExitCode::Success)
}

/// `SERVICE=NUMBER`.
///
/// # Errors
/// When it is of another form.
pub fn replicas(text: &str) -> Result<(String, u32), String> {
    let parts = text.split_once('=').and_then(|(name, number)| Some((name.to_owned(), number.parse().ok()?)));
    parts.ok_or_else(|| format!("`{text}` is not of the form SERVICE=NUMBER"))
}
