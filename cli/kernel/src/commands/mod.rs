//! One file per command, each in the same order: help text, arguments, settings, run.

mod completions;
mod deploy;
mod explain;
mod help;
mod man;
mod reference;
mod sandbox;

use clap::Subcommand;
use kernel_core::exit::ExitCode;
use kernel_ops::Failure;

use crate::context::Context;

pub use help::exit_codes;

/// What can be done.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Say what an error code means and what to do about it
    Explain(explain::Arguments),
    /// Tell about a command or a topic
    Help(help::Arguments),
    /// Print what a shell needs to complete commands and flags
    Completions(completions::Arguments),
    /// Print the manual page
    Man(man::Arguments),
    /// Deploy to Kubernetes (not implemented yet)
    Deploy(deploy::Arguments),
    /// Isolated, seeded platforms for tenants (not implemented yet)
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
    pub fn run(self, context: &mut Context) -> Result<ExitCode, Failure> {
        match self {
            Self::Explain(arguments) => explain::run(context, arguments),
            Self::Help(arguments) => help::run(context, arguments),
            Self::Completions(arguments) => completions::run(context, arguments),
            Self::Man(arguments) => man::run(context, arguments),
            Self::Deploy(arguments) => deploy::run(context, arguments),
            Self::Sandbox(arguments) => sandbox::run(context, arguments),
            Self::Reference(arguments) => reference::run(context, arguments),
        }
    }
}
