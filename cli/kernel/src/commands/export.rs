//! `kernel export`: the files of a container as a tar archive.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;

use clap::Args;
use futures::StreamExt;
use kernel_core::exit::ExitCode;
use kernel_engine::EngineError;
use kernel_engine_docker::stack::BAD_ARGUMENT;
use kernel_ops::{Failure, codes};

use crate::context::Context;
use crate::{output, stack};

const EXAMPLES: &str = "\
Examples:
  kernel export gateway -o gateway.tar
  kernel export --index 2 worker | tar -t
                                 of the second container of a service";

/// What can be said.
#[derive(Args, Debug)]
#[command(before_help = EXAMPLES)]
pub struct Arguments {
    /// The service
    #[arg(value_name = "SERVICE")]
    service: String,

    /// Which of the service's containers, from one; without it the first
    #[arg(long, value_name = "N")]
    index: Option<u32>,

    /// Write to this file in place of stdout
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Does it.
pub fn run(context: &mut Context, arguments: Arguments) -> Result<ExitCode, Failure> {
    let path = arguments.output.map(|path| context.environment.working_directory.join(path));
    stack::run(context, async |stack, _| {
        let member = stack.member_in_any_state(&arguments.service, arguments.index).await?;
        if context.settings.dry_run {
            output::answer(&format!("would read the files of `{}`\n", member.name));
            return Ok(());
        }
        let mut file: Box<dyn Write> = match &path {
            Some(path) => Box::new(File::create(path).map_err(|error| failed(path.display(), error))?),
            None if io::stdout().is_terminal() => {
                let message = "an archive is nothing for a terminal";
                let help = "say `-o FILE`, or hand it to another program";
                return Err(EngineError::new(BAD_ARGUMENT, ExitCode::Usage, message).help(help));
            }
            None => Box::new(io::stdout()),
        };
        let shown = path.as_ref().map_or_else(|| "stdout".to_owned(), |path| path.display().to_string());
        let mut archive = stack.export(&member);
        while let Some(piece) = archive.next().await {
            file.write_all(&piece?).map_err(|error| failed(&shown, error))?;
        }
        file.flush().map_err(|error| failed(&shown, error))
    })?;
    Ok(ExitCode::Success)
}

fn failed(place: impl std::fmt::Display, error: io::Error) -> EngineError {
    EngineError::new(codes::COPY, ExitCode::Failed, format!("writing to {place} failed: {error}"))
}
