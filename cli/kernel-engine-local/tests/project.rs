//! What a Compose project means on this machine, from its text.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "support/compose.rs"]
mod compose;

use std::path::{Path, PathBuf};

use compose::load;
use kernel_core::diagnostic::Diagnostic;
use kernel_core::name::ProjectName;
use kernel_core::unit::{Condition, DesiredItem, DesiredKind, DesiredProcess, Port, RestartPolicy};
use kernel_engine_local::{
    BuildSettings, LocalEngine, LocalProject, LocalSettings, ProjectError, SupervisorCommand,
};

const PLATFORM: &str = r#"
name: platform
x-kernel: { generate: [TOKEN] }
services:
  gateway:
    image: i
    environment:
      INTERNAL_TOKEN: ${TOKEN}
      IAM_URL: http://iam:8080
    ports: ["127.0.0.1:8080:8080"]
    depends_on: { iam: { condition: service_healthy }, postgres: { condition: service_started } }
    restart: unless-stopped
    stop_grace_period: 35s
    x-kernel:
      package: gateway
      ports: ["8443:8443"]
      environment: { TLS_PORT: "{port:8443}", TLS_DIRECTORY: "{data}/tls" }
  iam:
    image: i
    environment:
      DATABASE_URL: postgres://platform:${TOKEN}@postgres:5432/platform
    ports: ["8081:8080"]
    depends_on: { postgres: { condition: service_healthy } }
    x-kernel: { package: iam }
  postgres:
    image: postgres:17
    x-kernel: { embedded: { DATABASE_URL: "sqlite://{data}/{service}.db" } }
"#;

/// A workspace at `/src` whose programs are there: nothing is written below it.
fn convert(text: &str, port_offset: u16) -> Result<LocalProject, Vec<Diagnostic>> {
    let programs = tempfile::tempdir().unwrap();
    for name in ["gateway", "iam", "money"] {
        std::fs::write(programs.path().join(name), "").unwrap();
    }
    let engine = LocalEngine::new(LocalSettings {
        root: PathBuf::from("/src"),
        project: ProjectName::new("platform").unwrap(),
        supervisor: SupervisorCommand { program: PathBuf::from("/bin/kernel"), arguments: Vec::new() },
        build: BuildSettings { bin_dir: Some(programs.path().to_owned()), ..BuildSettings::default() },
    });
    engine.desired(&load(text), port_offset).map_err(|error| match error {
        ProjectError::Diagnostics(diagnostics) => diagnostics,
        ProjectError::Engine(error) => panic!("{error}"),
    })
}

fn item<'a>(project: &'a LocalProject, name: &str) -> &'a DesiredItem {
    project.desired.items.iter().find(|item| item.name.as_str() == name).unwrap()
}

fn process<'a>(project: &'a LocalProject, name: &str) -> &'a DesiredProcess {
    match &item(project, name).kind {
        DesiredKind::Process(process) => process,
        DesiredKind::Container(_) | DesiredKind::Embedded => panic!("{name} is embedded"),
    }
}

fn codes(diagnostics: &[Diagnostic]) -> Vec<&str> {
    diagnostics.iter().map(|diagnostic| diagnostic.code.0).collect()
}

#[test]
fn a_service_becomes_a_process_with_all_that_it_needs() {
    let project = convert(PLATFORM, 0).unwrap();
    let gateway = &process(&project, "gateway").spec;
    assert!(Path::new(&gateway.program).ends_with("gateway"));
    assert_eq!(gateway.directory, "/src/.kernel/platform/data/gateway");
    assert_eq!(gateway.ports, [Port { host: 8080, container: 8080 }, Port { host: 8443, container: 8443 }]);
    assert_eq!(gateway.readiness.as_ref().unwrap().port, 8080);
    assert_eq!((gateway.restart, gateway.stop_grace.as_secs()), (RestartPolicy::Always, 35));
    let shown: Vec<String> =
        gateway.environment.iter().map(|(name, value)| format!("{name}={}", value.shown())).collect();
    assert_eq!(
        shown,
        [
            "HOST=127.0.0.1",
            "IAM_URL=http://127.0.0.1:8081",
            "INTERNAL_TOKEN=[secret]",
            "PORT=8080",
            "TLS_DIRECTORY=/src/.kernel/platform/data/gateway/tls",
            "TLS_PORT=8443",
        ]
    );
    let needs: Vec<(&str, Condition)> =
        item(&project, "gateway").depends_on.iter().map(|d| (d.name.as_str(), d.condition)).collect();
    assert_eq!(needs, [("iam", Condition::Healthy), ("postgres", Condition::Started)]);
    let iam = &process(&project, "iam").spec.environment;
    assert_eq!(iam["DATABASE_URL"].shown(), "sqlite:///src/.kernel/platform/data/iam/iam.db");
    assert!(matches!(item(&project, "postgres").kind, DesiredKind::Embedded));
    assert!(project.warnings.is_empty());
}

#[test]
fn an_offset_moves_everything_and_is_a_change_of_ports() {
    let (near, far) = (convert(PLATFORM, 0).unwrap(), convert(PLATFORM, 20_000).unwrap());
    let gateway = &process(&far, "gateway").spec;
    assert_eq!(gateway.ports[1], Port { host: 28_443, container: 8443 });
    assert_eq!(gateway.environment["TLS_PORT"].shown(), "28443");
    assert_eq!(gateway.environment["IAM_URL"].shown(), "http://127.0.0.1:28081");
    let print = |project| process(project, "gateway").fingerprint.clone();
    assert_eq!(print(&near).differences(&print(&far)), ["environment", "ports", "program"]);
}

#[test]
fn what_can_not_be_is_told_all_at_once() {
    let text = PLATFORM
        .replace("\"8081:8080\"", "\"8443:8080\"")
        .replace("{port:8443}", "{port:9}")
        .replace("{data}/tls", "{dta}");
    let problems = convert(&text, 0).unwrap_err();
    assert_eq!(codes(&problems), ["K-LOCAL-012", "K-LOCAL-011", "K-LOCAL-011"], "{problems:#?}");
    assert_eq!(problems[0].message, "services `gateway` and `iam` both publish port 8443");
    assert!(problems.iter().all(|problem| !problem.labels.is_empty() && problem.help.is_some()));

    let problems = convert(PLATFORM, 60_000).unwrap_err();
    assert!(codes(&problems).iter().all(|code| *code == "K-LOCAL-012"), "{problems:#?}");
    assert!(problems[0].message.contains("with the offset 60000 is above 65535"));

    let problems =
        convert(&PLATFORM.replace("ports: [\"8081:8080\"]", "ports: [\"8081:81\"]"), 0).unwrap_err();
    assert_eq!(problems[0].message, "service `iam` publishes no port for its port 8080");
}

#[test]
fn what_needs_docker_is_left_out_unless_somebody_needs_it() {
    let with_broker = format!("{PLATFORM}  broker:\n    image: pact\n");
    let project = convert(&with_broker, 0).unwrap();
    assert_eq!(codes(&project.warnings), ["K-LOCAL-010"]);
    assert_eq!(project.desired.items.len(), 3);
    let needed = with_broker.replace("    x-kernel: { package: iam }", "    x-kernel: { package: iam }\n  money:\n    image: i\n    ports: [\"8085:8080\"]\n    depends_on: [broker]\n    x-kernel: { package: money }");
    let problems = convert(&needed, 0).unwrap_err();
    assert_eq!(codes(&problems), ["K-LOCAL-010"]);
    assert!(problems[0].message.contains("and `money` depends on it"));
}
