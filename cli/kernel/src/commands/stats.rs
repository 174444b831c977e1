//! `kernel stats`: what containers take of the machine.

use std::collections::BTreeMap;

use clap::Args;
use futures::StreamExt;
use kernel_core::exit::ExitCode;
use kernel_engine::EngineError;
use kernel_engine_docker::stack::{Stack, Usage, Which};
use kernel_ops::Failure;
use kernel_report::template::{Fields, Record};
use kernel_report::{Cell, Table};
use serde::Serialize;
use serde_json::json;

use crate::arguments::DataFormat;
use crate::context::Context;
use crate::format::{Shown, binary, decimal};
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

    /// Identifiers in full
    #[arg(long)]
    no_trunc: bool,

    /// The form of the answer
    #[arg(short = 'o', long = "output", value_enum, default_value_t, value_name = "FORMAT")]
    output: DataFormat,

    /// What docker compose shows: `table`, `json`, or a template of Go such as `{{.Name}} {{.CPUPerc}}`
    #[arg(long, value_name = "FORMAT", conflicts_with = "output")]
    format: Option<String>,
}

/// What Docker's templates may name.
const FIELDS: Fields = Fields {
    named: &[
        ("Container", "CONTAINER"),
        ("Name", "NAME"),
        ("ID", "CONTAINER ID"),
        ("CPUPerc", "CPU %"),
        ("MemUsage", "MEM USAGE / LIMIT"),
        ("MemPerc", "MEM %"),
        ("NetIO", "NET I/O"),
        ("BlockIO", "BLOCK I/O"),
        ("PIDs", "PIDS"),
    ],
    of_elements: &[],
    labels: false,
    usual: "{{.ID}}\t{{.Name}}\t{{.CPUPerc}}\t{{.MemUsage}}\t{{.MemPerc}}\t{{.NetIO}}\t{{.BlockIO}}\t{{.PIDs}}",
};

/// How samples are shown.
enum Form {
    Ours(DataFormat),
    Dockers(Shown),
}

#[derive(Serialize)]
struct Answer<'a> {
    schema: &'static str,
    containers: Vec<&'a Usage>,
}

/// Shows it.
pub fn run(context: &mut Context, arguments: Arguments) -> Result<ExitCode, Failure> {
    let form = match &arguments.format {
        Some(format) => Form::Dockers(Shown::parse(format, &FIELDS)?),
        None => Form::Ours(arguments.output),
    };
    let mut refused = None;
    stack::follow(context, async |stack, _| {
        refused = if arguments.no_stream {
            once(context, &arguments, &form, stack).await?
        } else {
            again(context, &arguments, &form, stack).await?
        };
        Ok(())
    })?;
    refused.map_or(Ok(ExitCode::Success), Err)
}

impl Arguments {
    const fn which(&self) -> Which {
        if self.all { Which::All } else { Which::Running }
    }
}

/// Gives what a template can't do.
async fn once(
    context: &Context,
    arguments: &Arguments,
    form: &Form,
    stack: &Stack,
) -> Result<Option<Failure>, EngineError> {
    let mut samples = stack.usage(&arguments.services, arguments.which(), false).await?;
    let mut found = BTreeMap::new();
    while let Some(sample) = samples.next().await {
        let sample = sample?;
        found.insert(sample.name.clone(), sample);
    }
    let output = match form {
        Form::Ours(output) => *output,
        Form::Dockers(shown) => {
            let records: Vec<Record> =
                found.values().map(|usage| record(usage, arguments.no_trunc)).collect();
            return Ok(shown.render(&records).map(|text| output::answer(&text)).err());
        }
    };
    let answer = Answer { schema: "kernel.stats/v1", containers: found.values().collect() };
    let names = || found.keys().cloned().collect();
    context.answer(output, &answer, || table(context, arguments, &found), names);
    Ok(None)
}

/// A table is drawn anew when every container has told again; the other forms are a line per sample. Gives what a
/// template can't do.
async fn again(
    context: &Context,
    arguments: &Arguments,
    form: &Form,
    stack: &Stack,
) -> Result<Option<Failure>, EngineError> {
    let drawn = |found: &BTreeMap<String, Usage>| match form {
        Form::Ours(_) => Ok(table(context, arguments, found)),
        Form::Dockers(shown) => {
            shown.render(&found.values().map(|usage| record(usage, arguments.no_trunc)).collect::<Vec<_>>())
        }
    };
    let mut samples = stack.usage(&arguments.services, arguments.which(), true).await?;
    let mut found = BTreeMap::new();
    let mut waiting = BTreeMap::new();
    while let Some(sample) = samples.next().await {
        let sample = sample?;
        let is_table = match form {
            Form::Ours(output) => *output == DataFormat::Table,
            Form::Dockers(shown) => shown.is_table(),
        };
        let text = match form {
            _ if is_table => {
                let round_is_over = waiting.insert(sample.name.clone(), ()).is_some();
                let text = round_is_over.then(|| drawn(&found));
                if round_is_over {
                    waiting.clear();
                }
                found.insert(sample.name.clone(), sample);
                text.map(|text| text.map(|text| format!("{CLEAR}{text}")))
            }
            Form::Dockers(shown) => Some(shown.render(&[record(&sample, arguments.no_trunc)])),
            Form::Ours(DataFormat::Json) => serde_json::to_string(&sample).ok().map(|line| Ok(line + "\n")),
            Form::Ours(DataFormat::Yaml) => {
                serde_yaml::to_string(&sample).ok().map(|text| Ok(format!("---\n{text}")))
            }
            Form::Ours(_) => Some(Ok(format!("{}\n", sample.name))),
        };
        let text = match text.transpose() {
            Ok(text) => text,
            Err(failure) => return Ok(Some(failure)),
        };
        if let Some(text) = text
            && !output::answer_while_read(&text)
        {
            break;
        }
    }
    Ok(None)
}

/// A sample as templates see it.
fn record(usage: &Usage, full: bool) -> Record {
    let id = if full { &*usage.id } else { usage.id.get(..12).unwrap_or(&usage.id) };
    let share = match usage.memory_limit {
        0 => 0.0,
        limit => usage.memory as f64 / limit as f64 * 100.0,
    };
    let fields = json!({
        "BlockIO": format!("{} / {}", decimal(usage.read), decimal(usage.written)),
        "CPUPerc": format!("{:.2}%", usage.cpu_percent),
        "Container": usage.id,
        "ID": id,
        "MemPerc": format!("{share:.2}%"),
        "MemUsage": format!("{} / {}", binary(usage.memory), binary(usage.memory_limit)),
        "Name": usage.name,
        "NetIO": format!("{} / {}", decimal(usage.received), decimal(usage.sent)),
        "PIDs": usage.processes.to_string(),
    });
    Record { fields: fields.as_object().cloned().unwrap_or_default(), labels: BTreeMap::new() }
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
