//! What a command is run in: the settings, the outside as it was, and how it speaks.

use std::time::Instant;

use kernel_compose::Skip;
use kernel_core::diagnostic::Diagnostic;
use kernel_core::event::Event;
use kernel_core::exit::ExitCode;
use kernel_core::source::Sources;
use kernel_ops::Failure;
use kernel_ops::load::{LoadSettings, Platform};
use kernel_report::diagnostics;
use serde::Serialize;

use crate::arguments::DataFormat;
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

    /// Which project is meant.
    #[must_use]
    pub fn load_settings(&self) -> LoadSettings {
        LoadSettings {
            working_directory: self.environment.working_directory.clone(),
            files: self.settings.files.clone(),
            env_files: self.settings.env_files.clone(),
            project_name: self.settings.project_name.clone(),
            project_directory: self.settings.project_directory.clone(),
            profiles: self.settings.profiles.clone(),
            environment: self.environment.variables.clone(),
            services: Vec::new(),
            all_resources: self.settings.all_resources,
            compatibility: self.settings.compatibility,
            skip: Skip::default(),
        }
    }

    /// Tells the warnings of a load.
    pub fn warn(&self, platform: &Platform) {
        self.tell_warnings(&platform.warnings, &platform.sources);
    }

    /// Tells warnings that point into these texts.
    pub fn tell_warnings(&self, warnings: &[Diagnostic], sources: &Sources) {
        match self.settings.progress {
            Progress::Quiet => {}
            Progress::Json => {
                for warning in warnings {
                    let line = serde_json::json!({
                        "schema": "kernel.diagnostic/v1",
                        "at_ms": self.elapsed_ms(),
                        "diagnostic": diagnostics::to_json(warning, sources),
                    });
                    output::say(&format!("{line}\n"));
                }
            }
            Progress::Tty | Progress::Plain => {
                let look = self.settings.conversation;
                output::say(&diagnostics::render(warnings, sources, look));
            }
        }
    }

    /// Gives an answer in the form that was asked for.
    pub fn answer<T: Serialize>(
        &self,
        format: DataFormat,
        data: &T,
        table: impl FnOnce() -> String,
        names: impl FnOnce() -> Vec<String>,
    ) {
        let text = match format {
            DataFormat::Table => table(),
            DataFormat::Name => names().into_iter().map(|name| name + "\n").collect(),
            // Data of ours always has a form in JSON and YAML; an empty answer would be a mistake of ours.
            DataFormat::Json => serde_json::to_string_pretty(data).unwrap_or_default() + "\n",
            DataFormat::Yaml => serde_yaml::to_string(data).unwrap_or_default(),
        };
        output::answer(&text);
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
