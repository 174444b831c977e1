//! The relay of GO Feature Flag: one of our own for the flags of the suite, from the testbed's image.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use bollard::Docker;
use bollard::models::{ContainerCreateBody, HostConfig, PortBinding};
use bollard::query_parameters::{
    CreateContainerOptions, InspectContainerOptions, RemoveContainerOptions, StartContainerOptions,
};
use uuid::Uuid;

use super::proxy::Proxy;
use super::{PATIENCE, away, eventually, variable};
use crate::flags::{self, FlagContext, Flags};
use crate::suite::FLAGS;

/// What is compared over many tenants: buckets of every kind that both sides know, in rules and by another key.
const MANY: &str = r#"
halves: { variations: { on: true, off: false }, defaultRule: { percentage: { on: 50, off: 50 } } }
thirds:
  variations: { a: [1, "x"], b: [], c: [null], d: [{ x: 2.5 }] }
  defaultRule: { percentage: { a: 33, b: 34.5, c: 20, d: 12.5 } }
by_user: { variations: { on: true, off: false }, bucketingKey: userId, defaultRule: { percentage: { on: 20, off: 80 } } }
canary:
  variations: { on: true, off: false }
  targeting:
    - { name: ours, query: 'email ew "@kernel.test" and plan in ["pro", "team"]', variation: on }
    - { name: some, query: 'plan eq "free"', percentage: { on: 10, off: 90 } }
    - { name: paused, query: 'plan eq "team"', variation: on, disable: true }
  defaultRule: { variation: off }
retired: { variations: { on: true }, defaultRule: { variation: on }, disable: true }
"#;

/// A relay that serves the given flags. Removed when done; ends by itself when the test is killed.
struct Container {
    docker: Docker,
    name: String,
    address: String,
}

impl Container {
    async fn serving(flags: &str) -> Self {
        let docker = Docker::connect_with_defaults().unwrap();
        let version = include_str!("../../../../../versions.env")
            .lines()
            .find_map(|line| line.strip_prefix("GO_FEATURE_FLAG_VERSION="))
            .unwrap();
        let registry = std::env::var("KERNEL_REGISTRY").unwrap_or_default();
        let name = format!("kernel-flags-suite-{}", Uuid::now_v7().simple());
        let relay =
            "listen: 1031\npollingInterval: 1000\nretrievers: [{ kind: file, path: /tmp/flags.yaml }]\n";
        let script = "printf %s \"$FLAGS\" > /tmp/flags.yaml && printf %s \"$RELAY\" > /tmp/relay.yaml &&
            exec timeout 600 go-feature-flag --config=/tmp/relay.yaml";
        let to_any_port =
            vec![PortBinding { host_ip: Some("127.0.0.1".to_owned()), host_port: Some(String::new()) }];
        let body = ContainerCreateBody {
            image: Some(format!("{registry}platform-kernel/feature-flags:{version}")),
            env: Some(vec![format!("FLAGS={flags}"), format!("RELAY={relay}")]),
            entrypoint: Some(["/bin/sh", "-c", script].map(str::to_owned).to_vec()),
            cmd: Some(Vec::new()),
            host_config: Some(HostConfig {
                auto_remove: Some(true),
                port_bindings: Some(HashMap::from([("1031/tcp".to_owned(), Some(to_any_port))])),
                ..HostConfig::default()
            }),
            ..ContainerCreateBody::default()
        };
        let options =
            CreateContainerOptions { name: Some(name.clone()), ..CreateContainerOptions::default() };
        docker.create_container(Some(options), body).await.unwrap();
        docker.start_container(&name, None::<StartContainerOptions>).await.unwrap();
        let inspected = docker.inspect_container(&name, None::<InspectContainerOptions>).await.unwrap();
        let ports = inspected.network_settings.unwrap().ports.unwrap();
        let port = ports["1031/tcp"].as_ref().unwrap()[0].host_port.clone().unwrap();
        Self { docker, name, address: format!("127.0.0.1:{port}") }
    }

    async fn remove(self) {
        let force = RemoveContainerOptions { force: true, ..RemoveContainerOptions::default() };
        self.docker.remove_container(&self.name, Some(force)).await.unwrap();
    }
}

fn url(address: &str) -> String {
    format!("http://{address}")
}

/// Without the variable of the testbed's relay there is no image to make one of.
fn left_out() -> bool {
    variable("TEST_FLAGS_URL").is_none() || variable("DOCKER_HOST").is_none()
}

async fn file(flags: &str) -> (tempfile::TempDir, std::sync::Arc<dyn Flags>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("flags.yaml");
    std::fs::write(&path, flags).unwrap();
    let flags = flags::connect(&format!("file://{}", path.display())).await.unwrap();
    (folder, flags)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_serves_flags() {
    if left_out() {
        return;
    }
    let container = Container::serving(FLAGS).await;
    let relay = flags::connect(&url(&container.address)).await.unwrap();
    eventually(async || relay.check().await).await;
    let asked = Instant::now();
    crate::suite::flags(|served| {
        assert_eq!(served, FLAGS);
        let address = url(&container.address);
        async move { flags::connect(&address).await }
    })
    .await;
    assert!(asked.elapsed() < PATIENCE);
    container.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_relay_and_the_file_give_the_same_to_every_tenant() {
    if left_out() {
        return;
    }
    let container = Container::serving(MANY).await;
    let relay = flags::connect(&url(&container.address)).await.unwrap();
    eventually(async || relay.check().await).await;
    let (_folder, file) = file(MANY).await;
    let names = file.names().await.unwrap();
    assert_eq!(relay.names().await.unwrap(), names);
    let mut seen = HashMap::new();
    for number in 0..600_u128 {
        let plan = ["free", "pro", "team"][usize::try_from(number % 3).unwrap()];
        let email = if number % 2 == 0 { "a@kernel.test" } else { "a@example.test" };
        let mut context = FlagContext::tenant(Uuid::from_u128(number * 7919)).with("plan", plan);
        context = context.with("email", email);
        if number % 5 != 0 {
            context = context.with("userId", format!("user-{number}"));
        }
        if number % 10 == 9 {
            context.tenant_id = None;
        }
        for name in &names {
            let here = file.evaluate(name, &context).await.unwrap();
            let there = relay.evaluate(name, &context).await.unwrap();
            assert_eq!(there, here, "{name} for {context:?}");
            *seen.entry((name, here.map(|found| found.variation))).or_insert(0) += 1;
        }
    }
    assert!(seen.len() >= 15, "every variation of every flag was seen: {seen:?}");
    container.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_known_values_stay_while_the_relay_is_away() {
    let Some(address) = variable("TEST_FLAGS_URL") else { return };
    let proxy = Proxy::before(address.trim_start_matches("http://").trim_end_matches('/')).await;
    let relay = flags::connect(&url(proxy.address())).await.unwrap();
    let tenant = FlagContext::tenant(Uuid::now_v7());
    let known = relay.evaluate("canary_example", &tenant).await.unwrap();
    assert!(known.is_some());
    // Later than the values are fresh, so the relay is really asked.
    let stale = Instant::now() + Duration::from_millis(1500);
    proxy.cut();
    while Instant::now() < stale {
        assert_eq!(relay.evaluate("canary_example", &tenant).await.unwrap(), known);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let stranger = FlagContext::tenant(Uuid::now_v7());
    away("FLAGS_URL", proxy.address(), "", async || relay.evaluate("canary_example", &stranger).await).await;
    assert!(!relay.is_enabled("canary_example", &stranger).await);
    proxy.heal();
    eventually(async || relay.evaluate("canary_example", &stranger).await).await;

    proxy.pause();
    let stale = Instant::now() + Duration::from_millis(1500);
    while Instant::now() < stale {
        assert_eq!(relay.evaluate("canary_example", &tenant).await.unwrap(), known);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(relay.check().await.is_err(), "the loop outlived what was fresh, and nobody answers");
    proxy.heal();
    eventually(async || relay.check().await).await;
}
