//! The programs of the cluster: what each is called, how it is started, and how long it may take to end.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::process::Command;

use super::network::{NODE_ADDRESS, Node, SERVICES};
use super::{Layout, NODE, configuration};
use crate::failure::{Failure, because};

/// What has to answer before a program can be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Needs {
    /// Nothing.
    Nothing,
    /// containerd.
    Containerd,
    /// The API.
    Api,
}

/// One program of the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Part {
    /// The store of the API server.
    Etcd,
    /// The API.
    ApiServer,
    /// What makes replica sets of deployments, pods of replica sets, end points of services, and so on.
    ControllerManager,
    /// What gives pods a node.
    Scheduler,
    /// What runs containers.
    Containerd,
    /// What makes containers of pods.
    Kubelet,
    /// What makes the addresses of services lead to pods.
    Proxy,
    /// What knows the names of services.
    Dns,
}

impl Part {
    /// All, in the order in which they are started.
    pub const ALL: [Self; 8] = [
        Self::Etcd,
        Self::ApiServer,
        Self::Containerd,
        Self::ControllerManager,
        Self::Scheduler,
        Self::Kubelet,
        Self::Proxy,
        Self::Dns,
    ];

    /// The one of this name.
    #[must_use]
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|part| part.name() == name)
    }

    /// Its name in messages, which is that of its program.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::ApiServer => "kube-apiserver",
            Self::ControllerManager => "kube-controller-manager",
            Self::Scheduler => "kube-scheduler",
            Self::Containerd => "containerd",
            Self::Kubelet => "kubelet",
            Self::Proxy => "kube-proxy",
            Self::Dns => "coredns",
        }
    }

    /// The name of its daemon: its log is `logs/<this>.log` in the cache.
    pub(super) fn daemon_name(self) -> String {
        let name = self.name();
        format!("kubernetes-{}", name.strip_prefix("kube-").unwrap_or(name))
    }

    /// What has to answer before it is started. Beyond that, each waits by itself for what it needs.
    pub(super) const fn needs(self) -> Needs {
        match self {
            Self::Etcd | Self::ApiServer | Self::Containerd => Needs::Nothing,
            // It asks containerd once and ends when nobody answers.
            Self::Kubelet => Needs::Containerd,
            Self::ControllerManager | Self::Scheduler | Self::Proxy | Self::Dns => Needs::Api,
        }
    }

    /// How long it may take to end by itself when one stops it alone, as a fault. The whole cluster is not waited for.
    pub(super) const fn grace(self) -> Duration {
        match self {
            Self::ApiServer => Duration::from_secs(20),
            _ => Duration::from_secs(10),
        }
    }

    /// The program with its arguments, to run in `node`.
    pub(super) fn command(self, node: &Node, layout: &Layout) -> Result<Command, Failure> {
        let program = match self {
            Self::Etcd | Self::Containerd => layout.debian().join("usr/bin").join(self.name()),
            _ => layout.programs().join(self.name()),
        };
        let mut command = node.command(&program)?;
        command.args(self.arguments(layout));
        if self == Self::Containerd {
            command.env("PATH", search_path(&layout.debian()));
        }
        Ok(command)
    }

    fn arguments(self, layout: &Layout) -> Vec<String> {
        match self {
            Self::Etcd => etcd(layout),
            Self::ApiServer => api_server(layout),
            Self::ControllerManager => controller_manager(layout),
            Self::Scheduler => control(layout, "scheduler"),
            Self::Containerd => vec![option("--config", &layout.settings(self))],
            Self::Kubelet => vec![
                option("--config", &layout.settings(self)),
                option("--kubeconfig", &layout.kubeconfig("node")),
                option("--root-dir", &layout.folder.join("kubelet")),
                format!("--hostname-override={NODE}"),
                format!("--node-ip={NODE_ADDRESS}"),
            ],
            Self::Proxy => vec![option("--config", &layout.settings(self))],
            Self::Dns => vec!["-conf".to_owned(), layout.settings(self).display().to_string()],
        }
    }
}

/// Writes what the programs read.
pub(super) fn write_settings(layout: &Layout, sandbox_image: &str) -> Result<(), Failure> {
    let plugins = layout.debian().join("usr/lib/cni");
    std::fs::create_dir_all(layout.networks()).map_err(because("making the folder of pod networks"))?;
    super::files::write_private(
        &layout.networks().join("10-testbed.conflist"),
        &configuration::pod_network(layout).to_string(),
    )?;
    for (part, text) in [
        (Part::Containerd, configuration::containerd(layout, &plugins, sandbox_image)),
        (Part::Kubelet, configuration::kubelet(layout).to_string()),
        (Part::Proxy, configuration::proxy(layout).to_string()),
        (Part::Dns, configuration::names(layout)),
    ] {
        super::files::write_private(&layout.settings(part), &text)?;
    }
    Ok(())
}

fn etcd(layout: &Layout) -> Vec<String> {
    let client = "http://127.0.0.1:2379";
    let peer = "http://127.0.0.1:2380";
    vec![
        "--name=testbed".to_owned(),
        option("--data-dir", &layout.folder.join("etcd")),
        format!("--listen-client-urls={client}"),
        format!("--advertise-client-urls={client}"),
        format!("--listen-peer-urls={peer}"),
        format!("--initial-advertise-peer-urls={peer}"),
        format!("--initial-cluster=testbed={peer}"),
        "--log-level=warn".to_owned(),
        // What is in it is thrown away with the cluster: it need not survive the machine.
        "--unsafe-no-fsync".to_owned(),
    ]
}

fn api_server(layout: &Layout) -> Vec<String> {
    vec![
        format!("--bind-address={NODE_ADDRESS}"),
        format!("--advertise-address={NODE_ADDRESS}"),
        "--secure-port=6443".to_owned(),
        "--etcd-servers=http://127.0.0.1:2379".to_owned(),
        format!("--service-cluster-ip-range={SERVICES}"),
        "--authorization-mode=Node,RBAC".to_owned(),
        "--enable-admission-plugins=NodeRestriction".to_owned(),
        "--allow-privileged=true".to_owned(),
        option("--client-ca-file", &layout.authority()),
        option("--tls-cert-file", &layout.certificate("api-server")),
        option("--tls-private-key-file", &layout.private_key("api-server")),
        option("--kubelet-certificate-authority", &layout.authority()),
        option("--kubelet-client-certificate", &layout.certificate("api-server-to-kubelet")),
        option("--kubelet-client-key", &layout.private_key("api-server-to-kubelet")),
        "--kubelet-preferred-address-types=InternalIP".to_owned(),
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local".to_owned(),
        option("--service-account-key-file", &layout.public_key("service-account")),
        option("--service-account-signing-key-file", &layout.private_key("service-account")),
        option("--requestheader-client-ca-file", &layout.certificate("front-authority")),
        "--requestheader-allowed-names=front-proxy-client".to_owned(),
        "--requestheader-username-headers=X-Remote-User".to_owned(),
        "--requestheader-group-headers=X-Remote-Group".to_owned(),
        "--requestheader-extra-headers-prefix=X-Remote-Extra-".to_owned(),
        option("--proxy-client-cert-file", &layout.certificate("front")),
        option("--proxy-client-key-file", &layout.private_key("front")),
    ]
}

fn controller_manager(layout: &Layout) -> Vec<String> {
    let mut arguments = control(layout, "controller-manager");
    arguments.extend([
        // One account per controller, as Kubernetes' own RBAC rules want it.
        "--use-service-account-credentials=true".to_owned(),
        option("--service-account-private-key-file", &layout.private_key("service-account")),
        option("--root-ca-file", &layout.authority()),
        option("--cluster-signing-cert-file", &layout.authority()),
        option("--cluster-signing-key-file", &layout.private_key("cluster-authority")),
        format!("--service-cluster-ip-range={SERVICES}"),
    ]);
    arguments
}

/// What the two programs that work through the API alone have in common.
fn control(layout: &Layout, user: &str) -> Vec<String> {
    vec![
        "--bind-address=127.0.0.1".to_owned(),
        // Their own ports tell nothing but their health: callers are not looked up.
        option("--kubeconfig", &layout.kubeconfig(user)),
        // There is one of each.
        "--leader-elect=false".to_owned(),
    ]
}

fn option(name: &str, path: &Path) -> String {
    format!("{name}={}", path.display())
}

/// Where containerd finds its shim and runc, and these the programs of the machine.
fn search_path(debian: &Path) -> String {
    let folders: [PathBuf; 2] = [debian.join("usr/bin"), debian.join("usr/sbin")];
    let machine = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    format!("{}:{}:{machine}", folders[0].display(), folders[1].display())
}

/// The user of the API that a test is: it may do everything.
pub(super) const ADMINISTRATOR: &str = "administrator";

/// Who else reaches the API with a certificate.
pub(super) const USERS: [&str; 6] =
    [ADMINISTRATOR, "controller-manager", "scheduler", "proxy", "dns", "node"];
