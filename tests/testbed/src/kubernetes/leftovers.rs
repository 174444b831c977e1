//! What the machine still sees of a cluster.

use std::path::Path;

use super::{Cluster, Part, cgroups, network};
use crate::failure::{Failure, because};

impl Cluster {
    /// Everything of the cluster that is on the machine, but for what is kept in the cache to start faster the next time:
    /// programs, pods, mounts, control groups, the link, the cluster's folder. Empty after [`Cluster::down`].
    ///
    /// # Errors
    /// When the machine's mounts can't be read.
    pub fn leftovers(&self) -> Result<Vec<String>, Failure> {
        let mut found = Vec::new();
        for part in Part::ALL {
            let running = self.daemon(part)?.processes();
            found.extend(running.iter().map(|pid| format!("process {pid} of {}", part.name())));
        }
        if self.node.is_there() {
            found.push("the namespaces of the node".to_owned());
        }
        if self.node.is_ours() {
            found.extend(cgroups::processes().iter().map(|pid| format!("process {pid} of a pod")));
            found.extend(cgroups::groups().iter().map(|group| format!("control group {}", group.display())));
        }
        if network::link_owner().is_some_and(|owner| owner == self.cache.root().display().to_string()) {
            found.push(format!("link {}", network::LINK));
        }
        found.extend(mounts_below(&self.layout.folder)?.into_iter().map(|mount| format!("mount {mount}")));
        if self.layout.folder.exists() {
            found.push(format!("folder {}", self.layout.folder.display()));
        }
        Ok(found)
    }
}

/// Fails when something is mounted below a folder that is about to be removed: what is mounted may be anybody's.
pub(super) fn require_no_mounts(folder: &Path) -> Result<(), Failure> {
    match mounts_below(folder)?.first() {
        None => Ok(()),
        Some(mount) => {
            Err(Failure::new(format!("something is mounted on `{mount}`, in the cluster's folder"))
                .help(format!("unmount it yourself (`umount {mount}`) if it is not needed")))
        }
    }
}

fn mounts_below(folder: &Path) -> Result<Vec<String>, Failure> {
    let text =
        std::fs::read_to_string("/proc/self/mountinfo").map_err(because("reading this machine's mounts"))?;
    Ok(mount_points(&text).filter(|point| Path::new(point).starts_with(folder)).collect())
}

/// The fifth field of every line. Blanks in it are written as octal numbers.
fn mount_points(text: &str) -> impl Iterator<Item = String> {
    text.lines().filter_map(|line| Some(line.split(' ').nth(4)?.replace("\\040", " ").replace("\\011", "\t")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_points_are_read_with_their_blanks() {
        let text =
            "22 1 0:21 / /sys rw,nosuid - sysfs sysfs rw\n30 1 8:1 /a /my\\040folder rw - ext4 /dev/a rw\n";
        assert_eq!(mount_points(text).collect::<Vec<_>>(), ["/sys", "/my folder"]);
    }
}
