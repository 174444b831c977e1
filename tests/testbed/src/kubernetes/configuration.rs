//! What the programs of the cluster are told by files: kubeconfigs, and the settings of containerd, of the CNI plugin,
//! of the kubelet, the service proxy and the name server. Text from paths; nothing here touches a disk.

use std::path::Path;

use serde_json::{Value, json};

use super::network::{NODE_ADDRESS, PODS, RANGE};
use super::{CGROUP, Layout, NODE};

/// How a user of the API reaches it and proves who they are. Keys stand in the file, so that the file is all that a
/// test needs.
pub(super) fn kubeconfig(user: &str, authority: &str, certificate: &str, private_key: &str) -> Value {
    use base64::Engine as _;
    let data = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "testbed", "cluster": {
            "server": api_address(),
            "certificate-authority-data": data(authority),
        }}],
        "users": [{"name": user, "user": {
            "client-certificate-data": data(certificate),
            "client-key-data": data(private_key),
        }}],
        "contexts": [{"name": "testbed", "context": {"cluster": "testbed", "user": user}}],
        "current-context": "testbed",
    })
}

/// Where the API server listens.
pub(super) fn api_address() -> String {
    format!("https://{NODE_ADDRESS}:6443")
}

/// containerd's own settings: every folder and socket is ours, and what this machine may not have is not asked for.
pub(super) fn containerd(layout: &Layout, plugins: &Path, sandbox_image: &str) -> String {
    let text = |path: &Path| Value::from(path.to_string_lossy()).to_string();
    let socket = layout.containerd_socket();
    format!(
        r#"version = 2
root = {root}
state = {state}
disabled_plugins = [
  "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs", "io.containerd.nri.v1.nri", "io.containerd.tracing.processor.v1.otlp",
]

[grpc]
address = {socket}

[ttrpc]
address = {ttrpc}

[plugins."io.containerd.internal.v1.opt"]
path = {opt}

[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{sandbox_image}"
disable_apparmor = true
# Lowering a score needs a capability that root in a small virtual machine may lack.
restrict_oom_score_adj = true
# Else the network namespaces of pods would be files in a folder of the machine.
netns_mounts_under_state_dir = true

[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = {plugins}
conf_dir = {networks}

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
Root = {runc}
SystemdCgroup = false
"#,
        root = text(&layout.folder.join("containerd")),
        state = text(&layout.folder.join("containerd-state")),
        socket = text(&socket),
        ttrpc = text(&socket.with_extension("ttrpc")),
        opt = text(&layout.folder.join("containerd-opt")),
        plugins = text(plugins),
        networks = text(&layout.networks()),
        runc = text(&layout.folder.join("runc")),
    )
}

/// The pods' network: a routed link per pod, so that traffic between two pods passes the node's firewall like any other.
pub(super) fn pod_network(layout: &Layout) -> Value {
    json!({
        "cniVersion": "0.4.0",
        "name": "testbed",
        "plugins": [{
            "type": "ptp",
            "ipam": {
                "type": "host-local",
                "dataDir": layout.folder.join("pod-addresses"),
                "ranges": [[{"subnet": PODS}]],
                "routes": [{"dst": "0.0.0.0/0"}],
            },
        }],
    })
}

/// The kubelet's settings: those of a usual node, without what would judge or change the machine.
pub(super) fn kubelet(layout: &Layout) -> Value {
    let none = json!("0%");
    json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": NODE_ADDRESS,
        "healthzBindAddress": "127.0.0.1",
        "readOnlyPort": 0,
        "authentication": {
            "anonymous": {"enabled": false},
            "webhook": {"enabled": true},
            "x509": {"clientCAFile": layout.authority()},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": layout.certificate("node"),
        "tlsPrivateKeyFile": layout.private_key("node"),
        "containerRuntimeEndpoint": format!("unix://{}", layout.containerd_socket().display()),
        "podLogsDir": layout.folder.join("pod-logs"),
        "volumePluginDir": layout.folder.join("volume-plugins"),
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": format!("/{CGROUP}"),
        // There is nothing to reserve: the machine's other processes are not the cluster's business.
        "enforceNodeAllocatable": [],
        "failSwapOn": false,
        // Refusing cgroup v1 is this release's default, and virtual machines with it are still about.
        "failCgroupV1": false,
        // The rules are for kube-proxy's iptables mode and port mappings; ours is nftables.
        "makeIPTablesUtilChains": false,
        "clusterDNS": [NODE_ADDRESS],
        "clusterDomain": "cluster.local",
        "resolvConf": "",
        // A full disk of the developer's machine is no reason to evict pods or to remove images that have no registry.
        "evictionHard": {
            "memory.available": none, "nodefs.available": none, "nodefs.inodesFree": none,
            "imagefs.available": none, "imagefs.inodesFree": none,
        },
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
    })
}

/// The service proxy's settings.
pub(super) fn proxy(layout: &Layout) -> Value {
    json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "bindAddress": NODE_ADDRESS,
        "clusterCIDR": PODS,
        "hostnameOverride": NODE,
        "healthzBindAddress": "127.0.0.1:10256",
        "metricsBindAddress": "127.0.0.1:10249",
        "clientConnection": {"kubeconfig": layout.kubeconfig("proxy")},
        // Limits of connection tracking are the whole machine's: they stay as they are.
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
    })
}

/// The name server's settings: names of the cluster, nothing else. There is no name server behind it.
pub(super) fn names(layout: &Layout) -> String {
    format!(
        "cluster.local:53 in-addr.arpa:53 {{
    bind {NODE_ADDRESS}
    errors
    health 127.0.0.1:8080
    ready 127.0.0.1:8181
    kubernetes cluster.local {RANGE} {{
        kubeconfig {kubeconfig}
        pods insecure
        ttl 1
    }}
}}
",
        kubeconfig = layout.kubeconfig("dns").display(),
    )
}
