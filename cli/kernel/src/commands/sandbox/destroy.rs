//! `kernel sandbox destroy` and `prune`: no process, port or file of a sandbox is left.

use clap::Args;
use kernel_core::exit::ExitCode;
use kernel_ops::converge::{self, DownSettings, Work};
use kernel_ops::sandbox::{Registry, TenantName};
use kernel_ops::{Failure, codes, load};

use super::Place;
use crate::arguments::DataFormat;
use crate::commands::{change, why};
use crate::confirm::Question;
use crate::context::Context;
use crate::settings::Progress;
use crate::{engine, output, work};

const EXAMPLES: &str = "\
Examples:
  kernel sandbox destroy acme                  asks for the name
  kernel sandbox destroy acme --confirm=acme   for scripts
  kernel sandbox destroy acme --dry-run        what would end";

const PRUNE_EXAMPLES: &str = "\
Examples:
  kernel sandbox prune --expired    those whose `--ttl` is over
  kernel sandbox prune --expired --dry-run";

/// What can be said.
#[derive(Args, Debug)]
#[command(before_help = EXAMPLES)]
pub struct Arguments {
    /// Whose sandbox
    #[arg(value_name = "TENANT")]
    tenant: TenantName,

    /// Confirm by the tenant's name; without it the name is asked for, where there is a terminal
    #[arg(long, value_name = "TENANT")]
    confirm: Option<String>,
}

/// What can be said.
#[derive(Args, Debug)]
#[command(before_help = PRUNE_EXAMPLES)]
pub struct PruneArguments {
    /// Remove those that have expired
    #[arg(long, required = true)]
    expired: bool,
}

/// Removes it.
pub fn run(context: &Context, arguments: Arguments) -> Result<ExitCode, Failure> {
    let (place, _) = Place::existing(context, &arguments.tenant)?;
    if !context.settings.dry_run {
        confirm(context, &place, arguments.confirm.as_deref())?;
    }
    let (place, _lock) = Place::existing_locked(context, &arguments.tenant)?;
    remove(&place)?;
    Ok(ExitCode::Success)
}

/// Removes those that have expired.
pub fn prune(context: &Context, _arguments: PruneArguments) -> Result<ExitCode, Failure> {
    if remove_expired(context, None)? == 0 {
        output::answer("no sandbox has expired\n");
    }
    Ok(ExitCode::Success)
}

/// Removes those that have expired, but for one, and says how many there were.
pub fn remove_expired(context: &Context, but: Option<&TenantName>) -> Result<usize, Failure> {
    let registry = Registry::of(&load::workspace(&context.load_settings())?);
    let mut count = 0;
    for tenant in registry.expired(super::now())?.iter().filter(|tenant| Some(*tenant) != but) {
        let place = Place::of(context, tenant)?;
        let _lock = place.lock()?;
        // Somebody may have destroyed or extended it while we waited.
        if registry.expired(super::now())?.contains(tenant) {
            remove(&place)?;
            count += 1;
        }
    }
    Ok(count)
}

/// Takes the project down with its data, then forgets the sandbox: a kill before that leaves one that is known.
fn remove(place: &Place) -> Result<(), Failure> {
    let inside = &place.inside;
    let project = place.tenant.project()?;
    let dry_run = inside.settings.dry_run;
    let change = work::run(inside, async |surroundings| {
        let host = engine::local(inside, &place.workspace, &project)?;
        let command = format!("kernel sandbox destroy {}", place.tenant);
        let (events, cancel) = (&surroundings.events, &surroundings.cancel);
        let work = Work { host: &*host, dry_run, events, cancel, command: &command };
        let down = DownSettings { volumes: true, ..DownSettings::default() };
        converge::down(&project, &down, work).await
    })?;
    if dry_run {
        change::show_plan(inside, DataFormat::Table, &change);
        return Ok(());
    }
    place.state.remove()?;
    // A hint for `why` about what is no longer there; nothing fails with it.
    drop(why::worked(inside, &project).forget());
    place.registry.release(&place.tenant)?;
    if !matches!(inside.settings.progress, Progress::Quiet | Progress::Json) {
        output::say(&format!("the sandbox of {} is gone\n", place.tenant));
    }
    Ok(())
}

fn confirm(context: &Context, place: &Place, said: Option<&str>) -> Result<(), Failure> {
    let tenant = place.tenant.as_str();
    let mut reasons = vec![format!("all data of {tenant} is removed: {}", place.shown(place.state.folder()))];
    let snapshots = place.state.snapshots()?;
    if !snapshots.is_empty() {
        reasons.push(format!("its snapshots too: {}", snapshots.join(", ")));
    }
    let untouched = format!("nothing of the sandbox of {tenant} was changed");
    let code = codes::SANDBOX_UNCONFIRMED;
    Question { what: "tenant", name: tenant, reasons, untouched, code }.answer(context, said)
}
