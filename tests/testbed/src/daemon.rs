//! Programs that go on when the command that started them has ended.
//!
//! A daemon is found by a mark in its environment, never by a file that claims its number: a killed `up` leaves nothing
//! that the next command can't find. It is ended through a pidfd, so that a number that was given to another process
//! meanwhile is never hit.

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::process::Command;
use tokio::time::Instant;

use crate::cache::Cache;
use crate::failure::{Failure, because};

/// The variable that says which daemon of which testbed a process is: `name@cache folder`.
const MARK: &str = "KERNEL_TESTBED_DAEMON";

/// How often a condition that nobody announces is looked at.
const PACE: Duration = Duration::from_millis(20);

/// One long-running program of the testbed.
#[derive(Clone, Debug)]
pub struct Daemon {
    name: String,
    mark: String,
    log: PathBuf,
}

impl Daemon {
    /// The daemon of this name, running or not.
    ///
    /// # Errors
    /// When the folder for logs can't be made.
    pub fn new(cache: &Cache, name: &str) -> Result<Self, Failure> {
        let mark = format!("{name}@{}", cache.root().display());
        Ok(Self { name: name.to_owned(), mark, log: cache.folder("logs")?.join(format!("{name}.log")) })
    }

    /// The end of what it said.
    #[must_use]
    pub fn said(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Starts it in a process group of its own, with nothing on standard input and its words in its log.
    ///
    /// # Errors
    /// When it can't be started.
    pub fn start(&self, command: &mut Command) -> Result<(), Failure> {
        let attempted = format!("starting {}", self.name);
        let log =
            std::fs::File::create(&self.log).map_err(because(format!("writing `{}`", self.log.display())))?;
        let copy = log.try_clone().map_err(because(attempted.clone()))?;
        let child = command
            .env(MARK, &self.mark)
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(copy)
            .process_group(0)
            .kill_on_drop(false)
            .spawn();
        child.map(drop).map_err(because(attempted))
    }

    /// The processes that carry its mark: itself and what it started, oldest first.
    #[must_use]
    pub fn processes(&self) -> Vec<u32> {
        let mut found: Vec<(u64, u32)> =
            numbers().filter_map(|pid| Some((self.started(pid)?, pid))).collect();
        found.sort_unstable();
        found.into_iter().map(|(_, pid)| pid).collect()
    }

    /// Its own process: the oldest that carries its mark.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.processes().first().copied()
    }

    /// Whether it runs.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.pid().is_some()
    }

    /// Sends a signal to its own process. Nothing happens when it does not run.
    ///
    /// # Errors
    /// When it may not be signalled.
    pub fn signal(&self, signal: Signal) -> Result<(), Failure> {
        let Some(pid) = self.pid() else { return Ok(()) };
        self.signal_process(pid, signal)
    }

    /// Asks it to end, ends it and all that it started after `grace`, and returns when nothing of it is left.
    ///
    /// # Errors
    /// When it may not be signalled, or does not even end when killed.
    pub async fn stop(&self, grace: Duration) -> Result<(), Failure> {
        self.signal(Signal::TERM)?;
        let deadline = Instant::now() + grace;
        while self.is_running() && Instant::now() < deadline {
            tokio::time::sleep(PACE).await;
        }
        let last = Instant::now() + Duration::from_secs(10);
        loop {
            let left = self.processes();
            if left.is_empty() {
                return Ok(());
            }
            if Instant::now() > last {
                return Err(Failure::new(format!(
                    "{} does not end: process {left:?} stays when killed",
                    self.name
                )));
            }
            for pid in left {
                self.signal_process(pid, Signal::KILL)?;
            }
            tokio::time::sleep(PACE).await;
        }
    }

    fn signal_process(&self, pid: u32, signal: Signal) -> Result<(), Failure> {
        let Some(descriptor) = hold(pid) else { return Ok(()) };
        // Looked at again, now that the number is held and can't be given to another one.
        if self.started(pid).is_none() {
            return Ok(());
        }
        match pidfd_send_signal(&descriptor, signal) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(error) => Err(Failure::new(format!("signalling {} (process {pid}): {error}", self.name))),
        }
    }

    /// When a process was started, in clock ticks since the machine was; `None` when it is not of this daemon or only
    /// waits for its parent to notice that it ended.
    fn started(&self, pid: u32) -> Option<u64> {
        let folder = PathBuf::from(format!("/proc/{pid}"));
        let environment = std::fs::read(folder.join("environ")).ok()?;
        let ours = environment.split(|byte| *byte == 0).any(|entry| {
            let value = entry.strip_prefix(MARK.as_bytes()).and_then(|rest| rest.strip_prefix(b"="));
            value == Some(self.mark.as_bytes())
        });
        if !ours {
            return None;
        }
        let stat = std::fs::read_to_string(folder.join("stat")).ok()?;
        // The second field is a name in parentheses that may hold anything; state is the third, start time the 22nd.
        let mut fields = stat.rsplit_once(") ")?.1.split(' ');
        let state = fields.next()?;
        (state != "Z" && state != "X").then_some(())?;
        fields.nth(18)?.parse().ok()
    }
}

fn hold(pid: u32) -> Option<OwnedFd> {
    let number = Pid::from_raw(i32::try_from(pid).ok()?)?;
    pidfd_open(number, PidfdFlags::empty()).ok()
}

fn numbers() -> impl Iterator<Item = u32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// Waits until `ready` says so, at most for `limit`. `None`: it never did.
pub(crate) async fn eventually<T>(limit: Duration, mut ready: impl AsyncFnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(value) = ready().await {
            return Some(value);
        }
        if Instant::now() > deadline {
            return None;
        }
        tokio::time::sleep(PACE).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A daemon that ignores SIGTERM and has a child of its own.
    const STUBBORN: &str = "trap '' TERM; sleep 1000 & echo up; wait";

    #[tokio::test]
    async fn a_daemon_is_found_by_its_mark_and_ended_with_all_that_it_started() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(folder.path().to_owned());
        let daemon = Daemon::new(&cache, "stubborn").unwrap();
        assert!(!daemon.is_running());
        daemon.start(Command::new("sh").args(["-c", STUBBORN])).unwrap();
        let both = async || (daemon.processes().len() == 2 && daemon.said() == "up\n").then_some(());
        eventually(Duration::from_secs(10), both).await.unwrap();

        // Another testbed does not know it.
        let other = Cache::at(folder.path().join("other"));
        assert!(!Daemon::new(&other, "stubborn").unwrap().is_running());

        daemon.stop(Duration::from_millis(50)).await.unwrap();
        assert!(daemon.processes().is_empty());
        daemon.stop(Duration::ZERO).await.unwrap();
    }
}
