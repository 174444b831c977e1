//! What stands in the way is named, with what to do: on a real Engine.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod support;

use bollard::models::{
    ContainerCreateBody, EndpointSettings, HostConfig, NetworkConnectRequest, PortBinding,
};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, RemoveContainerOptionsBuilder, RemoveImageOptions, StartContainerOptions,
    TagImageOptionsBuilder,
};
use kernel_core::event::Problem;
use kernel_core::exit::ExitCode;
use kernel_core::planner::{PlanError, PlanOptions, plan};
use kernel_core::unit::Desired;
use kernel_engine::{Engine, Events, execute};
use kernel_engine_docker::DockerEngine;
use support::proxy::{Cut, Proxy};
use support::{Bench, client, converge, engine_host};
use tokio_util::sync::CancellationToken;

const STAYS: &str = r#"["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.1; done"]"#;

/// A container of nobody's project. Removed at the end.
struct Foreign {
    host: String,
    name: String,
}

impl Foreign {
    async fn new(bench: &Bench, name: &str, port: Option<u16>) -> Self {
        let docker = client(&bench.host);
        let bindings = port.map(|port| {
            let binding =
                PortBinding { host_ip: Some("127.0.0.1".to_owned()), host_port: Some(port.to_string()) };
            std::collections::HashMap::from([("80/tcp".to_owned(), Some(vec![binding]))])
        });
        let body = ContainerCreateBody {
            image: Some(bench.image.clone()),
            exposed_ports: port.map(|_| vec!["80/tcp".to_owned()]),
            cmd: Some(vec!["sleep".to_owned(), "1000".to_owned()]),
            host_config: Some(HostConfig {
                port_bindings: bindings,
                init: Some(true),
                ..HostConfig::default()
            }),
            ..ContainerCreateBody::default()
        };
        let options = CreateContainerOptionsBuilder::new().name(name).build();
        docker.create_container(Some(options), body).await.unwrap();
        docker.start_container(name, None::<StartContainerOptions>).await.unwrap();
        Self { host: bench.host.clone(), name: name.to_owned() }
    }

    async fn remove(&self) {
        let options = RemoveContainerOptionsBuilder::new().force(true).build();
        drop(client(&self.host).remove_container(&self.name, Some(options)).await);
    }
}

async fn failure(engine: &DockerEngine, desired: &Desired) -> (ExitCode, Problem) {
    let (plan, outcome, _) = converge(engine, desired, &PlanOptions::default()).await;
    let failure = outcome.failed.first().unwrap_or_else(|| panic!("it went well: {plan}"));
    (outcome.exit_code(), failure.problem.clone())
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[tokio::test]
async fn a_port_that_another_container_has_is_named_before_anything_begins() {
    let Some(host) = engine_host("a_port_that_another_container_has_is_named_before_anything_begins") else {
        return;
    };
    let port = free_port();
    let compose =
        format!("services:\n  web: {{ image: IMAGE, command: {STAYS}, ports: [\"127.0.0.1:{port}:80\"] }}\n");
    let bench = Bench::new(&host, &compose).await;
    let foreign = Foreign::new(&bench, &format!("{}-foreign", bench.name), Some(port)).await;
    let engine = bench.engine().await;
    let (exit, problem) = failure(&engine, &bench.desired(&engine)).await;
    foreign.remove().await;
    assert_eq!((exit, problem.code), (ExitCode::Prerequisite, "K-DOCKER-005"), "{problem:?}");
    assert!(problem.message.contains(&port.to_string()), "{problem:?}");
    assert!(problem.message.contains(&foreign.name) && problem.help.is_some(), "{problem:?}");
    assert_eq!(bench.everything().await, Vec::<String>::new(), "nothing was begun");
}

#[tokio::test]
async fn a_port_that_a_process_has_is_told_and_the_next_up_goes_on() {
    let Some(host) = engine_host("a_port_that_a_process_has_is_told_and_the_next_up_goes_on") else { return };
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let compose =
        format!("services:\n  web: {{ image: IMAGE, command: {STAYS}, ports: [\"127.0.0.1:{port}:80\"] }}\n");
    let bench = Bench::new(&host, &compose).await;
    let engine = bench.engine().await;
    let (exit, problem) = failure(&engine, &bench.desired(&engine)).await;
    assert_eq!((exit, problem.code), (ExitCode::Prerequisite, "K-DOCKER-005"), "{problem:?}");
    drop(listener);
    bench.up().await;
    bench.down(true).await;
}

#[tokio::test]
async fn a_name_that_another_container_has_is_named() {
    let Some(host) = engine_host("a_name_that_another_container_has_is_named") else { return };
    let bench = Bench::new(&host, &format!("services:\n  web: {{ image: IMAGE, command: {STAYS} }}\n")).await;
    let foreign = Foreign::new(&bench, &format!("{}-web-1", bench.name), None).await;
    let engine = bench.engine().await;
    let (exit, problem) = failure(&engine, &bench.desired(&engine)).await;
    foreign.remove().await;
    assert_eq!((exit, problem.code), (ExitCode::Prerequisite, "K-DOCKER-006"), "{problem:?}");
    assert!(problem.message.contains(&foreign.name) && problem.help.is_some(), "{problem:?}");
}

#[tokio::test]
async fn an_image_that_can_not_be_had_is_named() {
    let Some(host) = engine_host("an_image_that_can_not_be_had_is_named") else { return };
    let bench = Bench::new(&host, "services:\n  web: { image: \"127.0.0.1:1/nowhere:7\" }\n").await;
    let engine = bench.engine().await;
    let (exit, problem) = failure(&engine, &bench.desired(&engine)).await;
    assert_eq!((exit, problem.code), (ExitCode::Prerequisite, "K-DOCKER-007"), "{problem:?}");
    assert!(problem.message.contains("127.0.0.1:1/nowhere:7") && problem.help.is_some(), "{problem:?}");
    bench.down(true).await;
    bench.write("services:\n  web: { image: \"127.0.0.1:1/nowhere:7\", pull_policy: never }\n");
    let engine = bench.engine().await;
    let observed = engine.observe().await.unwrap();
    let error = plan(&bench.desired(&engine), &observed, &PlanOptions::default()).unwrap_err();
    assert!(matches!(error, PlanError::MissingImage { .. }), "{error}");
}

#[tokio::test]
async fn an_image_that_vanishes_in_the_middle_is_named() {
    let Some(host) = engine_host("an_image_that_vanishes_in_the_middle_is_named") else { return };
    let bench = Bench::new(&host, "services: {}\n").await;
    let (docker, repository) = (client(&host), format!("{}-vanishes", bench.name));
    let tag = async || {
        let options = TagImageOptionsBuilder::new().repo(&repository).tag("1").build();
        docker.tag_image(&bench.image, Some(options)).await.unwrap();
    };
    let untag = async || {
        drop(docker.remove_image(&format!("{repository}:1"), None::<RemoveImageOptions>, None).await);
    };
    tag().await;
    bench.write(&format!("services:\n  web: {{ image: \"{repository}:1\", command: {STAYS} }}\n"));
    let engine = bench.engine().await;
    let desired = bench.desired(&engine);
    engine.expect(&desired);
    let plan = plan(&desired, &engine.observe().await.unwrap(), &PlanOptions::default()).unwrap();
    untag().await;
    let outcome = execute(&engine, &plan, &Events::channel().0, &CancellationToken::new()).await;
    let failed = outcome.failed.first().unwrap_or_else(|| panic!("it went well: {plan}"));
    assert_eq!(
        (outcome.exit_code(), failed.problem.code),
        (ExitCode::Prerequisite, "K-DOCKER-007"),
        "{failed:?}"
    );
    assert!(failed.problem.help.is_some(), "{failed:?}");
    // It is there again: the next one goes on.
    tag().await;
    bench.up().await;
    bench.down(true).await;
    untag().await;
    assert_eq!(bench.everything().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_network_with_containers_of_others_is_left_and_they_are_named() {
    let Some(host) = engine_host("a_network_with_containers_of_others_is_left_and_they_are_named") else {
        return;
    };
    let bench = Bench::new(&host, &format!("services:\n  web: {{ image: IMAGE, command: {STAYS} }}\n")).await;
    bench.up().await;
    let foreign = Foreign::new(&bench, &format!("{}-foreign", bench.name), None).await;
    let request = NetworkConnectRequest {
        container: foreign.name.clone(),
        endpoint_config: Some(EndpointSettings::default()),
    };
    client(&host).connect_network(&format!("{}_default", bench.name), request).await.unwrap();
    let engine = bench.engine().await;
    let (_, problem) = failure(&engine, &Desired::nothing(bench.name.clone())).await;
    assert_eq!(problem.code, "K-DOCKER-008", "{problem:?}");
    assert!(problem.message.contains(&foreign.name), "{problem:?}");
    foreign.remove().await;
    bench.down(true).await;
    assert_eq!(bench.everything().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_service_that_is_not_well_or_ends_is_told_with_what_it_said() {
    let Some(host) = engine_host("a_service_that_is_not_well_or_ends_is_told_with_what_it_said") else {
        return;
    };
    let bench = Bench::new(
        &host,
        "services:\n  web:\n    image: IMAGE\n    command: [\"sh\", \"-c\", \"echo last words; exit 3\"]\n  \
         after: { image: IMAGE, command: [\"true\"], depends_on: { web: { condition: service_completed_successfully } } }\n",
    )
    .await;
    let engine = bench.engine().await;
    let (exit, problem) = failure(&engine, &bench.desired(&engine)).await;
    assert_eq!((exit, problem.code), (ExitCode::Unhealthy, "K-DOCKER-011"), "{problem:?}");
    assert!(problem.message.contains("exit code 3"), "{problem:?}");
    assert_eq!(problem.evidence, ["last words"]);
    bench.write(&format!(
        "services:\n  web:\n    image: IMAGE\n    command: {STAYS}\n    \
         healthcheck: {{ test: [CMD-SHELL, \"echo sick; exit 1\"], interval: 200ms, retries: 2 }}\n"
    ));
    let engine = bench.engine().await;
    let (exit, problem) = failure(&engine, &bench.desired(&engine)).await;
    assert_eq!((exit, problem.code), (ExitCode::Unhealthy, "K-DOCKER-010"), "{problem:?}");
    assert!(problem.message.contains("sick"), "{problem:?}");
    bench.down(true).await;
}

/// The disk is a volume of the Engine with room for one page: what it says then is what it says of a full disk.
#[tokio::test]
async fn a_full_disk_is_told_and_with_room_the_next_up_goes_on() {
    let Some(host) = engine_host("a_full_disk_is_told_and_with_room_the_next_up_goes_on") else { return };
    let compose = |length: usize| {
        format!(
            "services:\n  web:\n    image: IMAGE\n    command: {STAYS}\n    volumes: [\"small:/small\"]\n    \
             configs: [{{ source: text, target: /small/text }}]\n\
             configs: {{ text: {{ content: {} }} }}\n\
             volumes: {{ small: {{ driver_opts: {{ type: tmpfs, device: tmpfs, o: \"size=4k\" }} }} }}\n",
            "x".repeat(length)
        )
    };
    let bench = Bench::new(&host, &compose(20_000)).await;
    let engine = bench.engine().await;
    let (_, problem) = failure(&engine, &bench.desired(&engine)).await;
    assert_eq!(problem.code, "K-DOCKER-009", "{problem:?}");
    assert!(problem.help.is_some(), "{problem:?}");
    bench.write(&compose(20));
    bench.up().await;
    bench.down(true).await;
}

#[tokio::test]
async fn an_engine_that_goes_away_in_the_middle_is_told() {
    let Some(host) = engine_host("an_engine_that_goes_away_in_the_middle_is_told") else { return };
    let bench = Bench::new(&host, &format!("services:\n  web: {{ image: IMAGE, command: {STAYS} }}\n")).await;
    let proxy = Proxy::start(&host, Cut::Before(2));
    let engine = bench.engine_at(&proxy.host).await;
    let (exit, problem) = failure(&engine, &bench.desired(&engine)).await;
    assert_eq!((exit, problem.code), (ExitCode::Failed, "K-DOCKER-012"), "{problem:?}");
    assert!(problem.help.is_some());
    bench.up().await;
    bench.down(true).await;
}

#[tokio::test]
async fn waiting_for_the_health_of_what_has_no_check_is_refused() {
    let Some(host) = engine_host("waiting_for_the_health_of_what_has_no_check_is_refused") else { return };
    let bench = Bench::new(
        &host,
        "services:\n  db: { image: IMAGE }\n  \
         web: { image: IMAGE, depends_on: { db: { condition: service_healthy } } }\n",
    )
    .await;
    let engine = bench.engine().await;
    let desired = bench.desired(&engine);
    let error = plan(&desired, &engine.observe().await.unwrap(), &PlanOptions::default()).unwrap_err();
    assert!(matches!(error, PlanError::NoHealthcheck { .. }), "{error}");
}
