//! `kernel why`: how a service is, what that comes from, and what to do.

use clap::Args;
use kernel_core::exit::ExitCode;
use kernel_ops::{Failure, load, why};
use kernel_report::{Cell, Table};

use crate::arguments::DataFormat;
use crate::context::Context;
use crate::{engine, work};

const EXAMPLES: &str = "\
Examples:
  kernel why gateway             why it is not ready: the chain of what it waits for, down to the root
  kernel why gateway -o json     the same for programs";

/// What can be said.
#[derive(Args, Debug)]
#[command(before_help = EXAMPLES)]
pub struct Arguments {
    /// The service
    #[arg(value_name = "SERVICE")]
    service: String,

    /// The form of the answer
    #[arg(short = 'o', long = "output", value_enum, default_value_t, value_name = "FORMAT")]
    format: DataFormat,
}

/// Shows it.
pub fn run(context: &mut Context, arguments: Arguments) -> Result<ExitCode, Failure> {
    let platform = load::load(&context.load_settings(), &engine::Secrets, false)?;
    let why = work::run(context, async |_| {
        let host = engine::choose(context, engine::Stack::of(&platform)).await?;
        why::why(&platform, &*host, &arguments.service).await
    })?;
    let screen = || {
        let mut table = Table::new(["SERVICE", "STATE", "SINCE", "BECAUSE"]);
        for link in &why.chain {
            let since = link.since.get(..19).unwrap_or(&link.since);
            table.row([&*link.service, link.state, since, &*link.meaning].map(Cell::from));
        }
        let mut screen = table.render(context.settings.answer);
        let mut part = |title: &str, lines: &[String]| {
            if !lines.is_empty() {
                screen += &format!("\n{title}\n");
                screen.extend(lines.iter().map(|line| format!("  {line}\n")));
            }
        };
        part("What it said last:", &why.last_lines);
        part("What `kernel up` would do:", &why.would_do);
        screen + &format!("\n{}\n", why.help)
    };
    let names = || why.chain.iter().map(|link| link.service.clone()).collect();
    context.answer(arguments.format, &why, screen, names);
    Ok(ExitCode::Success)
}
