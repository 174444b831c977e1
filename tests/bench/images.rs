//! What images cost beside the compiler, measured over the built binary: `cargo bench --package kernel --bench images`.
//!
//! Needs a Docker Engine, which `DOCKER_HOST` names, and builds all services for release first. The images
//! have names of their own and are removed at the end. For the change of one line, a line is added to one service's
//! source and taken out again.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, missing_docs)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use serde_json::Value;

/// The service whose source is changed.
const SERVICE: &str = "money";

/// What its images are called.
const REGISTRY: &str = "kernel-bench/";

/// How often each figure is taken.
const ROUNDS: usize = 3;

fn main() {
    // `cargo test --benches` runs this too, and wants to know only that it starts.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    kernel(&["build"]);
    let again = (0..ROUNDS).map(|_| time(|| kernel(&["build"]))).collect();
    row("build, nothing to do", again);
    let layout = tempfile::tempdir().unwrap();
    let layouts = (0..ROUNDS).map(|round| {
        let path = layout.path().join(round.to_string());
        time(|| kernel(&["build", "--oci-layout", path.to_str().unwrap()]))
    });
    row("build, twelve images into an OCI layout, programs built", layouts.collect());
    let loads = (0..ROUNDS).map(|_| {
        remove();
        time(|| kernel(&["build"]))
    });
    row("build, twelve images into the Engine, programs built", loads.collect());
    one_line();
    remove();
}

/// The change of one line: `kernel build` brings twelve images up to date, then cargo alone builds the crate. Not by turns:
/// with other packages selected, build scripts get other features, and cargo builds much anew that nobody changed.
fn one_line() {
    let mut source = Source::open(&root().join("services").join(SERVICE).join("src/lib.rs"));
    let images = changed(&mut source, || {
        let answer: Value = serde_json::from_slice(&kernel(&["build", "-o", "json"]).stdout).unwrap();
        let results = answer["images"].as_array().unwrap().iter().map(|image| &image["result"]);
        assert_eq!(results.filter(|result| *result != "unchanged").count(), 1, "one image changes: {answer}");
    });
    let images = row("build, twelve images after a change of one line", images);
    let bare = row(&format!("  floor: cargo builds {SERVICE} alone"), changed(&mut source, cargo));
    println!("  {:.2} × the floor", images.as_secs_f64() / bare.as_secs_f64());
}

/// How long a build takes after a line was changed, each time another one.
fn changed(source: &mut Source, build: impl Fn()) -> Vec<Duration> {
    let mut round = || {
        source.change();
        time(&build)
    };
    // Once more than is counted, so that what is not of the change is built.
    round();
    (0..ROUNDS).map(|_| round()).collect()
}

/// cargo as `kernel build` calls it, for one package.
fn cargo() {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.unwrap_or_else(|| std::env::home_dir().unwrap().join(".cargo"));
    let flags = [
        "-Ctarget-feature=+crt-static".to_owned(),
        format!("--remap-path-prefix={}=/workspace", root().display()),
        format!("--remap-path-prefix={}=/cargo", home.display()),
    ];
    let mut command = Command::new("cargo");
    command.args(["build", "--quiet", "--release", "--target", "x86_64-unknown-linux-gnu"]);
    command.args(["--package", SERVICE]).env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"));
    assert!(succeeds(clean(&mut command)).status.success());
}

fn kernel(arguments: &[&str]) -> Output {
    // Built for release beside this program, or for development where nobody did that.
    let mut command = Command::new(env!("CARGO_BIN_EXE_kernel"));
    command.args(["--progress", "plain"]).args(arguments);
    command.env("KERNEL_REGISTRY", REGISTRY).env("CARGO", "cargo").env_remove("KERNEL_BIN_DIR");
    succeeds(clean(&mut command))
}

/// Without what `cargo bench` says to its child about this package.
fn clean(command: &mut Command) -> &mut Command {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("CARGO_PKG_") || name == "CARGO_MANIFEST_DIR" {
            command.env_remove(name);
        }
    }
    command.current_dir(root())
}

fn succeeds(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

fn remove() {
    let names = kernel(&["build", "-o", "name"]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let host = std::env::var("DOCKER_HOST").unwrap_or_else(|_| "unix:///var/run/docker.sock".to_owned());
    runtime.block_on(async {
        let docker = bollard::Docker::connect_with_unix(&host, 120, bollard::API_DEFAULT_VERSION).unwrap();
        for name in String::from_utf8_lossy(&names.stdout).lines() {
            let options = None::<bollard::query_parameters::RemoveImageOptions>;
            docker.remove_image(name, options, None).await.unwrap();
        }
    });
}

/// A source file that is as it was when this ends.
struct Source {
    path: PathBuf,
    text: String,
    changes: usize,
}

impl Source {
    fn open(path: &Path) -> Self {
        Self { path: path.to_owned(), text: std::fs::read_to_string(path).unwrap(), changes: 0 }
    }

    fn change(&mut self) {
        self.changes += 1;
        let line = format!("#[used]\nstatic BENCHMARK: usize = {};\n", self.changes);
        std::fs::write(&self.path, format!("{}{line}", self.text)).unwrap();
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        let _ = std::fs::write(&self.path, &self.text);
    }
}

fn time<T>(work: impl FnOnce() -> T) -> Duration {
    let begun = Instant::now();
    work();
    begun.elapsed()
}

/// Prints the median, and all that it is the median of.
fn row(what: &str, mut times: Vec<Duration>) -> Duration {
    times.sort();
    let median = times[times.len() / 2];
    let all: Vec<String> = times.iter().map(|time| format!("{:.2}", time.as_secs_f64())).collect();
    println!("{what:<58} {:>7.2} s   ({})", median.as_secs_f64(), all.join(" "));
    median
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}
