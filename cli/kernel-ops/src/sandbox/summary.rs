//! A sandbox in one line.

use jiff::Timestamp;
use kernel_core::unit::{Observed, UnitState};
use serde::Serialize;

use super::{Sandbox, TenantName};

/// A sandbox in one line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Whose it is.
    pub tenant: TenantName,
    /// `ready`, `asleep`, or `partly-ready` when only some of it is.
    pub state: &'static str,
    /// How many of its services are ready.
    pub ready: usize,
    /// How many there are; 0 while it is asleep.
    pub services: usize,
    /// The one way in.
    pub url: String,
    /// When it was claimed, RFC 3339.
    pub created_at: String,
    /// From when on it may be removed, RFC 3339.
    pub expires_at: Option<String>,
    /// What its services have of the machine's memory, in bytes: the sum of their proportional sets. A page that
    /// several processes share, of this sandbox or of others, counts for each with its part.
    pub memory_bytes: u64,
}

impl Summary {
    /// Of what is known and what runs.
    #[must_use]
    pub fn of(tenant: &TenantName, sandbox: &Sandbox, observed: &Observed) -> Self {
        let alive: Vec<_> = observed.items.iter().filter(|item| item.state.is_alive()).collect();
        let ready = alive.iter().filter(|item| item.state == UnitState::Ready).count();
        let state = match (ready, alive.len()) {
            (_, 0) => "asleep",
            (ready, _) if ready == observed.items.len() => "ready",
            _ => "partly-ready",
        };
        Self {
            tenant: tenant.clone(),
            state,
            ready,
            services: if alive.is_empty() { 0 } else { observed.items.len() },
            url: sandbox.url(),
            created_at: time(sandbox.created_at),
            expires_at: sandbox.expires_at.map(time),
            memory_bytes: alive.iter().filter_map(|item| item.pid).filter_map(proportional).sum(),
        }
    }
}

impl Sandbox {
    /// The one way in: its first port is the gateway's.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.slot.ports().start)
    }

    /// From when on it may be removed, RFC 3339.
    #[must_use]
    pub fn expiry(&self) -> Option<String> {
        self.expires_at.map(time)
    }
}

fn time(seconds: i64) -> String {
    Timestamp::from_second(seconds).map_or_else(|_| seconds.to_string(), |time| time.to_string())
}

/// The proportional set of a process in bytes.
fn proportional(pid: u32) -> Option<u64> {
    proportional_of(&std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?)
}

fn proportional_of(rollup: &str) -> Option<u64> {
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    let kilobytes: u64 = line.split_ascii_whitespace().next()?.parse().ok()?;
    Some(kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    use kernel_core::name::ServiceName;
    use kernel_core::unit::ObservedItem;

    use super::*;
    use crate::sandbox::Registry;
    use crate::workspace::Workspace;

    fn item(name: &str, state: UnitState) -> ObservedItem {
        ObservedItem {
            name: ServiceName::new(name).unwrap(),
            state,
            fingerprint: None,
            depends_on: Vec::new(),
            stop_grace_ms: 0,
            pid: None,
            ports: Vec::new(),
            restarts: 0,
            since: String::new(),
            detail: None,
        }
    }

    #[test]
    fn a_line_says_whether_it_can_be_worked_with() {
        let folder = tempfile::tempdir().unwrap();
        let tenant = TenantName::new("acme").unwrap();
        let registry = Registry::of(&Workspace::of_project(folder.path()));
        let claim = registry.claim(&tenant, 0, Some(3_600), |_| true).unwrap();
        let summary = |states: &[UnitState]| {
            let items = states.iter().map(|state| item("iam", *state)).collect();
            Summary::of(&tenant, claim.sandbox(), &Observed { items, ..Observed::default() })
        };
        assert_eq!(summary(&[]).state, "asleep");
        assert_eq!(summary(&[UnitState::Stopped]).state, "asleep");
        assert_eq!(summary(&[UnitState::Ready, UnitState::Stopped]).state, "partly-ready");
        let all = summary(&[UnitState::Ready, UnitState::Ready]);
        assert_eq!((all.state, all.ready, all.services), ("ready", 2, 2));
        assert_eq!(all.expires_at.as_deref(), Some("1970-01-01T01:00:00Z"));
    }

    #[test]
    fn the_memory_of_a_process_is_its_proportional_set() {
        let rollup = "5500-7fff ---p 0 00:00 0 [rollup]\nRss:  4096 kB\nPss:  2048 kB\nPss_Dirty:  1 kB\n";
        assert_eq!(proportional_of(rollup), Some(2 * 1024 * 1024));
        assert!(proportional(std::process::id()).unwrap() > 1024);
    }
}
