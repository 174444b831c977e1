//! `kernel attach`: join the main process of a container.

use std::process::ExitCode;

use clap::Args;
use kernel_engine_docker::stack::AttachSettings;
use kernel_ops::Failure;

use crate::context::Context;
use crate::{output, stack, terminal};

const EXAMPLES: &str = "\
Examples:
  kernel attach gateway          what it says from now on; Ctrl-P Ctrl-Q leaves a terminal
  kernel attach --no-stdin gateway
                                 only listen";

/// What can be said.
#[derive(Args, Debug)]
#[command(before_help = EXAMPLES)]
pub struct Arguments {
    /// The service
    #[arg(value_name = "SERVICE")]
    service: String,

    /// The keys that leave it running, such as `ctrl-p,ctrl-q`
    #[arg(long, value_name = "KEYS")]
    detach_keys: Option<String>,

    /// Which of the service's containers, from one; without it the first
    #[arg(long, value_name = "N")]
    index: Option<u32>,

    /// Only listen
    #[arg(long)]
    no_stdin: bool,
}

/// Does it.
pub fn run(context: &mut Context, arguments: Arguments) -> Result<ExitCode, Failure> {
    let settings = AttachSettings { stdin: !arguments.no_stdin, detach_keys: arguments.detach_keys };
    let code = stack::run(context, async |stack, surroundings| {
        let member = stack.member(&arguments.service, arguments.index).await?;
        if context.settings.dry_run {
            output::answer(&format!("would join `{}`\n", member.name));
            return Ok(None);
        }
        let session = stack.attach(&member, &settings).await?;
        if settings.stdin && session.input.is_none() {
            stack::note(surroundings, format!("`{}` takes no input (`stdin_open` is not set)", member.name));
        }
        terminal::talk(session).await
    })?;
    Ok(code.map_or(ExitCode::SUCCESS, stack::exit_code_of_program))
}
