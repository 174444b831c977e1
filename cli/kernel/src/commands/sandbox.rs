//! `kernel sandbox`: planned; says so and does nothing.

use clap::Args;
use kernel_core::exit::ExitCode;
use kernel_ops::Failure;

use crate::commands::deploy::missing;
use crate::context::Context;

const EXAMPLES: &str = "\
Not implemented yet: the command says so and exits with 1.

Examples:
  kernel sandbox create acme";

/// What can be said.
#[derive(Args, Debug)]
#[command(before_help = EXAMPLES)]
pub struct Arguments {
    /// What to do and for which tenant
    #[arg(value_name = "ACTION TENANT")]
    words: Vec<String>,
}

/// Says that there is nothing to run yet.
pub fn run(_context: &mut Context, _arguments: Arguments) -> Result<ExitCode, Failure> {
    Err(missing("sandbox"))
}
