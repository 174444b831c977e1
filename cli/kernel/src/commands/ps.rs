//! `kernel ps`: what runs, since when, on which ports.

use clap::Args;
use clap::builder::PossibleValuesParser;
use kernel_core::exit::ExitCode;
use kernel_engine_docker::stack::{Listed, Stack, Which};
use kernel_ops::load::{self, Platform};
use kernel_ops::status::{self, STATES, Selection, Status};
use kernel_ops::{Failure, codes, converge, problem};
use kernel_report::template::{Fields, Record};
use kernel_report::{Cell, Look, Paint, Table};

use crate::arguments::DataFormat;
use crate::context::Context;
use crate::format::Shown;
use crate::{engine, output, work};

const EXAMPLES: &str = "\
Examples:
  kernel ps                      what runs
  kernel ps --all                also what is not started and what is embedded
  kernel ps -q web               the ids of one service's containers
  kernel ps --status exited      what ended
  kernel ps --format 'table {{.Name}}\t{{.Status}}\t{{.Ports}}'
                                 containers as docker compose shows them
  kernel ps -o json | jq '.services[] | select(.state != \"ready\")'";

/// What can be said.
#[derive(Args, Debug)]
#[command(before_help = EXAMPLES)]
pub struct Arguments {
    /// The services; without names all
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,

    /// Also services that are not there; with `--quiet`, `--services` and `--format json` also containers that don't run
    #[arg(short, long)]
    all: bool,

    /// The form of the answer
    #[arg(short = 'o', long = "output", value_enum, default_value_t, value_name = "FORMAT")]
    output: DataFormat,

    /// Containers as docker compose shows them: `table`, `json`, or a template of Go such as `{{.Name}} {{.State}}`
    #[arg(long, value_name = "FORMAT", conflicts_with = "output")]
    format: Option<String>,

    /// Print the names of services, one per line
    #[arg(long = "services", id = "list_services", conflicts_with_all = ["output", "format"])]
    list_services: bool,

    /// Only what is in this state
    #[arg(long = "status", value_name = "STATE", value_parser = PossibleValuesParser::new(STATES))]
    states: Vec<String>,

    /// The same as `--status STATE`, by its longer name
    #[arg(long = "filter", value_name = "status=STATE", value_parser = filter)]
    filters: Vec<String>,

    /// With `--format`: ids, commands and mounts in full
    #[arg(long)]
    no_trunc: bool,

    /// Also services that the project's files don't have any more
    #[arg(
        long,
        value_name = "BOOLEAN",
        default_value_t = true,
        default_missing_value = "true",
        num_args = 0..=1,
        require_equals = true,
        action = clap::ArgAction::Set
    )]
    orphans: bool,
}

/// A state, of a filter for one.
fn filter(text: &str) -> Result<String, String> {
    match text.split_once('=') {
        Some(("status", state)) if STATES.contains(&state) => Ok(state.to_owned()),
        Some(("status", state)) => {
            Err(format!("`{state}` is no state of a container; the states are {}", STATES.join(", ")))
        }
        _ => Err("`status=STATE` is the one filter that there is".to_owned()),
    }
}

/// What docker compose's templates may name.
const FIELDS: Fields = Fields {
    named: &[
        ("ID", "CONTAINER ID"),
        ("Name", "NAME"),
        ("Names", "NAMES"),
        ("Image", "IMAGE"),
        ("Command", "COMMAND"),
        ("Project", "PROJECT"),
        ("Service", "SERVICE"),
        ("CreatedAt", "CREATED AT"),
        ("RunningFor", "CREATED"),
        ("State", "STATE"),
        ("Status", "STATUS"),
        ("Health", "HEALTH"),
        ("ExitCode", "EXIT CODE"),
        ("Ports", "PORTS"),
        ("Publishers", "PUBLISHERS"),
        ("Labels", "LABELS"),
        ("Networks", "NETWORKS"),
        ("Mounts", "MOUNTS"),
        ("LocalVolumes", "LOCAL VOLUMES"),
        ("Size", "SIZE"),
    ],
    of_elements: &["URL", "TargetPort", "PublishedPort", "Protocol"],
    labels: true,
    usual: "{{.Name}}\t{{.Image}}\t{{.Command}}\t{{.Service}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}",
};

/// What is printed of containers.
#[derive(Clone, Debug)]
enum Part {
    Ids,
    Shown(Shown),
}

/// Shows it.
pub fn run(context: &mut Context, arguments: Arguments) -> Result<ExitCode, Failure> {
    let part = match arguments.format.as_deref().map(|format| Shown::parse(format, &FIELDS)).transpose()? {
        _ if context.settings.quiet => Some(Part::Ids),
        shown => shown.map(Part::Shown),
    };
    let platform = load::load(&context.load_settings(), &engine::Secrets, false)?;
    let selection = Selection {
        services: arguments.services,
        all: arguments.all,
        states: arguments.states.into_iter().chain(arguments.filters).collect(),
        no_orphans: !arguments.orphans,
    };
    let (status, containers) = work::run(context, async |_| {
        let host = engine::choose(context, engine::Stack::of(&platform)).await?;
        let status = status::status(&platform, &*host, &selection).await?;
        if status.engine != "docker" && part.is_some() {
            return Err(no_containers());
        }
        let mut found = None;
        if part.is_some() || (arguments.list_services && status.engine == "docker") {
            found = Some(containers(context, &platform, &selection).await?);
        }
        Ok((status, found))
    })?;
    if arguments.list_services {
        output::answer(
            &names(&status, containers.as_deref(), selection.all || !selection.states.is_empty()).join(""),
        );
    } else if let (Some(part), Some(containers)) = (part, containers) {
        let text = match part {
            Part::Ids => containers.iter().map(|container| format!("{}\n", container.id)).collect(),
            Part::Shown(shown) => {
                let record = |container: &Listed| record(container, arguments.no_trunc);
                shown.render(&containers.iter().map(record).collect::<Vec<_>>())?
            }
        };
        output::answer(&text);
    } else {
        show(context, arguments.output, &status);
    }
    Ok(ExitCode::Success)
}

/// The containers that are meant. Without `--all` and a state those that live, as docker compose has it.
async fn containers(
    context: &Context,
    platform: &Platform,
    selection: &Selection,
) -> Result<Vec<Listed>, Failure> {
    let failed = |error| converge::engine_failure(&error);
    let address = engine::address(context).map_err(failed)?;
    let stack = Stack::connect(&address, platform.name.as_str()).await.map_err(failed)?;
    let which = match (selection.all, selection.states.is_empty()) {
        (true, _) => Which::WithOneOff,
        (false, true) => Which::Running,
        (false, false) => Which::All,
    };
    let mut containers = stack.containers(&selection.services, which).await.map_err(failed)?;
    containers.retain(|container| {
        selection.names(platform, &container.service) && selection.has_state(&container.state)
    });
    Ok(containers)
}

/// A container as templates see it.
fn record(container: &Listed, full: bool) -> Record {
    let fields = container.compose_form(full);
    Record { fields: fields.as_object().cloned().unwrap_or_default(), labels: container.labels().clone() }
}

/// The names of the services of containers, else of those that run or of all, each once.
fn names(status: &Status, containers: Option<&[Listed]>, all: bool) -> Vec<String> {
    let mut names: Vec<String> = match containers {
        Some(containers) => containers.iter().map(|container| format!("{}\n", container.service)).collect(),
        None => status
            .services
            .iter()
            .filter(|service| all || service.pid.is_some())
            .map(|service| format!("{}\n", service.name))
            .collect(),
    };
    names.sort();
    names.dedup();
    names
}

fn no_containers() -> Failure {
    let message = "the project runs as processes here, and only containers have ids and what docker compose tells of them";
    let help =
        "`kernel ps -o name` prints names, `kernel ps -o json` everything; `--engine docker` asks an Engine";
    Failure::new(ExitCode::Usage, problem(codes::ENGINE_UNAVAILABLE, message, help))
}

fn show(context: &Context, format: DataFormat, status: &Status) {
    let names = || status.services.iter().map(|service| service.name.clone()).collect();
    context.answer(format, status, || table(status, context.settings.answer), names);
}

/// One row per service.
pub(super) fn table(status: &Status, look: Look) -> String {
    if status.services.is_empty() {
        return "nothing runs; `kernel up` starts everything\n".to_owned();
    }
    let mut table = Table::new(["SERVICE", "STATE", "PID", "PORTS", "RESTARTS", "SINCE", "DETAIL"]);
    for service in &status.services {
        let ports: Vec<String> = service.ports.iter().map(u16::to_string).collect();
        table.row([
            Cell::from(service.name.as_str()),
            Cell::painted(service.status.as_str(), paint(service.state)),
            Cell::from(service.pid.map(|pid| pid.to_string()).unwrap_or_default()),
            Cell::from(ports.join(" ")),
            Cell::from(service.restarts.to_string()),
            Cell::from(service.since.get(..19).unwrap_or(&service.since)),
            Cell::from(service.detail.clone().unwrap_or_default()),
        ]);
    }
    table.render(look)
}

fn paint(state: &str) -> Paint {
    match state {
        "ready" => Paint::Good,
        "crash-looping" | "exited" => Paint::Bad,
        "starting" | "restarting" | "unready" | "stopping" | "leftover" => Paint::Careful,
        _ => Paint::Faint,
    }
}
