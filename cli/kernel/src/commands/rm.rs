//! `kernel rm`: remove containers that do not run.

use std::io::{self, BufRead, IsTerminal};
use std::path::PathBuf;

use clap::Args;
use kernel_core::exit::ExitCode;
use kernel_engine_docker::stack::Member;
use kernel_ops::converge::{self, ChangeSettings};
use kernel_ops::{Failure, codes, problem};

use crate::arguments::DataFormat;
use crate::commands::change;
use crate::context::Context;
use crate::{output, stack};

const EXAMPLES: &str = "\
Examples:
  kernel rm                      what has ended; asks first
  kernel rm -f job               of one service, without a question
  kernel rm -fsv worker          end it first; its volumes without a name go too";

/// What can be said.
#[derive(Args, Debug)]
#[command(before_help = EXAMPLES)]
pub struct Arguments {
    /// The services; without names all
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,

    /// Do not ask first
    #[arg(short, long)]
    force: bool,

    /// End what runs first
    #[arg(short, long)]
    stop: bool,

    /// Remove volumes without a name too
    #[arg(short, long)]
    volumes: bool,

    /// A Compose file, as the global option; its short form means `--force` here
    // The same id as the global one: clap then takes this in its place and carries the values over.
    #[arg(long = "file", value_name = "FILE", hide_short_help = true)]
    files: Vec<PathBuf>,

    /// Say more, as the global option; its short form means `--volumes` here
    // As above.
    #[arg(long = "verbose", action = clap::ArgAction::Count, hide_short_help = true)]
    verbose: u8,

    /// The form of the answer
    #[arg(short = 'o', long = "output", value_enum, default_value_t, value_name = "FORMAT")]
    format: DataFormat,
}

/// Removes them.
pub fn run(context: &mut Context, arguments: Arguments) -> Result<ExitCode, Failure> {
    let dry_run = context.settings.dry_run;
    if arguments.stop {
        let settings = ChangeSettings { services: arguments.services.clone(), ..ChangeSettings::default() };
        let (_, change) = change::run(context, "rm", async |platform, work| {
            converge::stop(platform, &settings, work).await
        })?;
        if dry_run {
            change::show_plan(context, arguments.format, &change);
        }
    }
    let members =
        stack::run(context, async |stack, _| stack.ended_members(&arguments.services, arguments.stop).await)?;
    if !dry_run && !members.is_empty() {
        if !arguments.force {
            agree(&members)?;
        }
        stack::run(context, async |stack, _| stack.remove(&members, arguments.volumes).await)?;
    }
    stack::tell(context, arguments.format, "removed", &members);
    Ok(ExitCode::Success)
}

/// Asks who sits at the terminal. Where nobody does, nobody agrees.
fn agree(members: &[Member]) -> Result<(), Failure> {
    let names: Vec<&str> = members.iter().map(|member| &*member.name).collect();
    let mut answer = String::new();
    if io::stdin().is_terminal() {
        output::say(&format!("remove {}? [yN] ", names.join(", ")));
        // Who says nothing does not agree.
        let _ = io::stdin().lock().read_line(&mut answer);
    }
    if matches!(answer.trim().to_lowercase().as_str(), "y" | "yes") {
        return Ok(());
    }
    let message = format!("nothing was removed: nobody agreed to lose {}", names.join(", "));
    Err(Failure::new(
        ExitCode::Usage,
        problem(codes::NOT_AGREED, message, "`--force` removes without a question"),
    ))
}
