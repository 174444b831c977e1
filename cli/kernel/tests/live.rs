//! What happens while a command works: a crash, Ctrl-C. The services are shell scripts that never become ready.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod common;

use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, ChildStderr, Command, Stdio};

use common::{COMPOSE, Workspace};
use rustix::process::{Pid, Signal, kill_process};

/// A platform whose one service is this shell script, on a port that is free now.
fn workspace(script: &str) -> Workspace {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let workspace = Workspace::new(&COMPOSE.replace("28911", &port.to_string()));
    workspace.write("programs/web", &format!("#!/bin/sh\n{script}\n"));
    let path = workspace.root().join("programs/web");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    workspace
}

#[test]
fn a_service_that_crashes_is_told_with_what_it_said_last() {
    let workspace = workspace("echo 'DATABASE_URL: is missing' >&2; exit 64");
    let output = workspace.run(&["up"]);
    assert_eq!(output.code, 11, "{}", output.shown());
    let last = output.stderr.rsplit("K-LOCAL-").next().unwrap();
    assert!(last.contains("web") && last.contains("DATABASE_URL: is missing"), "{}", output.shown());
    assert!(output.stdout.is_empty(), "{}", output.shown());
    let logs = workspace.run(&["logs", "web", "--raw"]);
    assert!(logs.stdout.contains("DATABASE_URL: is missing\n"), "{}", logs.shown());
    assert_eq!(workspace.run(&["ps", "--status", "exited", "-o", "name"]).stdout, "web\n");
    assert_eq!(workspace.run(&["ps", "--filter", "status=running", "-o", "name"]).stdout, "");
    assert_eq!(workspace.run(&["logs", "--raw", "--until", "1h", "web"]).stdout, "");
    // What only containers have is refused, and not made up.
    for (words, expected) in [
        (&["ps", "-q"][..], "only containers have ids"),
        (&["ps", "--format", "json"], "only containers have ids"),
        (&["ps", "--format", "{{.ID}}"], "only containers have ids"),
        (&["logs", "--index", "2", "web"], "without containers a service has one"),
    ] {
        let refused = workspace.run(words);
        let told = refused.stderr.split_whitespace().collect::<Vec<_>>().join(" ").replace("| ", "");
        assert!(refused.code == 2 && told.contains(expected), "{words:?}: {}", refused.shown());
    }
    assert_eq!(workspace.run(&["down", "--volumes"]).code, 0);
    assert!(!workspace.root().join(".kernel").exists());
}

#[test]
fn a_service_that_is_never_ready_runs_out_of_time() {
    let workspace = workspace("exec sleep 600");
    let output = workspace.run(&["up", "--wait-timeout", "300ms", "--trace", "trace.json"]);
    assert_eq!(output.code, 12, "{}", output.shown());
    assert!(
        output.stderr.contains("K-ENGINE-001") && output.stderr.contains("--wait-timeout"),
        "{}",
        output.shown()
    );
    let trace: serde_json::Value = serde_json::from_str(&workspace.read("trace.json")).unwrap();
    let names: Vec<&str> =
        trace["traceEvents"].as_array().unwrap().iter().filter_map(|entry| entry["name"].as_str()).collect();
    assert!(names.contains(&"start") && names.contains(&"await"), "{names:?}");
    assert_eq!(workspace.run(&["down", "--volumes"]).code, 0);
}

/// A command that runs beside the test, with what it says on its standard error.
struct Running {
    child: Child,
    told: BufReader<ChildStderr>,
}

impl Running {
    fn start(workspace: &Workspace, arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_kernel"))
            .args(arguments)
            .env_clear()
            .env("KERNEL_BIN_DIR", workspace.root().join("programs"))
            .current_dir(workspace.root())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let told = BufReader::new(child.stderr.take().unwrap());
        Self { child, told }
    }

    /// Reads on until it says this.
    fn until(&mut self, text: &str) {
        let mut line = String::new();
        while !line.contains(text) {
            line.clear();
            assert!(self.told.read_line(&mut line).unwrap() > 0, "it ended before it said `{text}`");
        }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Its exit code and the rest of what it said.
    fn end(mut self) -> (Option<i32>, String) {
        let mut rest = String::new();
        self.told.read_to_string(&mut rest).unwrap();
        (self.child.wait().unwrap().code(), rest)
    }
}

/// Sends the signal while `up` waits; gives the exit code and what was told after that.
fn interrupted(workspace: &Workspace, signal: Signal) -> (Option<i32>, String) {
    let mut up = Running::start(workspace, &["up", "--wait-timeout", "5m"]);
    up.until("does not listen");
    up.signal(signal);
    up.end()
}

#[test]
fn ctrl_c_once_ends_well_and_says_how_to_go_on() {
    let workspace = workspace("exec sleep 600");
    let (code, told) = interrupted(&workspace, Signal::INT);
    assert_eq!(code, Some(130), "{told}");
    assert!(told.contains("K-OPS-015") && told.contains("`kernel up` goes on from here"), "{told}");

    let status = workspace.run(&["ps", "-o", "json"]);
    let status: serde_json::Value = serde_json::from_str(&status.stdout).unwrap();
    assert_eq!(status["services"][0]["state"], "starting", "what was started stays");
    assert_eq!(workspace.run(&["down", "--volumes"]).code, 0);
    assert!(!workspace.root().join(".kernel").exists());
}

#[test]
fn ctrl_c_twice_leaves_at_once_and_the_next_command_goes_on() {
    // It ends only when it is let go, and has five minutes for it.
    let workspace = workspace("trap '' TERM; while [ ! -e \"$0.go\" ]; do sleep 0.02; done");
    let compose = workspace.read("docker/docker-compose.yml");
    let patient = compose.replace("    image: web:", "    stop_grace_period: 5m\n    image: web:");
    workspace.write("docker/docker-compose.yml", &patient);
    assert_eq!(workspace.run(&["up", "--wait-timeout", "100ms"]).code, 12);

    let mut down = Running::start(&workspace, &["down", "--volumes"]);
    down.until("stop");
    down.signal(Signal::INT);
    down.until("once more leaves at once");
    down.signal(Signal::INT);
    let (code, told) = down.end();
    assert_eq!(code, Some(130), "{told}");
    assert!(told.contains("leaving now"), "{told}");

    workspace.write("programs/web.go", "");
    assert_eq!(workspace.run(&["down", "--volumes"]).code, 0);
    assert!(!workspace.root().join(".kernel").exists());
}

#[test]
fn sigterm_has_an_exit_code_of_its_own() {
    let workspace = workspace("exec sleep 600");
    let (code, told) = interrupted(&workspace, Signal::TERM);
    assert_eq!(code, Some(143), "{told}");
}

#[test]
fn a_taken_port_is_told_with_who_holds_it_before_anything_starts() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let workspace = Workspace::new(&COMPOSE.replace("28911", &port.to_string()));
    let output = workspace.run(&["up"]);
    assert_eq!(output.code, 10, "{}", output.shown());
    let told = output.stderr.replace('\n', " ");
    assert!(told.contains(&format!("port {port}")), "{}", output.shown());
    assert!(told.contains(&format!("pid {}", std::process::id())), "{}", output.shown());
    workspace.run(&["down", "--volumes"]);
}
