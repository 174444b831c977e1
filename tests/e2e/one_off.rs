//! `kernel run` and `kernel scale`, over the built binary on a real Engine. Left out, and told, where there is none.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]
#![cfg(target_os = "linux")]

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

const COMPOSE: &str = r#"
services:
  store:
    image: ${KERNEL_REGISTRY:-}valkey/valkey:${VALKEY_VERSION:?}
    entrypoint: [sleep, infinity]
    stop_signal: SIGKILL
    healthcheck: {test: [CMD, "true"], interval: 1s}
  tool:
    image: ${KERNEL_REGISTRY:-}valkey/valkey:${VALKEY_VERSION:?}
    entrypoint: []
    command: [echo, the service itself]
    environment: {A: one, B: two}
    volumes: ["kept:/kept"]
    user: "0"
    profiles: [tools]
    depends_on: {store: {condition: service_healthy}}
volumes: {kept: }
"#;

struct Project {
    folder: tempfile::TempDir,
    name: String,
}

impl Project {
    fn new(test: &str, label: &str) -> Option<Self> {
        if std::env::var_os("DOCKER_HOST").is_none() {
            kernel_testkit::left_out(test, "DOCKER_HOST is not set");
            return None;
        }
        let project = Self {
            folder: tempfile::tempdir().unwrap(),
            name: format!("e2e-run-{label}-{}", std::process::id()),
        };
        std::fs::write(project.folder.path().join("compose.yaml"), COMPOSE).unwrap();
        Some(project)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let pins = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../versions.env");
        let mut command = Command::new(env!("CARGO_BIN_EXE_kernel"));
        command.args([
            "--project-name",
            &self.name,
            "--engine",
            "docker",
            "--profile",
            "tools",
            "--env-file",
        ]);
        command.arg(pins).args(arguments).current_dir(self.folder.path());
        command.env("XDG_STATE_HOME", self.folder.path().join("state"));
        command
    }

    fn output(&self, arguments: &[&str]) -> Output {
        self.command(arguments).stdin(Stdio::null()).output().unwrap()
    }

    fn answer(&self, arguments: &[&str]) -> String {
        let output = self.output(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", describe(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// The names of all containers of a service.
    fn containers(&self, service: &str) -> Vec<String> {
        let answer: Value = serde_json::from_str(&self.answer(&["images", "-o", "json"])).unwrap();
        let images = answer["images"].as_array().unwrap();
        let names = images.iter().map(|image| image["container"].as_str().unwrap().to_owned());
        names.filter(|name| name.starts_with(&format!("{}-{service}-", self.name))).collect()
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        drop(self.output(&["down", "--volumes"]));
    }
}

fn describe(output: &Output) -> String {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    format!("{}\n{out}\n{err}", output.status)
}

#[test]
fn one_command_runs_in_a_container_of_its_own() {
    let Some(project) = Project::new("one_command_runs_in_a_container_of_its_own", "once") else { return };
    assert_eq!(project.answer(&["run", "--rm", "tool"]), "the service itself\n");
    // What it needs was brought up, and stays.
    assert_eq!(project.containers("store"), [format!("{}-store-1", project.name)]);

    let output = project.output(&[
        "run",
        "--rm",
        "-e",
        "A=other",
        "-w",
        "/tmp",
        "tool",
        "sh",
        "-c",
        "echo $A $B $PWD; exit 5",
    ]);
    assert_eq!(
        (output.status.code(), &*output.stdout),
        (Some(5), &b"other two /tmp\n"[..]),
        "{}",
        describe(&output)
    );
    assert_eq!(
        project.answer(&["run", "--rm", "--entrypoint", "echo shell", "tool", "less"]),
        "shell less\n"
    );
    // Volumes are the service's own.
    project.answer(&["run", "--rm", "tool", "sh", "-c", "echo written > /kept/file"]);
    assert_eq!(project.answer(&["run", "--rm", "--no-deps", "tool", "cat", "/kept/file"]), "written\n");

    let mut command = project.command(&["run", "--rm", "-T", "tool", "sh", "-c", "cat; echo end"]);
    let mut program = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    program.stdin.take().unwrap().write_all(b"spoken\n").unwrap();
    let output = program.wait_with_output().unwrap();
    assert_eq!(output.stdout, b"spoken\nend\n");

    // In the background it has a name, and is gone with the project.
    let name = project.answer(&[
        "run",
        "-d",
        "--name",
        &format!("{}-named", project.name),
        "tool",
        "sleep",
        "infinity",
    ]);
    assert_eq!(name, format!("{}-named\n", project.name));
    assert!(project.answer(&["--dry-run", "run", "tool"]).is_empty());
    let output = project.output(&["run", "nothing"]);
    assert_eq!(output.status.code(), Some(2), "{}", describe(&output));
}

#[test]
fn services_are_scaled_up_and_down() {
    let Some(project) = Project::new("services_are_scaled_up_and_down", "scale") else { return };
    project.answer(&["scale", "store=3"]);
    let names = |numbers: &[u32]| -> Vec<String> {
        numbers.iter().map(|number| format!("{}-store-{number}", project.name)).collect()
    };
    assert_eq!(project.containers("store"), names(&[1, 2, 3]));
    project.answer(&["scale", "store=1"]);
    assert_eq!(project.containers("store"), names(&[1]));
    let output = project.output(&["scale", "store=many"]);
    assert_eq!(output.status.code(), Some(2), "{}", describe(&output));
}
