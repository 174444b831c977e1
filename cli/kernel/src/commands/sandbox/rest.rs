//! `kernel sandbox sleep` and `wake`: its processes end and come back, everything else stays.

use clap::Args;
use kernel_core::exit::ExitCode;
use kernel_ops::Failure;
use kernel_ops::converge::{self, ChangeSettings};
use kernel_ops::sandbox::TenantName;

use super::bring_up::bring_up;
use super::{Place, create};
use crate::arguments::DataFormat;
use crate::commands::change;
use crate::context::Context;

const SLEEP_EXAMPLES: &str = "\
Examples:
  kernel sandbox sleep acme    no process and no memory; its data, ports and passwords stay its own";

const WAKE_EXAMPLES: &str = "\
Examples:
  kernel sandbox wake acme";

/// What can be said.
#[derive(Args, Debug)]
#[command(before_help = SLEEP_EXAMPLES)]
pub struct SleepArguments {
    /// Whose sandbox
    #[arg(value_name = "TENANT")]
    tenant: TenantName,
}

/// What can be said.
#[derive(Args, Debug)]
#[command(before_help = WAKE_EXAMPLES)]
pub struct WakeArguments {
    /// Whose sandbox
    #[arg(value_name = "TENANT")]
    tenant: TenantName,
}

/// Ends its processes.
pub fn sleep(context: &Context, arguments: SleepArguments) -> Result<ExitCode, Failure> {
    let (place, _lock) = Place::existing_locked(context, &arguments.tenant)?;
    end(&place, "sleep")?;
    Ok(ExitCode::Success)
}

/// Starts them again.
pub fn wake(context: &Context, arguments: WakeArguments) -> Result<ExitCode, Failure> {
    let (place, _lock) = Place::existing_locked(context, &arguments.tenant)?;
    if context.settings.dry_run {
        return start_plan(&place);
    }
    let up = bring_up(&place, "wake", None)?;
    create::tell(&place, &up)?;
    Ok(ExitCode::Success)
}

fn start_plan(place: &Place) -> Result<ExitCode, Failure> {
    let (_, change) = change::run(&place.inside, "sandbox wake", async |platform, work| {
        converge::up(platform, &ChangeSettings::default(), work).await
    })?;
    change::show_plan(&place.inside, DataFormat::Table, &change);
    Ok(ExitCode::Success)
}

/// Ends its services, those of an earlier version of its files too; `true` when any ran.
pub fn end(place: &Place, command: &str) -> Result<bool, Failure> {
    let command = format!("sandbox {command} {}", place.tenant);
    let (_, change) = change::run(&place.inside, &command, async |platform, work| {
        let settings = ChangeSettings { remove_orphans: true, ..ChangeSettings::default() };
        converge::stop(platform, &settings, work).await
    })?;
    if place.inside.settings.dry_run {
        change::show_plan(&place.inside, DataFormat::Table, &change);
    }
    Ok(change.before.items.iter().any(|item| item.state.is_alive()))
}
