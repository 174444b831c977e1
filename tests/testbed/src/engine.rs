//! The Docker Engine of the testbed: the one that answers, else one of our own.
//!
//! Our own is of Debian's packages, unpacked into the cache, with its data, sockets and state there. An Engine that
//! answers already is used as it is: only what carries [`LABEL`] with this testbed's value is ours in it.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use bollard::{API_DEFAULT_VERSION, Docker};
use tokio::process::Command;

use crate::cache::Cache;
use crate::daemon::{Daemon, eventually};
use crate::debian::{self, Suite};
use crate::failure::{Failure, because};
use crate::program;

/// The label of everything that a testbed makes in an Engine; its value is the testbed's cache folder.
pub const LABEL: &str = "kernel.testbed";

/// How long one answer of an Engine may take. Builds and waits answer in pieces.
const ANSWER: u64 = 600;
/// How long our own Engine may take until it answers.
const START: Duration = Duration::from_secs(60);
/// How long our own Engine has to stop its containers and itself.
const STOP: Duration = Duration::from_secs(30);
/// The bridge for containers without a network of their own, in place of the Engine's usual `docker0`: this one is ours
/// by its name, and can be removed when ours is stopped.
const BRIDGE: &str = "kernel-testbed";
/// The address of the bridge and its network.
const BRIDGE_NETWORK: &str = "10.214.0.1/24";

/// What an Engine of our own is made of.
const ENGINE: [(&str, Suite); 4] = [
    ("docker.io", Suite::Testbed),
    ("containerd", Suite::Testbed),
    ("tini", Suite::Testbed),
    // runc of a newer release needs a newer C library than this machine may have.
    ("runc", Suite::Machine),
];

/// What a Podman is made of.
const PODMAN: [(&str, Suite); 12] = [
    ("podman", Suite::Machine),
    ("conmon", Suite::Machine),
    ("crun", Suite::Machine),
    ("netavark", Suite::Machine),
    ("aardvark-dns", Suite::Machine),
    ("catatonit", Suite::Machine),
    ("golang-github-containers-common", Suite::Machine),
    ("golang-github-containers-image", Suite::Machine),
    ("libassuan0", Suite::Machine),
    ("libgpgme11", Suite::Machine),
    ("libsubid4", Suite::Machine),
    ("libyajl2", Suite::Machine),
];

/// An Engine that answers.
#[derive(Clone, Debug)]
pub struct Engine {
    client: Docker,
    address: String,
    scope: String,
    version: String,
}

impl Engine {
    /// The Engine that answers: ours, else the one of `DOCKER_HOST`, else the one at the usual socket.
    pub async fn find(cache: &Cache) -> Option<Self> {
        let named = std::env::var("DOCKER_HOST").ok().filter(|host| !host.is_empty());
        let usual = "unix:///var/run/docker.sock".to_owned();
        for address in [own_address(cache), named.unwrap_or(usual)] {
            if let Some(engine) = Self::at(cache, &address).await {
                return Some(engine);
            }
        }
        None
    }

    /// The Engine that answers, else our own, started now.
    ///
    /// # Errors
    /// When none answers and none can be started.
    pub async fn find_or_start(cache: &Cache) -> Result<Self, Failure> {
        let _lock = cache.lock("engine").await?;
        if let Some(engine) = Self::find(cache).await {
            return Ok(engine);
        }
        if !rustix::process::geteuid().is_root() {
            return Err(Failure::new("no Docker Engine answers, and only root can start one")
                .help("start one yourself and set DOCKER_HOST, or run this as root"));
        }
        let (root, installed) =
            tokio::join!(debian::unpack(cache, &ENGINE), debian::install(cache, &[("iptables", "iptables")]));
        installed?;
        start(cache, &root?).await
    }

    /// The Engine at an address, when one answers there.
    pub async fn at(cache: &Cache, address: &str) -> Option<Self> {
        let path = address.strip_prefix("unix://")?;
        let client = Docker::connect_with_unix(path, ANSWER, API_DEFAULT_VERSION).ok()?;
        let asked = tokio::time::timeout(Duration::from_secs(2), client.version()).await;
        let version = asked.ok()?.ok()?.version.unwrap_or_default();
        let client = client.negotiate_version().await.ok()?;
        Some(Self { client, address: address.to_owned(), scope: cache.root().display().to_string(), version })
    }

    /// Its API.
    #[must_use]
    pub const fn client(&self) -> &Docker {
        &self.client
    }

    /// Where it listens, as `DOCKER_HOST` says it.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Its version.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Whether its API is at least of this version.
    #[must_use]
    pub fn knows_api(&self, major: usize, minor: usize) -> bool {
        let version = self.client.client_version();
        (version.major_version, version.minor_version) >= (major, minor)
    }

    /// Whether we started it.
    #[must_use]
    pub fn is_own(&self, cache: &Cache) -> bool {
        self.address == own_address(cache)
    }

    /// What marks things as ours.
    #[must_use]
    pub fn labels(&self) -> HashMap<String, String> {
        HashMap::from([(LABEL.to_owned(), self.scope.clone())])
    }

    /// Whether something with these labels is ours.
    #[must_use]
    pub fn is_ours(&self, labels: &HashMap<String, String>) -> bool {
        labels.get(LABEL) == Some(&self.scope)
    }

    /// A filter that finds what is ours.
    #[must_use]
    pub fn ours(&self) -> HashMap<String, Vec<String>> {
        HashMap::from([("label".to_owned(), vec![format!("{LABEL}={}", self.scope)])])
    }
}

/// Stops our own Engine, with everything that runs on it. An Engine that others started stays.
///
/// # Errors
/// When it does not end.
pub async fn stop(cache: &Cache) -> Result<(), Failure> {
    Daemon::new(cache, "docker")?.stop(STOP).await?;
    if has_bridge() {
        ip(&["link", "delete", BRIDGE]).await?;
    }
    Ok(())
}

fn has_bridge() -> bool {
    std::fs::exists(format!("/sys/class/net/{BRIDGE}")).unwrap_or(false)
}

async fn ip(arguments: &[&str]) -> Result<(), Failure> {
    let attempted = format!("`ip {}`", arguments.join(" "));
    program::output(Command::new("ip").args(arguments), &attempted).await.map(drop)
}

/// Programs that tests set beside `kernel`, fetched when they are not there: names of variables, and where each lies.
///
/// # Errors
/// When they can't be fetched.
pub async fn tools(cache: &Cache) -> Result<Vec<(&'static str, PathBuf)>, Failure> {
    let packages = [
        ("docker-compose", Suite::Unstable),
        ("docker-registry", Suite::Machine),
        ("openssh-server", Suite::Machine),
        ("libwrap0", Suite::Machine),
    ];
    let client = [("ssh", "openssh-client")];
    let (root, installed) = tokio::join!(debian::unpack(cache, &packages), debian::install(cache, &client));
    installed?;
    let root = root?;
    let engine = debian::unpack(cache, &ENGINE).await?;
    let mut tools = vec![
        ("TEST_DOCKERD_BIN", engine.join("usr/sbin/dockerd")),
        ("TEST_DOCKER_COMPOSE_BIN", root.join("usr/libexec/docker/cli-plugins/docker-compose")),
        ("TEST_DOCKER_REGISTRY_BIN", root.join("usr/bin/docker-registry")),
        ("TEST_SSHD_BIN", root.join("usr/sbin/sshd")),
    ];
    // Other releases name the libraries that it needs otherwise.
    if debian::machine_runs("bookworm") {
        tools.push(("TEST_PODMAN_ROOT", debian::unpack(cache, &PODMAN).await?));
    }
    Ok(tools)
}

fn own_address(cache: &Cache) -> String {
    format!("unix://{}", cache.root().join("engine/docker.sock").display())
}

async fn start(cache: &Cache, root: &std::path::Path) -> Result<Engine, Failure> {
    let folder = cache.folder("engine")?;
    let folders =
        [root.join("usr/sbin"), root.join("usr/bin")].map(|path| path.display().to_string()).join(":");
    let path = format!("{folders}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    link(&root.join("usr/bin/tini"), &root.join("usr/bin/docker-init"))?;
    let configuration = folder.join("daemon.json");
    // Nothing of the machine's own configuration of an Engine is read.
    std::fs::write(&configuration, "{}\n")
        .map_err(because(format!("writing `{}`", configuration.display())))?;
    let daemon = Daemon::new(cache, "docker")?;
    // What a killed Engine left would hold its sockets.
    daemon.stop(STOP).await?;
    if !has_bridge() {
        ip(&["link", "add", BRIDGE, "type", "bridge"]).await?;
    }
    ip(&["address", "replace", BRIDGE_NETWORK, "dev", BRIDGE]).await?;
    ip(&["link", "set", BRIDGE, "up"]).await?;
    let mut command = Command::new(root.join("usr/sbin/dockerd"));
    command
        .args(["--storage-driver", "overlay2", "--bridge", BRIDGE, "--host", &own_address(cache)])
        .arg("--config-file")
        .arg(configuration)
        .arg("--data-root")
        .arg(folder.join("data"))
        .arg("--exec-root")
        .arg(folder.join("state"))
        .arg("--pidfile")
        .arg(folder.join("docker.pid"))
        .env("PATH", path);
    daemon.start(&mut command)?;
    let answers = async || match Engine::at(cache, &own_address(cache)).await {
        Some(engine) => Some(Some(engine)),
        None if daemon.is_running() => None,
        None => Some(None),
    };
    match eventually(START, answers).await {
        Some(Some(engine)) => Ok(engine),
        Some(None) => Err(Failure::new("our Docker Engine ended while it started").evidence(&daemon.said())),
        None => {
            let seconds = START.as_secs();
            Err(Failure::new(format!("our Docker Engine does not answer after {seconds} s"))
                .evidence(&daemon.said()))
        }
    }
}

/// Makes a symbolic link, in place of what was there.
fn link(target: &std::path::Path, name: &std::path::Path) -> Result<(), Failure> {
    let attempted = || format!("linking `{}`", name.display());
    match std::fs::remove_file(name) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(because(attempted())(error));
        }
        _ => {}
    }
    std::os::unix::fs::symlink(target, name).map_err(because(attempted()))
}
