//! `kernel top`: what runs in containers.

use clap::Args;
use kernel_core::exit::ExitCode;
use kernel_engine_docker::stack::Processes;
use kernel_ops::Failure;
use kernel_report::{Cell, Table};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::arguments::DataFormat;
use crate::context::Context;
use crate::stack;

const EXAMPLES: &str = "\
Examples:
  kernel top                     the processes of all containers
  kernel top gateway             those of one service";

/// What can be said.
#[derive(Args, Debug)]
#[command(before_help = EXAMPLES)]
pub struct Arguments {
    /// The services; without names all
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,

    /// The form of the answer
    #[arg(short = 'o', long = "output", value_enum, default_value_t, value_name = "FORMAT")]
    format: DataFormat,
}

#[derive(Serialize)]
struct Answer {
    schema: &'static str,
    containers: Vec<Container>,
}

#[derive(Serialize)]
struct Container {
    container: String,
    service: String,
    number: u32,
    processes: Vec<Map<String, Value>>,
}

/// Shows it.
pub fn run(context: &mut Context, arguments: Arguments) -> Result<ExitCode, Failure> {
    let found = stack::run(context, async |stack, _| stack.top(&arguments.services).await)?;
    let answer = Answer { schema: "kernel.top/v1", containers: found.iter().map(data).collect() };
    let names = || found.iter().map(|processes| processes.member.name.clone()).collect();
    context.answer(arguments.format, &answer, || table(context, &found), names);
    Ok(ExitCode::Success)
}

fn data(processes: &Processes) -> Container {
    let row = |row: &Vec<String>| {
        let cells = processes.titles.iter().zip(row);
        cells.map(|(title, cell)| (title.clone(), Value::String(cell.clone()))).collect()
    };
    Container {
        container: processes.member.name.clone(),
        service: processes.member.service.clone(),
        number: processes.member.number,
        processes: processes.rows.iter().map(row).collect(),
    }
}

/// One table: the Engine's machine gives every container the same columns.
fn table(context: &Context, found: &[Processes]) -> String {
    let Some(first) = found.first() else { return "no container runs\n".to_owned() };
    let headings = ["SERVICE", "#"].into_iter().chain(first.titles.iter().map(String::as_str));
    let mut table = Table::new(headings);
    for processes in found {
        for row in &processes.rows {
            let member = &processes.member;
            let own = [Cell::from(member.service.as_str()), Cell::from(member.number.to_string())];
            table.row(own.into_iter().chain(row.iter().map(|cell| Cell::from(cell.as_str()))));
        }
    }
    table.render(context.settings.answer)
}
