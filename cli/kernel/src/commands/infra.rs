//! `kernel up --infra-only`: what services need from outside, for services that are run by hand.

use std::collections::BTreeSet;

use kernel_core::event::Event;
use kernel_core::exit::ExitCode;
use kernel_core::unit::Desired;
use kernel_ops::converge::ChangeSettings;
use kernel_ops::infra::InfraFiles;
use kernel_ops::load::Platform;
use kernel_ops::{Failure, converge, infra, load, select};
use kernel_report::{Cell, Table};

use crate::arguments::{DataFormat, EngineChoice};
use crate::commands::change;
use crate::context::Context;
use crate::{engine, work};

/// Brings up what has to run, writes the env files of the services `chosen` (all when empty), and says how to use them.
pub fn run(
    context: &mut Context,
    format: DataFormat,
    chosen: &[String],
    settings: ChangeSettings,
) -> Result<ExitCode, Failure> {
    let docker = context.settings.engine == EngineChoice::Docker;
    let (platform, files) =
        if docker { in_containers(context, format, chosen, settings)? } else { embedded(context, chosen)? };
    let Some(files) = files else { return Ok(ExitCode::Success) };
    let shown = |path: &std::path::Path| platform.workspace.shown(path);
    let data = serde_json::json!({
        "schema": "kernel.infra/v1",
        "project": platform.name,
        "common": files.common,
        "services": files.services,
    });
    let table = || {
        let mut table = Table::new(["FOR", "FILE"]);
        table.row([Cell::from("all"), Cell::from(shown(&files.common))]);
        for (name, path) in &files.services {
            table.row([Cell::from(name.as_str()), Cell::from(shown(path))]);
        }
        table.render(context.settings.answer)
    };
    context.answer(format, &data, table, || vec![files.common.display().to_string()]);
    Ok(ExitCode::Success)
}

/// Every store is embedded in its service: nothing has to run.
fn embedded(context: &Context, chosen: &[String]) -> Result<(Platform, Option<InfraFiles>), Failure> {
    let dry_run = context.settings.dry_run;
    let platform = load::load(&context.load_settings(), &engine::Secrets, !dry_run)?;
    context.warn(&platform);
    let chosen = select::named(&platform.project, chosen)?;
    let files = work::run(context, async |surroundings| {
        let host = engine::local(context, &platform.workspace, &platform.name)?;
        let desired = converge::wanted(&platform, &*host, &surroundings.events)?;
        if dry_run {
            return Ok(None);
        }
        let files = infra::write(&platform, &only(desired, &chosen), true)?;
        let message =
            "on the local engine every store is embedded in its service: nothing has to run".to_owned();
        surroundings.events.emit(Event::Notice { message });
        surroundings.events.emit(Event::Notice { message: by_hand() });
        Ok(Some(files))
    })?;
    Ok((platform, files))
}

/// The stores run in containers, and services find them at the ports that these publish.
fn in_containers(
    context: &Context,
    format: DataFormat,
    chosen: &[String],
    settings: ChangeSettings,
) -> Result<(Platform, Option<InfraFiles>), Failure> {
    let mut files = None;
    let (platform, change) = change::run(context, "up --infra-only", async |platform, work| {
        let chosen = select::named(&platform.project, chosen)?;
        let beside = infra::services(&platform.project);
        let settings = ChangeSettings { services: beside.iter().cloned().collect(), ..settings };
        let change = converge::up(platform, &settings, work).await?;
        if !work.dry_run {
            let desired = engine::beside(context, platform, &beside)?;
            files = Some(infra::write(platform, &only(desired, &chosen), false)?);
            work.events.emit(Event::Notice { message: by_hand() });
        }
        Ok(change)
    })?;
    if context.settings.dry_run {
        change::show_plan(context, format, &change);
    }
    Ok((platform, files))
}

fn only(mut desired: Desired, chosen: &BTreeSet<String>) -> Desired {
    desired.items.retain(|item| chosen.contains(item.name.as_str()));
    desired
}

fn by_hand() -> String {
    "run one by hand: `set -a; . FILE; set +a; cargo run -p SERVICE`".to_owned()
}
