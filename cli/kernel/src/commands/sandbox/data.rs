//! `kernel sandbox reset`, `snapshot` and `restore`: other data in the place of what is there. Services end for it and
//! come back when they ran.

use clap::Args;
use kernel_core::exit::ExitCode;
use kernel_ops::sandbox::TenantName;
use kernel_ops::{Failure, codes, problem};

use super::bring_up::bring_up;
use super::{Place, create, rest};
use crate::context::Context;
use crate::output;

const RESET_EXAMPLES: &str = "\
Examples:
  kernel sandbox reset acme                     passwords stay; ids are new";

const SNAPSHOT_EXAMPLES: &str = "\
Examples:
  kernel sandbox snapshot acme before-import
  kernel sandbox snapshot acme                  by the name `latest`, in place of an earlier one";

const RESTORE_EXAMPLES: &str = "\
Examples:
  kernel sandbox restore acme before-import     all that was done since is forgotten";

/// The name of a snapshot when nobody gives one.
const LATEST: &str = "latest";

/// What can be said.
#[derive(Args, Debug)]
#[command(before_help = RESET_EXAMPLES)]
pub struct ResetArguments {
    /// Whose sandbox
    #[arg(value_name = "TENANT")]
    tenant: TenantName,
}

/// What can be said.
#[derive(Args, Debug)]
#[command(before_help = SNAPSHOT_EXAMPLES)]
pub struct SnapshotArguments {
    /// Whose sandbox
    #[arg(value_name = "TENANT")]
    tenant: TenantName,

    /// The copy's name; one that is there by this name is replaced
    #[arg(value_name = "NAME", default_value = LATEST, value_parser = snapshot_name)]
    name: String,
}

/// What can be said.
#[derive(Args, Debug)]
#[command(before_help = RESTORE_EXAMPLES)]
pub struct RestoreArguments {
    /// Whose sandbox
    #[arg(value_name = "TENANT")]
    tenant: TenantName,

    /// The copy's name
    #[arg(value_name = "NAME", default_value = LATEST, value_parser = snapshot_name)]
    name: String,
}

fn snapshot_name(text: &str) -> Result<String, String> {
    let allowed = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-';
    let good = !text.is_empty() && text.len() <= 63 && !text.starts_with('-') && text.chars().all(allowed);
    if good {
        Ok(text.to_owned())
    } else {
        Err("a snapshot's name has lower-case letters, digits and dashes, at most 63".to_owned())
    }
}

/// Back to the seed.
pub fn reset(context: &Context, arguments: ResetArguments) -> Result<ExitCode, Failure> {
    let (place, _lock) = Place::existing_locked(context, &arguments.tenant)?;
    refuse_dry_run(context, "reset")?;
    rest::end(&place, "reset")?;
    place.state.empty()?;
    let up = bring_up(&place, "reset", None)?;
    create::show(&place, crate::arguments::DataFormat::Table, &up)?;
    Ok(ExitCode::Success)
}

/// Keeps a copy.
pub fn snapshot(context: &Context, arguments: SnapshotArguments) -> Result<ExitCode, Failure> {
    let (place, _lock) = Place::existing_locked(context, &arguments.tenant)?;
    refuse_dry_run(context, "snapshot")?;
    let ran = rest::end(&place, "snapshot")?;
    let kept = place.state.snapshot(&arguments.name);
    // Whatever came of the copy, what ran goes on.
    let up = ran.then(|| bring_up(&place, "wake", None)).transpose();
    kept?;
    output::answer(&format!("kept as `{}`\n", arguments.name));
    if let Some(up) = up? {
        create::tell(&place, &up)?;
    }
    Ok(ExitCode::Success)
}

/// Goes back to a copy.
pub fn restore(context: &Context, arguments: RestoreArguments) -> Result<ExitCode, Failure> {
    let (place, _lock) = Place::existing_locked(context, &arguments.tenant)?;
    refuse_dry_run(context, "restore")?;
    let there = place.state.snapshots()?;
    if !there.contains(&arguments.name) {
        let message = format!("there is no snapshot `{}` of {}", arguments.name, place.tenant);
        let help = match there.as_slice() {
            [] => format!("`kernel sandbox snapshot {}` makes one", place.tenant),
            there => format!("there is: {}", there.join(", ")),
        };
        return Err(Failure::new(ExitCode::Usage, problem(codes::NO_SANDBOX, message, help)));
    }
    let ran = rest::end(&place, "restore")?;
    place.state.restore(&arguments.name)?;
    output::answer(&format!("back at `{}`\n", arguments.name));
    if ran {
        create::tell(&place, &bring_up(&place, "wake", None)?)?;
    }
    Ok(ExitCode::Success)
}

/// What replaces data has no plan that could be shown.
fn refuse_dry_run(context: &Context, command: &str) -> Result<(), Failure> {
    if !context.settings.dry_run {
        return Ok(());
    }
    let message = format!("`kernel sandbox {command} --dry-run` is not implemented yet; nothing was done");
    let problem = problem(crate::codes::NOT_IMPLEMENTED, message, "leave `--dry-run` out");
    Err(Failure::new(ExitCode::Failed, problem))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshots_name_is_one_folder_name() {
        for good in ["latest", "before-import", "1"] {
            assert_eq!(snapshot_name(good).as_deref(), Ok(good));
        }
        for bad in ["", ".", "..", "a/b", "A", "a.new", "-a", &"a".repeat(64)] {
            assert!(snapshot_name(bad).is_err(), "{bad}");
        }
    }
}
