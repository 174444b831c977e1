//! `kernel sandbox extend`: it expires at another time.

use std::time::Duration;

use clap::Args;
use kernel_core::exit::ExitCode;
use kernel_ops::Failure;
use kernel_ops::sandbox::TenantName;

use super::Place;
use crate::context::Context;
use crate::output;
use crate::values::duration;

const EXAMPLES: &str = "\
Examples:
  kernel sandbox extend acme --ttl 8h    eight hours from now
  kernel sandbox extend acme --forever   it stays until it is destroyed";

/// What can be said.
#[derive(Args, Debug)]
#[command(before_help = EXAMPLES)]
pub struct Arguments {
    /// Whose sandbox
    #[arg(value_name = "TENANT")]
    tenant: TenantName,

    /// How long it stays from now on, such as 90m or 8h
    #[arg(long, value_name = "TIME", value_parser = duration, required_unless_present = "forever")]
    ttl: Option<Duration>,

    /// It does not expire any more
    #[arg(long, conflicts_with = "ttl")]
    forever: bool,
}

/// Notes it.
pub fn run(context: &Context, arguments: Arguments) -> Result<ExitCode, Failure> {
    let (place, before) = Place::existing(context, &arguments.tenant)?;
    let expires_at = arguments.ttl.map(super::later);
    let after = match context.settings.dry_run {
        true => Some(before),
        false => place.registry.extend(&place.tenant, expires_at)?,
    };
    let Some(sandbox) = after else { return place.sandbox().map(|_| ExitCode::Success) };
    output::answer(&match sandbox.expiry() {
        Some(time) => format!("{} may be removed from {time} on\n", place.tenant),
        None => format!("{} stays until it is destroyed\n", place.tenant),
    });
    Ok(ExitCode::Success)
}
