//! `kernel images`: the images of containers, and what is done with images beside building them.

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use kernel_core::exit::ExitCode;
use kernel_engine_docker::stack::ImageUse;
use kernel_ops::Failure;
use kernel_ops::images::{self, BuildSettings, Built, ImageWork, MadeImage, MadeResult, PushSettings};

use kernel_report::{Cell, Table};
use serde::Serialize;
use serde_json::{Value, json};

use crate::arguments::DataFormat;
use crate::commands::build::{self, Where};
use crate::context::Context;
use crate::format::Plain;
use crate::{output, stack, work};

const EXAMPLES: &str = "\
Examples:
  kernel images                         what the containers that are there were made from
  kernel images push --owner acme       all, as ghcr.io/acme/platform-kernel/SERVICE:COMMIT
  kernel images push --owner acme iam   one service
  kernel images push --oci-layout out   what `kernel build --oci-layout out` wrote";

/// Where images go when nobody says.
const REGISTRY: &str = "ghcr.io";

/// What can be said.
#[derive(Args, Debug)]
#[command(before_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub struct Arguments {
    #[command(subcommand)]
    action: Option<Action>,

    /// The services; without names all
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,

    /// The form of the answer
    #[arg(short = 'o', long = "output", value_enum, default_value_t, value_name = "FORMAT")]
    output: DataFormat,

    /// The form of the answer, by docker compose's words
    #[arg(long, value_enum, value_name = "FORMAT", conflicts_with = "output")]
    format: Option<Plain>,
}

#[derive(Serialize)]
struct Used<'a> {
    schema: &'static str,
    images: &'a [ImageUse],
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Build images and push them to a registry; needs no Engine
    ///
    /// They are named REGISTRY/OWNER/platform-kernel/SERVICE and tagged with the commit; on the branch `main` also
    /// `latest`, and `staging` when the commit has a git tag `staging`, `staging-…` or `staging/…`. Who may push is taken
    /// from Docker's configuration, as `docker login` writes it. Registries of this machine are spoken to without TLS.
    #[command(before_help = EXAMPLES)]
    Push(PushArguments),
}

#[derive(Args, Debug)]
struct PushArguments {
    /// The services; without names all that cargo builds
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,

    /// The registry [env: KERNEL_IMAGE_REGISTRY] [default: ghcr.io]
    #[arg(long, value_name = "HOST[:PORT]")]
    registry: Option<String>,

    /// Whose the images are there [env: KERNEL_IMAGE_OWNER, GITHUB_REPOSITORY_OWNER]
    #[arg(long, value_name = "NAME")]
    owner: Option<String>,

    /// A tag in place of those that the commit gives; may be said several times
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,

    /// Push the images of this OCI layout, under the repositories and tags that they have in it; builds nothing
    #[arg(long, value_name = "PATH", conflicts_with_all = ["services", "tags", "owner"])]
    oci_layout: Option<PathBuf>,

    /// Speak HTTP without TLS
    #[arg(long)]
    plain_http: bool,

    /// The form of the answer
    #[arg(short = 'o', long = "output", value_enum, default_value_t, value_name = "FORMAT")]
    format: DataFormat,
}

/// Does it.
pub fn run(context: &mut Context, arguments: Arguments) -> Result<ExitCode, Failure> {
    match arguments.action {
        Some(Action::Push(arguments)) => push(context, arguments),
        None => list(context, &arguments),
    }
}

fn list(context: &Context, arguments: &Arguments) -> Result<ExitCode, Failure> {
    let found = stack::run(context, async |stack, _| stack.images(&arguments.services).await)?;
    let ids = || {
        let ids: BTreeSet<&str> = found.iter().map(|image| image.id.trim_start_matches("sha256:")).collect();
        ids.into_iter().map(str::to_owned).collect()
    };
    let table = || {
        let mut table =
            Table::new(["CONTAINER", "REPOSITORY", "TAG", "PLATFORM", "IMAGE ID", "SIZE", "CREATED"]);
        for image in &found {
            let id = image.id.trim_start_matches("sha256:");
            let size = build::megabytes(u64::try_from(image.size).unwrap_or(0));
            let cells = [
                &image.container,
                &image.repository,
                &image.tag,
                &image.platform,
                id.get(..12).unwrap_or(id),
                &size,
                image.created.get(..19).unwrap_or(&image.created),
            ];
            table.row(cells.map(Cell::from));
        }
        if found.is_empty() {
            "no container is there\n".to_owned()
        } else {
            table.render(context.settings.answer)
        }
    };
    let format = stack::with_quiet(context, arguments.output);
    if arguments.format == Some(Plain::Json) && format != DataFormat::Name {
        let all: Vec<Value> = found.iter().map(compose_form).collect();
        output::answer(&format!("{}\n", Value::from(all)));
        return Ok(ExitCode::Success);
    }
    context.answer(format, &Used { schema: "kernel.image-use/v1", images: &found }, table, ids);
    Ok(ExitCode::Success)
}

/// What `docker compose images --format json` prints of an image.
fn compose_form(image: &ImageUse) -> Value {
    json!({
        "ID": image.id,
        "ContainerName": image.container,
        "Repository": image.repository,
        "Tag": image.tag,
        "Platform": image.platform,
        "Size": image.size,
        "LastTagTime": image.tagged,
    })
}

fn push(context: &Context, arguments: PushArguments) -> Result<ExitCode, Failure> {
    let variable = |name| context.environment.get(name).map(str::to_owned);
    let push = PushSettings {
        registry: arguments
            .registry
            .or_else(|| variable("KERNEL_IMAGE_REGISTRY"))
            .unwrap_or_else(|| REGISTRY.to_owned()),
        owner: arguments
            .owner
            .or_else(|| variable("KERNEL_IMAGE_OWNER"))
            .or_else(|| variable("GITHUB_REPOSITORY_OWNER")),
        tags: arguments.tags,
        branch: variable("GITHUB_REF").and_then(|name| name.strip_prefix("refs/heads/").map(str::to_owned)),
        plain_http: arguments.plain_http,
        docker_config: docker_config(context),
    };
    let built = match arguments.oci_layout {
        Some(path) => push_layout(context, &push, &context.environment.working_directory.join(path))?,
        None => {
            let settings = BuildSettings { services: arguments.services, ..build::from_environment(context) };
            build::make(context, &settings, "images push", Where::Registry(&push))?
        }
    };
    build::show(context, arguments.format, &built);
    Ok(ExitCode::Success)
}

fn push_layout(context: &Context, push: &PushSettings, path: &std::path::Path) -> Result<Built, Failure> {
    let dry_run = context.settings.dry_run;
    let pushed = work::run(context, async |surroundings| {
        let (events, cancel) = (&surroundings.events, &surroundings.cancel);
        let work = ImageWork { dry_run, events, cancel, command: "kernel images push" };
        images::push_layout(path, push, work).await
    })?;
    let image = |(name, outcome): (kernel_image::Reference, images::PushOutcome)| MadeImage {
        service: name.repository().rsplit('/').next().unwrap_or_default().to_owned(),
        names: vec![format!("{}/{}:{}", push.registry, name.repository(), name.tag())],
        id: outcome.manifest.to_string(),
        result: if outcome.sent == 0 { MadeResult::Unchanged } else { MadeResult::Pushed },
        size: 0,
        sent: outcome.sent,
    };
    Ok(Built { schema: "kernel.images/v1", plan: None, images: pushed.into_iter().map(image).collect() })
}

/// Where `docker login` keeps what it was told.
pub(super) fn docker_config(context: &Context) -> Option<PathBuf> {
    let folder = context.environment.get("DOCKER_CONFIG").map(PathBuf::from);
    let usual = || context.environment.get("HOME").map(|home| PathBuf::from(home).join(".docker"));
    folder.or_else(usual).map(|folder| folder.join("config.json"))
}
