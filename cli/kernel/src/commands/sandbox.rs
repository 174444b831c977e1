//! `kernel sandbox`: isolated, seeded platforms for tenants, beside each other on one machine.

mod bring_up;
mod create;
mod data;
mod destroy;
mod extend;
mod list;
mod rest;
mod use_it;
mod verify;

use std::time::{SystemTime, UNIX_EPOCH};

use clap::{Args, Subcommand};
use kernel_core::exit::ExitCode;
use kernel_engine_local::{Layout, processes};
use kernel_ops::sandbox::{Registry, Sandbox, State, TenantName, WorkLock};
use kernel_ops::workspace::Workspace;
use kernel_ops::{Failure, codes, load, problem};

use crate::arguments::EngineChoice;
use crate::codes::{NOT_IMPLEMENTED, SANDBOX_OPTION};
use crate::context::Context;
use crate::output;
use crate::settings::Progress;

const EXAMPLES: &str = "\
Examples:
  kernel sandbox create acme            a whole platform for the tenant acme, and who can sign in
  kernel sandbox list                   all of them, with their addresses and memory
  kernel sandbox exec acme -- ./test    with variables that lead to it
  eval \"$(kernel sandbox env acme)\"     the same for this shell
  kernel sandbox reset acme             back to the seed
  kernel sandbox destroy acme           no process, port or file is left";

const MORE: &str = "\
Sandboxes run as processes of this machine. What is missing is told in docs/sandbox.md.";

/// What can be said.
#[derive(Args, Debug)]
#[command(before_help = EXAMPLES, after_help = MORE, subcommand_required = true, arg_required_else_help = true)]
pub struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make a sandbox for a tenant, or bring one that is there to where it should be
    Create(create::Arguments),
    /// Show all sandboxes
    List(list::Arguments),
    /// Show one sandbox and its services
    Status(list::StatusArguments),
    /// Print the variables that lead to a sandbox
    Env(use_it::EnvArguments),
    /// Run a program with the variables that lead to a sandbox
    Exec(use_it::ExecArguments),
    /// Show what its services said
    Logs(use_it::LogsArguments),
    /// Show where a service of it is reached
    Port(use_it::PortArguments),
    /// Forget everything that was done in it: back to the seed
    Reset(data::ResetArguments),
    /// Keep a copy of its data
    Snapshot(data::SnapshotArguments),
    /// Go back to a copy of its data
    Restore(data::RestoreArguments),
    /// End its processes and keep everything else
    Sleep(rest::SleepArguments),
    /// Start its processes again
    Wake(rest::WakeArguments),
    /// Let it expire at another time
    Extend(extend::Arguments),
    /// Remove it with all its data
    Destroy(destroy::Arguments),
    /// Remove those that have expired
    Prune(destroy::PruneArguments),
    /// Try to get from one into another
    Verify(verify::Arguments),
}

/// Does it.
pub fn run(context: &mut Context, arguments: Arguments) -> Result<std::process::ExitCode, Failure> {
    refuse_options(context)?;
    let exit = match arguments.action {
        // This ends as the program does.
        Action::Exec(arguments) => return use_it::exec(context, arguments),
        Action::Create(arguments) => create::run(context, arguments),
        Action::List(arguments) => list::run(context, arguments),
        Action::Status(arguments) => list::status(context, arguments),
        Action::Env(arguments) => use_it::env(context, arguments),
        Action::Logs(arguments) => use_it::logs(context, arguments),
        Action::Port(arguments) => use_it::port(context, arguments),
        Action::Reset(arguments) => data::reset(context, arguments),
        Action::Snapshot(arguments) => data::snapshot(context, arguments),
        Action::Restore(arguments) => data::restore(context, arguments),
        Action::Sleep(arguments) => rest::sleep(context, arguments),
        Action::Wake(arguments) => rest::wake(context, arguments),
        Action::Extend(arguments) => extend::run(context, arguments),
        Action::Destroy(arguments) => destroy::run(context, arguments),
        Action::Prune(arguments) => destroy::prune(context, arguments),
        Action::Verify(arguments) => verify::run(context, arguments),
    };
    exit.map(Into::into)
}

/// What would be said and not be heard: a sandbox has a name, ports and an engine of its own.
fn refuse_options(context: &Context) -> Result<(), Failure> {
    let settings = &context.settings;
    let refused = |option: &str, why: &str| {
        let message = format!("`{option}` has no meaning for a sandbox: {why}");
        problem(SANDBOX_OPTION, message, format!("leave `{option}` out"))
    };
    let mut problems = Vec::new();
    if settings.project_name.is_some() {
        problems.push(refused("--project-name", "its project's name follows from the tenant's"));
    }
    if settings.port_offset != 0 {
        problems.push(refused("--port-offset", "its ports follow from the tenant's name"));
    }
    if settings.engine == EngineChoice::Docker {
        let message = "sandboxes in containers are not implemented yet";
        problems.push(problem(NOT_IMPLEMENTED, message, "say `--engine local`"));
    }
    let not_yet = problems.iter().any(|problem| problem.code == NOT_IMPLEMENTED.0);
    let exit = if not_yet { ExitCode::Failed } else { ExitCode::Usage };
    if problems.is_empty() { Ok(()) } else { Err(Failure::several(exit, problems)) }
}

/// A tenant's sandbox, there or not.
struct Place {
    workspace: Workspace,
    registry: Registry,
    tenant: TenantName,
    state: State,
    /// The command's own context, with the sandbox's project in place of the workspace's.
    inside: Context,
}

impl Place {
    fn of(context: &Context, tenant: &TenantName) -> Result<Self, Failure> {
        let workspace = load::workspace(&context.load_settings())?;
        let mut settings = context.settings.clone();
        settings.project_name = Some(tenant.project()?.to_string());
        settings.engine = EngineChoice::Local;
        let inside = Context { settings, environment: context.environment.clone(), started: context.started };
        Ok(Self {
            registry: Registry::of(&workspace),
            state: State::of(&workspace, tenant)?,
            tenant: tenant.clone(),
            workspace,
            inside,
        })
    }

    /// One that is there.
    fn existing(context: &Context, tenant: &TenantName) -> Result<(Self, Sandbox), Failure> {
        let place = Self::of(context, tenant)?;
        let sandbox = place.sandbox()?;
        Ok((place, sandbox))
    }

    /// One that is there, and nobody else works on it until the lock is given back.
    fn existing_locked(context: &Context, tenant: &TenantName) -> Result<(Self, WorkLock), Failure> {
        let (place, _) = Self::existing(context, tenant)?;
        let lock = place.lock()?;
        // Whoever worked on it may have removed it.
        place.sandbox()?;
        place.state.repair()?;
        Ok((place, lock))
    }

    fn sandbox(&self) -> Result<Sandbox, Failure> {
        self.registry.get(&self.tenant)?.ok_or_else(|| {
            let message = format!("the tenant {} has no sandbox", self.tenant);
            let help = format!(
                "`kernel sandbox list` shows those that are there; `kernel sandbox create {}` makes one",
                self.tenant
            );
            Failure::new(ExitCode::NothingSelected, problem(codes::NO_SANDBOX, message, help))
        })
    }

    /// Waits for whoever works on the sandbox.
    fn lock(&self) -> Result<WorkLock, Failure> {
        self.registry.work_on(&self.tenant, || {
            if !matches!(self.inside.settings.progress, Progress::Quiet | Progress::Json) {
                let tenant = &self.tenant;
                output::say(&format!("another command works on the sandbox of {tenant}: waiting for it\n"));
            }
        })
    }

    /// Whether any service of it runs, whatever its files say.
    fn lives(&self) -> Result<bool, Failure> {
        let layout = Layout::new(self.workspace.root(), &self.tenant.project()?);
        Ok(processes::find(layout.scope()).iter().any(|process| process.unit.is_some()))
    }

    /// A path as people want to read it.
    fn shown(&self, path: &std::path::Path) -> String {
        self.workspace.shown(path)
    }
}

/// Seconds since 1970 UTC.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// Seconds since 1970 UTC, some time from now.
fn later(span: std::time::Duration) -> i64 {
    now().saturating_add(i64::try_from(span.as_secs()).unwrap_or(i64::MAX))
}
