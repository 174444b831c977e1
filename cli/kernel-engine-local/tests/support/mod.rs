//! A workspace in a temporary folder with units in it, and what can be asked of it.
#![allow(dead_code)]

pub mod project;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use kernel_core::event::Event;
use kernel_core::name::{ProjectName, ServiceName};
use kernel_core::planner::PlanOptions;
use kernel_core::unit::{Desired, Observed, ObservedItem, RestartPolicy, UnitState};
use kernel_engine::{Engine, Outcome};
use kernel_engine_local::{LocalEngine, processes};
use rustix::process::{Pid, Signal, kill_process};

pub use project::Unit;

/// How long anything that should happen may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(30);

pub struct World {
    folder: tempfile::TempDir,
    root: PathBuf,
    pub engine: LocalEngine,
    pub units: Vec<Unit>,
}

/// Nothing is left behind by a test that failed.
impl Drop for World {
    fn drop(&mut self) {
        for process in processes::find(self.engine.layout().scope()) {
            kill(process.pid, Signal::KILL);
        }
    }
}

impl World {
    pub fn new(units: Vec<Unit>) -> Self {
        Self::below("", units)
    }

    /// With the workspace in a folder below the temporary one.
    pub fn below(below: &str, units: Vec<Unit>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join(below);
        std::fs::create_dir_all(&root).unwrap();
        let root = root.canonicalize().unwrap();
        let engine = project::engine(&root, &program());
        Self { folder, root, engine, units }
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Another command of the same workspace.
    pub fn other_engine(&self) -> LocalEngine {
        project::engine(&self.root, &program())
    }

    pub fn unit(&mut self, name: &str) -> &mut Unit {
        self.units.iter_mut().find(|unit| unit.name == name).unwrap()
    }

    pub fn desired(&self) -> Desired {
        project::desired(&self.engine, &program(), &self.units)
    }

    pub async fn up(&self) -> (String, Outcome, Vec<Event>) {
        project::converge(&self.engine, &self.desired(), &PlanOptions::default()).await
    }

    /// [`World::up`], which must succeed; gives the plan.
    pub async fn is_up(&self) -> String {
        let (plan, outcome, events) = self.up().await;
        assert!(outcome.is_success(), "{plan}\n{outcome:#?}\n{events:#?}");
        plan
    }

    pub async fn down(&self, data: bool) -> String {
        let options = PlanOptions { remove_data: data, ..PlanOptions::default() };
        let nothing = Desired::nothing(ProjectName::new("test").unwrap());
        let (plan, outcome, events) = project::converge(&self.engine, &nothing, &options).await;
        assert!(outcome.is_success(), "{plan}\n{outcome:#?}\n{events:#?}");
        plan
    }

    pub async fn observe(&self) -> Observed {
        self.engine.observe().await.unwrap()
    }

    pub async fn item(&self, name: &str) -> ObservedItem {
        self.observe().await.items.into_iter().find(|item| item.name.as_str() == name).unwrap()
    }

    pub async fn pid(&self, name: &str) -> u32 {
        self.item(name).await.pid.unwrap()
    }

    /// Waits until a unit is so.
    pub async fn wait(&self, name: &str, what: &str, is_so: impl Fn(&ObservedItem) -> bool) -> ObservedItem {
        eventually(what, async || {
            let item = self.item(name).await;
            if is_so(&item) { Ok(item) } else { Err(format!("{item:?}")) }
        })
        .await
    }

    pub fn supervisor(&self) -> Option<u32> {
        let all = processes::find(self.engine.layout().scope());
        all.iter().find(|process| process.unit.is_none()).map(|process| process.pid)
    }

    /// SIGKILL to the supervisor; returns when it is gone.
    pub async fn kill_supervisor(&self) {
        let pid = self.supervisor().unwrap();
        kill(pid, Signal::KILL);
        gone(pid).await;
    }

    /// All files below the state folder with their time of change and mode, relative to it.
    pub fn files(&self) -> BTreeMap<String, (std::time::SystemTime, u32)> {
        use std::os::unix::fs::PermissionsExt;
        let mut found = BTreeMap::new();
        let mut open = vec![self.engine.layout().state().to_owned()];
        while let Some(folder) = open.pop() {
            for entry in std::fs::read_dir(&folder).into_iter().flatten() {
                let path = entry.unwrap().path();
                let metadata = std::fs::symlink_metadata(&path).unwrap();
                let name =
                    path.strip_prefix(self.engine.layout().state()).unwrap().to_string_lossy().into_owned();
                found.insert(name, (metadata.modified().unwrap(), metadata.permissions().mode() & 0o777));
                if metadata.is_dir() {
                    open.push(path);
                }
            }
        }
        found
    }

    /// No process, no socket, no file but data.
    pub fn assert_nothing_left(&self) {
        let left = processes::find(self.engine.layout().scope());
        assert!(left.is_empty(), "processes are left: {left:?}");
        assert!(!self.engine.layout().socket().exists(), "the socket is left");
        let files: BTreeSet<String> =
            self.files().into_keys().filter(|name| !name.starts_with("data")).collect();
        assert!(files.is_empty(), "files are left: {files:?}");
        for port in self.units.iter().filter_map(|unit| unit.port) {
            TcpListener::bind((Ipv4Addr::LOCALHOST, port))
                .unwrap_or_else(|error| panic!("port {port}: {error}"));
        }
    }
}

/// The program that is supervisor, unit and command.
pub fn program() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_kernel-local-fixture"))
}

/// A unit that is ready at once and is started again when it ends.
pub fn unit(name: &str, needs: &[&str]) -> Unit {
    Unit {
        name: name.to_owned(),
        needs: needs.iter().map(|other| (*other).to_owned()).collect(),
        port: Some(free_port()),
        environment: BTreeMap::new(),
        restart: RestartPolicy::Always,
        grace_ms: 5000,
    }
}

impl Unit {
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.environment.insert(name.to_owned(), value.into());
        self
    }
}

/// A port that nobody uses. Below the range that the system gives to outgoing connections, which come and go in every
/// test; each test process has its own part of what is left.
pub fn free_port() -> u16 {
    use std::sync::atomic::{AtomicU16, Ordering};
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let part = u16::try_from(std::process::id() % 180).unwrap();
    loop {
        let port = 20_000 + part * 64 + NEXT.fetch_add(1, Ordering::Relaxed) % 64;
        if TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok() {
            return port;
        }
    }
}

pub fn name(text: &str) -> ServiceName {
    ServiceName::new(text).unwrap()
}

pub fn kill(pid: u32, signal: Signal) {
    let _gone_already = kill_process(Pid::from_raw(i32::try_from(pid).unwrap()).unwrap(), signal);
}

pub async fn gone(pid: u32) {
    eventually("a process is gone", async || match processes::started(pid) {
        None => Ok(()),
        Some(_) => Err(format!("{pid} is there")),
    })
    .await;
}

/// Waits until something is so; says what it saw last when it is not in time.
pub async fn eventually<T>(what: &str, mut is_so: impl AsyncFnMut() -> Result<T, String>) -> T {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        match is_so().await {
            Ok(value) => return value,
            Err(seen) if tokio::time::Instant::now() > deadline => {
                panic!("not so in time: {what}; last seen: {seen}")
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    }
}

/// The states that were told of a unit, in order.
pub fn states(events: &[Event], unit: &str) -> Vec<UnitState> {
    let state = |event: &Event| match event {
        Event::UnitChanged { unit: of, state, .. } if of.as_str() == unit => Some(*state),
        _ => None,
    };
    events.iter().filter_map(state).collect()
}
