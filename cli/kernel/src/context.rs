//! What a command is run in: the settings, the outside as it was, and how it speaks.

use std::time::Instant;

use kernel_core::event::Event;
use kernel_core::exit::ExitCode;
use kernel_ops::Failure;
use kernel_report::diagnostics;

use crate::environment::Environment;
use crate::output;
use crate::settings::{Progress, Settings};

/// What a command is run in.
#[derive(Debug)]
pub struct Context {
    /// What was meant.
    pub settings: Settings,
    /// The outside as it was.
    pub environment: Environment,
    /// When the command began.
    pub started: Instant,
}

impl Context {
    /// A command begins.
    #[must_use]
    pub fn new(settings: Settings, environment: Environment) -> Self {
        Self { settings, environment, started: Instant::now() }
    }

    /// Milliseconds since the command began.
    #[must_use]
    pub fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Tells why the command failed, in the way that progress is told, and gives its exit code.
    pub fn tell(&self, failure: &Failure) -> ExitCode {
        let look = self.settings.conversation;
        if self.settings.progress == Progress::Json {
            for diagnostic in &failure.diagnostics {
                let line = serde_json::json!({
                    "schema": "kernel.diagnostic/v1",
                    "at_ms": self.elapsed_ms(),
                    "diagnostic": diagnostics::to_json(diagnostic, &failure.sources),
                });
                output::say(&format!("{line}\n"));
            }
            for problem in &failure.problems {
                output::say(&format!(
                    "{}\n",
                    Event::Problem(problem.clone()).to_json_line(self.elapsed_ms())
                ));
            }
        } else {
            output::say(&diagnostics::render(&failure.diagnostics, &failure.sources, look));
            for problem in &failure.problems {
                output::say(&diagnostics::render_problem(problem, look));
            }
        }
        failure.exit
    }
}
