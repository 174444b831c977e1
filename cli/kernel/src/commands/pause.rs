//! `kernel pause`: freeze containers.

use clap::Args;
use kernel_core::exit::ExitCode;
use kernel_engine_docker::stack::Which;
use kernel_ops::Failure;

use crate::arguments::DataFormat;
use crate::context::Context;
use crate::stack;

const EXAMPLES: &str = "\
Examples:
  kernel pause postgres          connections stay open, and nobody answers
  kernel unpause postgres        it goes on";

/// What can be said.
#[derive(Args, Debug)]
#[command(before_help = EXAMPLES)]
pub struct Arguments {
    /// The services; without names all
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,

    /// The form of the answer
    #[arg(short = 'o', long = "output", value_enum, default_value_t, value_name = "FORMAT")]
    format: DataFormat,
}

/// Does it.
pub fn run(context: &mut Context, arguments: Arguments) -> Result<ExitCode, Failure> {
    let told = stack::run(context, async |stack, _| {
        if context.settings.dry_run {
            let mut members = stack.members(&arguments.services, Which::Running).await?;
            members.retain(|member| member.state != "paused");
            return Ok(members);
        }
        stack.pause(&arguments.services).await
    })?;
    stack::tell(context, arguments.format, "paused", &told);
    Ok(ExitCode::Success)
}
