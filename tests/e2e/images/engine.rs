//! A Docker Engine for a test, and what it made there, gone when the test ends.

use std::time::{Duration, Instant};

use bollard::models::{
    ContainerCreateBody, EndpointSettings, HealthConfig, HostConfig, NetworkCreateRequest,
};
use bollard::models::{HealthStatusEnum, NetworkingConfig};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, LogsOptionsBuilder, RemoveContainerOptionsBuilder, RemoveImageOptions,
    StartContainerOptions, WaitContainerOptions,
};
use bollard::{API_DEFAULT_VERSION, Docker};
use futures::StreamExt;

use kernel_testkit::left_out;

/// How long anything may take that is waited for.
const PATIENCE: Duration = Duration::from_secs(90);

/// An Engine.
pub struct Engine {
    /// The client.
    pub docker: Docker,
    /// The value of `DOCKER_HOST`.
    pub host: String,
    /// The beginning of the names of everything that the test makes.
    name: String,
    /// Images that go with the test.
    images: Vec<String>,
}

/// What containers of tests may be called.
const LABELS: [&str; 3] = ["one", "two", "money"];

impl Engine {
    /// The Engine that `DOCKER_HOST` names, else the usual one. `None`, and told, when none answers.
    pub async fn find(test: &str, name: &str, images: &[&str]) -> Option<Self> {
        let host = std::env::var("DOCKER_HOST").unwrap_or_else(|_| "unix:///var/run/docker.sock".to_owned());
        let docker = match Docker::connect_with_unix(&host, 120, API_DEFAULT_VERSION) {
            Ok(docker) => docker,
            Err(error) => {
                left_out(test, &format!("no Docker Engine: {error}"));
                return None;
            }
        };
        match docker.version().await {
            Ok(_) => {
                let images = images.iter().map(|image| format!("{name}/{image}")).collect();
                Some(Self { docker, host, name: name.to_owned(), images })
            }
            Err(error) => {
                left_out(test, &format!("no Docker Engine answers at {host}: {error}"));
                None
            }
        }
    }

    /// Starts a container as the Compose file has it: read-only, without capabilities, checked by the program itself.
    pub async fn start(&self, image: &str, label: &str, arguments: &[&str], variables: &[&str]) -> String {
        assert!(LABELS.contains(&label), "{label} would not be cleaned up");
        let name = format!("{}-{label}", self.name);
        let network = NetworkCreateRequest { name: self.name.clone(), ..NetworkCreateRequest::default() };
        // The second container of a test finds it there.
        let _ = self.docker.create_network(network).await;
        let second = |seconds: i64| Some(seconds * 1_000_000_000);
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        let body = ContainerCreateBody {
            image: Some(image.to_owned()),
            cmd: Some(texts(arguments)),
            env: Some(texts(variables)),
            healthcheck: Some(HealthConfig {
                test: Some(texts(&["CMD", "/usr/local/bin/service", "healthcheck"])),
                interval: second(1),
                timeout: second(10),
                retries: Some(60),
                ..HealthConfig::default()
            }),
            host_config: Some(HostConfig {
                readonly_rootfs: Some(true),
                cap_drop: Some(vec!["ALL".to_owned()]),
                security_opt: Some(vec!["no-new-privileges:true".to_owned()]),
                tmpfs: Some([("/tmp".to_owned(), "size=16m,mode=1777".to_owned())].into()),
                network_mode: Some(self.name.clone()),
                ..HostConfig::default()
            }),
            networking_config: Some(NetworkingConfig {
                endpoints_config: Some(
                    [(
                        self.name.clone(),
                        EndpointSettings {
                            aliases: Some(vec![label.to_owned()]),
                            ..EndpointSettings::default()
                        },
                    )]
                    .into(),
                ),
            }),
            ..ContainerCreateBody::default()
        };
        let options = CreateContainerOptionsBuilder::new().name(&name).build();
        self.docker.create_container(Some(options), body).await.expect("a container");
        self.docker.start_container(&name, None::<StartContainerOptions>).await.expect("it starts");
        name
    }

    /// Waits until its own health check passes.
    pub async fn healthy(&self, container: &str) {
        let begun = Instant::now();
        loop {
            let state = self.docker.inspect_container(container, None).await.expect("it is there").state;
            let health = state.clone().and_then(|state| state.health).and_then(|health| health.status);
            if health == Some(HealthStatusEnum::HEALTHY) {
                return;
            }
            let running = state.as_ref().and_then(|state| state.running).unwrap_or(false);
            assert!(running && begun.elapsed() < PATIENCE, "{state:?}\n{}", self.logs(container).await);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until it ends, and gives what it said.
    pub async fn output(&self, container: &str) -> String {
        let mut ends = self.docker.wait_container(container, None::<WaitContainerOptions>);
        let ended = tokio::time::timeout(PATIENCE, ends.next()).await.expect("it ends in time");
        let logs = self.logs(container).await;
        assert!(matches!(ended, Some(Ok(_))), "{ended:?}\n{logs}");
        logs
    }

    async fn logs(&self, container: &str) -> String {
        let options = LogsOptionsBuilder::new().stdout(true).stderr(true).build();
        let lines: Vec<_> = self.docker.logs(container, Some(options)).collect().await;
        lines.into_iter().filter_map(|line| Some(line.ok()?.to_string())).collect()
    }
}

impl Drop for Engine {
    /// Whatever the test made goes, also when it failed.
    fn drop(&mut self) {
        let (docker, name, images) =
            (self.docker.clone(), self.name.clone(), std::mem::take(&mut self.images));
        let cleaning = std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(clean_up(&docker, &name, &images));
        });
        let _ = cleaning.join();
    }
}

/// Removes the containers, the network and the images of a test.
async fn clean_up(docker: &Docker, name: &str, images: &[String]) {
    let options = || Some(RemoveContainerOptionsBuilder::new().force(true).v(true).build());
    for label in LABELS {
        let _ = docker.remove_container(&format!("{name}-{label}"), options()).await;
    }
    let _ = docker.remove_network(name).await;
    for image in images {
        let _ = docker.remove_image(image, None::<RemoveImageOptions>, None).await;
    }
}
