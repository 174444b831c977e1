//! The suite that every engine passes, on real containers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod support;

use std::sync::Mutex;
use std::time::Duration;

use kernel_core::container::Call;
use kernel_core::name::ProjectName;
use kernel_core::plan::{Action, Subject};
use kernel_core::unit::{Condition, DesiredItem, DesiredKind};
use kernel_engine::Engine;
use kernel_engine_docker::{Address, DockerEngine, DockerSettings};
use kernel_testkit::conformance::{Workbench, run};
use kernel_testkit::{Behaviour, Sample, name};
use support::proxy::{Cut, Proxy};
use support::{Bench, engine_host};

struct DockerBench {
    bench: Bench,
    engine: DockerEngine,
    /// Every sample that was asked for: a project is made of them all.
    samples: Mutex<Vec<Sample>>,
}

/// What the sample does, as a service of a Compose file.
fn service(sample: &Sample) -> String {
    // Who is process 1 has to say that it ends when it is asked to.
    let stays = "trap 'exit 0' TERM; touch /ready; while :; do sleep 0.1; done";
    let (script, check) = match sample.behaviour {
        Behaviour::Healthy => (stays, "test -e /ready"),
        Behaviour::NeverReady => (stays, "false"),
        Behaviour::Crashes => ("exit 1", "true"),
        Behaviour::Completes => ("exit 0", "true"),
    };
    let restart = if sample.behaviour == Behaviour::Completes { "\"no\"" } else { "always" };
    format!(
        "  {}:\n    image: IMAGE\n    command: [\"sh\", \"-c\", {script:?}]\n    restart: {restart}\n    \
         environment: {{ VERSION: \"{}\" }}\n    stop_grace_period: 5s\n    \
         healthcheck: {{ test: [\"CMD-SHELL\", {check:?}], interval: 10s, retries: 100 }}\n",
        sample.name, sample.version
    )
}

impl Workbench for DockerBench {
    fn engine(&self) -> &dyn Engine {
        &self.engine
    }

    fn item(&self, sample: &Sample) -> DesiredItem {
        let mut samples = self.samples.lock().unwrap();
        samples.retain(|known| known.name != sample.name);
        samples.push(sample.clone());
        let services: String = samples.iter().map(service).collect();
        // No network: what a single item says of its own is all that the suite hands on.
        let services = services.replace("    image:", "    network_mode: none\n    image:");
        self.bench.write(&format!("services:\n{services}"));
        let desired = self.bench.desired(&self.engine);
        let mut item = desired.items.into_iter().find(|item| item.name == sample.name).unwrap();
        item.depends_on = sample.dependencies();
        if let DesiredKind::Container(container) = &mut item.kind {
            let needed: Vec<String> =
                sample.needs.iter().map(|(name, _)| format!("{name}:service_healthy:false")).collect();
            container.body.expose_mut()["Labels"]["com.docker.compose.depends_on"] = needed.join(",").into();
        }
        item
    }

    fn misfits(&self, sample: &Sample) -> Vec<(Subject, Action)> {
        let service = || Subject::Service(sample.name.clone());
        let container = format!("{}-{}-1", self.bench.name, sample.name);
        let nobody = || "kernel-test-nobody".to_owned();
        let call = |call: Call| Action::Call(Box::new(call));
        vec![
            (service(), call(Call::RemoveContainer { container: container.clone(), name: container })),
            (Subject::Service(name("nobody")), Action::Await { condition: Condition::Healthy }),
            (service(), call(Call::StopContainer { container: nobody(), name: nobody(), grace: None })),
            (service(), call(Call::StartContainer { container: nobody() })),
            (service(), call(Call::RemoveContainer { container: nobody(), name: nobody() })),
        ]
    }

    fn project(&self) -> ProjectName {
        self.bench.name.clone()
    }

    fn patience(&self) -> Duration {
        Duration::from_secs(2)
    }

    fn assert_nothing_left(&self) {
        let label = format!("label=com.docker.compose.project={}", self.bench.name);
        let output = std::process::Command::new("docker")
            .env("DOCKER_HOST", &self.bench.host)
            .args(["ps", "-aq", "--filter", &label])
            .output();
        // Where the program of the Engine is not there, the engine's own eyes have to do.
        if let Ok(output) = output {
            assert!(output.stdout.is_empty(), "{}", String::from_utf8_lossy(&output.stdout));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_docker_engine_does_what_every_engine_must() {
    let Some(host) = engine_host("the_docker_engine_does_what_every_engine_must") else { return };
    let empty = "services: {}\n";
    let bench = || {
        let host = host.clone();
        tokio::task::block_in_place(|| {
            tokio::runtime::Handle::current().block_on(async {
                let bench = Bench::new(&host, empty).await;
                let engine = bench.engine().await;
                DockerBench { bench, engine, samples: Mutex::default() }
            })
        })
    };
    run(bench).await;
}

#[tokio::test]
async fn every_request_says_which_version_of_the_api_it_is_of() {
    let Some(host) = engine_host("every_request_says_which_version_of_the_api_it_is_of") else { return };
    let bench = Bench::new(&host, "services: {}\n").await;
    let proxy = Proxy::start(&host, Cut::Never);
    bench.engine_at(&proxy.host).await.observe().await.unwrap();
    let requests = proxy.requests();
    let (first, others) = requests.split_first().unwrap();
    assert_eq!(first, "GET /version", "what the Engine speaks is asked for first");
    let newest = support::client(&host).version().await.unwrap().api_version.unwrap();
    let said = format!(" /v{}/", bench.api.as_ref().unwrap_or(&newest));
    assert!(!others.is_empty() && others.iter().all(|line| line.contains(&said)), "{said}: {others:#?}");
}

#[tokio::test]
async fn a_version_of_the_api_that_the_engine_does_not_speak_is_refused() {
    let Some(host) = engine_host("a_version_of_the_api_that_the_engine_does_not_speak_is_refused") else {
        return;
    };
    let bench = Bench::new(&host, "services: {}\n").await;
    for version in ["1.40", "1.999"] {
        let address = Address::find(&|name| match name {
            "DOCKER_HOST" => Some(host.clone()),
            "DOCKER_API_VERSION" => Some(version.to_owned()),
            _ => None,
        });
        let settings = DockerSettings {
            project: bench.name.clone(),
            config_files: Vec::new(),
            env_files: Vec::new(),
            port_offset: 0,
            parallel: None,
            memory: None,
        };
        let Err(error) = DockerEngine::connect(&address.unwrap(), settings).await else {
            panic!("{version} was taken");
        };
        assert_eq!(error.code, kernel_engine_docker::codes::ENDPOINT);
        assert!(error.message.contains(version) && error.help.is_some(), "{error}");
    }
}
