//! What was seen of containers that the Engine does not know, or not yet: that one was ready before the Engine's own
//! health check ran, and that one ended by itself. Only a hint: without it, work is done once more, nothing else.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// How much is kept: more than any project has containers.
const LIMIT: usize = 10_000;

#[derive(Debug)]
pub(crate) struct Memory {
    path: Option<PathBuf>,
    seen: Mutex<BTreeSet<String>>,
}

/// Names what was seen: a container and the moment at which it came into that state.
fn mark(container: &str, moment: &str) -> String {
    format!("{container} {moment}")
}

impl Memory {
    pub(crate) fn open(path: Option<PathBuf>) -> Self {
        let text = path.as_deref().and_then(|path| std::fs::read_to_string(path).ok()).unwrap_or_default();
        let seen = text.lines().map(str::to_owned).collect();
        Self { path, seen: Mutex::new(seen) }
    }

    pub(crate) fn has(&self, container: &str, moment: &str) -> bool {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).contains(&mark(container, moment))
    }

    /// Remembers it. When it can't be written, it is known to this command only.
    pub(crate) fn add(&self, container: &str, moment: &str) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.len() < LIMIT && seen.insert(mark(container, moment)) {
            drop(self.write(&seen));
        }
    }

    /// Forgets containers that are no longer there.
    pub(crate) fn keep_only(&self, containers: &BTreeSet<&str>) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let before = seen.len();
        seen.retain(|mark| mark.split(' ').next().is_some_and(|container| containers.contains(container)));
        if seen.len() != before {
            drop(self.write(&seen));
        }
    }

    fn write(&self, seen: &BTreeSet<String>) -> io::Result<()> {
        let Some(path) = &self.path else { return Ok(()) };
        if seen.is_empty() {
            return std::fs::remove_file(path);
        }
        let folder = path.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder)?;
        // A name of its own, so that two commands do not write into each other's file.
        let part = path.with_extension(format!("{}.part", std::process::id()));
        let mut file =
            std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&part)?;
        for mark in seen {
            writeln!(file, "{mark}")?;
        }
        std::fs::rename(&part, path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_seen_is_known_to_the_next_command() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("below/seen");
        Memory::open(Some(path.clone())).add("c1", "2026-01-01T00:00:00Z");
        let next = Memory::open(Some(path.clone()));
        assert!(next.has("c1", "2026-01-01T00:00:00Z"));
        assert!(!next.has("c1", "2026-01-01T00:00:01Z"), "it was started again");
        next.keep_only(&BTreeSet::new());
        assert!(!path.exists(), "nothing is kept of what is gone");
    }
}
