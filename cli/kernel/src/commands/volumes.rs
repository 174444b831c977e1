//! `kernel volumes`: the named volumes of a project.

use clap::Args;
use kernel_core::exit::ExitCode;
use kernel_engine_docker::stack::ListedVolume;
use kernel_ops::Failure;
use kernel_report::template::{Fields, Record};
use kernel_report::{Cell, Table};
use serde::Serialize;
use serde_json::json;

use crate::arguments::DataFormat;
use crate::context::Context;
use crate::format::Shown;
use crate::{output, stack};

const EXAMPLES: &str = "\
Examples:
  kernel volumes                 all of the project
  kernel volumes postgres        those that one service mounts
  kernel volumes -q              their names only";

/// What can be said.
#[derive(Args, Debug)]
#[command(before_help = EXAMPLES)]
pub struct Arguments {
    /// The services; without names all volumes of the project
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,

    /// The form of the answer
    #[arg(short = 'o', long = "output", value_enum, default_value_t, value_name = "FORMAT")]
    output: DataFormat,

    /// What docker compose shows: `table`, `json`, or a template of Go such as `{{.Name}} {{.Mountpoint}}`
    #[arg(long, value_name = "FORMAT", conflicts_with = "output")]
    format: Option<String>,
}

/// What Docker's templates may name.
const FIELDS: Fields = Fields {
    named: &[
        ("Name", "VOLUME NAME"),
        ("Driver", "DRIVER"),
        ("Scope", "SCOPE"),
        ("Mountpoint", "MOUNTPOINT"),
        ("Labels", "LABELS"),
        ("Links", "LINKS"),
        ("Size", "SIZE"),
        ("Availability", "AVAILABILITY"),
        ("Group", "GROUP"),
        ("Status", "STATUS"),
    ],
    of_elements: &[],
    labels: true,
    usual: "{{.Driver}}\t{{.Name}}",
};

#[derive(Serialize)]
struct Answer<'a> {
    schema: &'static str,
    volumes: &'a [ListedVolume],
}

/// Shows them.
pub fn run(context: &mut Context, arguments: Arguments) -> Result<ExitCode, Failure> {
    let shown = arguments.format.as_deref().map(|format| Shown::parse(format, &FIELDS)).transpose()?;
    let found = stack::run(context, async |stack, _| stack.volumes(&arguments.services).await)?;
    let form = stack::with_quiet(context, arguments.output);
    if let Some(shown) = shown.filter(|_| form != DataFormat::Name) {
        output::answer(&shown.render(&found.iter().map(record).collect::<Vec<_>>())?);
        return Ok(ExitCode::Success);
    }
    let table = || {
        let mut table = Table::new(["NAME", "DRIVER", "MOUNTPOINT"]);
        for volume in &found {
            table.row(
                [&volume.name, &volume.driver, &volume.mountpoint].map(|cell| Cell::from(cell.as_str())),
            );
        }
        if found.is_empty() {
            "no volume is there\n".to_owned()
        } else {
            table.render(context.settings.answer)
        }
    };
    let names = || found.iter().map(|volume| volume.name.clone()).collect();
    context.answer(form, &Answer { schema: "kernel.volumes/v1", volumes: &found }, table, names);
    Ok(ExitCode::Success)
}

/// A volume as templates see it. What is not asked for, or is about clusters only, is `N/A`, as with Docker.
fn record(volume: &ListedVolume) -> Record {
    let labels: Vec<String> = volume.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let fields = json!({
        "Availability": "N/A",
        "Driver": volume.driver,
        "Group": "N/A",
        "Labels": labels.join(","),
        "Links": "N/A",
        "Mountpoint": volume.mountpoint,
        "Name": volume.name,
        "Scope": volume.scope,
        "Size": "N/A",
        "Status": "N/A",
    });
    Record { fields: fields.as_object().cloned().unwrap_or_default(), labels: volume.labels.clone() }
}
