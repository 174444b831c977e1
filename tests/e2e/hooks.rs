//! What runs beside the containers of a project: `post_start` and `pre_stop` in them, providers on this machine. The same
//! project with `kernel` and with docker compose, on a real Engine. Where one is missing, the tests say that they are left
//! out.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]
#![cfg(target_os = "linux")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// How long anything may take that is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// `web` writes down when it is started and stopped; `late` is started after that.
const HOOKS: &str = r#"
name: NAME
x-base: &base
  image: ${KERNEL_REGISTRY:-}valkey/valkey:${VALKEY_VERSION:?}
  entrypoint: [sleep, infinity]
  init: true
  stop_signal: SIGKILL
  user: "0"
  healthcheck: {disable: true}
  volumes: ["./out:/out"]
services:
  web:
    <<: *base
    post_start:
      - command: [sh, -c, "echo first $$WORD $$(pwd) $$(id -u) >> /out/said"]
        environment: {WORD: word}
        working_dir: /tmp
        user: "1000"
      - command: sh -c "echo second >> /out/said; echo what went wrong >&2; exit ${POST:-0}"
    pre_stop:
      - command: [sh, -c, "echo before the end >> /out/said; exit ${PRE:-0}"]
        privileged: true
  late: {<<: *base, entrypoint: [sh, -c, "echo late >> /out/said; exec sleep infinity"], depends_on: [web]}
"#;

/// `store` is made by a program of this machine.
const PROVIDED: &str = r#"
name: NAME
services:
  store:
    provider: {type: kernel-test-maker, options: {size: 3, zone: [a, b]}}
  web:
    image: ${KERNEL_REGISTRY:-}valkey/valkey:${VALKEY_VERSION:?}
    entrypoint: [sleep, infinity]
    stop_signal: SIGKILL
    healthcheck: {disable: true}
    environment: {OWN: "1"}
    depends_on: [store]
  other: {image: "${KERNEL_REGISTRY:-}valkey/valkey:${VALKEY_VERSION:?}", entrypoint: [sleep, infinity], stop_signal: SIGKILL, healthcheck: {disable: true}}
"#;

/// Writes down how it is called, and does what the file `say` tells.
const MAKER: &str = r#"#!/bin/sh
folder=$(dirname "$0")
echo "$*" >> "$folder/calls"
[ "$2" = metadata ] && exit 0
cat "$folder/say"
exit $(cat "$folder/code")
"#;

/// Whose commands are run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tool {
    Kernel,
    Compose,
}

struct Stack {
    folder: tempfile::TempDir,
    compose: PathBuf,
}

impl Stack {
    /// `None`, and told, when something is missing.
    fn new(test: &str, label: &str, text: &str) -> Option<Self> {
        let (Some(compose), true) =
            (std::env::var_os("TEST_DOCKER_COMPOSE_BIN"), std::env::var_os("DOCKER_HOST").is_some())
        else {
            kernel_testkit::left_out(test, "DOCKER_HOST and TEST_DOCKER_COMPOSE_BIN are not set");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        let text = text.replace("NAME", &format!("e2e-{label}-{}", std::process::id()));
        fs::write(folder.path().join("compose.yaml"), text).unwrap();
        let stack = Self { folder, compose: compose.into() };
        fs::create_dir(stack.path("out")).unwrap();
        fs::set_permissions(stack.path("out"), fs::Permissions::from_mode(0o777)).unwrap();
        fs::create_dir(stack.path("bin")).unwrap();
        stack.write("bin/kernel-test-maker", MAKER);
        fs::set_permissions(stack.path("bin/kernel-test-maker"), fs::Permissions::from_mode(0o755)).unwrap();
        stack.forget();
        Some(stack)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    /// What was written down since it was asked last.
    fn news(&self, name: &str) -> Vec<String> {
        let text = fs::read_to_string(self.path(name)).unwrap_or_default();
        self.forget();
        text.lines().map(str::to_owned).collect()
    }

    fn forget(&self) {
        self.write("out/said", "");
        fs::set_permissions(self.path("out/said"), fs::Permissions::from_mode(0o666)).unwrap();
        self.write("bin/calls", "");
    }

    fn run(&self, tool: Tool, variables: &[(&str, &str)], arguments: &[&str]) -> Output {
        let mut command = match tool {
            Tool::Compose => Command::new(&self.compose),
            Tool::Kernel => {
                let mut command = Command::new(env!("CARGO_BIN_EXE_kernel"));
                command.args(["--progress", "plain", "--engine", "docker"]);
                command
            }
        };
        let path = format!("{}:{}", self.path("bin").display(), std::env::var("PATH").unwrap());
        command
            .current_dir(self.folder.path())
            .env("PATH", path)
            .env("XDG_STATE_HOME", self.path("state"))
            .envs(variables.iter().copied())
            .arg("--env-file")
            .arg(pins())
            .args(arguments)
            .stdin(Stdio::null());
        command.output().unwrap()
    }

    #[track_caller]
    fn does(&self, tool: Tool, arguments: &[&str]) -> String {
        let output = self.run(tool, &[], arguments);
        assert!(output.status.success(), "{tool:?} {arguments:?}: {}", describe(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    #[track_caller]
    fn fails(&self, tool: Tool, variables: &[(&str, &str)], arguments: &[&str]) -> String {
        let output = self.run(tool, variables, arguments);
        assert!(!output.status.success(), "{tool:?} {arguments:?} did not fail: {}", describe(&output));
        String::from_utf8(output.stderr).unwrap()
    }

    fn states(&self) -> String {
        self.does(Tool::Compose, &["ps", "--all", "--format", "{{.Service}} {{.State}}"])
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        self.write("bin/say", "");
        self.write("bin/code", "0");
        drop(self.run(Tool::Compose, &[], &["kill"]));
        drop(self.run(Tool::Compose, &[], &["down", "--volumes", "--timeout", "0"]));
    }
}

fn pins() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../versions.env").canonicalize().unwrap()
}

fn describe(output: &Output) -> String {
    format!(
        "{}\n{}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

#[test]
fn hooks_run_when_containers_are_started_and_stopped() {
    let test = "hooks_run_when_containers_are_started_and_stopped";
    let Some(stack) = Stack::new(test, "hooks", HOOKS) else { return };
    let started = ["first word /tmp 1000", "second"];
    for tool in [Tool::Compose, Tool::Kernel] {
        stack.does(tool, &["up", "--detach"]);
        // Who needs it is started after its hooks, and says so a moment later.
        let begun = Instant::now();
        while !fs::read_to_string(stack.path("out/said")).unwrap().contains("late") {
            assert!(begun.elapsed() < PATIENCE, "{tool:?}: `late` says nothing");
            std::thread::sleep(Duration::from_millis(20));
        }
        let said = stack.news("out/said");
        assert_eq!(said, [&started[..], &["late"]].concat(), "{tool:?}");
        stack.does(tool, &["restart", "--no-deps", "--timeout", "0", "web"]);
        assert_eq!(stack.news("out/said"), [&["before the end"], &started[..]].concat(), "{tool:?}");
        stack.does(tool, &["stop", "--timeout", "0", "web"]);
        assert_eq!(stack.news("out/said"), ["before the end"], "{tool:?}");
        // What does not run is not told of its end.
        stack.does(tool, &["down", "--timeout", "0"]);
        assert_eq!(stack.news("out/said"), [""; 0], "{tool:?}");
    }

    // docker compose's own, and the other way round: nothing is made again.
    stack.does(Tool::Compose, &["up", "--detach"]);
    let told = String::from_utf8(stack.run(Tool::Kernel, &[], &["up"]).stderr).unwrap();
    assert!(told.contains("nothing to do"), "{told}");
    stack.forget();
    let plan = stack.does(Tool::Kernel, &["up", "--force-recreate", "--dry-run", "web"]);
    assert!(plan.contains("run post_start hook in") && plan.contains("run pre_stop hook in"), "{plan}");
    stack.does(Tool::Kernel, &["up", "--force-recreate", "--no-deps", "web"]);
    let mut replaced = stack.news("out/said");
    replaced.retain(|line| line != "late");
    assert_eq!(replaced, [&["before the end"], &started[..]].concat(), "a replacement ends the old one");

    for tool in [Tool::Compose, Tool::Kernel] {
        for command in [&["stop", "web"][..], &["down"]] {
            let told = stack.fails(tool, &[("PRE", "4")], command);
            assert!(stack.states().contains("web running"), "{tool:?} {command:?}: {told}");
            if tool == Tool::Kernel {
                assert!(told.contains("K-DOCKER-020") && told.contains("exit code 4"), "{told}");
            }
        }
    }
    stack.does(Tool::Kernel, &["kill", "web"]);
    stack.does(Tool::Kernel, &["down", "--timeout", "0"]);
    for tool in [Tool::Compose, Tool::Kernel] {
        let told = stack.fails(tool, &[("POST", "5")], &["up", "--detach"]);
        let states = stack.states();
        assert!(states.contains("web running") && states.contains("late created"), "{tool:?}: {states}");
        if tool == Tool::Kernel {
            assert!(
                told.contains("K-DOCKER-020")
                    && told.contains("exit code 5")
                    && told.contains("what went wrong"),
                "{told}"
            );
        }
        stack.does(tool, &["down", "--timeout", "0"]);
    }
}

#[test]
fn a_provider_makes_a_service_and_tells_what_its_dependants_need() {
    let test = "a_provider_makes_a_service_and_tells_what_its_dependants_need";
    let Some(stack) = Stack::new(test, "provider", PROVIDED) else { return };
    let say = |lines: &[&str], code: &str| {
        stack.write("bin/say", &(lines.join("\n") + "\n"));
        stack.write("bin/code", code);
    };
    let url = |place: &str| format!(r#"{{"type":"setenv","message":"URL=http://{place}/?a=b"}}"#);
    let info = r#"{"type":"info","message":"making it"}"#;
    let mut seen = Vec::new();
    for tool in [Tool::Compose, Tool::Kernel] {
        say(&[info, &url("one"), r#"{"type":"debug","message":"detail"}"#], "0");
        stack.does(tool, &["up", "--detach"]);
        let variables = |service: &str| {
            let text = stack.does(Tool::Compose, &["exec", "-T", service, "env"]);
            let mut lines: Vec<String> = text
                .lines()
                .filter(|line| line.contains("URL") || line.contains("OWN"))
                .map(str::to_owned)
                .collect();
            lines.sort();
            lines
        };
        assert_eq!(variables("web"), ["OWN=1", "STORE_URL=http://one/?a=b"], "{tool:?}");
        assert_eq!(variables("other"), [""; 0], "{tool:?}");
        let mut calls = stack.news("bin/calls");
        // docker compose gives options in any order.
        calls.iter_mut().for_each(|call| {
            let mut words: Vec<&str> = call.split(' ').collect();
            words.sort_unstable();
            *call = words.join(" ");
        });
        seen.push(calls);
    }
    assert_eq!(seen[0], seen[1]);
    assert!(seen[0].last().unwrap().contains("--zone=a --zone=b"), "{seen:?}");

    // The other's stack, and its own, are left as they are.
    stack.does(Tool::Compose, &["up", "--detach", "--force-recreate"]);
    let output = stack.run(Tool::Kernel, &[], &["up"]);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("nothing to do") && told.contains("store: making it"), "{}", describe(&output));
    let dry = stack.run(Tool::Kernel, &[], &["up", "--dry-run"]);
    let dry = String::from_utf8_lossy(&dry.stderr).into_owned();
    assert!(dry.contains("`kernel-test-maker compose up` would be run for store"), "{dry}");
    // It alone is no container, so nothing is done to those that there are.
    let before = stack.states();
    stack.does(Tool::Kernel, &["up", "store"]);
    stack.does(Tool::Kernel, &["stop", "store"]);
    assert_eq!(stack.states(), before);
    // What changed makes a new container of who needs it, and of nobody else.
    say(&[info, &url("two")], "0");
    let plan = stack.run(Tool::Kernel, &[], &["up"]);
    let plan = String::from_utf8_lossy(&plan.stderr).into_owned();
    assert!(plan.contains("web") && !plan.contains("other"), "{plan}");
    assert!(!plan.contains("http://two"), "what a provider tells is not shown: {plan}");
    stack.forget();

    for (lines, code, expected) in [
        (&[r#"{"type":"error","message":"no room left"}"#][..], "1", "says: no room left"),
        (&[info], "3", "exit status: 3"),
        (&["making it"], "0", "no message of a provider"),
        (&[r#"{"type":"song","message":"la"}"#], "0", "a message of a type that is not known: song"),
    ] {
        say(lines, code);
        let told = stack.fails(Tool::Kernel, &[], &["up"]);
        assert!(told.contains("K-DOCKER-021") && told.contains(expected), "{told}");
        stack.fails(Tool::Compose, &[], &["up", "--detach"]);
    }
    let gone = stack.fails(Tool::Kernel, &[("PATH", "/usr/bin:/bin")], &["up"]);
    assert!(gone.contains("the provider `kernel-test-maker` of the service `store` is not there"), "{gone}");

    say(&[info], "0");
    stack.forget();
    stack.does(Tool::Kernel, &["down", "--timeout", "0"]);
    let calls = stack.news("bin/calls");
    assert!(
        calls.last().unwrap().contains(" down ") && calls.last().unwrap().ends_with(" store"),
        "{calls:?}"
    );
    assert_eq!(stack.states(), "");
}
