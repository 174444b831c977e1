//! What all commands that change what runs have in common: load, choose the engine, work, show the plan.

use kernel_core::event::Event;
use kernel_ops::Failure;
use kernel_ops::converge::{Change, Work};
use kernel_ops::load::{self, Platform};

use crate::arguments::DataFormat;
use crate::context::Context;
use crate::{engine, work};

/// Loads the project and does something to it. `command` is how to go on after an interruption.
///
/// # Errors
/// Whatever stood in the way.
pub fn run(
    context: &Context,
    command: &str,
    change: impl AsyncFnOnce(&Platform, Work<'_>) -> Result<Change, Failure>,
) -> Result<(Platform, Change), Failure> {
    run_adjusted(context, command, |_| Ok(()), change)
}

/// As [`run`], with a project that is `adjust`ed before anything is done.
///
/// # Errors
/// Whatever stood in the way.
pub fn run_adjusted(
    context: &Context,
    command: &str,
    adjust: impl FnOnce(&mut Platform) -> Result<(), Failure>,
    change: impl AsyncFnOnce(&Platform, Work<'_>) -> Result<Change, Failure>,
) -> Result<(Platform, Change), Failure> {
    let dry_run = context.settings.dry_run;
    let mut platform = load::load(&context.load_settings(), &engine::Secrets, !dry_run)?;
    adjust(&mut platform)?;
    context.warn(&platform);
    let change = work::run(context, async |surroundings| {
        let host = engine::choose(context, engine::Stack::of(&platform)).await?;
        let (events, cancel) = (&surroundings.events, &surroundings.cancel);
        if let Some(reason) = host.reason() {
            events.emit(Event::Notice { message: reason.to_owned() });
        }
        let command = format!("kernel {command}");
        let work = Work { host: &*host, dry_run, events, cancel, command: &command };
        let change = change(&platform, work).await?;
        if change.plan.is_empty() && !dry_run {
            let message = "everything is as it should be; nothing to do".to_owned();
            events.emit(Event::Notice { message });
        }
        Ok(change)
    })?;
    Ok((platform, change))
}

/// Shows what would be done.
pub fn show_plan(context: &Context, format: DataFormat, change: &Change) {
    let plan = &change.plan;
    let text = || if plan.is_empty() { "nothing to do\n".to_owned() } else { plan.to_string() };
    let names = || plan.steps.iter().map(|step| step.id.to_string()).collect();
    context.answer(format, plan, text, names);
}
