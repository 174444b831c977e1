//! `kernel ps`: what runs, since when, on which ports.

use clap::Args;
use kernel_core::exit::ExitCode;
use kernel_ops::{Failure, load, status};
use kernel_report::{Cell, Paint, Table};

use crate::arguments::DataFormat;
use crate::context::Context;
use crate::{engine, work};

const EXAMPLES: &str = "\
Examples:
  kernel ps                      what runs
  kernel ps --all                also what is not started and what is embedded
  kernel ps -o json | jq '.services[] | select(.state != \"ready\")'";

/// What can be said.
#[derive(Args, Debug)]
#[command(before_help = EXAMPLES)]
pub struct Arguments {
    /// Also services that are not there
    #[arg(short, long)]
    all: bool,

    /// The form of the answer
    #[arg(short = 'o', long = "output", value_enum, default_value_t, value_name = "FORMAT")]
    format: DataFormat,
}

/// Shows it.
pub fn run(context: &mut Context, arguments: Arguments) -> Result<ExitCode, Failure> {
    let platform = load::load(&context.load_settings(), &engine::Secrets, false)?;
    let status = work::run(context, async |_| {
        let host = engine::choose(context, engine::Stack::of(&platform)).await?;
        status::status(&platform, &*host, arguments.all).await
    })?;
    let table = || {
        if status.services.is_empty() {
            return "nothing runs; `kernel up` starts everything\n".to_owned();
        }
        let mut table = Table::new(["SERVICE", "STATE", "PID", "PORTS", "RESTARTS", "SINCE", "DETAIL"]);
        for service in &status.services {
            let ports: Vec<String> = service.ports.iter().map(u16::to_string).collect();
            table.row([
                Cell::from(service.name.as_str()),
                Cell::painted(service.status.as_str(), paint(service.state)),
                Cell::from(service.pid.map(|pid| pid.to_string()).unwrap_or_default()),
                Cell::from(ports.join(" ")),
                Cell::from(service.restarts.to_string()),
                Cell::from(service.since.get(..19).unwrap_or(&service.since)),
                Cell::from(service.detail.clone().unwrap_or_default()),
            ]);
        }
        table.render(context.settings.answer)
    };
    let names = || status.services.iter().map(|service| service.name.clone()).collect();
    context.answer(arguments.format, &status, table, names);
    Ok(ExitCode::Success)
}

fn paint(state: &str) -> Paint {
    match state {
        "ready" => Paint::Good,
        "crash-looping" | "exited" => Paint::Bad,
        "starting" | "restarting" | "unready" | "stopping" | "leftover" => Paint::Careful,
        _ => Paint::Faint,
    }
}
