//! `kernel events`: what happens to containers, as it happens.

use clap::Args;
use futures::StreamExt;
use kernel_core::exit::ExitCode;
use kernel_engine_docker::stack::{StackEvent, Window};
use kernel_ops::{Failure, converge};

use crate::context::Context;
use crate::{output, stack};

const EXAMPLES: &str = "\
Examples:
  kernel events                  from now on; Ctrl-C ends it
  kernel events --since 10m --until 0s gateway
                                 what happened to one service
  kernel events --json           one JSON object per line";

/// What can be said.
#[derive(Args, Debug)]
#[command(before_help = EXAMPLES)]
pub struct Arguments {
    /// The services; without names all
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,

    /// One JSON object per line
    #[arg(long)]
    json: bool,

    /// From a moment on (2026-01-02T13:23:37Z), or a span before now (42m)
    #[arg(long, value_name = "TIME")]
    since: Option<String>,

    /// Up to a moment, or a span before now
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
}

/// Tells them.
pub fn run(context: &mut Context, arguments: Arguments) -> Result<ExitCode, Failure> {
    let window = Window::parse(arguments.since.as_deref(), arguments.until.as_deref());
    let window = window.map_err(|error| converge::engine_failure(&error))?;
    stack::follow(context, async |stack, _| {
        let mut events = Box::pin(stack.events(&arguments.services, &window));
        while let Some(event) = events.next().await {
            if !output::answer_while_read(&line(&event?, arguments.json)) {
                break;
            }
        }
        Ok(())
    })?;
    Ok(ExitCode::Success)
}

fn line(event: &StackEvent, json: bool) -> String {
    if json {
        return format!("{}\n", serde_json::to_string(event).unwrap_or_default());
    }
    let attributes: Vec<String> =
        event.attributes.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let StackEvent { time, kind, action, id, .. } = event;
    format!("{time} {kind} {action} {id} ({})\n", attributes.join(", "))
}
