//! What changes on this machine, told a moment after the last change: an editor that saves writes more than once, and a
//! build writes for a while.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use kernel_core::exit::ExitCode;
use notify::{ErrorKind, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::Instant;

use super::rules::Rule;
use crate::codes;
use crate::failure::{Failure, problem};

/// How long nothing may change before what changed is told.
const QUIET: Duration = Duration::from_millis(100);

/// How long changes are collected at most: what never ends is told all the same.
const LONGEST: Duration = Duration::from_secs(2);

/// Tells of changes below what rules watch.
pub struct Watcher {
    /// Watching ends with it.
    _watcher: RecommendedWatcher,
    told: UnboundedReceiver<notify::Result<notify::Event>>,
}

impl Watcher {
    /// Begins.
    ///
    /// # Errors
    /// When the system can't watch all of it.
    pub fn new(rules: &[Rule]) -> Result<Self, Failure> {
        let (sender, told) = unbounded_channel();
        // Nobody may listen any more; then there is nobody to tell.
        let watcher = notify::recommended_watcher(move |event| drop(sender.send(event)));
        let mut watcher = watcher.map_err(|error| failed(Path::new("."), &error))?;
        for (root, mode) in roots(rules) {
            watcher.watch(&root, mode).map_err(|error| failed(&root, &error))?;
        }
        Ok(Self { _watcher: watcher, told })
    }

    /// The paths that changed, once nothing more does.
    ///
    /// # Errors
    /// When the system stops telling.
    pub async fn next(&mut self, rules: &[Rule]) -> Result<BTreeSet<PathBuf>, Failure> {
        let mut changed = BTreeSet::new();
        while changed.is_empty() {
            let event = self.told.recv().await;
            take(event, rules, &mut changed)?;
        }
        let end = Instant::now() + LONGEST;
        loop {
            tokio::select! {
                event = self.told.recv() => take(event, rules, &mut changed)?,
                () = tokio::time::sleep(QUIET) => return Ok(changed),
                () = tokio::time::sleep_until(end) => return Ok(changed),
            }
        }
    }
}

fn take(
    event: Option<notify::Result<notify::Event>>,
    rules: &[Rule],
    changed: &mut BTreeSet<PathBuf>,
) -> Result<(), Failure> {
    let event = match event {
        Some(Ok(event)) => event,
        Some(Err(error)) => {
            let path = error.paths.first().cloned().unwrap_or_default();
            return Err(failed(&path, &error));
        }
        None => return Err(failed(Path::new("."), &notify::Error::generic("it stopped"))),
    };
    if event.need_rescan() {
        // More happened than the system could tell: all of it may have changed.
        changed.extend(rules.iter().map(|rule| rule.path.clone()));
    }
    // That something is read or closed changes nothing.
    if !matches!(event.kind, EventKind::Access(_)) {
        changed.extend(event.paths.into_iter().filter(|path| rules.iter().any(|rule| rule.wants(path))));
    }
    Ok(())
}

/// What is watched, and whether with all that is below. A file is watched by its folder, because editors put another file
/// in its place.
fn roots(rules: &[Rule]) -> BTreeMap<PathBuf, RecursiveMode> {
    let mut roots = BTreeMap::new();
    for rule in rules {
        if rule.path.is_dir() {
            roots.insert(rule.path.clone(), RecursiveMode::Recursive);
        } else {
            let folder = rule.path.parent().unwrap_or(Path::new("/")).to_owned();
            roots.entry(folder).or_insert(RecursiveMode::NonRecursive);
        }
    }
    let deep: Vec<PathBuf> = roots
        .iter()
        .filter(|(_, mode)| **mode == RecursiveMode::Recursive)
        .map(|(root, _)| root.clone())
        .collect();
    roots.retain(|root, _| !deep.iter().any(|above| above != root && root.starts_with(above)));
    roots
}

fn failed(path: &Path, error: &notify::Error) -> Failure {
    let message = format!("`{}` can't be watched: {error}", path.display());
    let help = match error.kind {
        ErrorKind::MaxFilesWatch => {
            "there are more folders than the system watches for you: raise `fs.inotify.max_user_watches`, or watch less"
        }
        _ => "check the paths of `develop.watch` and their permissions",
    };
    Failure::new(ExitCode::Failed, problem(codes::WATCH, message, help))
}
