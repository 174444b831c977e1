//! `kernel logs`: what services said.

use clap::Args;
use kernel_core::event::{Event, LogLine};
use kernel_core::exit::ExitCode;
use kernel_core::name::ServiceName;
use kernel_engine::Events;
use kernel_engine_docker::stack::{BAD_ARGUMENT, Window};
use kernel_ops::host::LogSettings;
use kernel_ops::{Failure, converge, load, problem, select};

use kernel_report::log_text::readable;

use crate::context::Context;
use crate::{engine, output, work};

const EXAMPLES: &str = "\
Examples:
  kernel logs                    all that is kept of all services, in the order of time
  kernel logs --tail 20 iam      the last lines of one service
  kernel logs -f gateway iam     go on with what they say from now on; Ctrl-C ends it
  kernel logs --since 10m --timestamps --no-log-prefix iam
                                 what it said in the last ten minutes, with the whole time and nothing else";

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

    /// At most so many last lines of each; `all` for all
    #[arg(short = 'n', long, value_name = "N", value_parser = tail)]
    tail: Option<Tail>,

    /// From a moment on (2026-01-02T13:23:37Z), or a span before now (42m)
    #[arg(long, value_name = "TIME")]
    since: Option<String>,

    /// Up to a moment, or a span before now
    #[arg(long, value_name = "TIME")]
    until: Option<String>,

    /// The whole time of each line, and not only the clock
    #[arg(short, long, conflicts_with = "json")]
    timestamps: bool,

    /// Without the name of the service, and without the clock
    #[arg(long, conflicts_with = "json")]
    no_log_prefix: bool,

    /// Accepted as docker compose accepts it: lines have no colour but what the service itself says
    #[arg(long)]
    no_color: bool,

    /// Only the container of the one named service that has this number, from one
    #[arg(long, value_name = "N", requires = "services")]
    index: Option<u32>,

    /// One JSON object per line
    #[arg(long)]
    json: bool,

    /// Exactly what was said, without time and name
    #[arg(long, conflicts_with = "json")]
    raw: bool,
}

/// Tells it.
pub fn run(context: &mut Context, arguments: Arguments) -> Result<ExitCode, Failure> {
    let window = Window::parse(arguments.since.as_deref(), arguments.until.as_deref());
    let window = window.map_err(|error| converge::engine_failure(&error))?;
    if arguments.index.is_some() && arguments.services.len() != 1 {
        let message = "`--index` picks a container of one service, and several are named";
        let problem = problem(BAD_ARGUMENT, message, "name one service");
        return Err(Failure::new(ExitCode::Usage, problem));
    }
    let platform = load::load(&context.load_settings(), &engine::Secrets, false)?;
    let chosen = select::named(&platform.project, &arguments.services)?;
    let settings = LogSettings {
        services: chosen.into_iter().filter_map(|name| ServiceName::new(name).ok()).collect(),
        tail: arguments.tail.and_then(|tail| tail.0),
        // What ends before now has nothing more to come.
        follow: arguments.follow && !window.remaining().is_some_and(|left| left.is_zero()),
        until_end: false,
        number: arguments.index,
        since: window.seconds().0,
        until: window.seconds().1,
    };
    let form = Form {
        kind: match (arguments.json, arguments.raw) {
            (true, _) => Kind::Json,
            (_, true) => Kind::Raw,
            _ => Kind::People,
        },
        timestamps: arguments.timestamps,
        prefix: !arguments.no_log_prefix,
    };
    let ends = window.remaining().filter(|_| settings.follow);
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
                    && window.holds(&line.time)
                    && !output::answer_while_read(&form.line(&line))
                {
                    cancel.cancel();
                }
            }
        };
        // What is followed ends with the window.
        let ending = async {
            match ends {
                Some(after) => tokio::time::sleep(after).await,
                None => std::future::pending().await,
            }
            cancel.cancel();
        };
        let mut followed = std::pin::pin!(async { tokio::join!(telling, printing) });
        let (result, ()) = tokio::select! {
            told = &mut followed => told,
            () = ending => followed.await,
        };
        result.map_err(|error| converge::engine_failure(&error))
    })?;
    Ok(ExitCode::Success)
}

/// How many last lines are wanted; nothing: all.
#[derive(Clone, Copy, Debug)]
struct Tail(Option<usize>);

fn tail(text: &str) -> Result<Tail, String> {
    match text {
        "all" => Ok(Tail(None)),
        number => {
            number.parse().map(|number| Tail(Some(number))).map_err(|_| "say a number, or `all`".to_owned())
        }
    }
}

/// How a line is shown.
#[derive(Clone, Copy, Debug)]
pub(super) struct Form {
    kind: Kind,
    /// The whole time instead of the clock.
    timestamps: bool,
    /// With the name of the service.
    prefix: bool,
}

/// For whom.
#[derive(Clone, Copy, Debug)]
enum Kind {
    People,
    Json,
    Raw,
}

impl Form {
    /// For people: the whole time or the clock, and the name of the service or not.
    pub(super) const fn people(timestamps: bool, prefix: bool) -> Self {
        Self { kind: Kind::People, timestamps, prefix }
    }

    pub(super) fn line(self, line: &LogLine) -> String {
        let time = if self.timestamps { format!("{} ", line.time) } else { String::new() };
        match self.kind {
            Kind::Raw => format!("{time}{}\n", line.text),
            Kind::People if !self.prefix => format!("{time}{}\n", readable(&line.text)),
            Kind::People => {
                let clock = format!("{} ", line.time.get(11..23).unwrap_or_default());
                let time = if self.timestamps { time } else { clock };
                format!("{time}{:<18} {}\n", line.unit.as_str(), readable(&line.text))
            }
            Kind::Json => {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_shown_as_it_is_wanted() {
        let line = LogLine {
            unit: ServiceName::new("iam").unwrap(),
            time: "2026-01-02T10:11:12.131415Z".to_owned(),
            stream: kernel_core::event::Stream::Stdout,
            text: r#"{"level":"info","message":"up"}"#.to_owned(),
        };
        let shown = |kind, timestamps, prefix| Form { kind, timestamps, prefix }.line(&line);
        assert_eq!(shown(Kind::People, false, true), "10:11:12.131 iam                INFO  up\n");
        assert_eq!(
            shown(Kind::People, true, true),
            "2026-01-02T10:11:12.131415Z iam                INFO  up\n"
        );
        assert_eq!(shown(Kind::People, false, false), "INFO  up\n");
        assert_eq!(shown(Kind::People, true, false), "2026-01-02T10:11:12.131415Z INFO  up\n");
        assert_eq!(shown(Kind::Raw, false, true), format!("{}\n", line.text));
        assert_eq!(shown(Kind::Raw, true, true), format!("{} {}\n", line.time, line.text));
    }
}
