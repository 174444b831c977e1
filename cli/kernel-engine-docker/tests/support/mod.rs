//! A project on a real Engine, docker compose beside it, and a proxy that sees and cuts what goes over the wire.
#![allow(dead_code)]

pub mod proxy;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};

use bollard::Docker;
use bollard::query_parameters::ListImagesOptionsBuilder;
use kernel_compose::{FileText, Files, LoadRequest, Project, load};
use kernel_core::event::Event;
use kernel_core::exit::ExitCode;
use kernel_core::name::ProjectName;
use kernel_core::plan::Plan;
use kernel_core::planner::{PlanOptions, plan};
use kernel_core::source::Sources;
use kernel_core::unit::{Desired, Observed};
use kernel_engine::{Engine, Events, Outcome, execute};
use kernel_engine_docker::{Address, DockerEngine, DockerSettings};
use tokio_util::sync::CancellationToken;

/// Where the Engine is. `None`, said by name, where there is none.
pub fn engine_host(test: &str) -> Option<String> {
    let host = std::env::var("DOCKER_HOST").ok().filter(|host| host.starts_with("unix://"));
    if host.is_none() {
        kernel_testkit::left_out(
            test,
            "DOCKER_HOST names no Engine; `cargo xtask testbed up --only docker` starts one",
        );
    }
    host
}

/// The real docker compose. `None`, said by name, where there is none.
pub fn docker_compose(test: &str) -> Option<PathBuf> {
    let program = std::env::var_os("TEST_DOCKER_COMPOSE_BIN").map(PathBuf::from);
    if program.is_none() {
        kernel_testkit::left_out(
            test,
            "TEST_DOCKER_COMPOSE_BIN is not set; `cargo xtask testbed env` has it",
        );
    }
    program
}

/// The version of the API that this test binary is about, by its name: 1.41 for `api_1_41`. The others take the newest.
fn api_version() -> Option<String> {
    env!("CARGO_CRATE_NAME").strip_prefix("api_").map(|version| version.replace('_', "."))
}

struct Disk;

impl Files for Disk {
    fn read(&self, path: &str) -> FileText {
        std::fs::read_to_string(path).map_or(FileText::Missing, FileText::Text)
    }
}

/// One project in a folder of its own. Everything of it is removed at the end, also when the test fails.
pub struct Bench {
    pub folder: tempfile::TempDir,
    pub name: ProjectName,
    pub host: String,
    pub image: String,
    /// What `DOCKER_API_VERSION` says to us. docker compose 2.40 names all networks at once also where it is told of an API
    /// that can't: it always speaks the Engine's own.
    pub api: Option<String>,
}

impl Bench {
    /// A project with this Compose file, in which `IMAGE` stands for an image with a shell.
    pub async fn new(host: &str, compose: &str) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        // A binary of several suites has this module several times.
        let suite = module_path!().rsplit("::").nth(1).unwrap();
        let name = ProjectName::new(format!("kernel-test-{suite}-{}-{count}", std::process::id())).unwrap();
        let docker = client(host);
        let filters = std::collections::HashMap::from([("reference", vec!["kernel-testbed/base"])]);
        let images = docker
            .list_images(Some(ListImagesOptionsBuilder::new().filters(&filters).build()))
            .await
            .unwrap();
        let image = images.iter().flat_map(|image| &image.repo_tags).next().expect("an image of the testbed");
        let bench = Self {
            folder: tempfile::tempdir().unwrap(),
            name,
            host: host.to_owned(),
            image: image.clone(),
            api: api_version(),
        };
        bench.write(compose);
        bench
    }

    pub fn write(&self, compose: &str) {
        std::fs::write(self.path("compose.yaml"), compose.replace("IMAGE", &self.image)).unwrap();
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn project(&self) -> Project {
        let mut sources = Sources::default();
        let text = std::fs::read_to_string(self.path("compose.yaml")).unwrap();
        let files = [sources.add("compose.yaml", text)];
        let environment = std::env::vars().collect();
        let request = LoadRequest {
            files: &files,
            env_files: &[],
            environment: &environment,
            generated: &BTreeMap::new(),
            profiles: &[],
            project_name: Some(self.name.as_str()),
            project_directory: self.folder.path().to_str().unwrap(),
            reader: &Disk,
        };
        let loaded = load(&request, &mut sources);
        loaded.project.unwrap_or_else(|| panic!("{:?}", loaded.diagnostics))
    }

    pub async fn engine(&self) -> DockerEngine {
        self.engine_at(&self.host).await
    }

    pub async fn engine_at(&self, host: &str) -> DockerEngine {
        let address = Address::find(&|name| match name {
            "DOCKER_HOST" => Some(host.to_owned()),
            "DOCKER_API_VERSION" => self.api.clone(),
            _ => None,
        });
        let address = address.unwrap();
        let settings = DockerSettings {
            project: self.name.clone(),
            config_files: vec![self.path("compose.yaml").to_str().unwrap().to_owned()],
            env_files: Vec::new(),
            port_offset: 0,
            parallel: None,
            memory: Some(self.path("seen")),
        };
        DockerEngine::connect(&address, settings).await.unwrap()
    }

    pub fn desired(&self, engine: &DockerEngine) -> Desired {
        engine.desired(&self.project()).unwrap().0
    }

    /// Brings the project up and says what was done.
    pub async fn up(&self) -> Plan {
        let engine = self.engine().await;
        self.join(&engine, &self.desired(&engine), &PlanOptions::default()).await
    }

    pub async fn down(&self, volumes: bool) -> Plan {
        let engine = self.engine().await;
        let options = PlanOptions { remove_data: volumes, ..PlanOptions::default() };
        self.join(&engine, &Desired::nothing(self.name.clone()), &options).await
    }

    /// As the command does it: where something else changed the project meanwhile, it looks again.
    async fn join(&self, engine: &DockerEngine, desired: &Desired, options: &PlanOptions) -> Plan {
        for attempt in 0.. {
            let (plan, outcome, events) = converge(engine, desired, options).await;
            if outcome.is_success() {
                return plan;
            }
            let overtaken = outcome.exit_code() == ExitCode::Conflict && attempt < 5;
            assert!(overtaken, "{plan}{outcome:#?}{events:#?}");
        }
        unreachable!("the loop has no end of its own")
    }

    /// Runs the real docker compose on the project.
    pub async fn compose(&self, program: &Path, host: &str, arguments: &[&str]) -> Output {
        let mut command = Command::new(program);
        command
            .current_dir(self.folder.path())
            .env("DOCKER_HOST", host)
            .env("COMPOSE_PROJECT_NAME", self.name.as_str())
            .args(["--progress", "plain"])
            .args(arguments);
        // The proxy runs on this runtime too.
        let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "docker compose {arguments:?}: {said}");
        output
    }

    /// Everything of the project that the Engine has, in words.
    pub async fn everything(&self) -> Vec<String> {
        let observed = self.engine().await.observe().await.unwrap();
        let world = observed.world.unwrap();
        let containers = world.containers.iter().map(|found| format!("container {}", found.name));
        let networks = world.networks.iter().filter(|found| found.ours);
        let networks = networks.map(|found| format!("network {}", found.name));
        let volumes = world.volumes.iter().filter(|found| found.ours);
        let volumes = volumes.map(|found| format!("volume {}", found.name));
        let mut all: Vec<String> = containers.chain(networks).chain(volumes).collect();
        all.sort();
        all.into_iter().map(|text| text.replace(self.name.as_str(), "PROJECT")).collect()
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        // By the Engine's own program where there is one: a failed test has no runtime any more.
        let label = format!("label=com.docker.compose.project={}", self.name);
        let docker = |arguments: &[&str]| {
            let output = Command::new("docker").env("DOCKER_HOST", &self.host).args(arguments).output();
            output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
        };
        for (list, remove) in [
            (&["ps", "-aq", "--filter"][..], &["rm", "-fv"][..]),
            (&["network", "ls", "-q", "--filter"], &["network", "rm"]),
            (&["volume", "ls", "-q", "--filter"], &["volume", "rm"]),
        ] {
            let found = docker(&[list, &[label.as_str()]].concat());
            let ids: Vec<&str> = found.split_whitespace().collect();
            if !ids.is_empty() {
                docker(&[remove, &ids].concat());
            }
        }
    }
}

pub fn client(host: &str) -> Docker {
    Docker::connect_with_unix(host, 120, bollard::API_DEFAULT_VERSION).unwrap()
}

pub async fn converge(
    engine: &DockerEngine,
    desired: &Desired,
    options: &PlanOptions,
) -> (Plan, Outcome, Vec<Event>) {
    engine.expect(desired);
    let observed: Observed = engine.observe().await.unwrap();
    let plan = plan(desired, &observed, options).unwrap();
    let (events, mut listener) = Events::channel();
    let outcome = execute(engine, &plan, &events, &CancellationToken::new()).await;
    drop(events);
    let mut told = Vec::new();
    while let Some(event) = listener.recv().await {
        told.push(event);
    }
    (plan, outcome, told)
}
