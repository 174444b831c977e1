//! Prints a project the way `docker compose config --format json` does: for comparing the loader with it, without the
//! rest of the command line.
//!
//! ```text
//! cargo run -p kernel-compose --example config -- [-f FILE]… [-p NAME] [--env-file FILE]… [--profile NAME]…
//!     [--project-directory DIRECTORY] config --format json|yaml [SERVICE]…
//! ```
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::process::ExitCode;

use kernel_compose::discover::{Options, discover};
use kernel_compose::{FileText, Files, LoadOptions, LoadRequest, load_with, render};
use kernel_core::diagnostic::{Diagnostic, Severity};
use kernel_core::source::Sources;

struct Disk;

impl Files for Disk {
    fn read(&self, path: &str) -> FileText {
        match std::fs::read_to_string(path) {
            Ok(text) => FileText::Text(text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => FileText::Missing,
            Err(error) => FileText::Unreadable(error.to_string()),
        }
    }

    fn is_directory(&self, path: &str) -> bool {
        std::path::Path::new(path).is_dir()
    }

    fn follow(&self, path: &str) -> Option<String> {
        std::fs::canonicalize(path).ok()?.to_str().map(str::to_owned)
    }
}

fn main() -> ExitCode {
    let mut options = Options {
        working_directory: std::env::current_dir().unwrap_or_default().to_string_lossy().into_owned(),
        environment: std::env::vars().collect(),
        ..Options::default()
    };
    let mut services = Vec::new();
    let mut arguments = std::env::args().skip(1);
    let (mut all_resources, mut yaml) = (false, false);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().unwrap_or_default();
        match argument.as_str() {
            "-f" | "--file" => options.files.push(value()),
            "-p" | "--project-name" => options.project_name = Some(value()),
            "--env-file" => options.env_files.push(value()),
            "--profile" => options.profiles.push(value()),
            "--project-directory" => options.project_directory = Some(value()),
            "--all-resources" => all_resources = true,
            "config" => {}
            "--format" => yaml = value() == "yaml",
            service => services.push(service.to_owned()),
        }
    }
    let mut sources = Sources::default();
    let found = discover(&options, &Disk, &mut sources);
    let mut files = Vec::new();
    for file in &found.files {
        let text = if file == "-" {
            std::io::read_to_string(std::io::stdin())
        } else {
            std::fs::read_to_string(file)
        };
        match text {
            Ok(text) => files.push(sources.add(file.as_str(), text)),
            Err(error) => {
                eprintln!("error: {file}: {error}");
                return ExitCode::FAILURE;
            }
        }
    }
    let generated = std::collections::BTreeMap::new();
    let request = LoadRequest {
        files: &files,
        env_files: &found.env_sources,
        environment: &found.environment,
        generated: &generated,
        profiles: &found.profiles,
        project_name: found.project_name.as_deref(),
        project_directory: &found.project_directory,
        reader: &Disk,
    };
    let loaded = load_with(
        &request,
        &LoadOptions { services: &services, all_resources, ..LoadOptions::default() },
        &mut sources,
    );
    let all: Vec<Diagnostic> = found.diagnostics.into_iter().chain(loaded.diagnostics).collect();
    for diagnostic in &all {
        let place =
            diagnostic.labels.first().and_then(|label| sources.locate(label.span)).unwrap_or_default();
        eprintln!("{:?} {} {place} {}", diagnostic.severity, diagnostic.code, diagnostic.message);
    }
    match loaded.project.filter(|_| all.iter().all(|diagnostic| diagnostic.severity != Severity::Error)) {
        Some(project) => {
            if yaml {
                print!("{}", render::yaml(&project));
            } else {
                println!("{:#}", render::json(&project));
            }
            ExitCode::SUCCESS
        }
        None => ExitCode::FAILURE,
    }
}
