//! What is to be done for each service after some paths changed. It is made from what is there now: how often and in
//! which order something happened to a path does not matter.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::rules::{Action, Hook, Rule};

/// What is to be done for one service.
#[derive(Debug, Default)]
pub struct Job {
    /// Its image is built anew; then nothing else is left to do.
    pub rebuild: bool,
    /// It is started again, after all else.
    pub restart: bool,
    /// Files and folders of this machine, by the paths that they get in the containers.
    pub copies: BTreeMap<String, PathBuf>,
    /// Paths in the containers that are to go.
    pub gone: BTreeSet<String>,
    /// Commands that run in the containers, after files were copied.
    pub hooks: Vec<Hook>,
}

/// The jobs by service.
pub fn jobs(rules: &[Rule], changed: &BTreeSet<PathBuf>) -> BTreeMap<String, Job> {
    let mut jobs: BTreeMap<String, Job> = BTreeMap::new();
    for rule in rules {
        let mut fits = false;
        for path in changed.iter().filter(|path| rule.is_about(path)) {
            let mut paths = Vec::new();
            below(path, rule, &mut paths);
            fits |= !paths.is_empty();
            if rule.action.copies() {
                let job = jobs.entry(rule.service.clone()).or_default();
                for path in paths {
                    let Some(target) = rule.in_container(&path) else { continue };
                    if path.symlink_metadata().is_ok() {
                        job.copies.insert(target, path);
                    } else if path != rule.path {
                        // The target itself stays: what is watched may be put in its place again.
                        job.gone.insert(target);
                    }
                }
            }
        }
        if fits {
            let job = jobs.entry(rule.service.clone()).or_default();
            match rule.action {
                Action::Sync => {}
                Action::Rebuild => job.rebuild = true,
                Action::Restart | Action::SyncAndRestart => job.restart = true,
                Action::SyncAndExec => job.hooks.push(rule.hook.clone()),
            }
        }
    }
    jobs.retain(|_, job| {
        job.rebuild || job.restart || !job.copies.is_empty() || !job.gone.is_empty() || !job.hooks.is_empty()
    });
    jobs
}

/// A path that a rule wants, and all that it wants below it: of a folder that is new, what is in it may have been there
/// before the system told of it. Links are not followed.
fn below(path: &Path, rule: &Rule, found: &mut Vec<PathBuf>) {
    let is_folder = path.symlink_metadata().is_ok_and(|metadata| metadata.is_dir());
    let wanted = rule.wants(path) || path == rule.path;
    // What is included by its name may lie in any folder.
    if wanted && !(is_folder && rule.picks()) {
        found.push(path.to_owned());
    }
    if is_folder && !rule.hides(path) {
        let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
        let mut entries: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
        entries.sort();
        entries.iter().for_each(|entry| below(entry, rule, found));
    }
}
