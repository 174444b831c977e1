//! `kernel wait`: wait until the first of several services has ended, and end with its exit code.

use std::process::ExitCode;

use clap::Args;
use kernel_ops::Failure;
use serde::Serialize;

use crate::arguments::DataFormat;
use crate::commands::down;
use crate::context::Context;
use crate::stack;

const EXAMPLES: &str = "\
Examples:
  kernel wait migrations         until it has ended; its exit code is that of the command
  kernel wait tests --down-project
                                 and then take the project down";

/// What can be said.
#[derive(Args, Debug)]
#[command(before_help = EXAMPLES)]
pub struct Arguments {
    /// The services; the first that ends counts
    #[arg(value_name = "SERVICE", required = true)]
    services: Vec<String>,

    /// Take the project down when the first has ended
    #[arg(long)]
    down_project: bool,

    /// The form of the answer
    #[arg(short = 'o', long = "output", value_enum, default_value_t, value_name = "FORMAT")]
    format: DataFormat,
}

#[derive(Serialize)]
struct Answer<'a> {
    schema: &'static str,
    container: &'a str,
    service: &'a str,
    exit_code: i64,
}

/// Does it.
pub fn run(context: &mut Context, arguments: Arguments) -> Result<ExitCode, Failure> {
    let ended = stack::run(context, async |stack, _| stack.wait(&arguments.services).await)?;
    // Names that have no container were refused, and one name at least was given.
    let Some(ended) = ended else { return Ok(ExitCode::SUCCESS) };
    if arguments.down_project && !context.settings.dry_run {
        down::run(context, down::Arguments::default())?;
    }
    let member = &ended.member;
    let answer = Answer {
        schema: "kernel.wait/v1",
        container: &member.name,
        service: &member.service,
        exit_code: ended.code,
    };
    let table = || format!("{} ended with exit code {}\n", member.name, ended.code);
    context.answer(arguments.format, &answer, table, || vec![member.name.clone()]);
    Ok(stack::exit_code_of_program(ended.code))
}
