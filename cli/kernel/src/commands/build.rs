//! `kernel build`: the images of services, into an Engine or as an OCI layout.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use kernel_core::event::Event;
use kernel_core::exit::ExitCode;
use kernel_ops::images::{self, BuildSettings, Built, ImageWork, MadeResult, Output, Via};
use kernel_ops::transfer::{self, TransferSettings};
use kernel_ops::{Failure, load};
use kernel_report::{Cell, Paint, Table};

use crate::arguments::DataFormat;
use crate::commands::change;
use crate::context::Context;
use crate::images::EngineImages;
use crate::values::pair;
use crate::{engine, work};

const EXAMPLES: &str = "\
Examples:
  kernel build                             images of all services of the workspace, into the Engine
  kernel build iam money                   of two services
  kernel build --oci-layout images.tar     without an Engine, into a file
  kernel build --via docker feature-flags  from its Dockerfile, by the Engine";

/// What can be said.
#[derive(Args, Debug)]
#[command(before_help = EXAMPLES)]
pub struct Arguments {
    /// The services; without names those of the workspace, with `--via docker` all that have a Dockerfile
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,

    /// How images come about [default: cargo for services with a package, docker for the rest]
    #[arg(long, value_enum, value_name = "HOW")]
    via: Option<ViaChoice>,

    /// Write an OCI layout in place of handing images to the Engine: a folder, or a file that ends in `.tar`
    #[arg(long, value_name = "PATH", conflicts_with_all = ["build_arguments", "no_cache", "pull"])]
    oci_layout: Option<PathBuf>,

    /// An argument for Dockerfiles, over those of the Compose file
    #[arg(long = "build-arg", value_name = "NAME=VALUE", value_parser = pair)]
    build_arguments: Vec<(String, String)>,

    /// Build every step of a Dockerfile again
    #[arg(long)]
    no_cache: bool,

    /// Ask registries for newer base images of Dockerfiles
    #[arg(long)]
    pull: bool,

    /// Also the images of what services depend on
    #[arg(long)]
    with_dependencies: bool,

    /// Then send them to their registries, as `kernel push` does
    #[arg(long, conflicts_with = "oci_layout")]
    push: bool,

    /// The form of the answer
    #[arg(short = 'o', long = "output", value_enum, default_value_t, value_name = "FORMAT")]
    format: DataFormat,
}

/// How images come about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ViaChoice {
    /// Static programs by one `cargo build`, images assembled around them; Linux on amd64
    Cargo,
    /// From the Dockerfiles of the Compose file, by the Engine
    Docker,
}

/// Builds them.
pub fn run(context: &mut Context, arguments: Arguments) -> Result<ExitCode, Failure> {
    let push = arguments.push.then(|| TransferSettings {
        services: arguments.services.clone(),
        include_dependencies: arguments.with_dependencies,
        ..TransferSettings::default()
    });
    let settings = BuildSettings {
        services: arguments.services,
        with_dependencies: arguments.with_dependencies,
        via: arguments.via.map(|via| match via {
            ViaChoice::Cargo => Via::Cargo,
            ViaChoice::Docker => Via::Docker,
        }),
        build_arguments: arguments.build_arguments.into_iter().collect(),
        no_cache: arguments.no_cache,
        pull: arguments.pull,
        ..from_environment(context)
    };
    let layout = arguments.oci_layout.map(|path| context.environment.working_directory.join(path));
    let built = make(context, &settings, "build", Where::Here(layout))?;
    show(context, arguments.format, &built);
    if let Some(settings) = push {
        let pushed = change::run(context, "build --push", async |platform, work| {
            transfer::push(platform, &settings, work).await
        });
        let (_, change) = pushed?;
        if context.settings.dry_run {
            change::show_plan(context, arguments.format, &change);
        }
    }
    Ok(ExitCode::Success)
}

/// Where images go.
pub enum Where<'a> {
    /// Into the Engine, or into a layout when there is one.
    Here(Option<PathBuf>),
    /// To a registry.
    Registry(&'a images::PushSettings),
}

/// What the environment says about building.
pub fn from_environment(context: &Context) -> BuildSettings {
    let path = |name| context.environment.get(name).map(PathBuf::from);
    BuildSettings {
        bin_dir: path("KERNEL_BIN_DIR"),
        cargo: path("CARGO"),
        classic: context.environment.get("DOCKER_BUILDKIT") == Some("0"),
        source_date_epoch: context.environment.get("SOURCE_DATE_EPOCH").map(str::to_owned),
        ..BuildSettings::default()
    }
}

/// Loads the project, builds, hands on. `command` is how to go on after an interruption.
pub fn make(
    context: &Context,
    settings: &BuildSettings,
    command: &str,
    place: Where<'_>,
) -> Result<Built, Failure> {
    // Nothing of an image is a secret of the project, so none is made or kept for it.
    let platform = load::load(&context.load_settings(), &engine::Secrets, false)?;
    context.warn(&platform);
    let dry_run = context.settings.dry_run;
    let command = format!("kernel {command}");
    work::run(context, async |surroundings| {
        let (events, cancel) = (&surroundings.events, &surroundings.cancel);
        let work = ImageWork { dry_run, events, cancel, command: &command };
        let built = match place {
            Where::Registry(push) => {
                Box::pin(images::build(&platform, settings, Output::Registry(push), work)).await?
            }
            Where::Here(Some(path)) => {
                Box::pin(images::build(&platform, settings, Output::Layout(path), work)).await?
            }
            Where::Here(None) => {
                let engine = Output::Engine(Box::pin(EngineImages::connect(context)));
                Box::pin(images::build(&platform, settings, engine, work)).await?
            }
        };
        if built.plan.is_none() && built.images.iter().all(|image| image.result == MadeResult::Unchanged) {
            let message = "every image is where it should be; nothing was sent".to_owned();
            events.emit(Event::Notice { message });
        }
        Ok(built)
    })
}

/// Shows the images, or the plan when nothing was to be done.
pub fn show(context: &Context, format: DataFormat, built: &Built) {
    let table = || {
        if let Some(plan) = &built.plan {
            return plan.to_string();
        }
        let mut table = Table::new(["SERVICE", "RESULT", "SIZE", "SENT", "ID", "NAME"]);
        for image in &built.images {
            for (place, name) in image.names.iter().enumerate() {
                let first = |text: String| Cell::from(if place == 0 { text } else { String::new() });
                table.row([
                    first(image.service.clone()),
                    if place == 0 {
                        Cell::painted(image.result.word(), paint(image.result))
                    } else {
                        Cell::from("")
                    },
                    first(megabytes(image.size)),
                    first(megabytes(image.sent)),
                    first(short(&image.id)),
                    Cell::from(name.as_str()),
                ]);
            }
        }
        table.render(context.settings.answer)
    };
    let names = || match &built.plan {
        Some(plan) => plan.steps.iter().map(|step| step.id.to_string()).collect(),
        None => built.images.iter().flat_map(|image| image.names.clone()).collect(),
    };
    context.answer(format, built, table, names);
}

fn paint(result: MadeResult) -> Paint {
    if result == MadeResult::Unchanged { Paint::Faint } else { Paint::Good }
}

/// Twelve digits, as Engines show them.
fn short(id: &str) -> String {
    id.strip_prefix("sha256:").unwrap_or(id).chars().take(12).collect()
}

pub fn megabytes(bytes: u64) -> String {
    match bytes {
        0 => "-".to_owned(),
        _ => format!("{}.{} MB", bytes / 1_000_000, bytes % 1_000_000 / 100_000),
    }
}
