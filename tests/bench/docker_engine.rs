//! `kernel` and docker compose by turns on the same stack, beside the bare API:
//! `cargo bench --package kernel --bench docker_engine`.
//!
//! Needs a Docker Engine (`DOCKER_HOST`) and docker compose 2.40 (`TEST_DOCKER_COMPOSE_BIN`). The stack is that of the
//! platform in small: two stores that take 300 ms to be ready, twelve services that take 50 ms, three levels of
//! dependencies, health checks with an interval of 10 s and of 1 s. The floor is what the same calls take when nothing is
//! decided any more: everything created at once, started in the order of dependencies, the containers' own checks run
//! through the API until they pass. Nothing here is a test: no figure fails a build.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, missing_docs)]

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use bollard::Docker;
use bollard::exec::StartExecResults;
use bollard::models::{ContainerCreateBody, ExecConfig, HealthConfig, HostConfig, NetworkCreateRequest};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, RemoveContainerOptionsBuilder, StartContainerOptions,
    StopContainerOptionsBuilder,
};
use futures::StreamExt;
use futures::future::join_all;

/// How often each figure is taken.
const ROUNDS: usize = 3;

/// Who waits for whom: stores, then services that need both, then services that need one of those, then one more level.
const SERVICES: [(&str, &[&str]); 14] = [
    ("postgres", &[]),
    ("valkey", &[]),
    ("iam", &["postgres", "valkey"]),
    ("money", &["postgres", "valkey"]),
    ("data-layer", &["postgres", "valkey"]),
    ("event-bus", &["postgres", "valkey"]),
    ("audit", &["event-bus"]),
    ("notify", &["event-bus"]),
    ("billing", &["money"]),
    ("search", &["data-layer"]),
    ("media", &["data-layer"]),
    ("jobs", &["event-bus"]),
    ("flags", &["iam"]),
    ("gateway", &["iam", "billing", "audit"]),
];

fn main() {
    // `cargo test --benches` runs this too, and wants to know only that it starts.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for interval in ["10s", "1s"] {
        let stack = Stack::new(interval);
        let mut times: BTreeMap<&str, Vec<Duration>> = BTreeMap::new();
        let mut took = |what, time| times.entry(what).or_default().push(time);
        for _ in 0..ROUNDS {
            let (up, down) = runtime.block_on(stack.bare());
            took("floor up", up);
            took("floor down", down);
            took("kernel up", time(|| stack.kernel(&["up"])));
            took("kernel again", time(|| stack.kernel(&["up"])));
            took("kernel down", time(|| stack.kernel(&["down"])));
            took("compose up", time(|| stack.compose(&["up", "--detach", "--wait"])));
            took("compose again", time(|| stack.compose(&["up", "--detach", "--wait"])));
            took("compose down", time(|| stack.compose(&["down"])));
        }
        println!("twelve services, two stores, health checks each {interval}; the middle of {ROUNDS}");
        let middle: BTreeMap<&str, f64> =
            times.into_iter().map(|(what, times)| (what, median(times).as_secs_f64())).collect();
        for (row, kernel, compose, floor) in [
            ("cold up to all healthy", "kernel up", "compose up", Some("floor up")),
            ("up, nothing to do", "kernel again", "compose again", None),
            ("down", "kernel down", "compose down", Some("floor down")),
        ] {
            let mut line = format!(
                "  {row:<24} kernel {:.2} s, docker compose {:.2} s: {:.2} ×",
                middle[kernel],
                middle[compose],
                middle[kernel] / middle[compose]
            );
            if let Some(floor) = floor {
                let ratio = middle[kernel] / middle[floor];
                write!(line, "; floor {:.2} s: {ratio:.2} ×", middle[floor]).unwrap();
            }
            println!("{line}");
        }
    }
}

fn time(work: impl FnOnce() -> Output) -> Duration {
    let begun = Instant::now();
    work();
    begun.elapsed()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// Is ready after some time, and ends at once when it is asked to.
fn script(service: &str) -> String {
    let boot = if matches!(service, "postgres" | "valkey") { "0.3" } else { "0.05" };
    format!("trap 'exit 0' TERM; sleep {boot}; touch /tmp/ready; sleep infinity & wait")
}

fn image() -> String {
    let registry = std::env::var("KERNEL_REGISTRY").unwrap_or_default();
    let pins = std::fs::read_to_string(root().join("versions.env")).unwrap();
    let version = pins.lines().find_map(|line| line.strip_prefix("VALKEY_VERSION=")).unwrap();
    format!("{registry}valkey/valkey:{version}")
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

struct Stack {
    folder: tempfile::TempDir,
    name: String,
    interval: &'static str,
}

impl Stack {
    fn new(interval: &'static str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut text = String::from("services:\n");
        for (service, needs) in SERVICES {
            let needs: Vec<String> =
                needs.iter().map(|need| format!("{need}: {{ condition: service_healthy }}")).collect();
            write!(
                text,
                "  {service}:\n    image: {}\n    entrypoint: [sh, -c, {:?}]\n    \
                 healthcheck: {{ test: [CMD, test, -e, /tmp/ready], interval: {interval} }}\n    \
                 depends_on: {{ {} }}\n",
                image(),
                script(service),
                needs.join(", ")
            )
            .unwrap();
        }
        std::fs::write(folder.path().join("compose.yaml"), text).unwrap();
        Self { folder, name: format!("bench-{interval}-{}", std::process::id()), interval }
    }

    fn call(&self, program: impl AsRef<std::ffi::OsStr>, arguments: &[&str]) -> Output {
        let mut command = Command::new(program);
        command.current_dir(self.folder.path()).env("HOME", self.folder.path());
        let output = command.args(["--project-name", &self.name]).args(arguments).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {said}");
        output
    }

    fn kernel(&self, arguments: &[&str]) -> Output {
        self.call(env!("CARGO_BIN_EXE_kernel"), &[&["--engine", "docker"], arguments].concat())
    }

    fn compose(&self, arguments: &[&str]) -> Output {
        let program = std::env::var_os("TEST_DOCKER_COMPOSE_BIN").expect("TEST_DOCKER_COMPOSE_BIN names it");
        self.call(program, arguments)
    }

    /// The bare calls: up, and down again.
    async fn bare(&self) -> (Duration, Duration) {
        let host = std::env::var("DOCKER_HOST").expect("DOCKER_HOST names an Engine");
        let docker = Docker::connect_with_unix(&host, 120, bollard::API_DEFAULT_VERSION).unwrap();
        let network = format!("{}-bare", self.name);
        let begun = Instant::now();
        let request = NetworkCreateRequest { name: network.clone(), ..NetworkCreateRequest::default() };
        docker.create_network(request).await.unwrap();
        let names: BTreeMap<&str, String> =
            SERVICES.iter().map(|(service, _)| (*service, format!("{network}-{service}"))).collect();
        let (ready, _) = tokio::sync::broadcast::channel::<&str>(64);
        let works = SERVICES.map(|(service, needs)| {
            let (docker, network, names, mut hears, ready) =
                (&docker, &network, &names, ready.subscribe(), ready.clone());
            let interval = if self.interval == "1s" { 1 } else { 10 };
            async move {
                let name = &names[service];
                let body = ContainerCreateBody {
                    image: Some(image()),
                    entrypoint: Some(vec!["sh".to_owned(), "-c".to_owned(), script(service)]),
                    healthcheck: Some(HealthConfig {
                        test: Some(["CMD", "test", "-e", "/tmp/ready"].map(str::to_owned).to_vec()),
                        interval: Some(interval * 1_000_000_000),
                        ..HealthConfig::default()
                    }),
                    host_config: Some(HostConfig {
                        network_mode: Some(network.clone()),
                        ..HostConfig::default()
                    }),
                    ..ContainerCreateBody::default()
                };
                let options = CreateContainerOptionsBuilder::new().name(name).build();
                docker.create_container(Some(options), body).await.unwrap();
                let mut open = needs.to_vec();
                while !open.is_empty() {
                    let one = hears.recv().await.unwrap();
                    open.retain(|need| *need != one);
                }
                docker.start_container(name, None::<StartContainerOptions>).await.unwrap();
                while !passes(docker, name).await {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                drop(ready.send(service));
            }
        });
        join_all(works).await;
        let up = begun.elapsed();
        let begun = Instant::now();
        // As the tools do: whoever needs a service ends before it.
        let mut open: Vec<(&str, &[&str])> = SERVICES.to_vec();
        while !open.is_empty() {
            let needed: Vec<&str> = open.iter().flat_map(|(_, needs)| needs.iter().copied()).collect();
            let (ends, stay): (Vec<_>, Vec<_>) =
                open.into_iter().partition(|(service, _)| !needed.contains(service));
            open = stay;
            let ends = ends.into_iter().map(|(service, _)| {
                let (docker, name) = (&docker, &names[service]);
                async move {
                    let options = StopContainerOptionsBuilder::new().build();
                    docker.stop_container(name, Some(options)).await.unwrap();
                }
            });
            join_all(ends).await;
        }
        let removes = names
            .values()
            .map(|name| docker.remove_container(name, Some(RemoveContainerOptionsBuilder::new().build())));
        join_all(removes).await.into_iter().for_each(|removed| removed.unwrap());
        docker.remove_network(&network).await.unwrap();
        (up, begun.elapsed())
    }
}

async fn passes(docker: &Docker, container: &str) -> bool {
    let config = ExecConfig {
        attach_stdout: Some(true),
        cmd: Some(["test", "-e", "/tmp/ready"].map(str::to_owned).to_vec()),
        ..ExecConfig::default()
    };
    let run = docker.create_exec(container, config).await.unwrap();
    if let StartExecResults::Attached { mut output, .. } = docker.start_exec(&run.id, None).await.unwrap() {
        while output.next().await.is_some() {}
    }
    docker.inspect_exec(&run.id).await.unwrap().exit_code == Some(0)
}
