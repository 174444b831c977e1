//! `kernel down`: end everything that runs for the project, or some services; keep the data unless told otherwise.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use clap::{Args, ValueEnum};
use kernel_core::event::Event;
use kernel_core::exit::ExitCode;
use kernel_core::name::ServiceName;
use kernel_engine::Events;
use kernel_engine_docker::images::{Images, Removal};
use kernel_ops::converge::{self, DownSettings, Work};
use kernel_ops::load::Platform;
use kernel_ops::workspace::Workspace;
use kernel_ops::{Failure, codes, load, problem, providers, select};

use crate::arguments::DataFormat;
use crate::commands::{change, why};
use crate::context::Context;
use crate::engine::{Secrets, Stack};
use crate::{engine, stack, work};

const EXAMPLES: &str = "\
Examples:
  kernel down                    no process, port or file is left but the data
  kernel down --volumes          the data too
  kernel down worker             one service, with what needs it; the rest goes on
  kernel down --rmi local        the images too that were built for it
  kernel down -p acme            another platform of this workspace";

/// What can be said.
#[derive(Args, Debug, Default)]
#[command(before_help = EXAMPLES)]
pub struct Arguments {
    /// The services, with all that need them; without names the whole project
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,

    /// Remove the data too. There is no way back
    #[arg(short, long)]
    volumes: bool,

    /// Remove images of the services too; those that something else uses stay
    #[arg(long, value_enum, value_name = "WHICH")]
    rmi: Option<Rmi>,

    /// As docker compose has it. What is no longer in the files ends here anyway
    #[arg(long)]
    remove_orphans: bool,

    /// So many seconds between asking a service to end and ending it, in place of its own time
    #[arg(short, long, value_name = "SECONDS")]
    timeout: Option<u64>,

    /// Say more, as the global option; its short form means `--volumes` here
    // The same id as the global one: clap then takes this in its place.
    #[arg(long = "verbose", action = clap::ArgAction::Count, hide_short_help = true)]
    verbose: u8,
}

/// Which images are removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Rmi {
    /// Those of all services
    All,
    /// Those of services for which the files name no image, so that they were built here
    Local,
}

/// Takes it down.
pub fn run(context: &mut Context, arguments: Arguments) -> Result<ExitCode, Failure> {
    let platform = loaded(context, &arguments)?;
    let images = platform.as_ref().map_or_else(BTreeSet::new, |platform| images(platform, &arguments));
    let mut down = DownSettings {
        services: services(platform.as_ref(), &arguments.services)?,
        volumes: arguments.volumes,
        grace: arguments.timeout.map(Duration::from_secs),
        pre_stop: BTreeMap::new(),
    };
    let whole = down.services.is_empty();
    let settings = context.load_settings();
    let workspace = load::place(&settings);
    let name = stack::project(context)?;
    let change = work::run(context, async |surroundings| {
        let workspace: &Workspace = &workspace;
        let host = engine::choose(context, Stack { workspace, name: &name, platform: None }).await?;
        let (events, cancel) = (&surroundings.events, &surroundings.cancel);
        if arguments.rmi.is_some() && host.engine().name() != "docker" {
            let message = "services are processes here, and `--rmi` is about images of an Engine";
            let problem =
                problem(codes::ENGINE_UNAVAILABLE, message, "say `--engine docker`, or leave it out");
            return Err(Failure::new(ExitCode::Prerequisite, problem));
        }
        // Processes have no hooks, and what they are made from is not looked at for their end.
        let in_containers = platform.as_ref().filter(|_| host.engine().name() == "docker");
        if let Some(platform) = in_containers
            && let Ok((desired, _)) = host.desired(&platform.project)
        {
            down.pre_stop = converge::pre_stop(&desired);
        }
        let work =
            Work { host: &*host, dry_run: context.settings.dry_run, events, cancel, command: "kernel down" };
        let change = converge::down(&name, &down, work).await?;
        if let Some(platform) = in_containers {
            providers::down(platform, &arguments.services, work).await?;
        }
        if change.plan.is_empty() && !context.settings.dry_run {
            let what = if whole { name.to_string() } else { arguments.services.join("`, `") };
            events.emit(Event::Notice { message: format!("nothing of `{what}` is left; nothing to do") });
        }
        remove_images(context, &images, events).await?;
        Ok(change)
    })?;
    if whole && !context.settings.dry_run {
        // A hint for `why` about what is no longer there; nothing fails with it.
        drop(why::worked(context, &name).forget());
    }
    if context.settings.dry_run {
        change::show_plan(context, DataFormat::Table, &change);
    }
    Ok(ExitCode::Success)
}

/// The files of the project, as far as they are needed: for names and images. Without them a project can be taken down all
/// the same, only without the hooks and the providers that stand in them.
fn loaded(context: &Context, arguments: &Arguments) -> Result<Option<Platform>, Failure> {
    let settings = context.load_settings();
    let whole = arguments.services.is_empty();
    match load::load(&settings, &Secrets, false) {
        Ok(platform) => Ok(Some(platform)),
        Err(_) if (whole || load::given_name(&settings).is_some()) && arguments.rmi.is_none() => Ok(None),
        Err(failure) => Err(failure),
    }
}

fn services(platform: Option<&Platform>, names: &[String]) -> Result<Vec<ServiceName>, Failure> {
    if let Some(platform) = platform {
        select::named(&platform.project, names)?;
    }
    let names = names.iter().map(|name| {
        ServiceName::new(name.clone()).map_err(|error| {
            let help = "`kernel ps` shows the services";
            Failure::new(ExitCode::Usage, problem(codes::UNKNOWN_SERVICE, error.to_string(), help))
        })
    });
    names.collect()
}

/// The images that are to be removed.
fn images(platform: &Platform, arguments: &Arguments) -> BTreeSet<String> {
    let Some(which) = arguments.rmi else { return BTreeSet::new() };
    let project = &platform.project;
    let meant = project.services.values().filter(|service| {
        let named = arguments.services.is_empty() || arguments.services.contains(&service.name);
        named && (which == Rmi::All || service.image.is_none())
    });
    meant.map(|service| project.image_name(&service.name)).collect()
}

async fn remove_images(context: &Context, names: &BTreeSet<String>, events: &Events) -> Result<(), Failure> {
    if names.is_empty() {
        return Ok(());
    }
    let failed = |error| converge::engine_failure(&error);
    let address = engine::address(context).map_err(failed)?;
    let images = Images::connect(&address).await.map_err(failed)?;
    for name in names {
        let what = if context.settings.dry_run {
            images.find(name).await.map_err(failed)?.map(|_| "would be removed")
        } else {
            match images.remove(name).await.map_err(failed)? {
                Removal::Removed => Some("removed"),
                Removal::Missing => None,
                Removal::InUse => Some("in use by something else, so it stays"),
            }
        };
        if let Some(what) = what {
            events.emit(Event::Notice { message: format!("image {name}: {what}") });
        }
    }
    Ok(())
}
