//! A project of fixture units, for the tests and for the command that they kill.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use kernel_core::event::Event;
use kernel_core::name::{ProjectName, ServiceName};
use kernel_core::planner::{PlanOptions, plan};
use kernel_core::secret::{Secret, Value};
use kernel_core::unit::{
    Condition, Dependency, Desired, DesiredItem, DesiredKind, DesiredProcess, Port, ProcessSpec, Readiness,
    RestartPolicy, Target,
};
use kernel_engine::{Engine, Events, Outcome, execute};
use kernel_engine_local::{BuildSettings, LocalEngine, LocalSettings, SupervisorCommand, fingerprint};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

/// A secret that must not be found in any file.
pub const SECRET: &str = "hunter2-hunter2";

/// One unit and how it behaves.
#[derive(Clone, Serialize, Deserialize)]
pub struct Unit {
    pub name: String,
    pub needs: Vec<String>,
    pub port: Option<u16>,
    pub environment: BTreeMap<String, String>,
    pub restart: RestartPolicy,
    pub grace_ms: u64,
}

pub fn engine(root: &Path, program: &Path) -> LocalEngine {
    LocalEngine::new(LocalSettings {
        root: root.to_owned(),
        project: ProjectName::new("test").unwrap(),
        supervisor: SupervisorCommand {
            program: program.to_owned(),
            arguments: vec!["__supervisor".to_owned()],
        },
        build: BuildSettings::default(),
    })
}

pub fn desired(engine: &LocalEngine, program: &Path, units: &[Unit]) -> Desired {
    let item = |unit: &Unit| {
        let name = ServiceName::new(unit.name.clone()).unwrap();
        let mut environment: BTreeMap<String, Value> = unit
            .environment
            .iter()
            .map(|(name, value)| (name.clone(), Value::Plain(value.clone())))
            .collect();
        environment.insert("TOKEN".to_owned(), Value::Secret(Secret::new(SECRET)));
        if let Some(port) = unit.port {
            environment.insert("PORT".to_owned(), Value::Plain(port.to_string()));
        }
        let spec = ProcessSpec {
            program: program.to_string_lossy().into_owned(),
            arguments: vec!["unit".to_owned()],
            environment,
            directory: engine.layout().data_of(&name).to_string_lossy().into_owned(),
            ports: unit.port.map(|host| Port { host, container: 8080 }).into_iter().collect(),
            readiness: unit.port.map(|port| Readiness { port, path: "/health/ready".to_owned() }),
            restart: unit.restart,
            stop_grace: Duration::from_millis(unit.grace_ms),
        };
        let fingerprint = fingerprint(&spec);
        let process = DesiredProcess { spec, fingerprint, package: None };
        let needed = |other: &String| Dependency {
            name: ServiceName::new(other.clone()).unwrap(),
            condition: Condition::Healthy,
            required: true,
        };
        DesiredItem {
            name,
            kind: DesiredKind::Process(Box::new(process)),
            depends_on: unit.needs.iter().map(needed).collect(),
            target: Target::Running,
        }
    };
    Desired::of(ProjectName::new("test").unwrap(), units.iter().map(item).collect())
}

/// Observes, plans and executes, as `up` does.
pub async fn converge(
    engine: &dyn Engine,
    desired: &Desired,
    options: &PlanOptions,
) -> (String, Outcome, Vec<Event>) {
    let observed = engine.observe().await.unwrap();
    let plan = plan(desired, &observed, options).unwrap();
    let (events, mut listener) = Events::channel();
    let outcome = execute(engine, &plan, &events, &CancellationToken::new()).await;
    drop(events);
    let mut told = Vec::new();
    while let Some(event) = listener.recv().await {
        told.push(event);
    }
    (plan.to_string(), outcome, told)
}

/// The command that tests kill.
#[allow(dead_code)]
pub fn up(root: &Path, units: &[Unit]) -> ExitCode {
    let program: PathBuf = std::env::current_exe().unwrap();
    let engine = engine(root, &program);
    let desired = desired(&engine, &program, units);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (_, outcome, _) = runtime.block_on(converge(&engine, &desired, &PlanOptions::default()));
    if outcome.is_success() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
