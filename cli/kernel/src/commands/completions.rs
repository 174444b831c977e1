//! `kernel completions SHELL`: what a shell needs to complete commands and flags.

use clap::Args;
use clap_complete::Shell;
use kernel_core::exit::ExitCode;
use kernel_ops::Failure;

use crate::context::Context;
use crate::{cli, output};

const EXAMPLES: &str = "\
Examples:
  kernel completions bash > ~/.local/share/bash-completion/completions/kernel
  kernel completions zsh > ~/.zfunc/_kernel
  kernel completions fish > ~/.config/fish/completions/kernel.fish";

/// What can be said.
#[derive(Args, Debug)]
#[command(before_help = EXAMPLES)]
pub struct Arguments {
    /// The shell
    shell: Shell,
}

/// Prints the script.
pub fn run(_context: &mut Context, arguments: Arguments) -> Result<ExitCode, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut cli::definition(), "kernel", &mut script);
    output::answer(&String::from_utf8_lossy(&script));
    Ok(ExitCode::Success)
}
