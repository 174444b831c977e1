//! The platform's own manifests in the testbed's cluster, on a node that is simulated: scheduling, controllers and the API
//! are real, no container is.

#![allow(dead_code, reason = "each test binary uses its part")]

#[path = "cluster.rs"]
pub mod cluster;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Namespace, Node, Secret};
use kube::Api;
use kube::api::{DeleteParams, ListParams};
use kube::runtime::wait::await_condition;
use serde_json::Value;
use testbed::kubernetes::{Fate, SimulatedNode};

use cluster::{Bench, PATIENCE};

/// What deploys it, its release's digests and secrets handed in.
pub const RELEASE: [&str; 6] = ["deploy", "testbed", "--digests", "digests", "--secrets", "secrets"];

pub const SERVICES: [&str; 12] = [
    "audit",
    "billing",
    "data-layer",
    "domain-resolver",
    "event-bus",
    "files",
    "gateway",
    "iam",
    "integration-hub",
    "module-registry",
    "money",
    "notify",
];

/// Files of this workspace in a folder of the test's own, whose environment `testbed` is the testbed's cluster and whose
/// pods go to one simulated node.
pub struct Platform {
    pub bench: Bench,
    node: Option<SimulatedNode>,
    pub namespace: String,
}

impl Platform {
    pub fn of(test: &str) -> Option<Self> {
        let bench = Bench::of(test)?;
        // One of its own, which does not exist yet.
        let namespace = format!("{}-platform", bench.namespace);
        let node = format!("{namespace}-node");
        let started = SimulatedNode::start(&bench.client, &node, |_| Fate::Runs);
        let started = bench.runtime.block_on(started).unwrap();
        let platform = Self { bench, node: Some(started), namespace };
        platform.await_node(&node);
        let folder = platform.folder();
        for name in ["versions.env", "docker", "templates/k8s", "k8s"] {
            copy(&root().join(name), &folder.join(name));
        }
        let template = folder.join("templates/k8s/workload.yaml.j2");
        let text = std::fs::read_to_string(&template).unwrap();
        let pods = "    spec:\n      serviceAccountName:";
        assert_eq!(text.matches(pods).count(), 1, "the template has another form");
        let taint = SimulatedNode::TAINT;
        let place = format!(
            "    spec:\n      nodeSelector: {{ kubernetes.io/hostname: {node} }}\n      \
             tolerations: [{{ key: {taint}, operator: Exists }}]\n      serviceAccountName:"
        );
        std::fs::write(&template, text.replace(pods, &place)).unwrap();
        let digests = SERVICES.iter().chain(&["feature-flags"]).fold(String::new(), |mut text, name| {
            writeln!(text, "{name}=sha256:{}", "ab".repeat(32)).unwrap();
            text
        });
        std::fs::write(folder.join("digests"), digests).unwrap();
        platform.write_secrets("first");
        platform.write_environment(None, "");
        Some(platform)
    }

    /// Waits until the cluster has seen that the node is ready: until then it keeps all pods away from it.
    fn await_node(&self, name: &str) {
        let nodes: Api<Node> = Api::all(self.bench.client.clone());
        let taken_in = |node: Option<&Node>| {
            let taints = node.and_then(|node| node.spec.as_ref()).and_then(|spec| spec.taints.as_ref());
            taints.is_some_and(|taints| taints.iter().all(|taint| taint.key == SimulatedNode::TAINT))
        };
        let waiting = await_condition(nodes, name, taken_in);
        let waited = self.bench.runtime.block_on(async { tokio::time::timeout(PATIENCE, waiting).await });
        waited.expect("the node is taken in").expect("the cluster answers");
    }

    pub fn folder(&self) -> &Path {
        self.bench.folder.path()
    }

    /// Where the kubeconfig leads: its context, and the server behind it.
    fn place(&self) -> (String, String) {
        let text = std::fs::read(&self.bench.kubeconfig).unwrap();
        let kubeconfig: Value = serde_json::from_slice(&text).unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        (text(&kubeconfig["current-context"]), text(&kubeconfig["clusters"][0]["cluster"]["server"]))
    }

    /// An environment in the testbed's cluster, or in the one at `elsewhere`.
    pub fn write_environment(&self, elsewhere: Option<&str>, more: &str) {
        self.write_environment_in("testbed", &self.namespace, elsewhere, more);
    }

    /// The same by another name and with another namespace.
    pub fn write_environment_in(&self, name: &str, namespace: &str, elsewhere: Option<&str>, more: &str) {
        let (context, server) = self.place();
        let cluster = elsewhere.unwrap_or(&server);
        let staging = std::fs::read_to_string(root().join("k8s/environments/staging.yaml")).unwrap();
        // Nobody answers at the names that stand there.
        let kept = staging.lines().filter(|line| {
            !["context:", "cluster:", "namespace:", "probe:"].iter().any(|field| line.starts_with(field))
        });
        let mut text = format!("context: {context}\ncluster: {cluster}\nnamespace: {namespace}\n{more}\n");
        kept.for_each(|line| text = format!("{text}{line}\n"));
        std::fs::write(self.folder().join(format!("k8s/environments/{name}.yaml")), text).unwrap();
    }

    pub fn write_secrets(&self, value: &str) {
        let names = [
            "INTERNAL_TOKEN",
            "POSTGRES_PASSWORD",
            "POSTGRES_APP_PASSWORD",
            "VALKEY_PASSWORD",
            "RABBITMQ_PASSWORD",
            "CLICKHOUSE_PASSWORD",
            "VAULT_ROOT_TOKEN",
            "OBJECTS_SECRET_KEY",
        ];
        let values = names.map(|name| format!("{name}={value}\n")).concat();
        std::fs::write(self.folder().join("secrets"), values).unwrap();
    }

    #[track_caller]
    pub fn ends_with(&self, code: i32, arguments: &[&str]) -> String {
        self.bench.in_environment_ends_with(code, arguments)
    }

    pub fn deployments(&self) -> Vec<Deployment> {
        let api: Api<Deployment> = Api::namespaced(self.bench.client.clone(), &self.namespace);
        self.bench.runtime.block_on(api.list(&ListParams::default())).unwrap().items
    }

    pub fn secrets(&self) -> Vec<String> {
        let api: Api<Secret> = Api::namespaced(self.bench.client.clone(), &self.namespace);
        let listed = self.bench.runtime.block_on(api.list(&ListParams::default())).unwrap();
        listed
            .items
            .into_iter()
            .filter(|secret| secret.type_.as_deref() == Some("Opaque"))
            .filter_map(|one| one.metadata.name)
            .collect()
    }
}

impl Drop for Platform {
    fn drop(&mut self) {
        let namespaces: Api<Namespace> = Api::all(self.bench.client.clone());
        drop(self.bench.runtime.block_on(namespaces.delete(&self.namespace, &DeleteParams::default())));
        if let Some(node) = self.node.take() {
            drop(self.bench.runtime.block_on(node.remove()));
        }
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn copy(from: &Path, to: &Path) {
    if from.is_dir() {
        std::fs::create_dir_all(to).unwrap();
        for entry in std::fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            copy(&entry.path(), &to.join(entry.file_name()));
        }
    } else {
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(from, to).unwrap();
    }
}
