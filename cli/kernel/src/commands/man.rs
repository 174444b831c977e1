//! `kernel man [COMMAND]`: the manual page, in roff.

use clap::Args;
use kernel_core::exit::ExitCode;
use kernel_ops::{Failure, problem};

use crate::codes::UNKNOWN_TOPIC;
use crate::context::Context;
use crate::{cli, output};

const EXAMPLES: &str = "\
Examples:
  kernel man | man -l -          read it
  kernel man up > kernel-up.1    the page of one command";

/// What can be said.
#[derive(Args, Debug)]
#[command(before_help = EXAMPLES)]
pub struct Arguments {
    /// The command; without it the page of `kernel` itself
    command: Option<String>,
}

/// Prints the page.
pub fn run(_context: &mut Context, arguments: Arguments) -> Result<ExitCode, Failure> {
    let mut definition = cli::definition();
    definition.build();
    let command = match &arguments.command {
        None => definition,
        Some(name) => definition.find_subcommand(name).cloned().ok_or_else(|| {
            let help = "`kernel --help` lists the commands";
            Failure::new(
                ExitCode::Usage,
                problem(UNKNOWN_TOPIC, format!("there is no command `{name}`"), help),
            )
        })?,
    };
    let mut page = Vec::new();
    clap_mangen::Man::new(command).render(&mut page).map_err(|error| {
        Failure::new(
            ExitCode::Failed,
            problem(UNKNOWN_TOPIC, format!("could not make the page: {error}"), "report this"),
        )
    })?;
    output::answer(&String::from_utf8_lossy(&page));
    Ok(ExitCode::Success)
}
