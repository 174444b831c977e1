//! Tasks of the workspace. `cargo xtask --help` lists them.

mod crate_graph;
mod testbed_task;

use std::path::Path;
use std::process::ExitCode;

use clap::Parser;

#[derive(Parser)]
#[command(name = "xtask", about = "Tasks of the workspace")]
enum Task {
    /// Write docs/crate-graph.md, or check that it is fresh and holds no forbidden edge
    CrateGraph {
        /// Write nothing; fail when the file is stale
        #[arg(long)]
        check: bool,
    },
    /// Real parts for tests: a Docker Engine, the backing stores and so on (docs/testing.md)
    #[command(subcommand)]
    Testbed(testbed_task::Command),
    /// Write the Go module that the testbed's Kubernetes is built from, for the pins in versions.env
    KubernetesModule,
}

fn main() -> ExitCode {
    let result = match Task::parse() {
        Task::CrateGraph { check } => crate_graph::run(root(), check),
        Task::Testbed(command) => testbed_task::run(root(), &command),
        Task::KubernetesModule => testbed_task::generate_kubernetes_module(root()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report(&error);
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stderr, reason = "the one place where this program says what went wrong")]
fn report(error: &str) {
    eprintln!("xtask: {error}");
}

/// The folder that holds the workspace's Cargo.toml.
fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}
