//! The node: a network namespace and a mount namespace that every program of the cluster runs in.
//!
//! Addresses, firewall rules and mounts of the cluster live in these namespaces and end with the last process in them,
//! so that a killed testbed leaves none behind and no Docker Engine's rules stand between two pods. The machine itself
//! sees one link and one route.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use tokio::process::Command;

use crate::cache::Cache;
use crate::daemon::Daemon;
use crate::failure::{Failure, because};
use crate::fault::SLOW;
use crate::program;

/// Everything that the cluster gives addresses to.
pub const RANGE: &str = "10.213.0.0/16";
/// The machine's end of the link to the node.
pub const MACHINE_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 213, 0, 1);
/// The node's end: the API server, the kubelet and the name server listen here.
pub const NODE_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 213, 0, 2);
/// Addresses of services.
pub const SERVICES: &str = "10.213.64.0/18";
/// The address of the service `kubernetes`: the first of [`SERVICES`].
pub const API_SERVICE: Ipv4Addr = Ipv4Addr::new(10, 213, 64, 1);
/// Addresses of pods.
pub const PODS: &str = "10.213.128.0/17";
/// The name of the link on the machine's side.
pub const LINK: &str = "ktb-host";
/// What the kernel tells of [`LINK`].
const LINK_FOLDER: &str = "/sys/class/net/ktb-host";
const NODE_LINK: &str = "ktb-node";
/// How many bits of the two link addresses are the network's.
const LINK_PREFIX: u8 = 30;

/// Folders that programs of the cluster write to whatever they are told. In the node's mount namespace each is one of
/// our own.
const FIXED_FOLDERS: [(&str, &str); 3] = [
    // containerd's shims: their sockets.
    ("/run/containerd", "run-containerd"),
    // containerd's CNI library: results of plugins.
    ("/var/lib/cni", "cni-results"),
    // The kubelet: links to the logs of containers.
    ("/var/log/containers", "container-logs"),
];

/// The namespaces, held open by a process that does nothing else.
#[derive(Clone, Debug)]
pub(super) struct Node {
    holder: Daemon,
    owner: String,
    folder: PathBuf,
}

impl Node {
    /// The node of this testbed, made or not. `folder` is the cluster's.
    pub(super) fn new(cache: &Cache, folder: &Path) -> Result<Self, Failure> {
        let owner = cache.root().display().to_string();
        Ok(Self { holder: Daemon::new(cache, "kubernetes-node")?, owner, folder: folder.to_owned() })
    }

    /// Whether its namespaces can be entered.
    pub(super) fn is_there(&self) -> bool {
        self.holder.is_running()
    }

    /// Makes the namespaces, the link and the routes. Nothing of an earlier node may be left.
    pub(super) async fn make(&self) -> Result<(), Failure> {
        self.require_free_range().await?;
        let mut command = Command::new("unshare");
        // What the machine mounts later is seen in here; what is mounted in here is not seen by the machine.
        command.args(["--net", "--mount", "--propagation", "slave", "sleep", "infinity"]);
        self.holder.start(&mut command)?;
        self.holder_in_its_namespaces().await?;

        // Made inside and handed out when it says whose it is: the machine never sees a link of nobody's.
        let outside = std::process::id().to_string();
        for arguments in [
            &["link", "add", "name", LINK, "type", "veth", "peer", "name", NODE_LINK][..],
            &["link", "set", LINK, "alias", &self.owner],
            &["link", "set", LINK, "netns", &outside],
        ] {
            self.run("ip", arguments).await?;
        }
        let (machine, node) = (MACHINE_ADDRESS.to_string(), NODE_ADDRESS.to_string());
        ip(&["address", "add", &format!("{machine}/{LINK_PREFIX}"), "dev", LINK]).await?;
        ip(&["link", "set", LINK, "up"]).await?;
        ip(&["route", "add", RANGE, "via", &node, "dev", LINK]).await?;
        for arguments in [
            &["link", "set", "lo", "up"][..],
            &["address", "add", &format!("{node}/{LINK_PREFIX}"), "dev", NODE_LINK],
            &["link", "set", NODE_LINK, "up"],
            &["route", "add", "default", "via", &machine],
        ] {
            self.run("ip", arguments).await?;
        }
        // Pods reach each other through the node.
        self.run("sysctl", &["--quiet", "--write", "net.ipv4.ip_forward=1"]).await?;
        for (fixed, own) in FIXED_FOLDERS {
            let own = self.folder.join(own);
            std::fs::create_dir_all(&own).map_err(because(format!("making `{}`", own.display())))?;
            self.make_mount_point(Path::new(fixed))?;
            self.run("mount", &["--bind", &own.to_string_lossy(), fixed]).await?;
        }
        Ok(())
    }

    /// What the node sends to the machine goes through a narrow pipe.
    pub(super) async fn slow(&self) -> Result<(), Failure> {
        let pipe = [
            "qdisc", "replace", "dev", NODE_LINK, "root", "tbf", "rate", SLOW, "burst", "4kb", "latency",
            "2s",
        ];
        self.run("tc", &pipe).await.map(drop)
    }

    /// Nothing goes between the node and the machine any more; what is inside goes on among itself.
    pub(super) async fn cut(&self) -> Result<(), Failure> {
        self.run("ip", &["link", "set", NODE_LINK, "down"]).await.map(drop)
    }

    /// Undoes both, whichever was done.
    pub(super) async fn heal(&self) -> Result<(), Failure> {
        // `replace` with the kernel's own discipline works whether or not another one is there.
        self.run("tc", &["qdisc", "replace", "dev", NODE_LINK, "root", "pfifo"]).await?;
        self.run("ip", &["link", "set", NODE_LINK, "up"]).await?;
        // A link that was down has lost its routes.
        self.run("ip", &["route", "replace", "default", "via", &MACHINE_ADDRESS.to_string()]).await.map(drop)
    }

    /// Ends the process that holds the namespaces and takes back what the machine saw of them. Every other process in
    /// them has ended before.
    pub(super) async fn remove(&self) -> Result<(), Failure> {
        self.holder.stop(std::time::Duration::ZERO).await?;
        if link_owner().is_some_and(|owner| owner == self.owner) {
            // The link goes with the namespace, but some time later.
            let mut command = Command::new("ip");
            let deleted =
                program::output(command.args(["link", "delete", LINK]), "removing the node's link").await;
            if link_owner().is_some() {
                deleted?;
            }
        }
        self.remove_mount_points()
    }

    /// Whether what bears our names on this machine is this testbed's, or nobody's any more.
    pub(super) fn is_ours(&self) -> bool {
        link_owner().is_none_or(|owner| owner == self.owner)
    }

    /// A program that is to run in the node.
    pub(super) fn command(&self, program: &Path) -> Result<Command, Failure> {
        let holder = self.holder.pid().ok_or_else(|| Failure::new("the cluster's node is not there"))?;
        let mut command = Command::new("nsenter");
        command.args(["--target", &holder.to_string(), "--net", "--mount", "--"]).arg(program);
        Ok(command)
    }

    async fn run(&self, program_name: &str, arguments: &[&str]) -> Result<String, Failure> {
        let mut command = self.command(Path::new(program_name))?;
        let attempted = format!("`{program_name} {}` in the cluster's node", arguments.join(" "));
        program::output(command.args(arguments), &attempted).await
    }

    /// Waits until the holder has left the machine's network namespace.
    async fn holder_in_its_namespaces(&self) -> Result<(), Failure> {
        let machine =
            std::fs::read_link("/proc/self/ns/net").map_err(because("reading this process's namespace"))?;
        let entered = async || {
            let pid = self.holder.pid()?;
            let command = std::fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
            let namespace = std::fs::read_link(format!("/proc/{pid}/ns/net")).ok()?;
            // `unshare` has done its work when it has become `sleep`.
            (command.trim() == "sleep" && namespace != machine).then_some(())
        };
        crate::daemon::eventually(std::time::Duration::from_secs(10), entered).await.ok_or_else(|| {
            Failure::new("making the namespaces of the cluster's node: `unshare` did not")
                .evidence(&self.holder.said())
                .help("this needs root and a kernel that allows network and mount namespaces")
        })
    }

    /// Fails when another testbed's cluster runs, or when the machine routes a part of our range elsewhere.
    async fn require_free_range(&self) -> Result<(), Failure> {
        match link_owner() {
            None if !Path::new(LINK_FOLDER).exists() => {}
            None => {
                return Err(Failure::new(format!("a link `{LINK}` that is not a testbed's is in the way"))
                    .help(format!("remove it: `ip link delete {LINK}`")));
            }
            Some(owner) if owner == self.owner => {
                return Err(Failure::new(format!("the link `{LINK}` of an earlier cluster is still there"))
                    .help("take the testbed down, then try again"));
            }
            Some(owner) => {
                return Err(Failure::new(format!("the link `{LINK}` belongs to the testbed in `{owner}`"))
                    .help(format!(
                        "a machine holds one cluster: take that one down with KERNEL_TESTBED_CACHE='{owner}'"
                    )));
            }
        }
        let routes =
            program::output(Command::new("ip").args(["route", "show", "root", RANGE]), "reading routes")
                .await?;
        if let Some(route) = routes.lines().next() {
            return Err(Failure::new(format!(
                "{RANGE} is for the cluster, but this machine routes a part of it: {route}"
            ))
            .help("remove that route or network while the testbed's cluster runs"));
        }
        Ok(())
    }

    fn made(&self) -> PathBuf {
        self.folder.join("mount-points")
    }

    /// Makes a folder of the machine that only serves to mount ours on it, and notes every one that was not there.
    fn make_mount_point(&self, path: &Path) -> Result<(), Failure> {
        let missing: Vec<&Path> = path.ancestors().take_while(|folder| !folder.exists()).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let mut noted = std::fs::read_to_string(self.made()).unwrap_or_default();
        for folder in missing {
            noted.push_str(&format!("{}\n", folder.display()));
        }
        // Noted first: a folder that is noted but was never made is no harm.
        super::files::write_private(&self.made(), &noted)?;
        std::fs::create_dir_all(path).map_err(because(format!("making `{}`", path.display())))
    }

    /// Removes those that are still empty.
    fn remove_mount_points(&self) -> Result<(), Failure> {
        for folder in std::fs::read_to_string(self.made()).unwrap_or_default().lines() {
            match std::fs::remove_dir(folder) {
                Err(error)
                    if !matches!(
                        error.kind(),
                        std::io::ErrorKind::NotFound | std::io::ErrorKind::DirectoryNotEmpty
                    ) =>
                {
                    return Err(because(format!("removing `{folder}`"))(error));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// The cache folder of the testbed that the machine's end of the link belongs to, if there is one.
pub(super) fn link_owner() -> Option<String> {
    let alias = std::fs::read_to_string(Path::new(LINK_FOLDER).join("ifalias")).ok()?;
    Some(alias.trim().to_owned()).filter(|owner| !owner.is_empty())
}

async fn ip(arguments: &[&str]) -> Result<(), Failure> {
    let attempted = format!("`ip {}`", arguments.join(" "));
    program::output(Command::new("ip").args(arguments), &attempted).await.map(drop)
}
