//! The commands about containers, over the built binary, on stacks that docker compose made: each tool serves the
//! other's. Where there is no Engine or no docker compose, the tests say that they are left out.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]
#![cfg(target_os = "linux")]

#[path = "containers/formats.rs"]
mod formats;

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use formats::formats_are_docker_composes;

/// How long anything may take that is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// `web` waits to be told something, `job` ends with 7 when it is asked to end.
const COMPOSE: &str = r#"
services:
  web:
    image: ${KERNEL_REGISTRY:-}valkey/valkey:${VALKEY_VERSION:?}
    entrypoint: [sh, -c, "exec sleep infinity"]
    stop_signal: SIGKILL
    healthcheck: {disable: true}
    user: "0"
    ports: ["127.0.0.1::8080"]
    scale: 2
  job:
    image: ${KERNEL_REGISTRY:-}valkey/valkey:${VALKEY_VERSION:?}
    entrypoint: [sh, -c, "exec 3<&0; cat <&3 & trap 'exit 7' TERM; while :; do sleep 0.1; done"]
    stdin_open: true
    healthcheck: {disable: true}
"#;

/// A stack that docker compose brought up, gone when the test ends.
struct Stack {
    compose: PathBuf,
    folder: tempfile::TempDir,
    name: String,
}

impl Stack {
    /// `None`, and told, when something is missing.
    fn up(test: &str, label: &str) -> Option<Self> {
        Self::up_with(test, label, COMPOSE)
    }

    /// The same with another Compose file.
    fn up_with(test: &str, label: &str, text: &str) -> Option<Self> {
        let (Some(compose), true) =
            (std::env::var_os("TEST_DOCKER_COMPOSE_BIN"), std::env::var_os("DOCKER_HOST").is_some())
        else {
            kernel_testkit::left_out(test, "DOCKER_HOST and TEST_DOCKER_COMPOSE_BIN are not set");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("compose.yaml"), text).unwrap();
        let name = format!("e2e-{label}-{}", std::process::id());
        let stack = Self { compose: compose.into(), folder, name };
        stack.compose(&["up", "--detach", "--quiet-pull"]);
        Some(stack)
    }

    fn compose(&self, arguments: &[&str]) -> String {
        let mut command = Command::new(&self.compose);
        command.args(["--project-name", &self.name, "--env-file"]).arg(pins()).args(arguments);
        let output = command.current_dir(self.folder.path()).output().unwrap();
        assert!(output.status.success(), "{}", describe(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kernel"));
        command.args(["--project-name", &self.name]).args(arguments).current_dir(self.folder.path());
        command
    }

    fn output(&self, arguments: &[&str]) -> Output {
        let mut command = self.command(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        finished(command.spawn().unwrap())
    }

    fn answer(&self, arguments: &[&str]) -> String {
        let output = self.output(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", describe(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// The same of a command that reads the project's files.
    fn lines(&self, arguments: &[&str]) -> Vec<String> {
        let pins = pins();
        let answer = self.answer(&[&["--env-file", pins.to_str().unwrap()], arguments].concat());
        sorted(&answer)
    }

    fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.answer(&[arguments, &["-o", "json"]].concat())).unwrap()
    }

    fn refusal(&self, arguments: &[&str]) -> String {
        let output = self.output(arguments);
        assert!(!output.status.success(), "{arguments:?} was not refused");
        String::from_utf8(output.stderr).unwrap()
    }

    fn state(&self, service: &str) -> String {
        let all = self.compose(&["ps", "--all", "--format", "json", service]);
        let first: Value = serde_json::from_str(all.lines().next().unwrap()).unwrap();
        first["State"].as_str().unwrap().to_owned()
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        let mut command = Command::new(&self.compose);
        command.args(["--project-name", &self.name, "down", "--volumes", "--timeout", "0"]);
        drop(command.output());
    }
}

fn pins() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../versions.env")
}

fn describe(output: &Output) -> String {
    format!(
        "{}\n{}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// What a program said when it has ended; one that does not end in time is ended.
fn finished(mut program: Child) -> Output {
    let start = Instant::now();
    while program.try_wait().unwrap().is_none() {
        if start.elapsed() > PATIENCE {
            program.kill().unwrap();
            panic!("did not end within {PATIENCE:?}: {}", describe(&program.wait_with_output().unwrap()));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    program.wait_with_output().unwrap()
}

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn what_is_there_is_shown() {
    let Some(stack) = Stack::up("what_is_there_is_shown", "look") else { return };
    // The same address as the reference gives, of each container.
    for index in ["1", "2"] {
        let ours = stack.answer(&["port", "--index", index, "web", "8080"]);
        assert_eq!(ours, stack.compose(&["port", "--index", index, "web", "8080"]));
        assert!(ours.starts_with("127.0.0.1:"), "{ours}");
    }
    let told = stack.refusal(&["port", "web", "81"]);
    assert!(told.contains("K-STACK-001") && told.contains("it publishes 8080/tcp"), "{told}");

    let top = stack.json(&["top", "web"]);
    let containers = top["containers"].as_array().unwrap();
    assert_eq!(containers.len(), 2);
    for (container, number) in containers.iter().zip(1..) {
        assert_eq!(container["number"], number);
        assert_eq!(container["processes"][0]["CMD"], "sleep infinity");
    }

    let images = stack.json(&["images"]);
    let reference: Value = serde_json::from_str(&stack.compose(&["images", "--format", "json"])).unwrap();
    let mut ours: Vec<(&Value, &Value, &Value, &Value)> = Vec::new();
    for image in images["images"].as_array().unwrap() {
        ours.push((&image["container"], &image["id"], &image["repository"], &image["tag"]));
    }
    let mut theirs: Vec<(&Value, &Value, &Value, &Value)> = Vec::new();
    for image in reference.as_array().unwrap() {
        theirs.push((&image["ContainerName"], &image["ID"], &image["Repository"], &image["Tag"]));
    }
    for list in [&mut ours, &mut theirs] {
        list.sort_by_key(|image| image.0.to_string());
    }
    assert_eq!(ours, theirs);
    assert_eq!(ours.len(), 3);

    let projects = stack.json(&["ls"]);
    let reference: Value = serde_json::from_str(&stack.compose(&["ls", "--format", "json"])).unwrap();
    let of_this = |list: &Value| {
        list.as_array()
            .unwrap()
            .iter()
            .find(|project| project["Name"] == stack.name.as_str())
            .cloned()
            .unwrap()
    };
    assert_eq!(of_this(&projects["projects"]), of_this(&reference));
    assert!(stack.answer(&["ls", "-q"]).lines().any(|line| line == stack.name));

    let stats = stack.json(&["stats", "--no-stream", "job"]);
    let usage = &stats["containers"][0];
    assert_eq!(usage["name"], format!("{}-job-1", stack.name));
    assert!(usage["memory"].as_u64().unwrap() > 0 && usage["processes"].as_u64().unwrap() >= 1, "{usage}");
}

#[test]
fn what_happened_is_told() {
    let Some(stack) = Stack::up("what_happened_is_told", "events") else { return };
    let told = stack.answer(&["events", "--json", "--since", "10m", "--until", "0s", "web"]);
    let actions: Vec<(String, String)> = told
        .lines()
        .map(|line| {
            let event: Value = serde_json::from_str(line).unwrap();
            (event["service"].as_str().unwrap().to_owned(), event["action"].as_str().unwrap().to_owned())
        })
        .collect();
    let of_web = |action: &str| ("web".to_owned(), action.to_owned());
    assert_eq!(actions.iter().filter(|event| **event == of_web("create")).count(), 2, "{actions:?}");
    assert_eq!(actions.iter().filter(|event| **event == of_web("start")).count(), 2, "{actions:?}");
    assert!(actions.iter().all(|(service, _)| service == "web"), "{actions:?}");
    let told = stack.refusal(&["events", "--since", "soon"]);
    assert!(told.contains("K-STACK-002") && told.contains("`soon`"), "{told}");

    // As it happens: the event is told while the command goes on.
    let mut listening = stack.command(&["events"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(listening.stdout.take().unwrap()).lines();
    // Who listens is not seen from outside, so something happens until it is told.
    let (sender, receiver) = std::sync::mpsc::channel();
    let reading = std::thread::spawn(move || {
        let line = lines.next().unwrap().unwrap();
        sender.send(line).unwrap();
    });
    let mut line = None;
    eventually("an event is told", || {
        stack.compose(&["pause", "job"]);
        stack.compose(&["unpause", "job"]);
        line = receiver.try_recv().ok();
        line.is_some()
    });
    let line = line.unwrap();
    assert!(line.contains("container pause") || line.contains("container unpause"), "{line}");
    let id = Pid::from_raw(i32::try_from(listening.id()).unwrap()).unwrap();
    kill_process(id, Signal::INT).unwrap();
    assert!(finished(listening).status.success());
    reading.join().unwrap();
}

#[test]
fn programs_run_beside_what_runs_there() {
    let Some(stack) = Stack::up("programs_run_beside_what_runs_there", "exec") else { return };
    let output = stack.output(&["exec", "-T", "web", "sh", "-c", "echo out; echo err >&2; exit 3"]);
    assert_eq!(output.status.code(), Some(3), "{}", describe(&output));
    assert_eq!((&*output.stdout, &*output.stderr), (&b"out\n"[..], &b"err\n"[..]));

    let told = stack.answer(&[
        "exec",
        "--index",
        "2",
        "-u",
        "10",
        "-w",
        "/tmp",
        "-e",
        "A=b c",
        "web",
        "sh",
        "-c",
        "echo $(hostname) $(id -u) $PWD \"$A\"",
    ]);
    let second = stack.answer(&["exec", "--index", "2", "web", "hostname"]);
    assert_eq!(told, format!("{} 10 /tmp b c\n", second.trim()));
    assert_ne!(second, stack.answer(&["exec", "web", "hostname"]));

    // More than one piece, both ways, to the last byte.
    let text: String = (0..100_000).map(|line| format!("{line}\n")).collect();
    let mut command = stack.command(&["exec", "-T", "web", "sh", "-c", "cat; echo end"]);
    let mut program = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = program.stdin.take().unwrap();
    let input = text.clone();
    let writing = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = program.wait_with_output().unwrap();
    writing.join().unwrap().unwrap();
    assert!(output.stdout == (text + "end\n").into_bytes(), "{} bytes came back", output.stdout.len());

    stack.answer(&["exec", "-d", "web", "touch", "/tmp/detached"]);
    eventually("the program runs", || {
        stack.output(&["exec", "web", "test", "-e", "/tmp/detached"]).status.success()
    });

    let told = stack.refusal(&["exec", "nothing", "true"]);
    assert!(told.contains("K-STACK-001") && told.contains("there are containers of: job, web"), "{told}");
    let told = stack.refusal(&["exec", "--index", "3", "web", "true"]);
    assert!(told.contains("has no container with number 3") && told.contains("1, 2"), "{told}");
    assert!(stack.answer(&["--dry-run", "exec", "web", "touch", "/tmp/dry"]).contains("would run"));
    assert!(!stack.output(&["exec", "web", "test", "-e", "/tmp/dry"]).status.success());

    // The main process itself, to its end.
    let mut command = stack.command(&["attach", "job"]);
    let mut program = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = program.stdin.take().unwrap();
    let mut lines = BufReader::new(program.stdout.take().unwrap()).lines();
    stdin.write_all(b"spoken to\n").unwrap();
    assert_eq!(lines.next().unwrap().unwrap(), "spoken to");
    stack.answer(&["kill", "-s", "TERM", "job"]);
    assert_eq!(finished(program).status.code(), Some(7));
    drop(stdin);

    // A signal to the command is one to the process.
    stack.compose(&["start", "job"]);
    let mut command = stack.command(&["attach", "job"]);
    let mut program = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = program.stdin.take().unwrap();
    let mut lines = BufReader::new(program.stdout.take().unwrap()).lines();
    stdin.write_all(b"spoken to again\n").unwrap();
    assert_eq!(lines.next().unwrap().unwrap(), "spoken to again");
    kill_process(Pid::from_child(&program), Signal::TERM).unwrap();
    assert_eq!(finished(program).status.code(), Some(7));
    drop(stdin);
}

#[test]
fn a_program_has_the_terminal_that_the_command_has() {
    let Some(stack) = Stack::up("a_program_has_the_terminal_that_the_command_has", "terminal") else {
        return;
    };
    // It sees a terminal of our size, and what is typed, key by key.
    let inside =
        "until [ \"$(stty size)\" = '17 91' ]; do sleep 0.05; done; echo sized; stty -icanon; head -c 1";
    let ours = format!(
        "stty rows 17 cols 91; exec '{}' --project-name {} exec web sh -c '{}'",
        env!("CARGO_BIN_EXE_kernel"),
        stack.name,
        inside.replace('\'', "'\\''"),
    );
    let mut terminal = Command::new("script");
    terminal.args(["--quiet", "--return", "--command", &ours, "/dev/null"]).env("SHELL", "/bin/sh");
    let mut terminal = terminal.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = terminal.stdin.take().unwrap();
    let mut lines = BufReader::new(terminal.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap().trim_end(), "sized");
    stdin.write_all(b"x").unwrap();
    let said = lines.next().unwrap().unwrap();
    assert!(said.starts_with('x'), "{said}");
    assert!(finished(terminal).status.success());
}

#[test]
fn files_are_copied_both_ways() {
    let Some(stack) = Stack::up("files_are_copied_both_ways", "copy") else { return };
    let here = stack.folder.path();
    std::fs::create_dir_all(here.join("tree/deep")).unwrap();
    std::fs::write(here.join("tree/deep/file"), "content").unwrap();
    std::os::unix::fs::symlink("deep/file", here.join("tree/link")).unwrap();

    let read = |path: &str| stack.answer(&["exec", "web", "cat", path]);
    stack.answer(&["cp", "tree", "web:/tmp"]);
    assert_eq!(read("/tmp/tree/link"), "content");
    stack.answer(&["cp", "tree", "web:/tmp/renamed"]);
    assert_eq!(read("/tmp/renamed/deep/file"), "content");
    stack.answer(&["cp", "tree/.", "web:/tmp/renamed"]);
    stack.answer(&["cp", "tree/deep/file", "web:/tmp/other"]);
    assert_eq!(read("/tmp/other"), "content");
    assert_eq!(stack.answer(&["exec", "web", "stat", "-c", "%u", "/tmp/other"]), "0\n");
    // Without a number it goes into every container of the service.
    assert_eq!(stack.answer(&["exec", "--index", "2", "web", "cat", "/tmp/other"]), "content");

    stack.answer(&["cp", "web:/tmp/tree", "."]);
    stack.answer(&["cp", "web:/tmp/tree", "back"]);
    stack.answer(&["cp", "web:/tmp/other", "file"]);
    for path in ["tree/deep/file", "back/link", "file"] {
        assert_eq!(std::fs::read_to_string(here.join(path)).unwrap(), "content", "{path}");
    }
    // The reference brings back the same, and what it packed is what we unpack.
    stack.compose(&["cp", "web:/tmp/tree", "reference"]);
    let listed = |folder: &str| {
        let listed = Command::new("find")
            .args([".", "-printf", "%y %m %p %l\n"])
            .current_dir(here.join(folder))
            .output();
        let mut lines: Vec<String> =
            String::from_utf8(listed.unwrap().stdout).unwrap().lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(listed("back"), listed("reference"));

    let archive = stack.output(&["cp", "web:/tmp/tree", "-"]).stdout;
    let mut command = stack.command(&["cp", "-", "web:/var"]);
    let mut program = command.stdin(Stdio::piped()).spawn().unwrap();
    program.stdin.take().unwrap().write_all(&archive).unwrap();
    assert!(program.wait().unwrap().success());
    assert_eq!(read("/var/tree/deep/file"), "content");

    let told = stack.refusal(&["cp", "tree", "web:/tmp/other"]);
    assert!(told.contains("K-STACK-002") && told.contains("is a file"), "{told}");
    let told = stack.refusal(&["cp", "web:/nowhere", "."]);
    assert!(told.contains("there is no `/nowhere`"), "{told}");
    let told = stack.refusal(&["cp", "web:/tmp", "job:/tmp"]);
    assert!(told.contains("SERVICE:PATH"), "{told}");
}

#[test]
fn containers_are_frozen_signalled_and_waited_for() {
    let Some(stack) = Stack::up("containers_are_frozen_signalled_and_waited_for", "signal") else { return };
    let paused = stack.answer(&["pause", "web", "-o", "name"]);
    assert_eq!(paused, format!("{0}-web-1\n{0}-web-2\n", stack.name));
    assert_eq!(stack.state("web"), "paused");
    // Again is no mistake, and nothing is left to do.
    assert_eq!(stack.answer(&["pause", "web", "-o", "name"]), "");
    stack.answer(&["--dry-run", "unpause"]);
    assert_eq!(stack.state("web"), "paused");
    stack.answer(&["unpause"]);
    assert_eq!(stack.state("web"), "running");

    let waiting = stack.command(&["wait", "job", "-o", "json"]).stdout(Stdio::piped()).spawn().unwrap();
    stack.answer(&["kill", "-s", "SIGTERM", "job"]);
    let output = finished(waiting);
    assert_eq!(output.status.code(), Some(7), "{}", describe(&output));
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&answer["service"], &answer["exit_code"]), (&Value::from("job"), &Value::from(7)));
    // It has ended: that is known at once.
    assert_eq!(stack.output(&["wait", "job"]).status.code(), Some(7));

    let told = stack.refusal(&["kill", "-s", "NONSENSE", "web"]);
    assert!(told.to_lowercase().contains("invalid signal"), "{told}");
    let told = stack.refusal(&["kill", "job"]);
    assert!(told.contains("has no running container of `job`"), "{told}");
    stack.answer(&["kill"]);
    assert_eq!(stack.state("web"), "exited");
    let told = stack.refusal(&["exec", "web", "true"]);
    assert!(told.contains("K-STACK-001"), "{told}");
}

#[test]
fn without_an_engine_it_is_told() {
    let output = Command::new(env!("CARGO_BIN_EXE_kernel"))
        .args(["-p", "any", "top"])
        .env("DOCKER_HOST", "unix:///nowhere/docker.sock")
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(10), "{told}");
    assert!(told.contains("K-DOCKER-001") && told.contains("/nowhere/docker.sock"), "{told}");
}

/// The lines of an answer in order: the same containers are told in another one by each tool.
fn sorted(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

#[test]
fn ps_tells_what_docker_compose_tells() {
    let text = COMPOSE.replace("    scale: 2\n", "    scale: 2\n    volumes: [data:/data]\n");
    let text = format!("volumes: {{data: }}\n{text}");
    let Some(stack) = Stack::up_with("ps_tells_what_docker_compose_tells", "ps", &text) else { return };
    stack.compose(&["stop", "job"]);
    for words in [
        &["ps", "-q"][..],
        &["ps", "-q", "-a"],
        &["ps", "-q", "web"],
        &["ps", "--services"],
        &["ps", "--services", "--all"],
        &["ps", "--status", "exited", "-q"],
        &["ps", "--filter", "status=exited", "--services"],
        &["ps", "--status", "paused", "-q"],
    ] {
        assert_eq!(stack.lines(words), sorted(&stack.compose(words)), "{words:?}");
    }
    let told = |text: &str| -> Vec<Value> {
        let told = text.lines().map(|line| {
            let mut told: Value = serde_json::from_str(line).unwrap();
            let fields = told.as_object_mut().unwrap();
            // These change from second to second, and labels stand in no order.
            fields.remove("RunningFor");
            fields.remove("Status");
            let mut labels: Vec<_> =
                fields["Labels"].as_str().unwrap().split(',').map(str::to_owned).collect();
            labels.sort();
            fields["Labels"] = labels.join(",").into();
            told
        });
        told.collect()
    };
    for words in [&["ps", "-a", "--format", "json"][..], &["ps", "--no-trunc", "--format", "json", "web"]] {
        let ours = stack.lines(words);
        let theirs = sorted(&stack.compose(words));
        assert_eq!(told(&ours.join("\n")), told(&theirs.join("\n")), "{words:?}");
    }
    formats_are_docker_composes(&stack);
    let table = stack.lines(&["ps", "--status", "exited"]).join("\n");
    assert!(table.contains("job") && !table.contains("web"), "{table}");

    // What the files don't have any more.
    let text = std::fs::read_to_string(stack.folder.path().join("compose.yaml")).unwrap();
    let job = text.find("  job:").unwrap();
    std::fs::write(stack.folder.path().join("compose.yaml"), &text[..job]).unwrap();
    assert_eq!(stack.lines(&["ps", "-a", "--services"]), sorted(&stack.compose(&["ps", "-a", "--services"])));
    // Here docker compose shows it all the same.
    assert_eq!(stack.lines(&["ps", "-a", "--services", "--orphans=false"]), ["web"]);
}

/// `talk` says two things on two ways.
const TALK: &str = r#"
services:
  talk:
    image: ${KERNEL_REGISTRY:-}valkey/valkey:${VALKEY_VERSION:?}
    entrypoint: [sh, -c, "echo one; echo two >&2; exec sleep infinity"]
    stop_signal: SIGKILL
    healthcheck: {disable: true}
    scale: 2
"#;

#[test]
fn logs_tell_what_docker_compose_tells() {
    let Some(stack) = Stack::up_with("logs_tell_what_docker_compose_tells", "logs", TALK) else { return };
    // Said before anything is compared.
    let all = ["one", "one", "two", "two"];
    let begun = Instant::now();
    while stack.lines(&["logs", "--raw"]) != all {
        assert!(begun.elapsed() < PATIENCE, "{:?}", stack.lines(&["logs", "--raw"]));
        std::thread::yield_now();
    }
    let same = |words: &[&str]| {
        let ours = stack.lines(words);
        assert_eq!(ours, sorted(&stack.compose(words)), "{words:?}");
        ours
    };
    assert_eq!(same(&["logs", "--no-log-prefix", "--no-color"]), all);
    assert_eq!(same(&["logs", "--no-log-prefix", "--index", "2", "talk"]), ["one", "two"]);
    assert_eq!(same(&["logs", "--no-log-prefix", "--tail", "1", "--index", "1", "talk"]).len(), 1);
    let timed = same(&["logs", "--no-log-prefix", "--timestamps"]);
    let moments: Vec<&str> = timed.iter().map(|line| line.split(' ').next().unwrap()).collect();
    for bound in ["--since", "--until"] {
        for moment in &moments {
            let within = |time: &str| if bound == "--since" { time >= *moment } else { time <= *moment };
            let expected = moments.iter().filter(|time| within(time)).count();
            let words = ["logs", "--no-log-prefix", "-t", bound, moment];
            assert_eq!(stack.lines(&words).len(), expected, "{words:?}");
        }
    }
    assert_eq!(stack.lines(&["logs", "--until", "1h"]), [""; 0]);
    assert_eq!(stack.lines(&["logs", "--raw", "--follow", "--until", "0s"]), all, "it ends with the window");
    for (words, expected) in [
        (&["logs", "--since", "soon"][..], "`soon` is no moment in time"),
        (&["logs", "--index", "3", "talk"], "no container with number 3 of `talk`"),
        (&["logs", "--tail", "few"], "say a number, or `all`"),
    ] {
        let pins = pins();
        let refused = stack.refusal(&[&["--env-file", pins.to_str().unwrap()], words].concat());
        assert!(refused.contains(expected), "{words:?}: {refused}");
    }
}
