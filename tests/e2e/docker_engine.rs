//! `kernel` on a Docker Engine, over the built binary, on a Compose project that knows nothing of `kernel`. Where there is
//! no Engine, the tests say that they are left out.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]
#![cfg(target_os = "linux")]

#[path = "docker_engine/podman.rs"]
mod podman;
#[path = "docker_engine/private_engine.rs"]
mod private_engine;
#[path = "../../cli/kernel-engine-docker/tests/support/proxy.rs"]
#[allow(dead_code, reason = "the engine's own tests use the rest of it")]
mod proxy;
#[path = "docker_engine/restart.rs"]
mod restart;
#[path = "docker_engine/ssh.rs"]
mod ssh;

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

const COMPOSE: &str = r#"
services:
  db:
    image: ${KERNEL_REGISTRY:-}valkey/valkey:${VALKEY_VERSION:?}
    entrypoint: [sh, -c, "trap 'exit 0' TERM; echo db is up; while :; do sleep 0.1; done"]
    healthcheck: { test: [CMD, "true"], interval: 10s }
    volumes: [data:/data]
  web:
    image: ${KERNEL_REGISTRY:-}valkey/valkey:${VALKEY_VERSION:?}
    entrypoint: [sh, -c, "trap 'exit 0' TERM; echo web is up; while :; do sleep 0.1; done"]
    healthcheck: { disable: true }
    depends_on: { db: { condition: service_healthy } }
    ports: ["127.0.0.1::8080"]
volumes: { data: }
"#;

/// A project in a folder of its own, gone when the test ends.
struct Stack {
    folder: tempfile::TempDir,
    name: String,
}

impl Stack {
    /// `None`, and told, when there is no Engine.
    fn new(test: &str, label: &str) -> Option<Self> {
        if std::env::var_os("DOCKER_HOST").is_none() {
            kernel_testkit::left_out(test, "DOCKER_HOST is not set");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("compose.yaml"), COMPOSE).unwrap();
        Some(Self { folder, name: format!("e2e-{label}-{}", std::process::id()) })
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let pins = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../versions.env").canonicalize().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_kernel"));
        command
            .current_dir(self.folder.path())
            .env("HOME", self.folder.path())
            .env_remove("XDG_STATE_HOME")
            .args(["--progress", "plain", "--project-name", &self.name, "--env-file"])
            .arg(pins)
            .args(arguments);
        command
    }

    fn kernel(&self, arguments: &[&str]) -> (String, String) {
        let output = self.run(arguments);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
        assert!(output.status.success(), "`kernel {}` failed:\n{stdout}\n{stderr}", arguments.join(" "));
        (stdout, stderr)
    }

    /// The states of the services by name.
    fn states(&self) -> Vec<(String, String)> {
        let (stdout, _) = self.kernel(&["ps", "-o", "json"]);
        let answer: Value = serde_json::from_str(&stdout).unwrap();
        assert_eq!(answer["engine"], "docker");
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let services = answer["services"].as_array().unwrap().iter();
        services.map(|service| (text(&service["name"]), text(&service["state"]))).collect()
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        drop(self.run(&["down", "--volumes"]));
    }
}

fn all(state: &str) -> Vec<(String, String)> {
    ["db", "web"].map(|name| (name.to_owned(), state.to_owned())).to_vec()
}

#[test]
fn a_compose_project_is_brought_up_looked_at_and_taken_down() {
    let Some(stack) = Stack::new("a_compose_project_is_brought_up_looked_at_and_taken_down", "docker") else {
        return;
    };
    let (_, told) = stack.kernel(&["up"]);
    assert!(told.contains("engine: docker, because"), "{told}");
    assert_eq!(stack.states(), all("ready"));
    let (_, told) = stack.kernel(&["up"]);
    assert!(told.contains("nothing to do"), "{told}");
    let (said, _) = stack.kernel(&["logs"]);
    assert!(said.contains("db is up") && said.contains("web is up"), "{said}");
    stack.kernel(&["stop"]);
    assert!(stack.states().iter().all(|(_, state)| state == "stopped" || state == "exited"));
    stack.kernel(&["start", "web"]);
    assert_eq!(stack.states(), all("ready"));
    let (plan, _) = stack.kernel(&["restart", "web", "--dry-run"]);
    assert!(plan.contains("service web: stop container") && !plan.contains("service db"), "{plan}");
    stack.kernel(&["restart"]);
    assert_eq!(stack.states(), all("ready"));
    let (plan, _) = stack.kernel(&["down", "-v", "--dry-run"]);
    assert!(plan.contains("volume") && plan.contains("remove, not wanted"), "{plan}");
    stack.kernel(&["down", "-v"]);
    assert_eq!(stack.states(), Vec::new());
    let (_, told) = stack.kernel(&["down", "-v"]);
    assert!(told.contains("nothing to do"), "{told}");
    let left: Vec<_> =
        std::fs::read_dir(stack.folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| name == "compose.yaml" || name == ".local"), "{left:?}");
    let state = stack.folder.path().join(".local/state/kernel/containers");
    assert_eq!(std::fs::read_dir(state).unwrap().count(), 0, "nothing is remembered of what is gone");
}

#[test]
fn two_ups_at_once_make_one_stack() {
    let Some(stack) = Stack::new("two_ups_at_once_make_one_stack", "join") else { return };
    std::thread::scope(|scope| {
        let both = [scope.spawn(|| stack.kernel(&["up"])), scope.spawn(|| stack.kernel(&["up"]))];
        both.into_iter().for_each(|one| drop(one.join().unwrap()));
    });
    assert_eq!(stack.states(), all("ready"));
}

#[test]
fn up_takes_the_flags_of_docker_compose() {
    let Some(stack) = Stack::new("up_takes_the_flags_of_docker_compose", "flags") else { return };
    let containers = || {
        let (answer, _) = stack.kernel(&["images", "-o", "json"]);
        let answer: Value = serde_json::from_str(&answer).unwrap();
        let images = answer["images"].as_array().unwrap().iter();
        let short = |name: &str| name.trim_start_matches(&format!("{}-", stack.name)).to_owned();
        let mut names: Vec<String> =
            images.map(|image| short(image["container"].as_str().unwrap())).collect();
        names.sort();
        names
    };
    stack.kernel(&["up", "--no-deps", "--pull", "never", "web"]);
    assert_eq!(containers(), ["web-1"]);
    stack.kernel(&["up", "--scale", "web=2"]);
    assert_eq!(containers(), ["db-1", "web-1", "web-2"]);
    let (plan, _) = stack.kernel(&["up", "--scale", "web=2", "--dry-run"]);
    assert!(plan.contains("nothing to do"), "the number of containers is no change of a container: {plan}");
    stack.kernel(&["stop", "--timeout", "0", "web"]);
    let output = stack.run(&["up", "--scale", "wbe=2"]);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && told.contains("did you mean `web`?"), "{told}");
    stack.kernel(&["down", "--timeout", "0"]);
    assert_eq!(stack.states(), Vec::new());
}

#[test]
fn volumes_that_a_first_down_left_are_found_by_a_second() {
    let test = "volumes_that_a_first_down_left_are_found_by_a_second";
    let Some(stack) = Stack::new(test, "volumes") else { return };
    stack.kernel(&["up"]);
    stack.kernel(&["down"]);
    let (plan, _) = stack.kernel(&["down", "--volumes", "--dry-run"]);
    assert!(plan.contains(&format!("{}_data", stack.name)), "{plan}");
    stack.kernel(&["down", "--volumes"]);
    let (plan, _) = stack.kernel(&["down", "--volumes", "--dry-run"]);
    assert_eq!(plan, "nothing to do\n");
}
