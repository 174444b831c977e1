//! `kernel why` and the end of a failed `up`, over the built binary on a real Engine. Left out, and told, where there is
//! none.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]
#![cfg(target_os = "linux")]

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

/// A project of its own, gone when the test ends.
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
        let name = format!("e2e-why-{label}-{}", std::process::id());
        Some(Self { folder: tempfile::tempdir().unwrap(), name })
    }

    /// Writes the services; `IMAGE` stands for one that has a shell.
    fn write(&self, services: &str) {
        let image = "${KERNEL_REGISTRY:-}valkey/valkey:${VALKEY_VERSION:?}";
        let text = format!("services:\n{}", services.replace("IMAGE", image));
        std::fs::write(self.folder.path().join("compose.yaml"), text).unwrap();
    }

    fn output(&self, arguments: &[&str]) -> Output {
        let pins = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../versions.env");
        let mut command = Command::new(env!("CARGO_BIN_EXE_kernel"));
        command
            .args(["--project-name", &self.name, "--engine", "docker", "--env-file"])
            .arg(pins)
            .args(arguments);
        command.current_dir(self.folder.path()).env("XDG_STATE_HOME", self.folder.path().join("state"));
        command.output().unwrap()
    }

    fn fails(&self, arguments: &[&str]) -> String {
        let output = self.output(arguments);
        assert_eq!(output.status.code(), Some(11), "{}", describe(&output));
        String::from_utf8(output.stderr).unwrap()
    }

    fn why(&self, service: &str) -> Value {
        let output = self.output(&["why", service, "-o", "json"]);
        assert!(output.status.success(), "{}", describe(&output));
        serde_json::from_slice(&output.stdout).unwrap()
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

fn services(chain: &Value) -> Vec<&str> {
    chain["chain"].as_array().unwrap().iter().map(|link| link["service"].as_str().unwrap()).collect()
}

#[test]
fn a_failed_up_ends_with_the_root_cause() {
    let Some(project) = Project::new("a_failed_up_ends_with_the_root_cause", "root") else { return };
    let text = r#"
  web:
    image: IMAGE
    entrypoint: [sleep, infinity]
    stop_signal: SIGKILL
    healthcheck: {disable: true}
    depends_on: {api: {condition: service_healthy}}
  api:
    image: IMAGE
    entrypoint: [sleep, infinity]
    stop_signal: SIGKILL
    healthcheck: {test: [CMD, "true"], interval: 1s}
    depends_on: {store: {condition: service_healthy}}
  store:
    image: IMAGE
    entrypoint: [sh, -c, "echo 'no such table'; exit CODE"]
    healthcheck: {test: [CMD, "true"], interval: 1s}
"#;
    project.write(&text.replace("exit CODE", "exec sleep infinity"));
    let output = project.output(&["up"]);
    assert!(output.status.success(), "{}", describe(&output));
    assert_eq!(project.why("web")["verdict"], "web is ready");

    let output = project.output(&["stop"]);
    assert!(output.status.success(), "{}", describe(&output));
    project.write(&text.replace("CODE", "3"));
    let told = project.fails(&["up"]);
    assert!(told.contains("store ended with an error of its own (exit code 3)"), "{told}");
    assert!(told.contains("no such table") && told.contains("what to do"), "{told}");

    let why = project.why("web");
    assert_eq!(services(&why), ["web", "api", "store"]);
    assert_eq!(
        why["verdict"],
        "web waits for api (healthy), in the end because store ended with an error of its own (exit code 3)"
    );
    assert_eq!(why["found"][0]["last_lines"], serde_json::json!(["no such table"]));
    assert_eq!(why["changes"], serde_json::json!(["Entrypoint"]));
    assert_eq!(why["next"][1], "kernel up store");
    // The same on a screen.
    let screen = String::from_utf8(project.output(&["why", "web"]).stdout).unwrap();
    assert!(screen.contains("└ store exited (exit code 3)") && screen.contains("← root cause"), "{screen}");
}

#[test]
fn memory_that_ran_out_is_told_from_a_kill() {
    let Some(project) = Project::new("memory_that_ran_out_is_told_from_a_kill", "memory") else { return };
    project.write(
        r#"
  hungry:
    image: IMAGE
    entrypoint: [sh, -c, "tail /dev/zero"]
    mem_limit: 32m
    memswap_limit: 32m
  killed:
    image: IMAGE
    entrypoint: [sh, -c, "kill -9 $$$$"]
"#,
    );
    project.output(&["up"]);
    let sentence = |service: &str| project.why(service)["verdict"].as_str().unwrap().to_owned();
    let hungry = sentence("hungry");
    assert!(hungry.contains("took more than the 32 MiB of memory"), "{hungry}");
    assert!(project.why("hungry")["next"][0].as_str().unwrap().contains("more memory"));
    let killed = sentence("killed");
    assert!(!killed.contains("more than the"), "{killed}");
}

#[test]
fn what_a_health_check_says_is_told() {
    let Some(project) = Project::new("what_a_health_check_says_is_told", "health") else { return };
    project.write(
        r#"
  store:
    image: IMAGE
    entrypoint: [sleep, infinity]
    stop_signal: SIGKILL
    healthcheck: {test: "echo still reading the log; false", interval: 200ms, retries: 2}
"#,
    );
    let told = project.fails(&["up", "--wait-timeout", "20s"]);
    assert!(told.contains("still reading the log"), "{told}");
    let why = project.why("store");
    let verdict = why["verdict"].as_str().unwrap();
    assert!(
        verdict.contains("its health check failed") && verdict.ends_with(": still reading the log"),
        "{verdict}"
    );
    assert_eq!(why["next"][0], "kernel exec store sh -c 'echo still reading the log; false'");
}

#[test]
fn a_port_that_others_have_is_told_with_its_owner() {
    let Some(project) = Project::new("a_port_that_others_have_is_told_with_its_owner", "port") else {
        return;
    };
    let Some(other) = Project::new("a_port_that_others_have_is_told_with_its_owner", "owner") else { return };
    let text = |port: &str| {
        format!(
            "\n  web:\n    image: IMAGE\n    entrypoint: [sleep, infinity]\n    stop_signal: SIGKILL\n    healthcheck: {{disable: true}}\n    ports: [\"127.0.0.1:{port}:80\"]\n"
        )
    };
    other.write(&text(""));
    let output = other.output(&["up"]);
    assert!(output.status.success(), "{}", describe(&output));
    let address = String::from_utf8(other.output(&["port", "web", "80"]).stdout).unwrap();
    let port = address.trim().rsplit(':').next().unwrap();
    project.write(&text(port));
    let output = project.output(&["up"]);
    assert_eq!(output.status.code(), Some(10), "{}", describe(&output));
    let why = project.why("web");
    let verdict = why["verdict"].as_str().unwrap();
    assert!(verdict.contains(port) && verdict.contains(&format!("{}-web-1", other.name)), "{verdict}");
}
