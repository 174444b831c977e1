//! `kernel commit`: an image of what a container became.

use clap::Args;
use kernel_core::exit::ExitCode;
use kernel_engine_docker::stack::CommitSettings;
use kernel_ops::Failure;

use crate::context::Context;
use crate::{output, stack};

const EXAMPLES: &str = "\
Examples:
  kernel commit postgres seeded:1
  kernel commit -c 'CMD [\"serve\"]' -m 'with data' gateway gateway:warm";

/// What can be said.
#[derive(Args, Debug)]
#[command(before_help = EXAMPLES)]
pub struct Arguments {
    /// The service
    #[arg(value_name = "SERVICE")]
    service: String,

    /// What the image is called; without it only its id is known
    #[arg(value_name = "REPOSITORY[:TAG]")]
    name: Option<String>,

    /// Who made it
    #[arg(short, long, value_name = "NAME")]
    author: Option<String>,

    /// An instruction of a Dockerfile that is applied; may be said several times
    #[arg(short, long = "change", value_name = "INSTRUCTION")]
    changes: Vec<String>,

    /// Which of the service's containers, from one; without it the first
    #[arg(long, value_name = "N")]
    index: Option<u32>,

    /// What it is
    #[arg(short, long, value_name = "TEXT")]
    message: Option<String>,

    /// Freeze the container meanwhile
    #[arg(
        short,
        long,
        value_name = "BOOLEAN",
        default_value_t = true,
        default_missing_value = "true",
        num_args = 0..=1,
        require_equals = true,
        action = clap::ArgAction::Set
    )]
    pause: bool,

    /// The project's name, as the global option; its short form means `--pause` here
    // The same id as the global one: clap then takes this in its place and carries the value over.
    #[arg(long, value_name = "NAME", hide_short_help = true)]
    project_name: Option<String>,
}

/// Makes it, and prints its id.
pub fn run(context: &mut Context, arguments: Arguments) -> Result<ExitCode, Failure> {
    let settings = CommitSettings {
        name: arguments.name,
        author: arguments.author,
        message: arguments.message,
        changes: arguments.changes,
        pause: arguments.pause,
    };
    let answer = stack::run(context, async |stack, _| {
        let member = stack.member_in_any_state(&arguments.service, arguments.index).await?;
        if context.settings.dry_run {
            return Ok(format!("would make an image of `{}`\n", member.name));
        }
        Ok(format!("{}\n", stack.commit(&member, &settings).await?))
    })?;
    output::answer(&answer);
    Ok(ExitCode::Success)
}
