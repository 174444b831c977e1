//! `kernel watch` on a Docker Engine, over the built binary: what changes in a folder arrives in a container. Where there
//! is no Engine, the test says that it is left out.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]
#![cfg(target_os = "linux")]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// How long anything may take that is waited for.
const PATIENCE: Duration = Duration::from_secs(120);

/// Each start adds what `/conf` says to `/starts`.
const COMPOSE: &str = r#"
services:
  web:
    image: NAME-web
    build:
      context: .
      dockerfile_inline: |
        FROM ${KERNEL_REGISTRY:-}valkey/valkey:${VALKEY_VERSION:?}
        COPY page /page
    entrypoint: [sh, -c, "cat /conf >>/starts; exec sleep infinity"]
    user: "0"
    stop_signal: SIGKILL
    healthcheck: {disable: true}
    develop:
      watch:
        - {path: src, action: sync, target: /app, ignore: ["*.tmp"], initial_sync: true}
        - {path: page, action: rebuild}
        - {path: conf, action: sync+restart, target: /conf}
        - path: hook
          action: sync+exec
          target: /hook
          exec: {command: "sh -c 'cp /hook/text /hooked && test ! -e /hook/bad'"}
"#;

/// A project in a folder of its own, gone with everything of it when the test ends.
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
        let name = format!("e2e-{label}-{}", std::process::id());
        let stack = Self { folder: tempfile::tempdir().unwrap(), name };
        stack.write("compose.yaml", &COMPOSE.replace("NAME", &stack.name));
        for (path, text) in [("src/one", "1"), ("page", "first"), ("conf", "a"), ("hook/text", "x")] {
            stack.write(path, text);
        }
        Some(stack)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        std::fs::write(self.path(name), text).unwrap();
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kernel"));
        command
            .current_dir(self.folder.path())
            .args(["--engine", "docker", "--progress", "plain", "--project-name", &self.name, "--env-file"])
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../versions.env"))
            .args(arguments);
        command
    }

    /// What is at a path in the container; nothing when nothing is, or no container.
    fn read(&self, path: &str) -> Option<String> {
        let output = self.command(&["exec", "-T", "web", "cat", path]).output().unwrap();
        output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
    }

    /// The image of the container by its id.
    fn image(&self) -> String {
        let output = self.command(&["images", "-o", "json"]).output().unwrap();
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
        answer["images"][0]["id"].as_str().unwrap().to_owned()
    }

    /// Whether the Engine has an image. `docker` itself is no part of the tests' machine.
    fn has_image(&self, id: &str) -> bool {
        // That it is not there is told with its name, too.
        engine("GET", &format!("images/{id}/json")).contains("RepoTags")
    }

    /// Waits until a path in the container is as it should be.
    fn wait(&self, path: &str, expected: Option<&str>, watching: &mut Watching) {
        let start = Instant::now();
        loop {
            let found = self.read(path);
            if found.as_deref() == expected {
                return;
            }
            watching.lives();
            assert!(
                start.elapsed() < PATIENCE,
                "{path} is {found:?}, not {expected:?}: {:?}",
                watching.heard
            );
        }
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        drop(self.command(&["down", "--volumes"]).output());
        // The image is of this test alone.
        engine("DELETE", &format!("images/{}-web?force=1", self.name));
    }
}

/// What the Engine answers, where it is on a socket of this machine.
fn engine(method: &str, path: &str) -> String {
    let host = std::env::var("DOCKER_HOST").unwrap_or_default();
    let Some(socket) = host.strip_prefix("unix://") else { return String::new() };
    let request = format!("http://engine/{path}");
    let output = Command::new("curl").args(["-sX", method, "--unix-socket", socket, &request]).output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
}

/// A `kernel watch` that goes on, and what it says.
struct Watching {
    child: Child,
    told: Receiver<String>,
    heard: Vec<String>,
}

impl Watching {
    fn start(stack: &Stack, arguments: &[&str]) -> Self {
        let mut command = stack.command(arguments);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let (sender, told) = channel();
        std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Self { child, told, heard: Vec::new() }
    }

    fn lives(&mut self) {
        self.heard.extend(self.told.try_iter());
        assert!(self.child.try_wait().unwrap().is_none(), "it ended: {:?}", self.heard);
    }

    /// Waits until it says something.
    fn says(&mut self, text: &str) {
        let start = Instant::now();
        while !self.heard.iter().any(|line| line.contains(text)) {
            let left = PATIENCE.checked_sub(start.elapsed()).unwrap_or_default();
            match self.told.recv_timeout(left) {
                Ok(line) => self.heard.push(line),
                Err(_) => panic!("it never said `{text}`: {:?}", self.heard),
            }
        }
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[test]
fn what_changes_here_arrives_in_the_container() {
    let Some(stack) = Stack::new("what_changes_here_arrives_in_the_container", "watch") else { return };
    let mut watching = Watching::start(&stack, &["watch"]);
    watching.says("watching for web");
    assert_eq!(stack.read("/app/one").as_deref(), Some("1"), "everything is there before anything changes");

    stack.write("src/ignored.tmp", "");
    stack.write("src/deep/two", "2");
    stack.wait("/app/deep/two", Some("2"), &mut watching);
    assert_eq!(stack.read("/app/ignored.tmp"), None);
    std::fs::remove_file(stack.path("src/one")).unwrap();
    stack.wait("/app/one", None, &mut watching);

    stack.write("hook/text", "y");
    stack.wait("/hooked", Some("y"), &mut watching);
    // A command that fails is told, and watching goes on.
    stack.write("hook/bad", "");
    watching.says("ended with exit code 1");
    watching.says("watching goes on");
    stack.write("src/three", "3");
    stack.wait("/app/three", Some("3"), &mut watching);

    // It started without any `/conf`.
    stack.write("conf", "b");
    stack.wait("/starts", Some("b"), &mut watching);

    let image = stack.image();
    assert!(stack.has_image(&image), "{image}");
    stack.write("page", "second");
    stack.wait("/page", Some("second"), &mut watching);
    // What the name was taken from is of no use any more.
    let start = Instant::now();
    while stack.has_image(&image) {
        watching.lives();
        assert!(start.elapsed() < PATIENCE, "{image} is still there: {:?}", watching.heard);
    }
    // The container is another one, and is watched all the same.
    stack.write("src/four", "4");
    stack.wait("/app/four", Some("4"), &mut watching);

    let pid = Pid::from_child(&watching.child);
    kill_process(pid, Signal::INT).unwrap();
    assert!(watching.child.wait().unwrap().success(), "Ctrl-C is its good end");
}

#[test]
fn up_goes_on_with_watching() {
    let Some(stack) = Stack::new("up_goes_on_with_watching", "up-watch") else { return };
    let mut watching = Watching::start(&stack, &["up", "--watch", "web"]);
    watching.says("watching for web");
    stack.write("src/two", "2");
    stack.wait("/app/two", Some("2"), &mut watching);
    kill_process(Pid::from_child(&watching.child), Signal::INT).unwrap();
    assert!(watching.child.wait().unwrap().success(), "Ctrl-C is its good end");
    assert_eq!(stack.read("/app/two").as_deref(), Some("2"), "what was started goes on");
    let output = stack.command(&["up", "--watch", "--detach"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
}
