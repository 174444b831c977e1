//! The control groups that the cluster's pods run in, all below one of our own.
//!
//! Whoever is in them was started for a pod of ours, so this is also how what a killed kubelet left is found and ended.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::daemon::eventually;
use crate::failure::{Failure, because};

/// The group below which the kubelet makes its own.
pub const CGROUP: &str = "kernel-testbed";

/// How long the processes of the groups may take until the kernel has buried them.
const END: Duration = Duration::from_secs(20);

/// Where the kernel shows them.
const ROOT: &str = "/sys/fs/cgroup";

/// Makes our group in every hierarchy of the machine.
pub(super) fn make() -> Result<(), Failure> {
    for hierarchy in hierarchies() {
        let group = hierarchy.join(CGROUP);
        std::fs::create_dir_all(&group)
            .map_err(because(format!("making the control group `{}`", group.display())))?;
        if is_unified() {
            for folder in [&hierarchy, &group] {
                enable_controllers(folder)?;
            }
        }
        // A new group of this controller is without processors and memory, and takes no process before it has some.
        for file in ["cpuset.cpus", "cpuset.mems"] {
            let parent = hierarchy.join(file);
            if let Ok(value) = std::fs::read_to_string(&parent).map(|text| text.trim().to_owned())
                && !value.is_empty()
            {
                let own = group.join(file);
                std::fs::write(&own, value).map_err(because(format!("writing `{}`", own.display())))?;
            }
        }
    }
    Ok(())
}

/// Ends every process in our groups and removes them. They need not be there.
pub(super) async fn remove() -> Result<(), Failure> {
    let ended = async || {
        let left = processes();
        left.iter().for_each(|pid| kill(*pid));
        left.is_empty().then_some(())
    };
    if eventually(END, ended).await.is_none() {
        let left = processes();
        return Err(Failure::new(format!("processes of pods stay when killed: {left:?}")));
    }
    for group in groups() {
        // The kernel lets go of a group a moment after its last process.
        let removed = async || match remove_tree(&group) {
            Err(error) if error.kind() == ErrorKind::ResourceBusy => None,
            other => Some(other),
        };
        match eventually(END, removed).await {
            Some(result) => {
                result.map_err(because(format!("removing the control group `{}`", group.display())))?
            }
            None => {
                return Err(Failure::new(format!("the control group `{}` stays in use", group.display())));
            }
        }
    }
    Ok(())
}

/// Our groups that are there, one for every hierarchy.
pub(super) fn groups() -> Vec<PathBuf> {
    hierarchies().into_iter().map(|hierarchy| hierarchy.join(CGROUP)).filter(|group| group.exists()).collect()
}

/// Every process of every pod, whichever hierarchy knows it.
pub(super) fn processes() -> Vec<i32> {
    let mut found: Vec<i32> = groups().iter().flat_map(|group| processes_below(group)).collect();
    found.sort_unstable();
    found.dedup();
    found
}

fn processes_below(group: &Path) -> Vec<i32> {
    let mut folders = vec![group.to_owned()];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        let text = std::fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
        // 0 stands for a process of a namespace that can't be seen from here; none of ours is.
        found.extend(text.lines().filter_map(|line| line.parse::<i32>().ok()).filter(|pid| *pid > 0));
        folders.extend(folders_in(&folder));
    }
    found
}

/// Ends a process if it is still in one of our groups once its number can't be given to another one any more.
fn kill(pid: i32) {
    let Some(number) = Pid::from_raw(pid) else { return };
    let Ok(descriptor) = pidfd_open(number, PidfdFlags::empty()) else { return };
    let membership = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
    let ours = |path: &str| path.strip_prefix('/').and_then(|path| path.split('/').next()) == Some(CGROUP);
    if membership.lines().any(|line| line.splitn(3, ':').nth(2).is_some_and(ours)) {
        // One that ended meanwhile is what was wanted.
        let _ = pidfd_send_signal(&descriptor, Signal::KILL);
    }
}

fn remove_tree(group: &Path) -> std::io::Result<()> {
    for folder in folders_in(group) {
        remove_tree(&folder)?;
    }
    match std::fs::remove_dir(group) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn folders_in(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect()
}

/// Version 2 of control groups has one hierarchy, version 1 one per controller. Other names of one are links.
fn hierarchies() -> Vec<PathBuf> {
    let root = PathBuf::from(ROOT);
    if is_unified() {
        return vec![root];
    }
    // Version 2 may be mounted beside version 1, without controllers: it counts like any other, since runc uses it.
    folders_in(&root)
}

fn is_unified() -> bool {
    Path::new(ROOT).join("cgroup.controllers").exists()
}

fn enable_controllers(group: &Path) -> Result<(), Failure> {
    let attempted = || format!("giving controllers to the groups below `{}`", group.display());
    let available =
        std::fs::read_to_string(group.join("cgroup.controllers")).map_err(because(attempted()))?;
    let wanted: Vec<String> = available.split_whitespace().map(|name| format!("+{name}")).collect();
    std::fs::write(group.join("cgroup.subtree_control"), wanted.join(" ")).map_err(because(attempted()))
}
