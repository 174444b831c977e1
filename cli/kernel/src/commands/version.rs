//! `kernel version`: which version this is.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use kernel_core::exit::ExitCode;
use kernel_ops::Failure;

use crate::context::Context;
use crate::output;

const EXAMPLES: &str = "\
Examples:
  kernel version                 with the program's name
  kernel version --short         the number only";

/// What can be said.
#[derive(Args, Debug)]
#[command(before_help = EXAMPLES)]
pub struct Arguments {
    /// The number only
    #[arg(long, conflicts_with = "format")]
    short: bool,

    /// The form of the answer
    #[arg(short, long, value_enum, value_name = "FORMAT")]
    format: Option<Form>,

    /// A Compose file, as the global option; its short form means `--format` here
    // The same id as the global one: clap then takes this in its place and carries the values over.
    #[arg(long = "file", value_name = "FILE", hide_short_help = true)]
    files: Vec<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    /// For people
    Pretty,
    /// One JSON object
    Json,
}

/// Tells it.
pub fn run(_: &mut Context, arguments: Arguments) -> Result<ExitCode, Failure> {
    let version = env!("CARGO_PKG_VERSION");
    output::answer(&match arguments.format {
        Some(Form::Json) => format!("{}\n", serde_json::json!({ "version": version })),
        _ if arguments.short => format!("{version}\n"),
        _ => format!("kernel {version}\n"),
    });
    Ok(ExitCode::Success)
}
