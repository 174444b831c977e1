//! `kernel up`: build and start services, wait until they are ready, say where they are.

use std::time::Duration;

use clap::{Args, ValueEnum};
use kernel_core::event::Event;
use kernel_core::exit::ExitCode;
use kernel_core::name::ServiceName;
use kernel_core::planner::Replace;
use kernel_engine::Events;
use kernel_ops::converge::{self, Change, ChangeSettings};
use kernel_ops::host::Host;
use kernel_ops::load::Platform;
use kernel_ops::{Failure, endpoints, select};
use kernel_report::{Cell, Table};

use crate::arguments::DataFormat;
use crate::commands::change;
use crate::commands::infra;
use crate::commands::why;
use crate::context::Context;
use crate::output;
use crate::settings::Progress;
use crate::values::duration;

const EXAMPLES: &str = "\
Examples:
  kernel up                           everything; again: only what is missing or changed
  kernel up money                     one service and all that it needs
  kernel up --dry-run                 the plan, each step with its cause; nothing is changed
  kernel up --build --scale worker=3  images anew, and three containers of one service
  kernel up --port-offset 1000        a second platform beside the first (with `-p NAME`)
  kernel up --infra-only              the env file for services that you run by hand";

/// What can be said.
#[derive(Args, Debug)]
#[command(before_help = EXAMPLES)]
pub struct Arguments {
    /// The services, with all that they need; without names all
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,

    /// Only what services need from outside; writes the env file for services run by hand
    #[arg(long)]
    infra_only: bool,

    /// How long a service may take from running to ready, such as 90s or 2m [default: 2m]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    wait_timeout: Option<Duration>,

    /// End what still runs for the project and is no longer in its files
    #[arg(long)]
    remove_orphans: bool,

    /// Replace what runs although nothing about it changed
    #[arg(long, conflicts_with = "no_recreate")]
    force_recreate: bool,

    /// Replace a container only when the new one beside it is ready; for services that can run twice
    #[arg(long, conflicts_with = "no_recreate")]
    rolling: bool,

    /// Leave what runs as it is, also where the files say something else now
    #[arg(long)]
    no_recreate: bool,

    /// Only the services that are named, not what they need
    #[arg(long, requires = "services")]
    no_deps: bool,

    /// Another number of containers for a service; may be said several times
    #[arg(long, value_name = "SERVICE=NUMBER", value_parser = super::scale::replicas)]
    scale: Vec<(String, u32)>,

    /// Build images first, also where they are there
    #[arg(long, conflicts_with = "no_build")]
    build: bool,

    /// Build no image, also where it is missing
    #[arg(long)]
    no_build: bool,

    /// When images are fetched, in place of what the files say
    #[arg(long, value_enum, value_name = "POLICY")]
    pull: Option<Pull>,

    /// So many seconds between asking a service to end and ending it, in place of its own time
    #[arg(short, long, value_name = "SECONDS")]
    timeout: Option<u64>,

    /// As docker compose has it. What was started always goes on when this command ends
    #[arg(short, long)]
    detach: bool,

    /// As docker compose has it. `up` always waits until services are ready
    #[arg(long)]
    wait: bool,

    /// The form of the answer
    #[arg(short = 'o', long = "output", value_enum, default_value_t, value_name = "FORMAT")]
    format: DataFormat,
}

/// When images are fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Pull {
    /// Every time
    Always,
    /// When they are not there
    Missing,
    /// Not at all
    Never,
    /// Not at all: they are built
    Build,
}

impl Arguments {
    /// What is said here in place of what the files say.
    fn adjust(&self, platform: &mut Platform) -> Result<(), Failure> {
        let names: Vec<String> = self.scale.iter().map(|(name, _)| name.clone()).collect();
        select::named(&platform.project, &names)?;
        let pull =
            self.pull.and_then(|policy| policy.to_possible_value()).map(|value| value.get_name().to_owned());
        for (name, service) in &mut platform.project.services {
            if let Some((_, number)) = self.scale.iter().find(|(scaled, _)| scaled == name) {
                service.scale = *number;
            }
            if let Some(policy) = &pull {
                service.pull_policy = Some(policy.clone());
            }
            if self.build && service.build.is_some() {
                service.pull_policy = Some("build".to_owned());
            }
            if self.no_build {
                service.build = None;
            }
        }
        Ok(())
    }
}

/// Brings it up.
pub fn run(context: &mut Context, arguments: Arguments) -> Result<ExitCode, Failure> {
    let settings = ChangeSettings {
        services: arguments.services.clone(),
        grace: arguments.timeout.map(Duration::from_secs),
        alone: arguments.no_deps,
        rolling: arguments.rolling,
        wait_timeout: arguments.wait_timeout,
        remove_orphans: arguments.remove_orphans,
        replace: match (arguments.force_recreate, arguments.no_recreate) {
            (true, _) => Replace::Always,
            (_, true) => Replace::Never,
            _ => Replace::Changed,
        },
    };
    if arguments.infra_only {
        return infra::run(context, arguments.format, &arguments.services, settings);
    }
    let offset = context.settings.port_offset;
    let mut screen = None;
    let changed = change::run_adjusted(
        context,
        "up",
        |platform| arguments.adjust(platform),
        async |platform, work| {
            let change = match converge::up(platform, &settings, work).await {
                Ok(change) => change,
                Err(failure) => {
                    // What failed is seen best before anything else happens to it.
                    if matches!(failure.exit, ExitCode::Unhealthy | ExitCode::Timeout) {
                        screen = why::after_failure(context, platform, work.host, &settings.services).await;
                    }
                    return Err(failure);
                }
            };
            if !work.dry_run {
                tell_endpoints(platform, offset, work.events);
                remember(context, platform, work.host);
            }
            Ok(change)
        },
    );
    let (platform, change) = match changed {
        Ok(changed) => changed,
        Err(failure) => {
            let exit = context.tell(&failure);
            if let (Some(screen), true) = (screen, context.settings.progress != Progress::Json) {
                output::say(&format!("\n{screen}"));
            }
            return Ok(exit);
        }
    };
    if context.settings.dry_run {
        change::show_plan(context, arguments.format, &change);
    } else {
        show_endpoints(context, arguments.format, &platform, &change);
    }
    Ok(ExitCode::Success)
}

/// What everything was made from, now that it works, for `why`. Only a hint: nothing fails without it.
fn remember(context: &Context, platform: &Platform, host: &dyn Host) {
    if let Ok((desired, _)) = host.desired(&platform.project) {
        drop(why::worked(context, &platform.name).remember(&desired));
    }
}

/// The addresses also as events: who reads the stream needs no second answer.
fn tell_endpoints(platform: &Platform, port_offset: u16, events: &Events) {
    for endpoint in endpoints::all(&platform.project, port_offset) {
        if let Ok(service) = ServiceName::new(endpoint.service) {
            events.emit(Event::Endpoint { service, url: endpoint.url, what: endpoint.what });
        }
    }
}

fn show_endpoints(context: &Context, format: DataFormat, platform: &Platform, change: &Change) {
    let endpoints = endpoints::all(&platform.project, context.settings.port_offset);
    let data = serde_json::json!({
        "schema": "kernel.up/v1",
        "project": platform.name,
        "changed": !change.plan.is_empty(),
        "endpoints": endpoints,
    });
    let table = || {
        let mut table = Table::new(["SERVICE", "URL", "WHAT"]);
        for endpoint in &endpoints {
            let row = [&endpoint.service, &endpoint.url, &endpoint.what];
            table.row(row.map(|text| Cell::from(text.as_str())));
        }
        table.render(context.settings.answer)
    };
    let names = || endpoints.iter().map(|endpoint| endpoint.url.clone()).collect();
    context.answer(format, &data, table, names);
}
