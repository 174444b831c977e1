//! The state file, and what can be known of a project when no supervisor answers.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use kernel_core::name::ServiceName;
use kernel_core::unit::{ExitStatus, ObservedItem, UnitState};
use serde::{Deserialize, Serialize};

use crate::files;
use crate::layout::Layout;
use crate::processes::{self, Marked};

/// How long a unit that nothing is known of gets between SIGTERM and SIGKILL.
const GRACE_MS: u64 = 10_000;

#[derive(Serialize, Deserialize)]
struct File {
    version: u32,
    units: Vec<ObservedItem>,
}

const VERSION: u32 = 1;

/// Writes the state of all units.
///
/// # Errors
/// When the file system refuses.
pub(crate) fn write(path: &Path, items: &[ObservedItem]) -> io::Result<()> {
    let file = File { version: VERSION, units: items.to_vec() };
    files::replace(path, &serde_json::to_vec(&file)?)
}

/// A file that is missing, half or of another version tells nothing; then the processes do.
fn read(path: &Path) -> Vec<ObservedItem> {
    let file = std::fs::read(path).ok().and_then(|bytes| serde_json::from_slice::<File>(&bytes).ok());
    file.filter(|file| file.version == VERSION).map(|file| file.units).unwrap_or_default()
}

/// A unit whose supervisor is gone, with the processes that are left of it.
pub(crate) struct Recovered {
    pub(crate) item: ObservedItem,
    pub(crate) processes: Vec<Marked>,
}

/// What a killed supervisor left: processes that carry the scope, completed by what it wrote down.
pub(crate) fn recover(layout: &Layout) -> Vec<Recovered> {
    let mut processes: BTreeMap<ServiceName, Vec<Marked>> = BTreeMap::new();
    for process in processes::find(layout.scope()) {
        let name = process.unit.clone().and_then(|unit| ServiceName::new(unit).ok());
        if let Some(name) = name {
            processes.entry(name).or_default().push(process);
        }
    }
    let mut recovered: Vec<Recovered> = read(&layout.state_file())
        .into_iter()
        .map(|item| {
            let left = processes.remove(&item.name).unwrap_or_default();
            Recovered { item: without_supervisor(item, &left), processes: left }
        })
        .collect();
    recovered.extend(processes.into_iter().map(|(name, left)| {
        let item = ObservedItem {
            name,
            state: UnitState::Leftover,
            fingerprint: None,
            depends_on: Vec::new(),
            stop_grace_ms: GRACE_MS,
            pid: left.first().map(|process| process.pid),
            ports: Vec::new(),
            restarts: 0,
            since: String::new(),
            detail: None,
        };
        Recovered { item, processes: left }
    }));
    recovered
}

fn without_supervisor(mut item: ObservedItem, left: &[Marked]) -> ObservedItem {
    item.pid = left.first().map(|process| process.pid);
    if !left.is_empty() {
        item.state = UnitState::Leftover;
        item.detail = None;
    } else if item.state.is_alive() {
        item.state = UnitState::Exited { status: ExitStatus::Unknown };
        item.detail = Some("its supervisor was killed".to_owned());
    }
    item
}
