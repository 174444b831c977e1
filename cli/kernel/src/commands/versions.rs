//! `kernel versions`: every pin and where it is used; `check` fails when somebody states a version without them.

use clap::{Args, Subcommand};
use kernel_core::exit::ExitCode;
use kernel_ops::versions::{self, Versions};
use kernel_ops::{Failure, load};
use kernel_report::{Cell, Table, diagnostics};

use crate::arguments::DataFormat;
use crate::context::Context;
use crate::output;

const EXAMPLES: &str = "\
Examples:
  kernel versions                every pin of `versions.env` and where it is used
  kernel versions check          fails with file and line where a version is stated without a pin
  kernel versions -o json";

const CHECK_EXAMPLES: &str = "\
Examples:
  kernel versions check          exits with 2 when something is wrong";

/// What can be said.
#[derive(Args, Debug)]
#[command(before_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub struct Arguments {
    #[command(subcommand)]
    action: Option<Action>,

    /// The form of the answer
    #[arg(short = 'o', long = "output", value_enum, default_value_t, value_name = "FORMAT")]
    format: DataFormat,
}

#[derive(Clone, Copy, Debug, Subcommand)]
enum Action {
    /// Fail when a file states a version by itself or names a pin that does not exist
    #[command(before_help = CHECK_EXAMPLES)]
    Check,
}

/// Prints or checks.
pub fn run(context: &mut Context, arguments: Arguments) -> Result<ExitCode, Failure> {
    let workspace = load::workspace(&context.load_settings())?;
    let versions = versions::versions(&workspace)?;
    if let Some(Action::Check) = arguments.action {
        return check(context, &versions);
    }
    let table = || {
        let mut table = Table::new(["PIN", "VERSION", "USED AT"]);
        for pin in &versions.pins {
            let mut places = pin.used_at.iter();
            let first = places.next().map(String::as_str).unwrap_or("nowhere");
            table.row([&pin.name, &pin.version, first].map(Cell::from));
            for place in places {
                table.row(["", "", place.as_str()].map(Cell::from));
            }
        }
        table.render(context.settings.answer)
    };
    let names = || versions.pins.iter().map(|pin| pin.name.clone()).collect();
    context.answer(arguments.format, &versions, table, names);
    Ok(ExitCode::Success)
}

fn check(context: &Context, versions: &Versions) -> Result<ExitCode, Failure> {
    if let Some(failure) = versions.failure() {
        return Err(failure);
    }
    let look = context.settings.conversation;
    output::say(&diagnostics::render(&versions.diagnostics, &versions.sources, look));
    let uses: usize = versions.pins.iter().map(|pin| pin.used_at.len()).sum();
    output::answer(&format!("{} pins, {uses} uses, no version is stated by itself\n", versions.pins.len()));
    Ok(ExitCode::Success)
}
