//! `kernel why`: the root cause of a service's state, on one screen.

use clap::Args;
use kernel_core::exit::ExitCode;
use kernel_core::name::ProjectName;
use kernel_ops::load::{self, Platform};
use kernel_ops::why::{self, Why, Worked};
use kernel_ops::{Failure, host::Host};
use kernel_report::log_text::readable;
use kernel_report::{Look, Paint};

use crate::arguments::DataFormat;
use crate::context::Context;
use crate::engine::{self, Stack};
use crate::work;

const EXAMPLES: &str = "\
Examples:
  kernel why gateway             what it waits for, down to the root cause, and what to do
  kernel why gateway -o json | jq -r .verdict";

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
    let worked = worked(context, &platform.name);
    let why = work::run(context, async |_| {
        let host = engine::choose(context, Stack::of(&platform)).await?;
        why::why(&platform, &*host, &arguments.service, &worked).await
    })?;
    let root = || why.chain.last().map(|link| link.service.clone()).into_iter().collect();
    context.answer(arguments.format, &why, || screen(&why, context.settings.answer), root);
    Ok(ExitCode::Success)
}

/// The record of what last worked.
pub fn worked(context: &Context, project: &ProjectName) -> Worked {
    Worked::open(engine::state(context).map(|state| state.join("worked").join(project.as_str())))
}

/// The screen for what went wrong first, after a command that failed. `None`: nothing of it can be seen any more.
pub async fn after_failure(
    context: &Context,
    platform: &Platform,
    host: &dyn Host,
    services: &[String],
) -> Option<String> {
    let why = why::first(platform, host, services, &worked(context, &platform.name)).await.ok()??;
    Some(screen(&why, context.settings.conversation))
}

fn screen(why: &Why, look: Look) -> String {
    let mut out = format!("{}\n", look.paint(Paint::Strong, &why.verdict));
    if why.chain.len() > 1 {
        out.push('\n');
        for (depth, link) in why.chain.iter().enumerate() {
            let indent = if depth == 0 { String::new() } else { format!("{}└ ", "  ".repeat(depth - 1)) };
            let since = link.since.get(..19).map(|since| format!(" since {since}")).unwrap_or_default();
            let wanted =
                link.waited_for.as_deref().map(|wanted| format!(", wanted {wanted}")).unwrap_or_default();
            let root = if depth + 1 == why.chain.len() { "  ← root cause" } else { "" };
            out.push_str(&format!("  {indent}{} {}{since}{wanted}{root}\n", link.service, link.state));
        }
    }
    for found in &why.found {
        if let Some(health) = &found.health {
            let output = readable(&health.output);
            section(&mut out, &format!("health check of {}", found.name), output.lines());
        }
        let lines: Vec<String> = found.last_lines.iter().map(|line| readable(line)).collect();
        section(&mut out, &format!("last lines of {}", found.name), lines.iter().map(String::as_str));
    }
    section(&mut out, "changed since it last worked", why.changes.iter().map(String::as_str));
    section(&mut out, "what to do", why.next.iter().map(String::as_str));
    out
}

fn section<'a>(out: &mut String, title: &str, lines: impl Iterator<Item = &'a str>) {
    let mut lines = lines.peekable();
    if lines.peek().is_some() {
        out.push_str(&format!("\n{title}\n"));
    }
    for line in lines {
        out.push_str(&format!("  {line}\n"));
    }
}
