//! Finds and ends processes by what they carry, not by what a file claims.
//!
//! Every process that is started for a project has [`SCOPE`] in its environment, so it is found even when all state
//! files are lost. A process is held by a pidfd: a number that was given to somebody else meanwhile is never hit.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kernel_core::scope::ScopeId;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::net::unix::pipe::Receiver;

/// The variable that says for which project a process was started.
pub const SCOPE: &str = "KERNEL_SCOPE";
/// The variable that says for which unit.
pub const UNIT: &str = "KERNEL_UNIT";
/// The variable that marks the supervisor of a scope.
pub const SUPERVISOR: &str = "KERNEL_SUPERVISOR";

/// A process that was found by its marks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marked {
    /// Its number.
    pub pid: u32,
    /// Which unit it was started for. `None`: it is a supervisor.
    pub unit: Option<String>,
    /// When it started, in clock ticks since the machine did: with the number, its identity.
    pub started: u64,
}

/// All processes of a scope, our own left out. One pass over `/proc`.
#[must_use]
pub fn find(scope: &ScopeId) -> Vec<Marked> {
    let own = std::process::id();
    let mut found: Vec<Marked> =
        numbers().filter(|pid| *pid != own).filter_map(|pid| marked(pid, scope)).collect();
    found.sort_by_key(|process| (process.started, process.pid));
    found
}

/// The numbers of all processes.
pub(crate) fn numbers() -> impl Iterator<Item = u32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

fn marked(pid: u32, scope: &ScopeId) -> Option<Marked> {
    let environment = std::fs::read(folder(pid).join("environ")).ok()?;
    let variable = |name: &str| {
        environment.split(|byte| *byte == 0).find_map(|entry| {
            let value = entry.strip_prefix(name.as_bytes())?.strip_prefix(b"=")?;
            Some(String::from_utf8_lossy(value).into_owned())
        })
    };
    let ours = |name| variable(name).is_some_and(|value| value == scope.as_str());
    let unit = if ours(SCOPE) {
        Some(variable(UNIT).unwrap_or_default())
    } else if ours(SUPERVISOR) {
        None
    } else {
        return None;
    };
    Some(Marked { pid, unit, started: started(pid)? })
}

/// Whether a process carries the mark of `scope`.
pub(crate) fn carries(pid: u32, scope: &ScopeId) -> bool {
    marked(pid, scope).is_some()
}

fn folder(pid: u32) -> PathBuf {
    Path::new("/proc").join(pid.to_string())
}

/// When a process started. `None`: it is gone, or only waits to be collected.
#[must_use]
pub fn started(pid: u32) -> Option<u64> {
    let text = std::fs::read_to_string(folder(pid).join("stat")).ok()?;
    start_time(&text)
}

/// Field 22 of a `stat` text; the name in field 2 may hold anything. Zombies have none for us.
fn start_time(stat: &str) -> Option<u64> {
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    if matches!(fields.next()?, "Z" | "X") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

/// A few words about a process for people: its number and what it was called with.
#[must_use]
pub(crate) fn describe(pid: u32) -> String {
    let line = std::fs::read(folder(pid).join("cmdline")).unwrap_or_default();
    let words: Vec<String> = line
        .split(|byte| *byte == 0)
        .filter(|word| !word.is_empty())
        .map(|word| String::from_utf8_lossy(word).into_owned())
        .collect();
    let mut text = words.join(" ");
    if text.is_empty() {
        text = std::fs::read_to_string(folder(pid).join("comm")).unwrap_or_default().trim().to_owned();
    }
    if let Some((end, _)) = text.char_indices().nth(80) {
        text.truncate(end);
        text.push('…');
    }
    format!("pid {pid} `{text}`")
}

/// A process that can be signalled and waited for although it is not our child.
#[derive(Debug)]
pub(crate) struct Held {
    /// A pidfd, which becomes readable when its process ends. Tokio's only safe type that waits for a descriptor of
    /// any kind to become readable is made for pipes; nothing is ever read from it.
    fd: Receiver,
}

impl Held {
    /// Takes hold of a process. `None`: it is gone already.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub(crate) fn new(process: &Marked) -> io::Result<Option<Self>> {
        let Some(pid) = i32::try_from(process.pid).ok().and_then(Pid::from_raw) else { return Ok(None) };
        let fd = match pidfd_open(pid, PidfdFlags::NONBLOCK) {
            Ok(fd) => fd,
            // In the middle of its end a process gives one of several errors.
            Err(_) if started(process.pid) != Some(process.started) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        // Looked at after it is held: now the number can't change hands any more.
        if started(process.pid) != Some(process.started) {
            return Ok(None);
        }
        Ok(Some(Self { fd: Receiver::from_owned_fd_unchecked(fd)? }))
    }

    /// Sends a signal; a process that is gone takes it silently.
    ///
    /// # Errors
    /// When it may not be signalled.
    pub(crate) fn signal(&self, signal: Signal) -> io::Result<()> {
        match pidfd_send_signal(&self.fd, signal) {
            Err(rustix::io::Errno::SRCH) | Ok(()) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Returns when the process has ended.
    pub(crate) async fn ended(&self) {
        // An error can only mean that there is nothing to wait for.
        drop(self.fd.readable().await);
    }
}

/// Ends processes: SIGTERM to all, SIGKILL to who is left after `grace`. Returns those that are still there after
/// another second.
///
/// # Errors
/// When the kernel refuses.
pub(crate) async fn end(processes: &[Marked], grace: Duration) -> io::Result<Vec<Marked>> {
    let mut held = Vec::new();
    for process in processes {
        if let Some(hold) = Held::new(process)? {
            hold.signal(Signal::TERM)?;
            held.push((process, hold));
        }
    }
    let all = async |held: &[(&Marked, Held)]| {
        for (_, hold) in held {
            hold.ended().await;
        }
    };
    if tokio::time::timeout(grace, all(&held)).await.is_err() {
        for (_, hold) in &held {
            hold.signal(Signal::KILL)?;
        }
        drop(tokio::time::timeout(Duration::from_secs(1), all(&held)).await);
    }
    Ok(held
        .iter()
        .filter(|(process, _)| started(process.pid) == Some(process.started))
        .map(|(process, _)| (*process).clone())
        .collect())
}

/// Kills what is left of one unit: processes that it started and did not end. Returns when they are gone.
///
/// # Errors
/// When the kernel refuses.
pub(crate) async fn sweep(scope: &ScopeId, unit: &str) -> io::Result<()> {
    loop {
        let left: Vec<Marked> =
            find(scope).into_iter().filter(|process| process.unit.as_deref() == Some(unit)).collect();
        if left.is_empty() {
            return Ok(());
        }
        end(&left, Duration::ZERO).await?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_does_not_confuse() {
        let fields: Vec<String> = (4..=21).map(|n| n.to_string()).collect();
        let stat = |state: &str| format!("7 (a) b) {state} {} 4711 0 0", fields.join(" "));
        assert_eq!(start_time(&stat("S")), Some(4711));
        assert_eq!(start_time(&stat("Z")), None);
        assert_eq!(start_time("nonsense"), None);
    }

    #[test]
    fn we_ourselves_have_a_start_and_a_description() {
        let own = std::process::id();
        assert!(started(own).is_some());
        assert!(describe(own).starts_with(&format!("pid {own} `")));
    }
}
