//! The kernel command: arguments, settings, command, exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    kernel::run(std::env::args_os())
}
