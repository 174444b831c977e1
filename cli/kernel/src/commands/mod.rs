//! One file per command, each in the same order: help text, arguments, settings, run.

mod attach;
pub(crate) mod build;
mod change;
mod cluster;
mod commit;
mod completions;
mod config;
mod cp;
mod create;
mod deploy;
mod diff;
mod doctor;
mod down;
mod events;
mod exec;
mod explain;
mod export;
mod help;
mod history;
mod images;
mod infra;
mod kill;
mod lint;
mod logs;
mod ls;
mod man;
mod manifests;
mod new;
mod pause;
mod port;
mod ps;
mod pull;
mod push;
mod reference;
mod restart;
mod rm;
mod rollback;
mod run;
mod sandbox;
mod scale;
mod setup;
mod smoke;
mod start;
mod stats;
mod status;
mod stop;
mod top;
mod unpause;
mod up;
mod version;
mod versions;
mod volumes;
mod wait;
mod watch;
mod why;

use clap::Subcommand;
use kernel_core::exit::ExitCode;
use kernel_ops::Failure;

use crate::context::Context;

pub use help::exit_codes;

/// What can be done.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Build and start services, wait until they are ready, say where they are
    Up(up::Arguments),
    /// End everything that runs for the project; keep its data
    Down(down::Arguments),
    /// Show what runs
    Ps(ps::Arguments),
    /// Show what services said
    Logs(logs::Arguments),
    /// Start services again
    Restart(restart::Arguments),
    /// Carry what changes here into what runs, by `develop.watch`
    Watch(watch::Arguments),
    /// End services, keep what is known of them
    Stop(stop::Arguments),
    /// Start services that are stopped
    Start(start::Arguments),
    /// Say why a service is as it is, down to the root cause, and what to do
    Why(why::Arguments),
    /// Run one command in a container of its own, made as the service's are
    Run(run::Arguments),
    /// Fetch the images of services
    Pull(pull::Arguments),
    /// Send images of services to their registries
    Push(push::Arguments),
    /// Give services another number of containers
    Scale(scale::Arguments),
    /// Run a program in a container
    Exec(exec::Arguments),
    /// Join the main process of a container
    Attach(attach::Arguments),
    /// Copy files between this machine and containers
    Cp(cp::Arguments),
    /// Show the processes in containers
    Top(top::Arguments),
    /// Show what containers take of the machine
    Stats(stats::Arguments),
    /// Show what happens to containers
    Events(events::Arguments),
    /// Show where a port of a container is reached
    Port(port::Arguments),
    /// Send a signal to containers
    Kill(kill::Arguments),
    /// Freeze containers
    Pause(pause::Arguments),
    /// Let frozen containers go on
    Unpause(unpause::Arguments),
    /// Wait until a container has ended, and give its exit code
    Wait(wait::Arguments),
    /// Make containers, start none
    Create(create::Arguments),
    /// Remove containers that do not run
    Rm(rm::Arguments),
    /// Give the files of a container as a tar archive
    Export(export::Arguments),
    /// Make an image of what a container became
    Commit(commit::Arguments),
    /// Show the named volumes of the project
    Volumes(volumes::Arguments),
    /// Show the Compose projects that have containers
    Ls(ls::Arguments),
    /// Prove that every service is ready and does its job
    Smoke(smoke::Arguments),
    /// Make the Platform Owner of a running platform
    Setup(setup::Arguments),
    /// Build the images of services
    Build(build::Arguments),
    /// Show the images of containers; push images to a registry
    Images(images::Arguments),
    /// Show the project as it is understood
    Config(config::Arguments),
    /// Write a new service and everything that the workspace has to know of it
    New(new::Arguments),
    /// Check whether this machine has what the platform needs
    Doctor(doctor::Arguments),
    /// Show every pinned version and where it is used
    Versions(versions::Arguments),
    /// Show which version this is
    Version(version::Arguments),
    /// Say what an error code means and what to do about it
    Explain(explain::Arguments),
    /// Tell about a command or a topic
    Help(help::Arguments),
    /// Print what a shell needs to complete commands and flags
    Completions(completions::Arguments),
    /// Print the manual page
    Man(man::Arguments),
    /// Write what goes to Kubernetes
    Manifests(manifests::Arguments),
    /// Hold manifests to rules of zero downtime and least privilege
    Lint(lint::Arguments),
    /// Take a Kubernetes cluster to what files say, and wait until it is there
    Deploy(deploy::Arguments),
    /// Show what a deploy would change
    Diff(diff::Arguments),
    /// Deploy an earlier release again, its configuration included
    Rollback(rollback::Arguments),
    /// Show how a release in a cluster is now
    Status(status::Arguments),
    /// Show what was deployed before
    History(history::Arguments),
    /// Isolated, seeded platforms for tenants
    Sandbox(sandbox::Arguments),
    /// Write the reference of the command line
    #[command(name = "__reference", hide = true)]
    Reference(reference::Arguments),
}

impl Command {
    /// Does it.
    ///
    /// # Errors
    /// Why it could not be done.
    pub fn run(self, context: &mut Context) -> Result<std::process::ExitCode, Failure> {
        let exit: Result<ExitCode, Failure> = match self {
            // These end as a program in a container does.
            Self::Exec(arguments) => return exec::run(context, arguments),
            Self::Run(arguments) => return run::run(context, arguments),
            Self::Attach(arguments) => return attach::run(context, arguments),
            Self::Up(arguments) => return up::run(context, arguments),
            Self::Wait(arguments) => return wait::run(context, arguments),
            Self::Sandbox(arguments) => return sandbox::run(context, arguments),
            Self::Create(arguments) => return create::run(context, arguments),
            Self::Scale(arguments) => scale::run(context, arguments),
            Self::Pull(arguments) => pull::run(context, arguments),
            Self::Push(arguments) => push::run(context, arguments),
            Self::Cp(arguments) => cp::run(context, arguments),
            Self::Top(arguments) => top::run(context, arguments),
            Self::Stats(arguments) => stats::run(context, arguments),
            Self::Events(arguments) => events::run(context, arguments),
            Self::Port(arguments) => port::run(context, arguments),
            Self::Kill(arguments) => kill::run(context, arguments),
            Self::Pause(arguments) => pause::run(context, arguments),
            Self::Unpause(arguments) => unpause::run(context, arguments),
            Self::Rm(arguments) => rm::run(context, arguments),
            Self::Export(arguments) => export::run(context, arguments),
            Self::Commit(arguments) => commit::run(context, arguments),
            Self::Volumes(arguments) => volumes::run(context, arguments),
            Self::Version(arguments) => version::run(context, arguments),
            Self::Ls(arguments) => ls::run(context, arguments),
            Self::Down(arguments) => down::run(context, arguments),
            Self::Ps(arguments) => ps::run(context, arguments),
            Self::Logs(arguments) => logs::run(context, arguments),
            Self::Why(arguments) => why::run(context, arguments),
            Self::Restart(arguments) => restart::run(context, arguments),
            Self::Watch(arguments) => watch::run(context, arguments),
            Self::Stop(arguments) => stop::run(context, arguments),
            Self::Start(arguments) => start::run(context, arguments),
            Self::Smoke(arguments) => smoke::run(context, arguments),
            Self::Setup(arguments) => setup::run(context, arguments),
            Self::Build(arguments) => build::run(context, arguments),
            Self::Images(arguments) => images::run(context, arguments),
            Self::Config(arguments) => config::run(context, arguments),
            Self::Versions(arguments) => versions::run(context, arguments),
            Self::Doctor(arguments) => doctor::run(context, arguments),
            Self::New(arguments) => new::run(context, arguments),
            Self::Explain(arguments) => explain::run(context, arguments),
            Self::Help(arguments) => help::run(context, arguments),
            Self::Completions(arguments) => completions::run(context, arguments),
            Self::Man(arguments) => man::run(context, arguments),
            Self::Manifests(arguments) => manifests::run(context, arguments),
            Self::Lint(arguments) => lint::run(context, arguments),
            Self::Deploy(arguments) => deploy::run(context, arguments),
            Self::Diff(arguments) => diff::run(context, arguments),
            Self::Rollback(arguments) => rollback::run(context, arguments),
            Self::Status(arguments) => status::run(context, arguments),
            Self::History(arguments) => history::run(context, arguments),
            Self::Reference(arguments) => reference::run(context, arguments),
        };
        exit.map(Into::into)
    }
}
