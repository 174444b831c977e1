//! The files in `docker/`, read with the pins and with stand-ins for what `kernel` makes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use kernel_compose::project::{Condition, Test};
use kernel_compose::{FileText, Files, LoadRequest, Project, Service, generated_variables, load};
use kernel_core::source::Sources;

/// Reads real files, for `extends`.
struct Disk;

impl Files for Disk {
    fn read(&self, path: &str) -> FileText {
        std::fs::read_to_string(path).map_or(FileText::Missing, FileText::Text)
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn docker(files: &[&str], environment: &[(&str, &str)]) -> Project {
    let mut sources = Sources::default();
    let folder = root().join("docker");
    let add = |sources: &mut Sources, path: PathBuf| {
        let text =
            std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        sources.add(path.file_name().unwrap().to_string_lossy(), text)
    };
    let ids: Vec<_> = files.iter().map(|name| add(&mut sources, folder.join(name))).collect();
    let env_files = [add(&mut sources, root().join("versions.env"))];
    let generated: BTreeMap<String, String> = generated_variables(&ids, &sources)
        .into_iter()
        .map(|name| (name.clone(), format!("made-{name}")))
        .collect();
    let environment = environment.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    let request = LoadRequest {
        files: &ids,
        env_files: &env_files,
        environment: &environment,
        generated: &generated,
        profiles: &[],
        project_name: None,
        project_directory: folder.to_str().unwrap(),
        reader: &Disk,
    };
    let loaded = load(&request, &mut sources);
    let told = common::told(&loaded.diagnostics, &sources);
    assert_eq!(told, "", "{files:?}");
    loaded.project.unwrap()
}

fn platform() -> Project {
    docker(&["docker-compose.yml"], &[])
}

const OURS: [&str; 12] = [
    "audit",
    "billing",
    "data-layer",
    "domain-resolver",
    "event-bus",
    "files",
    "gateway",
    "iam",
    "integration-hub",
    "module-registry",
    "money",
    "notify",
];

#[test]
fn the_twelve_services_are_ours() {
    let project = platform();
    let ours: Vec<&str> = project
        .services
        .values()
        .filter(|service| {
            service.kernel.as_ref().is_some_and(|kernel| kernel.package.as_ref() == Some(&service.name))
        })
        .map(|service| service.name.as_str())
        .collect();
    for name in OURS {
        // At least these: `kernel new service` adds more.
        assert!(ours.contains(&name), "{name}: {ours:?}");
        let service = &project.services[name];
        let kernel = service.kernel.as_ref().unwrap();
        assert_eq!(kernel.scenario.as_deref(), Some(name));
        assert!(service.build.as_ref().unwrap().args["SERVICE"] == name, "{name}");
        assert!(variable(service, "INTERNAL_TOKEN").is_some(), "{name}");
        assert!(root().join("services").join(name).join("Cargo.toml").exists(), "{name}");
    }
}

/// Whether the overlays know the service. `kernel new service` adds others to the full stack only.
fn is_known(service: &Service) -> bool {
    let ours = service.kernel.as_ref().is_some_and(|kernel| kernel.package.is_some());
    !ours || OURS.contains(&service.name.as_str())
}

fn variable(service: &Service, name: &str) -> Option<String> {
    let found = service.environment.iter().find(|variable| variable.name == name);
    found.map(|variable| variable.value.expose().to_owned())
}

/// The port table of the platform: who is reached where on this machine.
#[test]
fn the_port_table() {
    let project = platform();
    let table: BTreeMap<String, Vec<u16>> = project
        .services
        .values()
        .map(|service| {
            (service.name.clone(), service.ports.iter().filter_map(|port| port.published).collect())
        })
        .collect();
    let expected = [
        ("audit", vec![8086]),
        ("billing", vec![8087]),
        ("clickhouse", vec![8123, 9000]),
        ("data-layer", vec![8082]),
        ("domain-resolver", vec![8090]),
        ("envoy", vec![8443, 9901]),
        ("event-bus", vec![8083]),
        ("feature-flags", vec![1031]),
        ("files", vec![8084]),
        ("gateway", vec![8080, 18000]),
        ("iam", vec![8081]),
        ("integration-hub", vec![8089]),
        ("kafka", vec![9092]),
        ("module-registry", vec![8088]),
        ("money", vec![8085]),
        ("notify", vec![8095]),
        ("postgres", vec![5432]),
        ("rabbitmq", vec![5672, 15672]),
        ("seaweedfs", vec![8888, 8333]),
        ("valkey", vec![6379]),
        ("vault", vec![8200]),
    ];
    for (name, ports) in expected {
        assert_eq!(table.get(name), Some(&ports), "{name}");
    }
    for service in project.services.values() {
        for port in &service.ports {
            assert!(port.host_ip.is_some_and(|address| address.is_loopback()), "{}", service.name);
        }
    }
    let local: Vec<u16> =
        project.services["gateway"].local_ports().filter_map(|port| port.published).collect();
    assert_eq!(local, [8080, 18000, 8443]);
}

/// What must be true of every container, in every combination of files.
fn assert_hardened(project: &Project) {
    for service in project.services.values() {
        let name = &service.name;
        assert!(service.read_only, "{name}: root file system");
        assert_eq!(service.security_opt, ["no-new-privileges:true"], "{name}");
        assert_eq!(service.cap_drop, ["ALL"], "{name}");
        let user = service.user.as_deref().unwrap_or("0");
        let ids: Vec<u32> = user.split(':').map(|id| id.parse().unwrap_or(0)).collect();
        assert!(ids.len() == 2 && ids.iter().all(|id| *id > 0), "{name}: user {user}");
        assert!(service.resources.cpus.is_some() && service.resources.memory.is_some(), "{name}: limits");
        assert!(service.resources.pids.is_some(), "{name}: limit of processes");
        let health = service.healthcheck.as_ref().unwrap_or_else(|| panic!("{name}: health check"));
        assert!(matches!(health.test, Test::Command(_) | Test::Shell(_)), "{name}: health check");
        assert!(service.logging.as_ref().unwrap().options.contains_key("max-size"), "{name}: log limits");
        assert!(!service.privileged, "{name}");
    }
}

#[test]
fn every_container_is_held_tight() {
    assert_hardened(&platform());
}

#[test]
fn an_infra_service_answers_for_the_variables_of_its_dependents() {
    let project = platform();
    let embedded: BTreeSet<&str> = project
        .services
        .values()
        .filter_map(|service| service.kernel.as_ref())
        .flat_map(|kernel| &kernel.embedded)
        .map(|variable| variable.name.as_str())
        .collect();
    let stores = [
        "ANALYTICS_URL",
        "CACHE_URL",
        "DATABASE_URL",
        "EVENTS_URL",
        "FLAGS_URL",
        "OBJECTS_URL",
        "SECRETS_URL",
        "TASKS_URL",
    ];
    assert_eq!(embedded.into_iter().collect::<Vec<_>>(), stores);
    for name in OURS {
        let service = &project.services[name];
        for variable in service.environment.iter().filter(|variable| stores.contains(&variable.name.as_str()))
        {
            let value = variable.value.expose();
            let host =
                project.services.keys().find(|host| value.contains(&format!("{}:", host)) && *host != name);
            assert!(host.is_some(), "{name}: {} names no service of the platform", variable.name);
        }
        for (needed, dependency) in &service.depends_on {
            let infra = project.services[needed].kernel.as_ref().unwrap().package.is_none();
            let expected = infra && needed != "feature-flags";
            assert!(!expected || dependency.condition == Condition::Healthy, "{name} waits for {needed}");
        }
    }
}

#[test]
fn no_password_stands_in_the_output_of_config() {
    let project = platform();
    let shown = kernel_compose::render::yaml(&project) + &kernel_compose::render::json(&project).to_string();
    assert!(!shown.contains("made-"), "{}", &shown[shown.find("made-").unwrap()..][..60]);
    assert!(shown.contains("INTERNAL_TOKEN: \"${INTERNAL_TOKEN:?"));
    assert!(!format!("{project:?}").contains("made-"), "in the debug output");
}

#[test]
fn in_ci_nothing_is_kept_and_health_is_asked_often() {
    let project = docker(&["docker-compose.yml", "docker-compose.ci.yml"], &[]);
    assert_hardened(&project);
    assert_eq!(
        project.volumes.keys().collect::<Vec<_>>(),
        ["gateway-tls"],
        "the certificate that two services share"
    );
    for service in project.services.values().filter(|service| is_known(service)) {
        let interval = service.healthcheck.as_ref().unwrap().interval.unwrap();
        assert!(interval.as_secs() <= 2, "{}: {interval:?}", service.name);
    }
}

#[test]
fn pact_adds_a_broker_and_its_database() {
    let alone = docker(&["docker-compose.pact.yml"], &[]);
    assert_hardened(&alone);
    assert_eq!(alone.services.keys().collect::<Vec<_>>(), ["pact-broker", "pact-postgres"]);
    let both = docker(&["docker-compose.yml", "docker-compose.pact.yml"], &[]);
    assert_eq!(both.services.len(), platform().services.len() + 2);
}

#[test]
fn kafka_stands_alone() {
    let project = docker(&["docker-compose.kafka.yaml"], &[]);
    assert_hardened(&project);
    assert_eq!(project.services.keys().collect::<Vec<_>>(), ["kafka"]);
    assert_eq!(project.name, "platform-kafka");
}

#[test]
fn the_gateway_and_envoy_stand_alone() {
    let project = docker(&["docker-compose.gateway.yaml"], &[]);
    assert_hardened(&project);
    assert_eq!(project.services.keys().collect::<Vec<_>>(), ["envoy", "gateway"]);
    let gateway = &project.services["gateway"];
    assert!(gateway.depends_on.is_empty());
    assert_eq!(variable(gateway, "IAM_URL").as_deref(), Some("http://host.docker.internal:8081"));
    assert_eq!(gateway.volumes.len(), 2);
}

#[test]
fn a_sandbox_has_one_way_in() {
    let files = ["docker-compose.yml", "docker-compose.sandbox.yml"];
    let project = docker(&files, &[("SANDBOX_TENANT", "acme"), ("SANDBOX_PORT", "9000")]);
    assert_hardened(&project);
    assert_eq!(project.name, "sandbox-acme");
    let published: Vec<_> = project
        .services
        .values()
        .filter(|service| is_known(service))
        .flat_map(|service| {
            service.ports.iter().map(|port| (service.name.as_str(), port.published, port.target))
        })
        .collect();
    assert_eq!(published, [("envoy", Some(9000), 8080)]);
    assert_eq!(project.networks["default"].name, "sandbox-acme_default");
}

#[test]
fn every_version_is_a_pin_and_every_pin_is_used() {
    use kernel_core::pins::{Kind, Pins};
    let mut sources = Sources::default();
    let mut files = Vec::new();
    let mut paths = vec!["rust-toolchain.toml".to_owned(), "Cargo.toml".to_owned(), ".ci/run".to_owned()];
    for folder in ["docker", "docker/feature-flags", "templates/k8s", "tests/testbed/src/kubernetes"] {
        let entries = std::fs::read_dir(root().join(folder)).unwrap();
        paths.extend(
            entries.map(|entry| format!("{folder}/{}", entry.unwrap().file_name().to_string_lossy())),
        );
    }
    paths.sort();
    for path in paths {
        if let Some(kind) = Kind::of(&path) {
            let text = std::fs::read_to_string(root().join(&path)).unwrap();
            files.push((kind, sources.add(path, text)));
        }
    }
    assert!(files.len() > 11, "{}", files.len());
    let text = std::fs::read_to_string(root().join("versions.env")).unwrap();
    let source = sources.add("versions.env", text.as_str());
    let (pins, mut problems) = Pins::parse(source, &text);
    problems.extend(pins.check(&files, &sources).diagnostics);
    assert_eq!(common::told(&problems, &sources), "");
}
