//! `kernel up --infra-only`: what services need from outside, for services that are run by hand.
use kernel_core::exit::ExitCode;
use kernel_ops::Failure;

use crate::context::Context;

/// Writes the file.
pub fn run(_context: &mut Context, _services: &[String]) -> Result<ExitCode, Failure> {
    Ok(ExitCode::Failed)
}
