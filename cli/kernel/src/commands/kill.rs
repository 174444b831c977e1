//! `kernel kill`: send a signal to containers.

use clap::Args;
use kernel_core::exit::ExitCode;
use kernel_engine_docker::stack::Which;
use kernel_ops::Failure;

use crate::arguments::DataFormat;
use crate::context::Context;
use crate::stack;

const EXAMPLES: &str = "\
Examples:
  kernel kill gateway            end it at once
  kernel kill -s HUP gateway     another signal";

/// What can be said.
#[derive(Args, Debug)]
#[command(before_help = EXAMPLES)]
pub struct Arguments {
    /// The services; without names all
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,

    /// The signal, by name or number
    #[arg(short, long, default_value = "SIGKILL", value_name = "SIGNAL")]
    signal: String,

    /// As docker compose has it. Without names the signal goes to what is no longer in the files anyway
    #[arg(long)]
    remove_orphans: bool,

    /// The form of the answer
    #[arg(short = 'o', long = "output", value_enum, default_value_t, value_name = "FORMAT")]
    format: DataFormat,
}

/// Does it.
pub fn run(context: &mut Context, arguments: Arguments) -> Result<ExitCode, Failure> {
    let told = stack::run(context, async |stack, _| {
        if context.settings.dry_run {
            return stack.members(&arguments.services, Which::Running).await;
        }
        stack.kill(&arguments.services, &arguments.signal).await
    })?;
    stack::tell(context, arguments.format, &format!("sent {}", arguments.signal), &told);
    Ok(ExitCode::Success)
}
