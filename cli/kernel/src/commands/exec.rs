//! `kernel exec`: run a program in a container beside what runs there.

use std::process::ExitCode;

use clap::Args;
use kernel_engine_docker::stack::ExecSettings;
use kernel_ops::Failure;

use crate::context::Context;
use crate::{output, stack, terminal};

const EXAMPLES: &str = "\
Examples:
  kernel exec postgres psql      on a terminal
  kernel exec -T postgres pg_dump platform > dump.sql
  kernel exec -u 0 -e A=b gateway sh -c 'env'";

/// What can be said.
#[derive(Args, Debug)]
#[command(before_help = EXAMPLES)]
pub struct Arguments {
    /// The service
    #[arg(value_name = "SERVICE")]
    service: String,

    /// The program and its arguments
    #[arg(value_name = "COMMAND", required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<String>,

    /// Start it and do not listen
    #[arg(short, long)]
    detach: bool,

    /// A variable for it, NAME=value; NAME alone takes the value from here. May be said several times
    #[arg(short, long = "env", value_name = "NAME[=VALUE]")]
    environment: Vec<String>,

    /// Which of the service's containers, from one; without it the first
    #[arg(long, value_name = "N")]
    index: Option<u32>,

    /// No terminal, also where there is one
    #[arg(short = 'T', long)]
    no_tty: bool,

    /// With all privileges
    #[arg(long)]
    privileged: bool,

    /// As this user, by name or number, with `:GROUP` if need be
    #[arg(short, long, value_name = "USER")]
    user: Option<String>,

    /// In this folder of the container
    #[arg(short, long, value_name = "PATH")]
    workdir: Option<String>,
}

/// Does it.
pub fn run(context: &mut Context, arguments: Arguments) -> Result<ExitCode, Failure> {
    let tty = !arguments.detach && !arguments.no_tty && terminal::is_whole();
    let environment = arguments.environment.iter().filter_map(|variable| {
        if variable.contains('=') {
            return Some(variable.clone());
        }
        context.environment.get(variable).map(|value| format!("{variable}={value}"))
    });
    let settings = ExecSettings {
        environment: environment.collect(),
        command: arguments.command,
        user: arguments.user,
        directory: arguments.workdir,
        privileged: arguments.privileged,
        detach: arguments.detach,
        tty,
        stdin: !arguments.detach,
    };
    let code = stack::run(context, async |stack, _| {
        let member = stack.member(&arguments.service, arguments.index).await?;
        if context.settings.dry_run {
            output::answer(&format!("would run {:?} in `{}`\n", settings.command, member.name));
            return Ok(None);
        }
        let session = stack.exec(&member, &settings).await?;
        terminal::talk(session).await
    })?;
    Ok(code.map_or(ExitCode::SUCCESS, stack::exit_code_of_program))
}
