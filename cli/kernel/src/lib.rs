//! argv → settings → command → exit code. Alone knows clap, the terminal, the process environment and signals;
//! what a command does stands in `kernel-ops`, how it is told in `kernel-report`.

mod arguments;
mod cli;
mod codes;
mod commands;
mod compose_flags;
mod confirm;
mod context;
mod engine;
mod environment;
mod format;
mod images;
mod output;
mod reference;
mod settings;
mod stack;
mod terminal;
mod values;
mod work;

use std::ffi::OsString;

use kernel_core::exit::ExitCode;

use crate::context::Context;
use crate::environment::Environment;
use crate::settings::Settings;

/// Runs one command line, the program's own name first. Everything that is said goes to stdout and stderr.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> std::process::ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    if arguments.get(1).is_some_and(|command| command == engine::SUPERVISOR) {
        return kernel_engine_local::supervisor_main(arguments.into_iter().skip(2)).into();
    }
    // Several libraries ask for the process's TLS provider and panic when there is none. A second call finds it set.
    let _already_set = rustls::crypto::ring::default_provider().install_default();
    let environment = Environment::of_process();
    let cli = match cli::parse(arguments) {
        Ok(cli) => cli,
        Err(error) => return output::usage(&error).into(),
    };
    let settings = match Settings::resolve(&cli.global, &settings::with_env_files(&cli.global, &environment))
    {
        Ok(settings) => settings,
        Err(problems) => {
            output::diagnostics(&problems);
            return ExitCode::Usage.into();
        }
    };
    let mut context = Context::new(settings, environment);
    match cli.command.run(&mut context) {
        Ok(exit) => exit,
        Err(failure) => context.tell(&failure).into(),
    }
}
