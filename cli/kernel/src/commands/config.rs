//! `kernel config`: the project as it is understood, after variables, merging and profiles.

use clap::{Args, ValueEnum};
use kernel_core::exit::ExitCode;
use kernel_ops::{Failure, load, problem};

use crate::context::Context;
use crate::{engine, output};

const EXAMPLES: &str = "\
Examples:
  kernel config                       the whole project as canonical YAML
  kernel config --format json         the same for programs
  kernel config -o name               the names of its services
  kernel config -f a.yml -f b.yml     what two files give together";

/// What can be said.
#[derive(Args, Debug)]
#[command(before_help = EXAMPLES)]
pub struct Arguments {
    /// The form of the answer
    #[arg(short = 'o', long, alias = "output", value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,
}

/// The form of the answer.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Format {
    /// Canonical YAML, which can be loaded again
    #[default]
    Yaml,
    /// The same as JSON
    Json,
    /// The names of the services, one per line
    Name,
}

/// Prints the project.
pub fn run(context: &mut Context, arguments: Arguments) -> Result<ExitCode, Failure> {
    let platform = load::load(&context.load_settings(), &engine::Secrets, false)?;
    context.warn(&platform);
    let text = match arguments.format {
        Format::Yaml => kernel_compose::render::yaml(&platform.project).map_err(|error| {
            let help = "this is a mistake in kernel; please report it with the Compose file";
            Failure::new(ExitCode::Failed, problem(kernel_ops::codes::UNWRITABLE, error.to_string(), help))
        })?,
        Format::Json => pretty(&kernel_compose::render::json(&platform.project)),
        Format::Name => platform.project.services.keys().map(|name| format!("{name}\n")).collect(),
    };
    output::answer(&text);
    Ok(ExitCode::Success)
}

fn pretty(value: &serde_json::Value) -> String {
    format!("{value:#}\n")
}
