//! Flags of `up`, `down`, `restart` and `run` by docker compose's names, over the built binary on a real Engine, and beside
//! docker compose where that is there. Where there is no Engine, the tests say that they are left out.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]
#![cfg(target_os = "linux")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// How long anything may take that is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// `web` needs `db` and is started again with it, `other` needs nobody.
const THREE: &str = r#"
x-base: &base
  image: ${KERNEL_REGISTRY:-}valkey/valkey:${VALKEY_VERSION:?}
  entrypoint: [sleep, infinity]
  stop_signal: SIGKILL
  user: "0"
  healthcheck: {disable: true}
services:
  db: {<<: *base, volumes: ["data:/kept", /scratch]}
  web: {<<: *base, depends_on: {db: {condition: service_started, restart: true}}}
  other: {<<: *base}
volumes: {data: }
"#;

/// `tests` ends by itself, `server` when it is ended; `job` has to end well before `tests`.
const ENDING: &str = r#"
x-base: &base
  image: ${KERNEL_REGISTRY:-}valkey/valkey:${VALKEY_VERSION:?}
  stop_signal: SIGKILL
  healthcheck: {disable: true}
services:
  server: {<<: *base, entrypoint: [sleep, infinity]}
  job: {<<: *base, entrypoint: [sh, -c, "echo job done"]}
  tests:
    <<: *base
    entrypoint: [sh, -c, "echo tests done; exit ${CODE:-3}"]
    depends_on: {server: {condition: service_started}, job: {condition: service_completed_successfully}}
"#;

/// One that never becomes ready, and one that waits for it.
const STARTING: &str = r#"
x-base: &base
  image: ${KERNEL_REGISTRY:-}valkey/valkey:${VALKEY_VERSION:?}
  entrypoint: [sleep, infinity]
  stop_signal: SIGKILL
services:
  earlier: {<<: *base, healthcheck: {disable: true}}
  slow: {<<: *base, healthcheck: {test: [CMD, "false"], start_period: 10m}}
  waits: {<<: *base, healthcheck: {disable: true}, depends_on: {slow: {condition: service_healthy}}}
"#;

/// Images of this project alone.
const BUILT: &str = r#"
x-build: &build
  context: .
  dockerfile_inline: |
    FROM ${KERNEL_REGISTRY:-}valkey/valkey:${VALKEY_VERSION:?}
    COPY page /page
x-base: &base
  entrypoint: []
  command: [sleep, infinity]
  stop_signal: SIGKILL
  healthcheck: {disable: true}
services:
  unnamed: {<<: *base, build: *build}
  named: {<<: *base, build: *build, image: "${COMPOSE_PROJECT_NAME}-of-this-test:1"}
  absent: {<<: *base, image: "${COMPOSE_PROJECT_NAME}-nowhere:1", profiles: [absent]}
"#;

/// A project in a folder of its own, gone with everything of it when the test ends.
struct Stack {
    folder: tempfile::TempDir,
    name: String,
}

impl Stack {
    /// `None`, and told, when there is no Engine.
    fn new(test: &str, label: &str, text: &str) -> Option<Self> {
        if std::env::var_os("DOCKER_HOST").is_none() {
            kernel_testkit::left_out(test, "DOCKER_HOST is not set");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("compose.yaml"), text).unwrap();
        Some(Self { folder, name: format!("e2e-{label}-{}", std::process::id()) })
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kernel"));
        command
            .current_dir(self.folder.path())
            .env("XDG_STATE_HOME", self.folder.path().join("state"))
            .args(["--progress", "plain", "--engine", "docker", "--project-name", &self.name, "--env-file"])
            .arg(pins())
            .args(arguments)
            .stdin(Stdio::null());
        command
    }

    fn output(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// What it answers and says, when it succeeds.
    fn kernel(&self, arguments: &[&str]) -> (String, String) {
        let output = self.output(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", describe(&output));
        (text(&output.stdout), text(&output.stderr))
    }

    fn refusal(&self, arguments: &[&str]) -> String {
        let output = self.output(arguments);
        assert!(!output.status.success(), "{arguments:?} was not refused");
        text(&output.stderr)
    }

    /// docker compose on the same project; nothing where it is not there.
    fn compose(&self, arguments: &[&str]) -> Option<Output> {
        let mut command = Command::new(std::env::var_os("TEST_DOCKER_COMPOSE_BIN")?);
        command.args(["--project-name", &self.name, "--env-file"]).arg(pins()).args(arguments);
        Some(command.current_dir(self.folder.path()).stdin(Stdio::null()).output().unwrap())
    }

    /// Each service's first container: its id and its state.
    fn containers(&self) -> BTreeMap<String, (String, String)> {
        let (answer, _) = self.kernel(&["ps", "--all", "--no-trunc", "--format", "json"]);
        let containers = answer.lines().map(|line| {
            let container: Value = serde_json::from_str(line).unwrap();
            let field = |name: &str| container[name].as_str().unwrap().to_owned();
            (field("Service"), (field("ID"), field("State")))
        });
        containers.collect()
    }

    fn id(&self, service: &str) -> String {
        self.containers()[service].0.clone()
    }

    /// `service state` of each.
    fn states(&self) -> Vec<String> {
        self.containers().into_iter().map(|(service, (_, state))| format!("{service} {state}")).collect()
    }

    /// When a service's container was started last.
    fn started(&self, service: &str) -> String {
        let container = engine("GET", &format!("containers/{}/json", self.id(service)));
        let container: Value = serde_json::from_str(&container).unwrap();
        container["State"]["StartedAt"].as_str().unwrap().to_owned()
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        drop(self.output(&["down", "--volumes", "--timeout", "0", "--rmi", "local"]));
    }
}

fn pins() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../versions.env").canonicalize().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn describe(output: &Output) -> String {
    format!("{}\n{}\n{}", output.status, text(&output.stdout), text(&output.stderr))
}

/// What the Engine answers. `docker` itself is no part of the tests' machine.
fn engine(method: &str, path: &str) -> String {
    let host = std::env::var("DOCKER_HOST").unwrap();
    let (socket, request) = (host.trim_start_matches("unix://"), format!("http://engine/{path}"));
    let output =
        Command::new("curl").args(["-sX", method, "--unix-socket", socket, &request]).output().unwrap();
    text(&output.stdout)
}

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn what_is_asked_for_is_replaced() {
    let Some(stack) = Stack::new("what_is_asked_for_is_replaced", "replace", THREE) else { return };
    stack.kernel(&["up"]);
    let (db, web) = (stack.id("db"), stack.id("web"));
    stack.kernel(&["up", "--force-recreate", "web"]);
    assert_eq!(stack.id("db"), db, "it was not named");
    assert_ne!(stack.id("web"), web);

    let web = stack.id("web");
    let started = stack.started("web");
    stack.kernel(&["up", "--always-recreate-deps", "web"]);
    assert_ne!(stack.id("db"), db);
    assert_eq!(stack.id("web"), web);
    assert_ne!(stack.started("web"), started, "it is started again with what it needs");
    stack.refusal(&["up", "--always-recreate-deps", "--no-recreate", "web"]);

    stack.kernel(&["exec", "db", "sh", "-c", "touch /scratch/file /kept/file"]);
    stack.kernel(&["up", "--force-recreate", "db"]);
    stack.kernel(&["exec", "db", "ls", "/scratch/file", "/kept/file"]);
    stack.kernel(&["up", "-V", "db"]);
    stack.kernel(&["exec", "db", "ls", "/kept/file"]);
    assert!(!stack.output(&["exec", "db", "ls", "/scratch/file"]).status.success());
}

#[test]
fn containers_are_made_and_not_started() {
    let Some(stack) = Stack::new("containers_are_made_and_not_started", "make", THREE) else { return };
    let (answer, _) = stack.kernel(&["up", "--no-start"]);
    assert_eq!(
        (answer.as_str(), stack.states()),
        ("", vec!["db created".into(), "other created".into(), "web created".into()])
    );
    let (plan, _) = stack.kernel(&["up", "--no-start", "--dry-run"]);
    assert!(plan.contains("nothing to do"), "{plan}");
    // `create` is the same by another name, and `rm` takes it back.
    stack.kernel(&["rm", "--force"]);
    assert!(stack.states().is_empty(), "{:?}", stack.states());
    stack.kernel(&["create", "--quiet-pull", "--yes"]);
    assert_eq!(stack.states(), ["db created", "other created", "web created"]);
    let told = stack.refusal(&["rm", "other"]);
    assert!(told.contains("K-OPS-018") && told.contains("-other-1"), "{told}");
    let before = stack.id("web");
    stack.kernel(&["up", "web"]);
    stack.kernel(&["rm", "-f"]);
    assert_eq!(stack.states(), ["db running", "web running"]);
    stack.kernel(&["rm", "-fsv", "db"]);
    assert_eq!(stack.states(), ["web running"]);
    stack.kernel(&["up"]);
    assert_eq!(stack.id("web"), before);
    stack.kernel(&["stop", "other"]);
    stack.kernel(&["rm", "-f"]);
    stack.kernel(&["create"]);
    assert_eq!(stack.states(), ["db running", "other created", "web running"]);
    assert_eq!(stack.id("web"), before);
}

#[test]
fn what_a_container_became_is_kept() {
    let Some(stack) = Stack::new("what_a_container_became_is_kept", "keep", THREE) else { return };
    stack.kernel(&["up", "other"]);
    stack.kernel(&["exec", "other", "sh", "-c", "echo new > /kept"]);
    let archive = stack.folder.path().join("other.tar");
    stack.kernel(&["export", "other", "-o", archive.to_str().unwrap()]);
    let read = |arguments: &[&str]| {
        let output = Command::new("tar").arg("-xOf").arg(&archive).args(arguments).output().unwrap();
        text(&output.stdout)
    };
    assert_eq!(read(&["kept"]), "new\n");
    if let Some(output) = stack.compose(&["export", "other", "-o", archive.to_str().unwrap()]) {
        assert!(output.status.success(), "{}", describe(&output));
        assert_eq!(read(&["kept"]), "new\n", "docker compose gives the same");
    }
    let name = format!("{}-kept", stack.name);
    let words =
        ["commit", "-m", "with a file", "-a", "somebody", "-c", "ENV A=b", "-c", "LABEL c=d", "other"];
    let (id, _) = stack.kernel(&[&words[..], &[&format!("{name}:1")]].concat());
    let image: Value = serde_json::from_str(&engine("GET", &format!("images/{name}:1/json"))).unwrap();
    assert_eq!(image["Id"], id.trim());
    assert_eq!((&image["Comment"], &image["Author"]), (&"with a file".into(), &"somebody".into()));
    assert_eq!(image["Config"]["Labels"]["c"], "d");
    assert!(image["Config"]["Env"].as_array().unwrap().contains(&"A=b".into()), "{image}");
    engine("DELETE", &format!("images/{name}:1"));
    let told = stack.refusal(&["export", "db"]);
    assert!(told.contains("K-STACK-001"), "{told}");
}

#[test]
fn up_stays_and_shows_who_is_asked_for() {
    let Some(stack) = Stack::new("up_stays_and_shows_who_is_asked_for", "hear", ENDING) else { return };
    let heard = |flags: &[&str]| {
        let mut command = stack.command(&[&["up", "--timeout", "0"], flags].concat());
        let output = command.env("CODE", "0").output().unwrap();
        let said = text(&output.stdout);
        (said.contains("tests done"), said.contains("job done"), said)
    };
    // All of these end by themselves.
    let (tests, job, said) = heard(&["--attach", "tests", "--no-log-prefix", "job", "tests", "--no-deps"]);
    assert_eq!((tests, job), (true, false), "{said}");
    assert!(said.lines().any(|line| line == "tests done"), "{said}");
    let (tests, job, said) = heard(&["--abort-on-container-exit", "--no-attach", "job", "--timestamps"]);
    assert_eq!((tests, job), (true, false), "{said}");
    let line = said.lines().find(|line| line.contains("tests done")).unwrap();
    assert!(line.contains("tests ") && line.starts_with("20") && line.contains('T'), "{line}");
    let (tests, job, said) = heard(&["--exit-code-from", "tests", "tests"]);
    assert_eq!((tests, job), (true, false), "{said}");
    let (tests, job, said) = heard(&["--exit-code-from", "tests", "--attach-dependencies", "tests"]);
    assert_eq!((tests, job), (true, true), "{said}");
    let told = stack.refusal(&["up", "--attach", "tset"]);
    assert!(told.contains("did you mean `tests`?"), "{told}");
    let told = stack.refusal(&["up", "--menu"]);
    assert!(told.contains("K-CLI-002") && told.contains("kernel logs -f"), "{told}");
    assert_eq!(stack.output(&["up", "--detach", "--attach", "tests"]).status.code(), Some(2));

    // Nothing but an interruption ends this.
    let mut command = stack.command(&["up", "--attach", "tests", "--timeout", "0"]);
    let mut up = command.env("CODE", "1").stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(up.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("tests done")));
    eventually("the tests have ended", || stack.states()[2] == "tests exited");
    assert!(up.try_wait().unwrap().is_none());
    kill_process(Pid::from_child(&up), Signal::INT).unwrap();
    assert_eq!(up.wait().unwrap().code(), Some(130));
    assert_eq!(stack.states(), ["job exited", "server exited", "tests exited"]);
    // What is accepted and changes nothing here.
    stack.kernel(&["up", "--menu=false", "--yes", "--no-color", "--quiet-pull", "--quiet-build", "server"]);
    stack.kernel(&["scale", "--no-deps", "server=2"]);
    stack.kernel(&["kill", "--remove-orphans"]);
    let (answer, _) = stack.kernel(&["version", "--short"]);
    assert_eq!(answer.trim(), env!("CARGO_PKG_VERSION"));
}

#[test]
fn some_services_are_taken_down() {
    let Some(stack) = Stack::new("some_services_are_taken_down", "part", THREE) else { return };
    stack.kernel(&["up"]);
    let (plan, _) = stack.kernel(&["down", "db", "--dry-run"]);
    assert!(plan.contains("service web: stop") && !plan.contains("service other"), "{plan}");
    stack.kernel(&["down", "db"]);
    assert_eq!(stack.states(), ["other running"], "what needs it goes with it");
    stack.kernel(&["up"]);
    if let Some(output) = stack.compose(&["down", "db"]) {
        assert!(output.status.success(), "{}", describe(&output));
        assert_eq!(stack.states(), ["other running"], "docker compose does the same");
        stack.kernel(&["up"]);
    }
    // The data of what stays is not touched.
    stack.kernel(&["exec", "db", "touch", "/kept/file"]);
    stack.kernel(&["down", "--volumes", "web", "other"]);
    assert_eq!(stack.states(), ["db running"]);
    let (_, told) = stack.kernel(&["down", "web"]);
    assert!(told.contains("nothing of `web` is left"), "{told}");
    stack.kernel(&["exec", "db", "ls", "/kept/file"]);
    stack.kernel(&["down", "db"]);
    stack.kernel(&["up", "db"]);
    stack.kernel(&["exec", "db", "ls", "/kept/file"]);
    stack.kernel(&["down", "--volumes", "db"]);
    stack.kernel(&["up", "db"]);
    assert!(!stack.output(&["exec", "db", "ls", "/kept/file"]).status.success(), "its data went with it");
    let told = stack.refusal(&["down", "wbe"]);
    assert!(told.contains("did you mean `web`?"), "{told}");
}

#[test]
fn a_restart_takes_along_who_says_so() {
    let Some(stack) = Stack::new("a_restart_takes_along_who_says_so", "again", THREE) else { return };
    stack.kernel(&["up"]);
    let restarted = |flags: &[&str]| -> Vec<&str> {
        let started = || ["db", "web", "other"].map(|service| (service, stack.started(service)));
        let before = started();
        stack.kernel(&[&["restart", "--timeout", "0", "db"], flags].concat());
        let pairs = before.into_iter().zip(started());
        pairs.filter(|(before, after)| before != after).map(|(before, _)| before.0).collect()
    };
    assert_eq!(restarted(&[]), ["db", "web"]);
    assert_eq!(restarted(&["--no-deps"]), ["db"]);
    // Who does not run is not started by it.
    stack.kernel(&["stop", "web"]);
    assert_eq!(restarted(&[]), ["db"]);
}

#[test]
fn everything_ends_with_the_first_that_ends() {
    let Some(stack) = Stack::new("everything_ends_with_the_first_that_ends", "abort", ENDING) else { return };
    let up = |code: &str, flags: &[&str]| {
        let mut command = stack.command(&[&["up", "--timeout", "0"], flags].concat());
        command.env("CODE", code).output().unwrap()
    };
    let ended = ["job exited", "server exited", "tests exited"];
    // Again and again: what has ended runs again.
    for (code, flags, expected) in [
        ("3", &["--abort-on-container-exit"][..], 3),
        ("3", &["--abort-on-container-exit"], 3),
        ("0", &["--abort-on-container-exit"], 0),
        ("0", &["--exit-code-from", "tests"], 0),
        ("5", &["--exit-code-from", "tests"], 5),
        ("5", &["--exit-code-from", "server"], 137),
        ("5", &["--exit-code-from", "tests", "tests"], 5),
        ("7", &["--abort-on-container-failure"], 7),
    ] {
        let output = up(code, flags);
        assert_eq!(output.status.code(), Some(expected), "{code} {flags:?}: {}", describe(&output));
        let said = text(&output.stdout);
        let told = describe(&output);
        assert_eq!(said.matches("tests done").count(), 1, "{code} {flags:?}: {told}");
        assert_eq!(stack.states(), ended, "{code} {flags:?}: {told}");
    }
    let output = up("0", &["--exit-code-from", "nobody"]);
    assert_eq!(output.status.code(), Some(2), "{}", describe(&output));
    let output = up("0", &["--exit-code-from", "tests", "--detach"]);
    assert_eq!(output.status.code(), Some(2), "{}", describe(&output));
}

#[test]
fn without_a_failure_it_goes_on_until_somebody_interrupts() {
    let Some(stack) = Stack::new("without_a_failure_it_goes_on_until_somebody_interrupts", "stay", ENDING)
    else {
        return;
    };
    let mut command = stack.command(&["up", "--abort-on-container-failure"]);
    let mut up = command.env("CODE", "0").stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(up.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("tests done")));
    eventually("the tests have ended", || stack.states() == ["job exited", "server running", "tests exited"]);
    assert!(up.try_wait().unwrap().is_none());
    kill_process(Pid::from_child(&up), Signal::INT).unwrap();
    assert_eq!(up.wait().unwrap().code(), Some(130));
    assert_eq!(stack.states(), ["job exited", "server exited", "tests exited"]);
}

#[test]
fn interrupted_while_it_starts_it_ends_what_it_started() {
    let test = "interrupted_while_it_starts_it_ends_what_it_started";
    let Some(stack) = Stack::new(test, "interrupt", STARTING) else { return };
    stack.kernel(&["up", "earlier"]);
    let mut command = stack.command(&["up", "--abort-on-container-failure"]);
    let up = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    eventually("one is started", || stack.states() == ["earlier running", "slow running", "waits created"]);
    kill_process(Pid::from_child(&up), Signal::INT).unwrap();
    let output = up.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", describe(&output));
    assert!(text(&output.stderr).contains("everything that `up` started was ended"), "{}", describe(&output));
    assert_eq!(stack.states(), ["earlier running", "slow exited", "waits created"]);
}

#[test]
fn images_are_built_for_a_run_and_removed_with_the_project() {
    let test = "images_are_built_for_a_run_and_removed_with_the_project";
    let Some(stack) = Stack::new(test, "image", BUILT) else { return };
    let page = |text: &str| std::fs::write(stack.folder.path().join("page"), text).unwrap();
    page("first");
    let read =
        |flags: &[&str]| stack.kernel(&[&["run", "--rm"], flags, &["unnamed", "cat", "/page"]].concat()).0;
    assert_eq!(read(&[]), "first");
    let first: Value =
        serde_json::from_str(&engine("GET", &format!("images/{}-unnamed/json", stack.name))).unwrap();
    page("second");
    assert_eq!(read(&[]), "first");
    assert_eq!(read(&["--build"]), "second");
    let told = stack.refusal(&["--profile", "absent", "run", "--rm", "--pull", "never", "absent"]);
    assert!(told.contains("K-OPS-014") && told.contains("-nowhere:1` is not there"), "{told}");

    stack.kernel(&["up"]);
    let (unnamed, named) =
        (format!("image {0}-unnamed: ", stack.name), format!("image {0}-of-this-test:1: ", stack.name));
    let would = |which: &str| stack.kernel(&["down", "--rmi", which, "--dry-run"]).1;
    let told = would("local");
    assert!(told.contains(&format!("{unnamed}would be removed")) && !told.contains(&named), "{told}");
    let (_, told) = stack.kernel(&["down", "--rmi", "local"]);
    assert!(told.contains(&format!("{unnamed}removed")) && !told.contains(&named), "{told}");
    let told = would("all");
    assert!(told.contains(&named) && !told.contains(&unnamed), "{told}");
    stack.kernel(&["down", "--rmi", "all", "named"]);
    assert!(!would("all").contains("would be removed"));
    // The one that lost its name is known to nobody else.
    engine("DELETE", &format!("images/{}", first["Id"].as_str().unwrap()));
}

#[test]
fn a_run_has_ports_and_variables_of_its_own() {
    let Some(stack) = Stack::new("a_run_has_ports_and_variables_of_its_own", "ports", THREE) else { return };
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let port = format!("127.0.0.1:{free}:6379");
    let server = ["--entrypoint", "valkey-server", "other", "--protected-mode", "no"];
    stack.kernel(&[&["run", "--detach", "-p", &port], &server[..]].concat());
    eventually("the published port answers", || {
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", free)) else { return false };
        stream.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
        let mut answer = [0; 5];
        stream.write_all(b"PING\r\n").is_ok() && stream.read_exact(&mut answer).is_ok() && answer == *b"+PONG"
    });
    let told = stack.refusal(&["run", "--publish", "http", "other"]);
    assert!(told.contains("http"), "{told}");

    let write = |name: &str, text: &str| std::fs::write(stack.folder.path().join(name), text).unwrap();
    write("one.env", "A=file\nB='first file'\n");
    write("two.env", "B=second\nC=\"${B} and more\"\n");
    let shown = ["--entrypoint", "sh -c", "other", "echo $A, $B, $C"];
    let flags = ["run", "--rm", "--env-from-file", "one.env", "--env-from-file", "two.env", "-e", "A=given"];
    let (ours, _) = stack.kernel(&[&flags[..], &shown].concat());
    assert_eq!(ours, "given, first file, first file and more\n");
    if let Some(output) = stack.compose(&[&flags[..], &["-T"], &shown].concat()) {
        assert_eq!(text(&output.stdout), ours, "docker compose says the same: {}", describe(&output));
    }
    write("bad.env", "A='open\n");
    let told = stack.refusal(&["run", "--rm", "--env-from-file", "bad.env", "other"]);
    assert!(told.contains("bad.env:1"), "{told}");
    let told = stack.refusal(&["run", "--rm", "--env-from-file", "missing.env", "other"]);
    assert!(told.contains("missing.env"), "{told}");
}
