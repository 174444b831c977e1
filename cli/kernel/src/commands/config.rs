//! `kernel config`: the project as it is understood, after variables, merging and profiles. Options and output are docker
//! compose's.

use std::fmt::Write;
use std::path::PathBuf;

use clap::{ArgGroup, Args, ValueEnum};
use kernel_compose::tree::{Node, Value};
use kernel_compose::{Project, Skip, render, yaml};
use kernel_core::exit::ExitCode;
use kernel_ops::images::digests;
use kernel_ops::load::{self, LoadSettings};
use kernel_ops::{Failure, problem};

use crate::context::Context;
use crate::{engine, output, work};

const EXAMPLES: &str = "\
Examples:
  kernel config                       the whole project as canonical YAML
  kernel config --format json         the same for programs
  kernel config web                   one service and what it depends on
  kernel config --services            the names of its services
  kernel config -f a.yml -f b.yml     what two files give together
  kernel config --lock-image-digests > compose.override.yaml
                                      the same images from now on";

/// What can be said.
#[derive(Args, Debug)]
#[command(before_help = EXAMPLES, group = ArgGroup::new("part").multiple(false))]
pub struct Arguments {
    /// The services, with what they depend on; without names all
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,

    /// The form of the answer [default: yaml]
    #[arg(long, value_enum, value_name = "FORMAT")]
    format: Option<Format>,

    /// Write the answer to FILE
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Print the names of services, one per line
    #[arg(long = "services", id = "list_services", group = "part")]
    list_services: bool,

    /// Print the names of volumes, one per line
    #[arg(long, group = "part")]
    volumes: bool,

    /// Print the names of networks, one per line
    #[arg(long, group = "part")]
    networks: bool,

    /// Print the names of models, one per line
    #[arg(long, group = "part")]
    models: bool,

    /// Print the images of services, one per line
    #[arg(long, group = "part")]
    images: bool,

    /// Print the names of all profiles, one per line
    #[arg(long = "profiles", id = "list_profiles", group = "part")]
    list_profiles: bool,

    /// Print the configuration hash of services: names with `,` between them, or `*`
    #[arg(long, value_name = "SERVICE,…", group = "part")]
    hash: Option<String>,

    /// Print the variables that can be used in the files, and their values
    #[arg(long, group = "part")]
    environment: bool,

    /// Print the variables that the files use, with their defaults
    #[arg(long, group = "part")]
    variables: bool,

    /// Leave `${NAME}` as it is written
    #[arg(long)]
    no_interpolate: bool,

    /// Leave out what follows from the rest: names of resources, the default network, implied dependencies
    #[arg(long)]
    no_normalize: bool,

    /// Leave relative paths as they are written
    #[arg(long)]
    no_path_resolution: bool,

    /// Do not check that all of it fits together
    #[arg(long)]
    no_consistency: bool,

    /// Accepted as docker compose accepts it, and as without effect: env files of services are part of the answer
    #[arg(long)]
    no_env_resolution: bool,

    /// Pin the images to the digests that their registries have for them now
    #[arg(long)]
    resolve_image_digests: bool,

    /// Print only the images, pinned to their digests, as a file to be merged over this one
    #[arg(long)]
    lock_image_digests: bool,
}

/// The form of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Canonical YAML, which can be loaded again
    Yaml,
    /// The same as JSON
    Json,
    /// Columns, for `--variables`
    #[value(hide = true)]
    Table,
}

impl Arguments {
    /// Whether a part is asked for that has no images to be pinned.
    fn is_part(&self) -> bool {
        self.list_services
            || self.volumes
            || self.networks
            || self.models
            || self.images
            || self.list_profiles
            || self.hash.is_some()
            || self.environment
            || self.variables
    }

    /// Whether images are pinned to their digests.
    fn pins(&self) -> bool {
        (self.resolve_image_digests || self.lock_image_digests) && !self.is_part()
    }
}

/// Prints the project, or a part of it.
pub fn run(context: &mut Context, arguments: Arguments) -> Result<ExitCode, Failure> {
    let settings = settings(context, &arguments);
    let text = if arguments.variables || (arguments.no_interpolate && arguments.hash.is_none()) {
        templates(context, &arguments, &settings)?
    } else {
        let mut platform = load::load(&settings, &engine::Secrets, false)?;
        context.warn(&platform);
        if arguments.pins() {
            pin(context, &mut platform.project.model)?;
        }
        if arguments.environment {
            platform
                .environment
                .iter()
                .fold(String::new(), |text, (name, value)| text + name + "=" + value + "\n")
        } else {
            answer(&arguments, &platform.project)?
        }
    };
    if context.settings.quiet {
        return Ok(ExitCode::Success);
    }
    match &arguments.output {
        Some(file) => {
            let path = context.environment.working_directory.join(file);
            std::fs::write(&path, text).map_err(|error| Failure::unwritable(file, &error))?;
        }
        None => output::answer(&text),
    }
    Ok(ExitCode::Success)
}

fn settings(context: &Context, arguments: &Arguments) -> LoadSettings {
    // These name everything of the project, whichever services are asked for.
    let whole = arguments.list_services
        || arguments.volumes
        || arguments.networks
        || arguments.models
        || arguments.hash.is_some();
    LoadSettings {
        services: if whole { Vec::new() } else { arguments.services.clone() },
        skip: Skip {
            env_files: arguments.is_part(),
            // As docker compose has it, and only with the flag, not with the variable.
            normalization: arguments.no_normalize || context.settings.compatibility,
            consistency: arguments.no_consistency,
            paths: arguments.no_path_resolution,
        },
        ..context.load_settings()
    }
}

/// What can be said of files whose variables are not filled in.
fn templates(context: &Context, arguments: &Arguments, settings: &LoadSettings) -> Result<String, Failure> {
    let mut templates = load::templates(settings)?;
    context.tell_warnings(&templates.warnings, &templates.sources);
    let names = |kind: &str| {
        let entries = templates.tree.get(kind).and_then(|node| node.as_mapping()).into_iter().flatten();
        entries.fold(String::new(), |text, entry| text + &entry.key + "\n")
    };
    if arguments.variables {
        return Ok(variables(arguments.format, &kernel_compose::variables(&templates.tree)));
    }
    if arguments.list_services {
        return Ok(names("services"));
    }
    if arguments.pins() {
        pin(context, &mut templates.tree)?;
        if arguments.lock_image_digests {
            return Ok(locked(arguments.format, &templates.tree));
        }
    }
    match arguments.format {
        Some(Format::Json) => Ok(pretty(&render::templates(&templates.tree, true))),
        _ => Ok(yaml::write(&render::templates(&templates.tree, false))),
    }
}

fn answer(arguments: &Arguments, project: &Project) -> Result<String, Failure> {
    let lines = |lines: Vec<String>| lines.into_iter().fold(String::new(), |text, line| text + &line + "\n");
    if arguments.list_services {
        return Ok(lines(project.services.keys().cloned().collect()));
    }
    if arguments.volumes {
        return Ok(lines(project.volumes.keys().cloned().collect()));
    }
    if arguments.networks {
        return Ok(lines(project.networks.keys().cloned().collect()));
    }
    if arguments.models {
        return Ok(lines(project.models()));
    }
    if arguments.images {
        let image = |(name, service): (&String, &kernel_compose::Service)| {
            let given = service.image.clone().filter(|image| !image.is_empty());
            given.unwrap_or_else(|| project.image_of(name))
        };
        return Ok(lines(project.services.iter().map(image).collect()));
    }
    if arguments.list_profiles {
        return Ok(lines(project.profiles().into_iter().collect()));
    }
    if let Some(wanted) = &arguments.hash {
        return hashes(project, wanted);
    }
    if arguments.lock_image_digests {
        return Ok(locked(arguments.format, &project.model));
    }
    match arguments.format {
        Some(Format::Json) => Ok(pretty(&render::json(project))),
        _ => Ok(render::yaml(project)),
    }
}

/// Gives every image of a model its digest.
fn pin(context: &Context, model: &mut Node) -> Result<(), Failure> {
    let mut images: Vec<&mut Node> = Vec::new();
    if let Value::Mapping(top) = &mut model.value
        && let Some(Node { value: Value::Mapping(services), .. }) = top.get_mut("services")
    {
        for service in services.iter_mut() {
            if let Value::Mapping(service) = &mut service.value.value
                && let Some(image) = service.get_mut("image")
                // A name with a secret in it is told to nobody.
                && image.as_scalar().is_some_and(|name| !name.text().is_empty() && name.template().is_none())
            {
                images.push(image);
            }
        }
    }
    let names = images.iter().filter_map(|image| image.as_text()).map(str::to_owned).collect();
    let config = super::images::docker_config(context);
    let pinned = work::run(context, async |surroundings| {
        tokio::select! {
            pinned = digests(names, config) => pinned,
            () = surroundings.cancel.cancelled() => {
                let message = "interrupted before every registry had answered";
                let problem = problem(kernel_ops::codes::INTERRUPTED, message, "run the command again");
                Err(Failure::new(ExitCode::Interrupted, problem))
            }
        }
    })?;
    for image in images {
        if let Some(pinned) = image.as_text().and_then(|name| pinned.get(name)) {
            *image = Node::text(pinned.as_str(), image.span);
        }
    }
    Ok(())
}

/// Only the images: a file that can be merged over the project's own.
fn locked(format: Option<Format>, model: &Node) -> String {
    let json = format == Some(Format::Json);
    let services = model.get("services").and_then(Node::as_mapping).into_iter().flatten();
    let services = services.map(|entry| {
        let mut service = serde_json::Map::new();
        // What docker compose prints in JSON of anything that is a service.
        for name in ["command", "entrypoint"].into_iter().filter(|_| json) {
            service.insert(name.to_owned(), serde_json::Value::Null);
        }
        if let Some(image) = entry.value.get("image").and_then(Node::as_text) {
            service.insert("image".to_owned(), image.into());
        }
        (entry.key.clone(), serde_json::Value::Object(service))
    });
    let services: std::collections::BTreeMap<_, _> = services.collect();
    if json {
        pretty(&serde_json::json!({ "name": "", "services": services }))
    } else {
        yaml::write(&serde_json::json!({ "services": services }))
    }
}

fn hashes(project: &Project, wanted: &str) -> Result<String, Failure> {
    let mut names: Vec<&str> = match wanted {
        "*" => project.services.keys().map(String::as_str).collect(),
        names => names.split(',').collect(),
    };
    names.sort_unstable();
    let mut text = String::new();
    for name in names {
        let Some(hash) = kernel_compose::printed_service_hash(project, name) else {
            let message = format!("there is no service `{name}`");
            let help = "`kernel config --services` names those that are there";
            return Err(Failure::new(
                ExitCode::Usage,
                problem(kernel_ops::codes::UNKNOWN_SERVICE, message, help),
            ));
        };
        let _infallible = writeln!(text, "{name} {hash}");
    }
    Ok(text)
}

/// The variables that the files use.
fn variables(
    format: Option<Format>,
    variables: &std::collections::BTreeMap<String, kernel_compose::Mention>,
) -> String {
    // The names of the fields are those that docker compose gives them.
    let fields = |names: [&str; 4]| {
        let entries = variables.iter().map(|(name, mention)| {
            let fields = serde_json::json!({
                names[0]: mention.name,
                names[1]: mention.default,
                names[2]: mention.alternate,
                names[3]: mention.required,
            });
            (name.clone(), fields)
        });
        serde_json::Value::Object(entries.collect())
    };
    match format {
        Some(Format::Json) => {
            format!("{}\n", fields(["Name", "DefaultValue", "PresenceValue", "Required"]))
        }
        Some(Format::Yaml) => {
            let value = fields(["name", "defaultvalue", "presencevalue", "required"]);
            yaml::write(&value)
        }
        Some(Format::Table) | None => {
            let mut table =
                kernel_report::Table::new(["NAME", "REQUIRED", "DEFAULT VALUE", "ALTERNATE VALUE"]);
            for mention in variables.values() {
                let required = mention.required.to_string();
                let cells = [&mention.name, &required, &mention.default, &mention.alternate];
                table.row(cells.map(|cell| cell.as_str().into()));
            }
            table.render(kernel_report::Look::PLAIN)
        }
    }
}

fn pretty(value: &serde_json::Value) -> String {
    format!("{value:#}\n")
}
