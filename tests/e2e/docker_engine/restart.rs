//! An Engine that restarts while `kernel` works, for real: killed, so that no answer comes to its end, and in order, when
//! it ends all containers first. The proxy chooses the moment.

use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{ChildStdout, Command};

use crate::private_engine::PrivateEngine;
use crate::proxy::{Cut, Proxy};

/// Anything that is waited for may take so long.
const PATIENCE: Duration = Duration::from_secs(60);

/// `db` is well when it has started twice, or `STARTS` times.
const COMPOSE: &str = r#"
services:
  db:
    image: IMAGE
    command: [sh, -c, "echo x >> /starts; echo start $$(wc -l < /starts); trap 'exit 0' TERM; while :; do sleep 0.1; done"]
    healthcheck: { test: [CMD-SHELL, "test $$(wc -l < /starts) -ge STARTS"], interval: 10s, start_period: 60s }
    volumes: [data:/data]
  web:
    image: IMAGE
    command: [sh, -c, "trap 'exit 0' TERM; while :; do sleep 0.1; done"]
    depends_on: { db: { condition: service_healthy } }
    networks: [default, other]
networks: { other: }
volumes: { data: }
"#;

const ALL: [&str; 5] = [
    "container restart-db-1",
    "container restart-web-1",
    "network restart_default",
    "network restart_other",
    "volume restart_data",
];

/// What a run said, and how it ended.
fn told(output: &Output) -> String {
    format!("{}\n{}", output.status, String::from_utf8_lossy(&output.stderr))
}

fn write(folder: &tempfile::TempDir, engine: &PrivateEngine, starts: u32) {
    let text = COMPOSE.replace("IMAGE", &engine.image).replace("STARTS", &starts.to_string());
    std::fs::write(folder.path().join("compose.yaml"), text).unwrap();
}

fn command(folder: &tempfile::TempDir, host: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kernel"));
    command
        .current_dir(folder.path())
        .env("HOME", folder.path())
        .env_remove("XDG_STATE_HOME")
        .env("DOCKER_HOST", host)
        .args(["--progress", "plain", "--project-name", "restart", "--engine", "docker"])
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !is_so().await {
        assert!(begun.elapsed() < PATIENCE, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Runs the command while the Engine is killed at a call and comes again.
async fn killed_at(cut: Cut, folder: &tempfile::TempDir, engine: &mut PrivateEngine, arguments: &[&str]) {
    let proxy = Proxy::start(&engine.host(), cut);
    let running = command(folder, &proxy.host, arguments).spawn().unwrap();
    until("the wire is cut", async || proxy.was_cut()).await;
    engine.restart("KILL").await;
    proxy.heal();
    let output = running.wait_with_output().await.unwrap();
    let told = told(&output);
    assert!(output.status.success(), "{cut:?}: {told}");
    assert!(
        told.contains("the Docker Engine went away in the middle: waiting for it, 30 s at most"),
        "{told}"
    );
    assert!(told.contains("it answers again: looking again at what is left to do"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_restarts_in_the_middle_is_waited_for() {
    let mut engine = match PrivateEngine::start().await {
        Ok(engine) => engine,
        Err(why) => {
            return kernel_testkit::left_out("an_engine_that_restarts_in_the_middle_is_waited_for", why);
        }
    };
    let folder = tempfile::tempdir().unwrap();

    // Killed when it has done the fifth thing, of which the client never hears: things are made or begin to run.
    write(&folder, &engine, 1);
    killed_at(Cut::After(5), &folder, &mut engine, &["up"]).await;
    assert_eq!(engine.everything().await, ALL);
    let output = command(&folder, &engine.host(), &["up"]).output().await.unwrap();
    assert!(told(&output).contains("nothing to do"), "{}", told(&output));

    // Killed before the second thing is taken down.
    killed_at(Cut::Before(2), &folder, &mut engine, &["down", "--volumes"]).await;
    assert_eq!(engine.everything().await, [] as [&str; 0]);

    // Ended in order, while it is waited for the health of what ends with 0 then. It is no job that did its work.
    write(&folder, &engine, 2);
    let listening = [["logs", "--follow", "db"], ["events", "--json", "db"]].map(|arguments| {
        let mut child = command(&folder, &engine.host(), &arguments).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        (child, lines)
    });
    let running = command(&folder, &engine.host(), &["up"]).spawn().unwrap();
    let docker = engine.client();
    until("`db` runs", async || {
        let found = docker.inspect_container("restart-db-1", None).await;
        found.is_ok_and(|found| found.state.is_some_and(|state| state.running == Some(true)))
    })
    .await;
    engine.restart("TERM").await;
    let output = running.wait_with_output().await.unwrap();
    assert!(output.status.success(), "{}", told(&output));
    assert!(told(&output).contains("it answers again"), "{}", told(&output));
    assert_eq!(engine.everything().await, ALL);
    let output = command(&folder, &engine.host(), &["up"]).output().await.unwrap();
    assert!(told(&output).contains("nothing to do"), "{}", told(&output));

    // Who listened hears both starts, each once, although the Engine hung up between them.
    let [(_logs, logs), (_events, events)] = listening;
    assert_eq!(heard(logs, "start ").await, ["1", "2"]);
    assert_eq!(heard(events, "\"action\":\"start\"").await.len(), 2);
}

/// What stands behind `word` in the first two lines that have it.
async fn heard(mut lines: Lines<BufReader<ChildStdout>>, word: &str) -> Vec<String> {
    let mut found = Vec::new();
    while found.len() < 2 {
        let line = tokio::time::timeout(PATIENCE, lines.next_line()).await.expect("it is heard").unwrap();
        let line = line.expect("it goes on");
        found.extend(line.split_once(word).map(|(_, rest)| rest.to_owned()));
    }
    found
}
