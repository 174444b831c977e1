//! `kernel deploy`: planned; says so and does nothing.

use clap::Args;
use kernel_core::exit::ExitCode;
use kernel_ops::{Failure, problem};

use crate::codes::NOT_IMPLEMENTED;
use crate::context::Context;

const EXAMPLES: &str = "\
Not implemented yet: the command says so and exits with 1.

Examples:
  kernel deploy staging";

/// What can be said.
#[derive(Args, Debug)]
#[command(before_help = EXAMPLES)]
pub struct Arguments {
    /// The environment, a folder below `k8s/`
    environment: Option<String>,
}

/// Says that there is nothing to run yet.
pub fn run(_context: &mut Context, _arguments: Arguments) -> Result<ExitCode, Failure> {
    Err(missing("deploy"))
}

/// The failure of a command that does not exist yet.
pub fn missing(command: &str) -> Failure {
    let message = format!("`kernel {command}` is not implemented yet; nothing was done");
    let help = "`kernel --help` lists what works today";
    Failure::new(ExitCode::Failed, problem(NOT_IMPLEMENTED, message, help))
}
