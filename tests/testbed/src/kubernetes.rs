//! A Kubernetes cluster of one node: the real control plane, a real kubelet, real containers.
//!
//! Everything that it consists of lives in a network and a mount namespace of its own ([`network`]), in a folder of the
//! cache and in control groups of its own, and is thrown away with the cluster. A killed `up` or `down` is repaired by
//! the next one, which ends and removes what is left before it does anything else.

mod certificates;
mod cgroups;
mod client;
mod configuration;
mod fault;
mod files;
mod leftovers;
mod module;
mod network;
mod parts;
mod programs;
mod round_trip;
mod simulated;
mod workload;

use std::path::{Path, PathBuf};
use std::time::Duration;

use k8s_openapi::api::core::v1::Node as ApiNode;
use kube::{Api, Client};
use tokio::process::Command;

pub use self::cgroups::CGROUP;
pub use self::client::{Ran, connect, is_rolled_out, run_in_pod};
pub use self::module::generate as generate_module;
use self::network::Node;
pub use self::network::{LINK, NODE_ADDRESS, RANGE};
use self::parts::Needs;
pub use self::parts::Part;
pub use self::simulated::{Fate, SimulatedNode};
pub use self::workload::image as workload_image;
use crate::cache::Cache;
use crate::daemon::{Daemon, eventually};
use crate::debian::{self, Suite};
use crate::failure::{Failure, because};
use crate::program;

/// The name of the cluster's node.
pub const NODE: &str = "testbed";

/// How long the cluster may take until its API answers, and again until its node takes pods.
const READY: Duration = Duration::from_secs(90);

/// Longer paths of sockets are refused by the kernel (108 bytes); the longest of ours lie this much below the folder.
const LONGEST_SOCKET: &str = "kubelet/device-plugins/kubelet.sock";

/// The cluster of a testbed, running or not.
#[derive(Clone, Debug)]
pub struct Cluster {
    cache: Cache,
    layout: Layout,
    node: Node,
}

/// Where the cluster keeps its files.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    folder: PathBuf,
}

impl Layout {
    fn keys(&self) -> PathBuf {
        self.folder.join("keys")
    }

    fn authority(&self) -> PathBuf {
        self.certificate("cluster-authority")
    }

    fn certificate(&self, name: &str) -> PathBuf {
        certificates::certificate(&self.keys(), name)
    }

    fn private_key(&self, name: &str) -> PathBuf {
        certificates::private_key(&self.keys(), name)
    }

    fn public_key(&self, name: &str) -> PathBuf {
        certificates::public_key(&self.keys(), name)
    }

    fn kubeconfig(&self, user: &str) -> PathBuf {
        self.folder.join(format!("{user}.kubeconfig"))
    }

    fn settings(&self, part: Part) -> PathBuf {
        self.folder.join(format!("{}.settings", part.name()))
    }

    fn containerd_socket(&self) -> PathBuf {
        self.folder.join("containerd.sock")
    }

    fn networks(&self) -> PathBuf {
        self.folder.join("networks")
    }

    /// A link to the programs that were built.
    fn programs(&self) -> PathBuf {
        self.folder.join("programs")
    }

    /// A link to Debian's packages, unpacked.
    fn debian(&self) -> PathBuf {
        self.folder.join("debian")
    }
}

impl Cluster {
    /// The cluster of the testbed that this process's environment names.
    ///
    /// # Errors
    /// When there is no folder for it.
    pub fn from_environment() -> Result<Self, Failure> {
        Self::of(&Cache::from_environment()?)
    }

    pub(crate) fn of(cache: &Cache) -> Result<Self, Failure> {
        // Not made here: a cluster that never ran leaves no folder.
        let layout = Layout { folder: cache.root().join("cluster") };
        Ok(Self { cache: cache.clone(), node: Node::new(cache, &layout.folder)?, layout })
    }

    /// What tests take as `KUBECONFIG`. Whoever it lets in may do everything.
    #[must_use]
    pub fn kubeconfig(&self) -> PathBuf {
        self.layout.kubeconfig(parts::ADMINISTRATOR)
    }

    /// Where the API answers.
    #[must_use]
    pub fn address(&self) -> String {
        configuration::api_address()
    }

    /// A client that may do everything.
    ///
    /// # Errors
    /// When the cluster was never brought up.
    pub async fn client(&self) -> Result<Client, Failure> {
        connect(&self.kubeconfig()).await
    }

    /// The release that really runs, such as `v1.35.4`; `None` when it does not answer.
    pub async fn version(&self) -> Option<String> {
        if !self.node.is_there() {
            return None;
        }
        let client = self.client().await.ok()?;
        let asked = tokio::time::timeout(Duration::from_secs(5), client.apiserver_version()).await;
        Some(asked.ok()?.ok()?.git_version)
    }

    /// Brings the cluster up, and proves it by a round trip: a rollout to a second version of real pods, their log, a
    /// program run in one, a name and a service between two. A cluster that runs is proved again and left alone.
    ///
    /// # Errors
    /// When something is missing on this machine, can't be built, does not start or does not work.
    pub async fn up(&self, workspace: &Path, say: &(dyn Fn(&str) + Sync)) -> Result<(), Failure> {
        let _lock = self.cache.lock("kubernetes").await?;
        require_root()?;
        if self.node.is_there() {
            // Whatever a test did to its network; a node that is not whole is made anew below.
            drop(self.heal().await);
        }
        let result = if self.is_whole().await { self.prove().await } else { self.make(workspace, say).await };
        match result {
            Err(failure) => Err(self.with_evidence(failure)),
            Ok(()) => Ok(()),
        }
    }

    /// Ends everything and takes back all that the machine saw of it. It need not run.
    ///
    /// # Errors
    /// When something does not end.
    pub async fn down(&self) -> Result<(), Failure> {
        let _lock = self.cache.lock("kubernetes").await?;
        self.remove().await
    }

    /// Puts the images of an archive, as `docker save` writes it, onto the node. Pods name them with their registry and
    /// with `imagePullPolicy: Never` or `IfNotPresent`.
    ///
    /// # Errors
    /// When the archive can't be read.
    pub async fn load_image(&self, archive: &Path) -> Result<(), Failure> {
        // Into the namespace of images that the kubelet looks at.
        let mut command = Command::new(self.layout.debian().join("usr/bin/ctr"));
        command.arg("--address").arg(self.layout.containerd_socket()).args([
            "--namespace",
            "k8s.io",
            "images",
            "import",
        ]);
        command.arg("--no-unpack=false").arg(archive);
        program::output(&mut command, &format!("loading `{}` into the cluster", archive.display()))
            .await
            .map(drop)
    }

    /// The folder of `kubectl`, of the cluster's own release.
    #[must_use]
    pub fn programs(&self) -> PathBuf {
        self.layout.programs()
    }

    fn daemon(&self, part: Part) -> Result<Daemon, Failure> {
        Daemon::new(&self.cache, &part.daemon_name())
    }

    /// Whether every program runs and the API is ready.
    async fn is_whole(&self) -> bool {
        let runs = |part: Part| self.daemon(part).is_ok_and(|daemon| daemon.is_running());
        if !self.node.is_there() || !Part::ALL.into_iter().all(runs) {
            return false;
        }
        let Ok(client) = self.client().await else { return false };
        let asked = tokio::time::timeout(Duration::from_secs(5), is_ready(&client)).await;
        asked.unwrap_or_default()
    }

    async fn make(&self, workspace: &Path, say: &(dyn Fn(&str) + Sync)) -> Result<(), Failure> {
        self.remove().await?;
        let packages = [
            ("etcd-server", Suite::Testbed),
            ("containerd", Suite::Testbed),
            ("containernetworking-plugins", Suite::Testbed),
            // runc of a newer release needs a newer C library than this machine may have.
            ("runc", Suite::Machine),
        ];
        let tools = [("ip", "iproute2"), ("nft", "nftables"), ("sysctl", "procps"), ("mount", "mount")];
        let (programs, debian, installed) = tokio::join!(
            programs::build(&self.cache, workspace),
            debian::unpack(&self.cache, &packages),
            debian::install(&self.cache, &tools),
        );
        installed?;
        let (programs, debian) = (programs?, debian?);
        say("programs are there");

        self.lay_out(&programs, &debian)?;
        self.node.make().await?;
        cgroups::make()?;
        self.start_all(Needs::Nothing)?;
        let images = async {
            let archives = workload::write_archives(&programs.join("workload"), &self.layout.folder)?;
            self.wait_for("containerd", async || self.containerd_answers().await).await?;
            self.start_all(Needs::Containerd)?;
            for archive in &archives {
                self.load_image(archive).await?;
            }
            Ok::<(), Failure>(())
        };
        let api = async {
            let client = self.client().await?;
            self.wait_for("the API", async || is_ready(&client).await).await?;
            say("the API is ready");
            allow_dns(&client).await?;
            self.start_all(Needs::Api)?;
            self.wait_for("the node", async || is_node_ready(&client).await).await
        };
        tokio::try_join!(images, api)?;
        say("the node is ready");
        self.prove().await
    }

    fn start_all(&self, needs: Needs) -> Result<(), Failure> {
        Part::ALL.into_iter().filter(|part| part.needs() == needs).try_for_each(|part| self.start(part))
    }

    fn lay_out(&self, programs: &Path, debian: &Path) -> Result<(), Failure> {
        let longest = self.layout.folder.join(LONGEST_SOCKET);
        if longest.as_os_str().len() > 107 {
            let failure =
                Failure::new(format!("`{}` is too long for the path of a socket", longest.display()));
            return Err(failure.help("name a shorter folder with KERNEL_TESTBED_CACHE"));
        }
        self.cache.folder("cluster/keys")?;
        for (target, name) in [(programs, self.layout.programs()), (debian, self.layout.debian())] {
            std::os::unix::fs::symlink(target, &name)
                .map_err(because(format!("linking `{}`", name.display())))?;
        }
        certificates::make(&self.layout.keys(), NODE, NODE_ADDRESS, network::API_SERVICE)?;
        let read = |path: PathBuf| {
            std::fs::read_to_string(&path).map_err(because(format!("reading `{}`", path.display())))
        };
        let authority = read(self.layout.authority())?;
        for user in parts::USERS {
            let certificate = read(self.layout.certificate(user))?;
            let key = read(self.layout.private_key(user))?;
            let text = configuration::kubeconfig(user, &authority, &certificate, &key).to_string();
            files::write_private(&self.layout.kubeconfig(user), &text)?;
        }
        parts::write_settings(&self.layout, workload::SANDBOX)
    }

    /// Whoever makes pods ends first, then the pods, then what the others need.
    async fn remove(&self) -> Result<(), Failure> {
        for part in [Part::Kubelet, Part::ControllerManager, Part::Scheduler, Part::Containerd] {
            self.daemon(part)?.stop(Duration::ZERO).await?;
        }
        if self.node.is_ours() {
            cgroups::remove().await?;
        }
        for part in [Part::Proxy, Part::Dns, Part::ApiServer, Part::Etcd] {
            self.daemon(part)?.stop(Duration::ZERO).await?;
        }
        self.node.remove().await?;
        // With the last process its mounts have gone: nothing below is anybody else's.
        leftovers::require_no_mounts(&self.layout.folder)?;
        files::remove_folder(&self.layout.folder)
    }

    async fn prove(&self) -> Result<(), Failure> {
        round_trip::run(&self.client().await?).await
    }

    async fn containerd_answers(&self) -> bool {
        tokio::net::UnixStream::connect(self.layout.containerd_socket()).await.is_ok()
    }

    /// Waits for something that the programs of the cluster bring about, or for the first of them that ends instead.
    async fn wait_for(&self, what: &str, mut ready: impl AsyncFnMut() -> bool) -> Result<(), Failure> {
        let daemons: Vec<(Part, Daemon)> = Part::ALL
            .into_iter()
            .map(|part| Ok((part, self.daemon(part)?)))
            .collect::<Result<_, Failure>>()?;
        // Those that were not started yet are not missed.
        let daemons: Vec<_> = daemons.into_iter().filter(|(_, daemon)| daemon.is_running()).collect();
        let looked = async || {
            if ready().await {
                return Some(Ok(()));
            }
            let ended = daemons.iter().find(|(_, daemon)| !daemon.is_running())?;
            let failure = Failure::new(format!("{} ended while the cluster started", ended.0.name()));
            Some(Err(failure.evidence(&ended.1.said())))
        };
        eventually(READY, looked).await.unwrap_or_else(|| {
            Err(Failure::new(format!("{what} of the cluster is not ready after {} s", READY.as_secs())))
        })
    }

    fn with_evidence(&self, failure: Failure) -> Failure {
        if failure.help.is_some() {
            return failure;
        }
        let logs = self.cache.root().join("logs");
        failure.help(format!(
            "the logs are `{}/kubernetes-*.log`; `up` tries again from the start",
            logs.display()
        ))
    }
}

fn require_root() -> Result<(), Failure> {
    if rustix::process::geteuid().is_root() {
        return Ok(());
    }
    Err(Failure::new("only root can start a kubelet with real pods").help("run this as root"))
}

async fn is_ready(client: &Client) -> bool {
    let Ok(request) = http::Request::get("/readyz").body(Vec::new()) else { return false };
    client.request_text(request).await.is_ok()
}

/// Whether the kubelet has said that the node is ready, and the node controller has let pods on it since.
async fn is_node_ready(client: &Client) -> bool {
    let Ok(node) = Api::<ApiNode>::all(client.clone()).get(NODE).await else { return false };
    let conditions = node.status.and_then(|status| status.conditions).unwrap_or_default();
    let ready = conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True");
    let taints = node.spec.and_then(|spec| spec.taints).unwrap_or_default();
    ready && taints.is_empty()
}

/// Lets the name server see what it answers for.
async fn allow_dns(client: &Client) -> Result<(), Failure> {
    use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding};
    let attempted = "letting CoreDNS read the cluster";
    let role = serde_json::from_value(serde_json::json!({
        "metadata": {"name": "testbed:dns"},
        "rules": [
            {"apiGroups": [""], "resources": ["services", "pods", "namespaces"], "verbs": ["list", "watch"]},
            {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list", "watch"]},
        ],
    }))
    .map_err(because(attempted))?;
    let binding = serde_json::from_value(serde_json::json!({
        "metadata": {"name": "testbed:dns"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "testbed:dns"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "testbed-dns"}],
    }))
    .map_err(because(attempted))?;
    let options = kube::api::PostParams::default();
    Api::<ClusterRole>::all(client.clone()).create(&options, &role).await.map_err(because(attempted))?;
    let bindings = Api::<ClusterRoleBinding>::all(client.clone());
    bindings.create(&options, &binding).await.map(drop).map_err(because(attempted))
}
