//! The commands about containers: they look at a project's containers as they are, whoever made them, and need no files
//! when the project's name is given.

use kernel_core::event::Event;
use kernel_core::exit::ExitCode;
use kernel_core::name::ProjectName;
use kernel_engine::EngineError;
use kernel_engine_docker::stack::{Member, Stack};
use kernel_ops::{Failure, codes, converge, load, problem};
use kernel_report::Table;
use serde::Serialize;

use crate::arguments::DataFormat;
use crate::context::Context;
use crate::engine::{self, Secrets};
use crate::settings::Progress;
use crate::work::{self, Surroundings};

/// What was done to containers, as data.
#[derive(Debug, Serialize)]
struct Done<'a> {
    schema: &'static str,
    containers: Vec<&'a str>,
}

/// The project that is meant. A name that was given is enough: a project whose files are broken or gone can be looked
/// at all the same.
///
/// # Errors
/// When no name is given, and the files don't give one.
pub fn project(context: &Context) -> Result<ProjectName, Failure> {
    let settings = context.load_settings();
    match load::given_name(&settings) {
        Some(name) => load::project_name(name),
        None => Ok(load::load(&settings, &Secrets, false)?.name),
    }
}

/// Works on the containers of the project until it is done or interrupted.
///
/// # Errors
/// What the work says, or that somebody interrupted it.
pub fn run<T>(
    context: &Context,
    task: impl AsyncFnOnce(&Stack, &Surroundings) -> Result<T, EngineError>,
) -> Result<T, Failure> {
    connected(context, async |stack, surroundings| {
        tokio::select! {
            // First, so that work that ends by an interruption is taken at its word.
            biased;
            result = task(stack, surroundings) => result.map_err(|error| converge::engine_failure(&error)),
            () = surroundings.cancel.cancelled() => Err(interrupted()),
        }
    })
}

/// As [`run`], for work that knows itself what an interruption means.
///
/// # Errors
/// What the work says.
pub fn run_to_its_end<T>(
    context: &Context,
    task: impl AsyncFnOnce(&Stack, &Surroundings) -> Result<T, EngineError>,
) -> Result<T, Failure> {
    connected(context, async |stack, surroundings| {
        task(stack, surroundings).await.map_err(|error| converge::engine_failure(&error))
    })
}

fn connected<T>(
    context: &Context,
    task: impl AsyncFnOnce(&Stack, &Surroundings) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let project = project(context)?;
    let failed = |error: EngineError| converge::engine_failure(&error);
    work::run(context, async |surroundings| {
        let address = engine::address(context).map_err(failed)?;
        let stack = Stack::connect(&address, project.as_str()).await.map_err(failed)?;
        task(&stack, &surroundings).await
    })
}

/// As [`run`], for what goes on until somebody interrupts it: that is its good end.
///
/// # Errors
/// What the work says.
pub fn follow(
    context: &Context,
    task: impl AsyncFnOnce(&Stack, &Surroundings) -> Result<(), EngineError>,
) -> Result<(), Failure> {
    run(context, async |stack, surroundings| {
        tokio::select! {
            result = task(stack, surroundings) => result,
            () = surroundings.cancel.cancelled() => Ok(()),
        }
    })
}

fn interrupted() -> Failure {
    let message = "interrupted before all was done";
    Failure::new(ExitCode::Interrupted, problem(codes::INTERRUPTED, message, "run the command again"))
}

/// Tells what was done to which containers, or with `--dry-run` would be.
pub fn tell(context: &Context, format: DataFormat, done: &str, members: &[Member]) {
    let names: Vec<&str> = members.iter().map(|member| &*member.name).collect();
    let table = || {
        let mut table = Table::new(["CONTAINER", if context.settings.dry_run { "WOULD BE" } else { "NOW" }]);
        for name in &names {
            table.row([(*name).into(), done.into()]);
        }
        if names.is_empty() {
            "no container is concerned\n".to_owned()
        } else {
            table.render(context.settings.answer)
        }
    };
    let data = Done { schema: "kernel.containers/v1", containers: names.clone() };
    context.answer(format, &data, table, || names.iter().map(|name| (*name).to_owned()).collect());
}

/// `--quiet` asks a list for its names only, as docker compose's `-q` does.
pub fn with_quiet(context: &Context, format: DataFormat) -> DataFormat {
    match format {
        DataFormat::Table if context.settings.progress == Progress::Quiet => DataFormat::Name,
        other => other,
    }
}

/// A word to people while the work goes on.
pub fn note(surroundings: &Surroundings, message: impl Into<String>) {
    surroundings.events.emit(Event::Notice { message: message.into() });
}

/// The exit code of a program as that of the command. What is no exit code of a process counts as a failure.
pub fn exit_code_of_program(code: i64) -> std::process::ExitCode {
    u8::try_from(code).unwrap_or(1).into()
}

/// Variables for a program: NAME=value as it is; NAME alone has the value that it has here, if any.
pub fn environment(context: &Context, variables: &[String]) -> Vec<String> {
    let with_value = |variable: &String| match variable.contains('=') {
        true => Some(variable.clone()),
        false => context.environment.get(variable).map(|value| format!("{variable}={value}")),
    };
    variables.iter().filter_map(with_value).collect()
}
