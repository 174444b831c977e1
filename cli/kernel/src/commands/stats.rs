//! `kernel stats`: what containers take of the machine.

use std::collections::BTreeMap;

use clap::Args;
use futures::StreamExt;
use kernel_core::exit::ExitCode;
use kernel_engine::EngineError;
use kernel_engine_docker::stack::{Stack, Usage, Which};
use kernel_ops::Failure;
use kernel_report::{Cell, Table};
use serde::Serialize;

use crate::arguments::DataFormat;
use crate::context::Context;
use crate::{output, stack};

const EXAMPLES: &str = "\
Examples:
  kernel stats                   all containers, again and again; Ctrl-C ends it
  kernel stats --no-stream       once
  kernel stats -o json gateway   one JSON object per sample";

/// From the top of the screen, without what was there.
const CLEAR: &str = "\u{1b}[H\u{1b}[J";

/// What can be said.
#[derive(Args, Debug)]
#[command(before_help = EXAMPLES)]
pub struct Arguments {
    /// The services; without names all
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,

    /// Also containers that do not run
    #[arg(short, long)]
    all: bool,

    /// Only one sample of each
    #[arg(long)]
    no_stream: bool,

    /// Whole identifiers
    #[arg(long)]
    no_trunc: bool,

    /// The form of the answer
    #[arg(
        short = 'o',
        long = "output",
        visible_alias = "format",
        value_enum,
        default_value_t,
        value_name = "FORMAT"
    )]
    format: DataFormat,
}

#[derive(Serialize)]
struct Answer<'a> {
    schema: &'static str,
    containers: Vec<&'a Usage>,
}

/// Shows it.
pub fn run(context: &mut Context, arguments: Arguments) -> Result<ExitCode, Failure> {
    stack::follow(context, async |stack, _| {
        if arguments.no_stream {
            once(context, &arguments, stack).await
        } else {
            again(context, &arguments, stack).await
        }
    })?;
    Ok(ExitCode::Success)
}

impl Arguments {
    const fn which(&self) -> Which {
        if self.all { Which::All } else { Which::Running }
    }
}

async fn once(context: &Context, arguments: &Arguments, stack: &Stack) -> Result<(), EngineError> {
    let mut samples = stack.usage(&arguments.services, arguments.which(), false).await?;
    let mut found = BTreeMap::new();
    while let Some(sample) = samples.next().await {
        let sample = sample?;
        found.insert(sample.name.clone(), sample);
    }
    let answer = Answer { schema: "kernel.stats/v1", containers: found.values().collect() };
    let names = || found.keys().cloned().collect();
    context.answer(arguments.format, &answer, || table(context, arguments, &found), names);
    Ok(())
}

/// A table is drawn anew when every container has told again; the other forms are a line per sample.
async fn again(context: &Context, arguments: &Arguments, stack: &Stack) -> Result<(), EngineError> {
    let mut samples = stack.usage(&arguments.services, arguments.which(), true).await?;
    let mut found = BTreeMap::new();
    let mut waiting = BTreeMap::new();
    while let Some(sample) = samples.next().await {
        let sample = sample?;
        let text = match arguments.format {
            DataFormat::Table => {
                let round_is_over = waiting.insert(sample.name.clone(), ()).is_some();
                let text = round_is_over.then(|| format!("{CLEAR}{}", table(context, arguments, &found)));
                if round_is_over {
                    waiting.clear();
                }
                found.insert(sample.name.clone(), sample);
                text
            }
            DataFormat::Name => Some(format!("{}\n", sample.name)),
            DataFormat::Json => serde_json::to_string(&sample).ok().map(|line| line + "\n"),
            DataFormat::Yaml => serde_yaml::to_string(&sample).ok().map(|text| format!("---\n{text}")),
        };
        if let Some(text) = text
            && !output::answer_while_read(&text)
        {
            break;
        }
    }
    Ok(())
}

fn table(context: &Context, arguments: &Arguments, found: &BTreeMap<String, Usage>) -> String {
    if found.is_empty() {
        return "no container runs\n".to_owned();
    }
    let mut table = Table::new([
        "CONTAINER",
        "NAME",
        "CPU",
        "MEMORY",
        "OF",
        "NET IN",
        "NET OUT",
        "READ",
        "WRITTEN",
        "PIDS",
    ]);
    for usage in found.values() {
        let id = if arguments.no_trunc { &*usage.id } else { usage.id.get(..12).unwrap_or(&usage.id) };
        let limit = if usage.memory_limit == 0 { "-".to_owned() } else { bytes(usage.memory_limit) };
        let cells = [
            id.to_owned(),
            usage.name.clone(),
            format!("{:.2}%", usage.cpu_percent),
            bytes(usage.memory),
            limit,
            bytes(usage.received),
            bytes(usage.sent),
            bytes(usage.read),
            bytes(usage.written),
            usage.processes.to_string(),
        ];
        table.row(cells.map(Cell::from));
    }
    table.render(context.settings.answer)
}

/// A number of bytes in the largest unit that it fills.
fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = count as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{count} B") } else { format!("{value:.1} {}", UNITS[unit]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_told_in_the_largest_unit_that_they_fill() {
        assert_eq!(bytes(0), "0 B");
        assert_eq!(bytes(1023), "1023 B");
        assert_eq!(bytes(1536), "1.5 KiB");
        assert_eq!(bytes(3 << 30), "3.0 GiB");
    }
}
