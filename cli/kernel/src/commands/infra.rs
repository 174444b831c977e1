//! `kernel up --infra-only`: what services need from outside, for services that are run by hand.

use kernel_core::event::Event;
use kernel_core::exit::ExitCode;
use kernel_ops::{Failure, codes, converge, infra, load, problem, select};
use kernel_report::{Cell, Table};

use crate::arguments::{DataFormat, EngineChoice};
use crate::context::Context;
use crate::{engine, work};

/// Writes the env files and says how to use them.
pub fn run(context: &mut Context, format: DataFormat, services: &[String]) -> Result<ExitCode, Failure> {
    if context.settings.engine == EngineChoice::Docker {
        let message = "`up --infra-only` is not implemented by the Docker engine; nothing was done";
        let help = "leave `--engine docker` away: every store is then embedded in its service";
        return Err(Failure::new(ExitCode::Prerequisite, problem(codes::ENGINE_UNAVAILABLE, message, help)));
    }
    let dry_run = context.settings.dry_run;
    let platform = load::load(&context.load_settings(), &engine::Secrets, !dry_run)?;
    context.warn(&platform);
    let chosen = select::named(&platform.project, services)?;
    let files = work::run(context, async |surroundings| {
        let host = engine::local(context, &platform.workspace, &platform.name)?;
        let mut desired = converge::wanted(&platform, &*host, &surroundings.events)?;
        desired.items.retain(|item| chosen.contains(item.name.as_str()));
        if dry_run {
            return Ok(None);
        }
        let files = infra::write(&platform, &desired)?;
        let message =
            "on the local engine every store is embedded in its service: nothing has to run".to_owned();
        surroundings.events.emit(Event::Notice { message });
        let message = "run one by hand: `set -a; . FILE; set +a; cargo run -p SERVICE`".to_owned();
        surroundings.events.emit(Event::Notice { message });
        Ok(Some(files))
    })?;
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
