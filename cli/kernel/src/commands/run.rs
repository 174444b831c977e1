//! `kernel run`: one command in a container of its own, made as the service's are.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use kernel_compose::project::Port;
use kernel_core::source::Sources;
use kernel_ops::converge::Work;
use kernel_ops::one_off::{self, RunSettings};
use kernel_ops::{Failure, load};

use crate::commands::up::{self, Pull};
use crate::context::Context;
use crate::engine::{self, Stack};
use crate::values::pair;
use crate::{output, stack, terminal, work};

const EXAMPLES: &str = "\
Examples:
  kernel run --rm gateway sh     a shell as the service has it, gone afterwards
  kernel run --rm -T postgres psql -c 'select 1'
  kernel run -p 8080:80 web      with a port of its own, not those of the service
  kernel run -d jobs nightly     in the background; prints its name";

/// What can be said.
#[derive(Args, Debug)]
#[command(before_help = EXAMPLES)]
pub struct Arguments {
    /// The service
    #[arg(value_name = "SERVICE")]
    service: String,

    /// The command; without it the service's own
    #[arg(value_name = "COMMAND", trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<String>,

    /// Start it and do not listen; prints its name
    #[arg(short, long)]
    detach: bool,

    /// Another entrypoint; words are separated by spaces
    #[arg(long, value_name = "COMMAND")]
    entrypoint: Option<String>,

    /// A variable for it, NAME=value; NAME alone takes the value from here. May be said several times
    #[arg(short, long = "env", value_name = "NAME[=VALUE]")]
    environment: Vec<String>,

    /// A file of NAME=value lines for it; `--env` goes before it, and of several files the first. May be said several
    /// times
    #[arg(long, value_name = "FILE")]
    env_from_file: Vec<PathBuf>,

    /// A label more, NAME=value. May be said several times
    #[arg(short, long = "label", value_name = "NAME=VALUE", value_parser = pair)]
    labels: Vec<(String, String)>,

    /// The container's name
    #[arg(long, value_name = "NAME")]
    name: Option<String>,

    /// No terminal, also where there is one
    #[arg(short = 'T', long = "no-tty", alias = "no-TTY")]
    no_tty: bool,

    /// Keep its input open. `false`: it reads nothing
    #[arg(
        short,
        long,
        value_name = "BOOLEAN",
        default_value_t = true,
        default_missing_value = "true",
        num_args = 0..=1,
        require_equals = true,
        action = clap::ArgAction::Set
    )]
    interactive: bool,

    /// Do not bring up what the service needs
    #[arg(long)]
    no_deps: bool,

    /// Remove it when it has ended
    #[arg(long)]
    rm: bool,

    /// Publish the service's ports too
    #[arg(short = 'P', long, conflicts_with = "publish")]
    service_ports: bool,

    /// Publish a port, [[ADDRESS:]PORT:]PORT[/PROTOCOL]. May be said several times
    #[arg(short, long, value_name = "PORT", value_parser = ports)]
    publish: Vec<Ports>,

    /// The project's name, as the global option; its short form means `--publish` here
    // The same id as the global one: clap then takes this in its place and carries the value over.
    #[arg(long, value_name = "NAME", hide_short_help = true)]
    project_name: Option<String>,

    /// Build images first, also where they are there
    #[arg(long)]
    build: bool,

    /// When images are fetched, in place of what the files say
    #[arg(long, value_enum, value_name = "POLICY")]
    pull: Option<Pull>,

    /// Do not tell how far steps are that take long
    #[arg(long, visible_alias = "quiet-build", overrides_with = "quiet_pull")]
    quiet_pull: bool,

    /// End what still runs for the project and is no longer in its files
    #[arg(long, conflicts_with = "no_deps")]
    remove_orphans: bool,

    /// Let it answer to the service's name in networks
    #[arg(long)]
    use_aliases: bool,

    /// As this user, by name or number, with `:GROUP` if need be
    #[arg(short, long, value_name = "USER")]
    user: Option<String>,

    /// Mount something more, SOURCE:TARGET[:ro]. May be said several times
    #[arg(short = 'v', long = "volume", value_name = "SOURCE:TARGET")]
    volumes: Vec<String>,

    /// Say more, as the global option; its short form means `--volume` here
    // As above.
    #[arg(long = "verbose", action = clap::ArgAction::Count, hide_short_help = true)]
    verbose: u8,

    /// In this folder of the container
    #[arg(short, long, value_name = "PATH")]
    workdir: Option<String>,

    /// A capability more. May be said several times
    #[arg(long, value_name = "CAPABILITY")]
    cap_add: Vec<String>,

    /// A capability less. May be said several times
    #[arg(long, value_name = "CAPABILITY")]
    cap_drop: Vec<String>,
}

/// What one `--publish` says: a range of ports is several.
#[derive(Clone, Debug)]
struct Ports(Vec<Port>);

fn ports(text: &str) -> Result<Ports, String> {
    Port::parse(text).map(Ports)
}

/// Does it.
pub fn run(context: &mut Context, arguments: Arguments) -> Result<ExitCode, Failure> {
    let tty = !arguments.detach && !arguments.no_tty && arguments.interactive && terminal::is_whole();
    context.settings.no_progress = arguments.quiet_pull;
    let settings = RunSettings {
        service: arguments.service,
        command: arguments.command,
        entrypoint: arguments.entrypoint.map(|words| words.split_whitespace().map(str::to_owned).collect()),
        name: arguments.name,
        environment: environment(context, &arguments.environment, &arguments.env_from_file)?,
        labels: arguments.labels,
        user: arguments.user,
        directory: arguments.workdir,
        volumes: arguments.volumes.iter().map(|volume| absolute(context, volume)).collect(),
        cap_add: arguments.cap_add,
        cap_drop: arguments.cap_drop,
        service_ports: arguments.service_ports,
        publish: arguments.publish.into_iter().flat_map(|ports| ports.0).collect(),
        use_aliases: arguments.use_aliases,
        no_deps: arguments.no_deps,
        remove_orphans: arguments.remove_orphans,
        remove: arguments.rm,
        tty,
        stdin: !arguments.detach && arguments.interactive,
    };
    let dry_run = context.settings.dry_run;
    let mut platform = load::load(&context.load_settings(), &engine::Secrets, !dry_run)?;
    up::say_images(&mut platform, arguments.pull, arguments.build);
    context.warn(&platform);
    let made = work::run(context, async |surroundings| {
        let host = engine::choose(context, Stack::of(&platform)).await?;
        let (events, cancel) = (&surroundings.events, &surroundings.cancel);
        let work = Work { host: &*host, dry_run, events, cancel, command: "kernel run" };
        one_off::create(&platform, &settings, work).await
    })?;
    let Some(name) = made else { return Ok(ExitCode::SUCCESS) };
    let code = stack::run(context, async |stack, _| {
        if arguments.detach {
            stack.start(&name).await?;
            return Ok(None);
        }
        let mut session = stack.start_and_attach(&name, tty).await?;
        if !arguments.interactive {
            session.input = None;
        }
        terminal::talk(session).await
    })?;
    if arguments.detach {
        output::answer(&format!("{name}\n"));
    }
    Ok(code.map_or(ExitCode::SUCCESS, stack::exit_code_of_program))
}

/// Variables for the container: those that are given, and of files what is not among these.
fn environment(context: &Context, given: &[String], files: &[PathBuf]) -> Result<Vec<String>, Failure> {
    let given = stack::environment(context, given);
    let split =
        |variable: &String| variable.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
    let mut variables: BTreeMap<String, String> = given.iter().filter_map(split).collect();
    let (mut sources, mut diagnostics) = (Sources::default(), Vec::new());
    for file in files {
        let path = context.environment.working_directory.join(file);
        let text = std::fs::read_to_string(&path).map_err(|error| Failure::unreadable(&path, &error))?;
        let source = sources.add(path.display().to_string(), text.as_str());
        let known = variables.clone();
        let mut values = BTreeMap::new();
        let lookup = |name: &str| known.get(name).cloned();
        kernel_compose::env_file(source, &text, &lookup, &mut values, &mut diagnostics);
        for (name, entry) in values {
            variables.entry(name).or_insert(entry.value);
        }
    }
    if !diagnostics.is_empty() {
        return Err(Failure::in_files(diagnostics, sources));
    }
    Ok(variables.into_iter().map(|(name, value)| format!("{name}={value}")).collect())
}

/// A source that is a path counts from the working directory.
fn absolute(context: &Context, volume: &str) -> String {
    match volume.split_once(':') {
        Some((source, rest)) if source.starts_with('.') => {
            format!("{}:{rest}", context.environment.working_directory.join(source).display())
        }
        _ => volume.to_owned(),
    }
}
