//! `kernel logs`: what services said.

use clap::Args;
use kernel_core::event::{Event, LogLine};
use kernel_core::exit::ExitCode;
use kernel_core::name::ServiceName;
use kernel_engine::Events;
use kernel_ops::host::LogSettings;
use kernel_ops::{Failure, converge, load, select};

use kernel_report::log_text::readable;

use crate::context::Context;
use crate::{engine, output, work};

const EXAMPLES: &str = "\
Examples:
  kernel logs                    all that is kept of all services, in the order of time
  kernel logs --tail 20 iam      the last lines of one service
  kernel logs -f gateway iam     go on with what they say from now on; Ctrl-C ends it";

/// What can be said.
#[derive(Args, Debug)]
#[command(before_help = EXAMPLES)]
pub struct Arguments {
    /// The services; without names all
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,

    /// Go on with what they say from now on
    #[arg(short, long)]
    follow: bool,

    /// A Compose file, as the global option; its short form means `--follow` here
    // The same id as the global one: clap then takes this in its place and carries the values over.
    #[arg(long = "file", value_name = "FILE", hide_short_help = true)]
    files: Vec<std::path::PathBuf>,

    /// At most so many last lines of each
    #[arg(short = 'n', long, value_name = "N")]
    tail: Option<usize>,

    /// One JSON object per line
    #[arg(long)]
    json: bool,

    /// Exactly what was said, without time and name
    #[arg(long, conflicts_with = "json")]
    raw: bool,
}

/// Tells it.
pub fn run(context: &mut Context, arguments: Arguments) -> Result<ExitCode, Failure> {
    let platform = load::load(&context.load_settings(), &engine::Secrets, false)?;
    let chosen = select::named(&platform.project, &arguments.services)?;
    let settings = LogSettings {
        services: chosen.into_iter().filter_map(|name| ServiceName::new(name).ok()).collect(),
        tail: arguments.tail,
        follow: arguments.follow,
    };
    let form = if arguments.json {
        Form::Json
    } else if arguments.raw {
        Form::Raw
    } else {
        Form::People
    };
    work::run(context, async |surroundings| {
        let host = engine::choose(context, engine::Stack::of(&platform)).await?;
        // Log lines are the answer, so they go to stdout by a way of their own.
        let (lines, mut told) = Events::channel();
        let cancel = &surroundings.cancel;
        let telling = async {
            let result = host.logs(&settings, &lines, cancel).await;
            drop(lines);
            result
        };
        let printing = async {
            while let Some(event) = told.recv().await {
                if let Event::LogLine(line) = event
                    && !output::answer_while_read(&form.line(&line))
                {
                    cancel.cancel();
                }
            }
        };
        let (result, ()) = tokio::join!(telling, printing);
        result.map_err(|error| converge::engine_failure(&error))
    })?;
    Ok(ExitCode::Success)
}

/// How a line is shown.
#[derive(Clone, Copy, Debug)]
enum Form {
    People,
    Json,
    Raw,
}

impl Form {
    fn line(self, line: &LogLine) -> String {
        match self {
            Self::Raw => format!("{}\n", line.text),
            Self::People => {
                let time = line.time.get(11..23).unwrap_or_default();
                format!("{time} {:<18} {}\n", line.unit.as_str(), readable(&line.text))
            }
            Self::Json => {
                let data = serde_json::json!({
                    "schema": "kernel.log-line/v1",
                    "service": line.unit,
                    "time": line.time,
                    "stream": line.stream,
                    "text": line.text,
                });
                format!("{data}\n")
            }
        }
    }
}
