//! What all parts of the supervisor share: the units, their lines, and the state file.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kernel_core::event::{LogLine, Stream};
use kernel_core::name::ServiceName;
use kernel_core::unit::{Observed, ObservedItem, UnitState};
use tokio::sync::{broadcast, mpsc, oneshot, watch};

use crate::layout::Layout;
use crate::logs::{self, Writer};
use crate::protocol::Refusal;
use crate::state;

/// How many last lines of a unit are kept for its obituary.
const LAST_LINES: usize = 30;
/// How many lines a slow follower may be behind.
const BEHIND: usize = 8192;

/// Locks; a panic elsewhere must not take the supervisor with it.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Everything that the supervisor knows. It runs on one thread: whatever happens between two waits is one step.
pub(crate) struct Hub {
    pub(crate) layout: Layout,
    units: Mutex<BTreeMap<ServiceName, Arc<Unit>>>,
    lines: broadcast::Sender<LogLine>,
}

impl Hub {
    pub(crate) fn new(layout: Layout) -> Self {
        Self { layout, units: Mutex::default(), lines: broadcast::channel(BEHIND).0 }
    }

    pub(crate) fn unit(&self, name: &ServiceName) -> Option<Arc<Unit>> {
        lock(&self.units).get(name).cloned()
    }

    pub(crate) fn units(&self) -> Vec<Arc<Unit>> {
        lock(&self.units).values().cloned().collect()
    }

    pub(crate) fn put(&self, unit: Arc<Unit>) {
        lock(&self.units).insert(unit.name.clone(), unit);
        self.save();
    }

    pub(crate) fn forget(&self, name: &ServiceName) {
        lock(&self.units).remove(name);
        self.save();
    }

    pub(crate) fn observed(&self) -> Observed {
        let items = self.units().iter().map(|unit| unit.item()).collect();
        Observed { present: true, data: self.layout.has_data(), items, ..Observed::default() }
    }

    /// Lines from now on.
    pub(crate) fn listen(&self) -> broadcast::Receiver<LogLine> {
        self.lines.subscribe()
    }

    /// Writes down what the next supervisor would want to know. When that fails, the marks on the processes are still
    /// there.
    pub(crate) fn save(&self) {
        let items: Vec<ObservedItem> = self.units().iter().map(|unit| unit.item()).collect();
        if let Err(error) = state::write(&self.layout.state_file(), &items) {
            super::note(&format!("could not write {}: {error}", self.layout.state_file().display()));
        }
    }
}

/// A wish to end a unit, and where to answer.
pub(crate) struct Stop {
    pub(crate) grace: Duration,
    pub(crate) answer: oneshot::Sender<Result<(), (Refusal, String)>>,
}

/// One unit: how it is, what it said, and a way to the task that minds it.
pub(crate) struct Unit {
    pub(crate) name: ServiceName,
    status: watch::Sender<ObservedItem>,
    last: Mutex<VecDeque<String>>,
    writer: Mutex<Option<Writer>>,
    control: mpsc::UnboundedSender<Stop>,
}

impl Unit {
    /// A unit, and the end of the way that its task listens at.
    pub(crate) fn new(hub: &Hub, item: ObservedItem) -> (Arc<Self>, mpsc::UnboundedReceiver<Stop>) {
        let (control, wishes) = mpsc::unbounded_channel();
        let path = hub.layout.log_of(&item.name);
        let writer = Writer::open(path.clone())
            .inspect_err(|error| super::note(&format!("could not open {}: {error}", path.display())))
            .ok();
        let unit = Self {
            name: item.name.clone(),
            status: watch::Sender::new(item),
            last: Mutex::default(),
            writer: Mutex::new(writer),
            control,
        };
        (Arc::new(unit), wishes)
    }

    /// How it is.
    pub(crate) fn item(&self) -> ObservedItem {
        self.status.borrow().clone()
    }

    /// How it is, and every change from now on; changes that follow each other quickly may come as one.
    pub(crate) fn watch(&self) -> watch::Receiver<ObservedItem> {
        self.status.subscribe()
    }

    /// It is in another state now.
    pub(crate) fn set(&self, hub: &Hub, state: UnitState, change: impl FnOnce(&mut ObservedItem)) {
        self.status.send_modify(|item| {
            if item.state != state {
                item.since = logs::now();
            }
            item.state = state;
            if !state.is_alive() {
                item.pid = None;
            }
            change(item);
        });
        hub.save();
    }

    /// There is something else to be said of its state.
    pub(crate) fn explain(&self, detail: Option<String>) {
        self.status.send_if_modified(|item| {
            let changed = item.detail != detail;
            item.detail = detail;
            changed
        });
    }

    /// It said a line, or the supervisor says one about it.
    pub(crate) fn say(&self, hub: &Hub, stream: Stream, text: String) {
        let line = LogLine { unit: self.name.clone(), time: logs::now(), stream, text };
        if let Some(writer) = lock(&self.writer).as_mut()
            && let Err(error) = writer.write(&line)
        {
            super::note(&format!("could not write the log of {}: {error}", self.name));
        }
        if stream != Stream::Supervisor {
            let mut last = lock(&self.last);
            if last.len() == LAST_LINES {
                last.pop_front();
            }
            last.push_back(line.text.clone());
        }
        // Nobody may listen.
        drop(hub.lines.send(line));
    }

    /// What it said last, oldest first.
    pub(crate) fn last_lines(&self) -> Vec<String> {
        lock(&self.last).iter().cloned().collect()
    }

    /// Asks its task to end it. Fine when it has ended already.
    pub(crate) async fn stop(&self, grace: Duration) -> Result<(), (Refusal, String)> {
        let (answer, answered) = oneshot::channel();
        if self.control.send(Stop { grace, answer }).is_ok()
            && let Ok(result) = answered.await
        {
            return result;
        }
        if self.item().state.is_alive() {
            return Err((Refusal::WillNotEnd, format!("`{}` is still there", self.name)));
        }
        Ok(())
    }
}
