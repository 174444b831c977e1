//! Programs are built when they are stale, and only then, with the real cargo on a small workspace.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "support/compose.rs"]
mod compose;

use std::fs::File;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use compose::load;
use kernel_core::event::Event;
use kernel_core::name::ProjectName;
use kernel_core::plan::{Action, Plan};
use kernel_core::planner::{PlanOptions, plan};
use kernel_core::unit::Observed;
use kernel_engine::{Events, Outcome, execute};
use kernel_engine_local::{BuildSettings, LocalEngine, LocalSettings, SupervisorCommand};
use tokio_util::sync::CancellationToken;

const COMPOSE: &str = "
name: test
services:
  iam: { image: i, ports: ['8081:8080'], x-kernel: { package: iam } }
  money: { image: i, ports: ['8085:8080'], x-kernel: { package: money } }
";

struct Workspace {
    folder: tempfile::TempDir,
    engine: LocalEngine,
}

impl Workspace {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let engine = LocalEngine::new(LocalSettings {
            root: root.clone(),
            project: ProjectName::new("test").unwrap(),
            supervisor: SupervisorCommand { program: PathBuf::from("/bin/false"), arguments: Vec::new() },
            build: BuildSettings {
                cargo: std::env::var_os("CARGO").map(PathBuf::from),
                target_dir: Some(PathBuf::from("out")),
                bin_dir: None,
            },
        });
        let workspace = Self { folder, engine };
        workspace.write("Cargo.toml", "[workspace]\nresolver = \"3\"\nmembers = [\"iam\", \"money\"]\n");
        for name in ["iam", "money"] {
            let manifest = format!("[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n");
            workspace.write(&format!("{name}/Cargo.toml"), &manifest);
            workspace.write(&format!("{name}/src/main.rs"), "fn main() {}\n");
        }
        workspace
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// A source that is newer than everything that was built.
    fn edit(&self, name: &str, text: &str) {
        self.write(name, text);
        let file = File::options().append(true).open(self.folder.path().join(name)).unwrap();
        file.set_modified(SystemTime::now() + Duration::from_millis(50)).unwrap();
    }

    /// Only the build of what `up` would do.
    fn plan(&self) -> Plan {
        let local = self.engine.desired(&load(COMPOSE), 20_000).unwrap();
        let mut plan = plan(&local.desired, &Observed::default(), &PlanOptions::default()).unwrap();
        plan.steps.retain(|step| matches!(step.action, Action::Build { .. }));
        plan
    }

    async fn build(&self) -> (String, Outcome, Vec<Event>) {
        let plan = self.plan();
        let (events, mut listener) = Events::channel();
        let outcome = execute(&self.engine, &plan, &events, &CancellationToken::new()).await;
        drop(events);
        let mut told = Vec::new();
        while let Some(event) = listener.recv().await {
            told.push(event);
        }
        (plan.to_string(), outcome, told)
    }
}

#[tokio::test]
async fn what_is_stale_is_built_at_once_and_what_is_fresh_is_left_to_cargo_not_at_all() {
    let workspace = Workspace::new();
    let (plan, outcome, events) = workspace.build().await;
    assert_eq!(plan, "[] -> #1 workspace: build iam money, not built yet, and 1 more\n");
    assert!(outcome.is_success(), "{outcome:#?}");
    let progress = |word: &str| {
        events
            .iter()
            .any(|event| matches!(event, Event::StepProgress { message, .. } if message.contains(word)))
    };
    assert!(progress("Compiling iam") && progress("compiled money"), "{events:#?}");
    assert!(workspace.folder.path().join("out/debug/iam").is_file());
    assert!(workspace.plan().is_empty(), "all is fresh: {}", workspace.plan());

    workspace.edit("iam/src/main.rs", "fn main() { }\n");
    let plan = workspace.plan().to_string();
    assert_eq!(plan, "[] -> #1 workspace: build iam, iam/src/main.rs is newer than the program\n");
}

#[tokio::test]
async fn what_the_compiler_says_is_the_evidence() {
    let workspace = Workspace::new();
    workspace.write("iam/src/main.rs", "fn main() { missing() }\n");
    let (_, outcome, _) = workspace.build().await;
    let problem = &outcome.failed[0].problem;
    assert_eq!(problem.code, "K-LOCAL-003");
    let said = problem.evidence.join("\n");
    assert!(
        said.contains("cannot find function `missing`") && said.contains("iam/src/main.rs:1:13"),
        "{said}"
    );
}

#[tokio::test]
async fn a_package_without_such_a_program_is_told() {
    let workspace = Workspace::new();
    workspace.write("money/src/lib.rs", "");
    std::fs::remove_file(workspace.folder.path().join("money/src/main.rs")).unwrap();
    let (_, outcome, _) = workspace.build().await;
    assert_eq!(outcome.failed[0].problem.code, "K-LOCAL-005", "{outcome:#?}");
    assert!(outcome.failed[0].problem.message.contains("package `money` has no program of its name"));
}
