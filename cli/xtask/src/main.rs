//! Generates and checks what is derived from the workspace. `cargo xtask --help` lists the tasks.

mod crate_graph;

use std::path::Path;
use std::process::ExitCode;

use clap::Parser;

#[derive(Parser)]
#[command(name = "xtask", about = "Generate and check what is derived from the workspace")]
enum Task {
    /// Write docs/crate-graph.md, or check that it is fresh and holds no forbidden edge
    CrateGraph {
        /// Write nothing; fail when the file is stale
        #[arg(long)]
        check: bool,
    },
}

fn main() -> ExitCode {
    let result = match Task::parse() {
        Task::CrateGraph { check } => crate_graph::run(root(), check),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report(&error);
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stderr, reason = "the one place of this program that speaks")]
fn report(error: &str) {
    eprintln!("xtask: {error}");
}

/// The folder that holds the workspace's Cargo.toml.
fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}
