//! A simulated node: an entry in the API with a heartbeat, whose pods run in name only.
//!
//! For hundreds of pods, and for states that are hard to bring about with real ones. Scheduling, controllers and the API
//! are real; no container is. Only pods that tolerate [`SimulatedNode::TAINT`] are given to it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::TryStreamExt;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::failure::{Failure, because};

/// The node controller gives a node up after 40 s without one.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// What becomes of a pod on a simulated node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It runs and is ready.
    Runs,
    /// It runs and never becomes ready.
    NeverReady,
    /// Its image can't be pulled.
    NoImage,
    /// It ends with an error again and again.
    Crashes,
    /// It ends well at once, as a job's pod does.
    Succeeds,
}

/// A node that is only simulated. It ends when this is dropped; [`SimulatedNode::remove`] takes its entry away as well.
pub struct SimulatedNode {
    client: Client,
    name: String,
    work: JoinHandle<()>,
}

impl SimulatedNode {
    /// The key of the taint that keeps real pods away.
    pub const TAINT: &'static str = "testbed.invalid/simulated";

    /// Registers a simulated node; `fate` decides for each pod.
    ///
    /// # Errors
    /// When the API refuses it, for one because there is a node of this name.
    pub async fn start(
        client: &Client,
        name: &str,
        fate: impl Fn(&Pod) -> Fate + Send + Sync + 'static,
    ) -> Result<Self, Failure> {
        let attempted = || format!("registering the simulated node `{name}`");
        let node: Node = serde_json::from_value(node(name)).map_err(because(attempted()))?;
        Api::all(client.clone()).create(&PostParams::default(), &node).await.map_err(because(attempted()))?;
        beat(client, name).await.map_err(because(attempted()))?;
        let (worker, worker_name, fate) = (client.clone(), name.to_owned(), Arc::new(fate));
        let work = tokio::spawn(async move {
            let beats = async {
                let mut pace = tokio::time::interval(HEARTBEAT);
                loop {
                    pace.tick().await;
                    // A beat that is lost is made up for by the next one.
                    let _ = beat(&worker, &worker_name).await;
                }
            };
            tokio::join!(beats, run_pods(&worker, &worker_name, &*fate));
        });
        Ok(Self { client: client.clone(), name: name.to_owned(), work })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Ends it and removes its entry; the pods that were on it are removed by the cluster's pod collector.
    ///
    /// # Errors
    /// When the API refuses.
    pub async fn remove(self) -> Result<(), Failure> {
        self.work.abort();
        let removed =
            Api::<Node>::all(self.client.clone()).delete(&self.name, &DeleteParams::default()).await;
        removed.map(drop).map_err(because(format!("removing the simulated node `{}`", self.name)))
    }
}

impl fmt::Debug for SimulatedNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SimulatedNode").field(&self.name).finish()
    }
}

impl Drop for SimulatedNode {
    fn drop(&mut self) {
        self.work.abort();
    }
}

fn node(name: &str) -> Value {
    json!({
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, (SimulatedNode::TAINT): "true"}},
        "spec": {"taints": [{"key": SimulatedNode::TAINT, "effect": "NoSchedule"}]},
    })
}

/// Says that the node is alive and has room, as a kubelet does.
async fn beat(client: &Client, name: &str) -> kube::Result<()> {
    let now = jiff::Timestamp::now();
    let room = json!({"cpu": "1000", "memory": "1000Gi", "pods": "1000"});
    let status = json!({"status": {
        "capacity": room,
        "allocatable": room,
        "nodeInfo": {
            "kubeletVersion": "simulated", "kubeProxyVersion": "", "osImage": "simulated", "kernelVersion": "simulated",
            "containerRuntimeVersion": "simulated://0", "operatingSystem": "linux", "architecture": "amd64",
            "machineID": "", "systemUUID": "", "bootID": "",
        },
        "conditions": [{
            "type": "Ready", "status": "True", "reason": "Simulated", "message": "simulated, no kubelet",
            "lastHeartbeatTime": now,
        }],
    }});
    let nodes: Api<Node> = Api::all(client.clone());
    nodes.patch_status(name, &PatchParams::default(), &Patch::Strategic(&status)).await?;
    let lease = json!({
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": name},
        "spec": {"holderIdentity": name, "leaseDurationSeconds": 40, "renewTime": format!("{now:.6}")},
    });
    let leases: Api<Lease> = Api::namespaced(client.clone(), "kube-node-lease");
    leases
        .patch(name, &PatchParams::apply("testbed-simulated").force(), &Patch::Apply(&lease))
        .await
        .map(drop)
}

/// Gives every pod of the node the status of its fate, and lets go of those that are to end.
async fn run_pods(client: &Client, node: &str, fate: &(dyn Fn(&Pod) -> Fate + Send + Sync)) {
    let pods: Api<Pod> = Api::all(client.clone());
    let settings = watcher::Config::default().fields(&format!("spec.nodeName={node}"));
    // The watch is taken up again by itself; an error is one try that failed.
    let mut changes = std::pin::pin!(watcher(pods, settings).default_backoff().applied_objects());
    loop {
        match changes.try_next().await {
            Ok(Some(pod)) => {
                // A change that meets a newer pod fails, and the newer one comes by here as well.
                let _ = run_pod(client, &pod, fate(&pod)).await;
            }
            Ok(None) => return,
            Err(_) => {}
        }
    }
}

async fn run_pod(client: &Client, pod: &Pod, fate: Fate) -> kube::Result<()> {
    let (Some(name), Some(namespace)) = (&pod.metadata.name, &pod.metadata.namespace) else { return Ok(()) };
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    if pod.metadata.deletion_timestamp.is_some() {
        return pods.delete(name, &DeleteParams::default().grace_period(0)).await.map(drop);
    }
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or("Pending");
    let seen = pod.status.as_ref().is_some_and(|status| status.start_time.is_some());
    if seen || phase != "Pending" {
        return Ok(());
    }
    let status = json!({"status": status(pod, fate)});
    pods.patch_status(name, &PatchParams::default(), &Patch::Strategic(&status)).await.map(drop)
}

/// What a kubelet would say of such a pod.
fn status(pod: &Pod, fate: Fate) -> Value {
    let now = jiff::Timestamp::now();
    let ready = fate == Fate::Runs;
    let running = json!({"running": {"startedAt": now}});
    let waiting = |reason: &str, message: &str| json!({"waiting": {"reason": reason, "message": message}});
    let ended = |code: i32, reason: &str| json!({"terminated": {"exitCode": code, "reason": reason, "startedAt": now, "finishedAt": now}});
    let (phase, state, last) = match fate {
        Fate::Runs | Fate::NeverReady => ("Running", running, json!({})),
        Fate::NoImage => {
            ("Pending", waiting("ImagePullBackOff", "simulated: the image can't be pulled"), json!({}))
        }
        Fate::Crashes => ("Running", waiting("CrashLoopBackOff", "simulated: it crashes"), ended(1, "Error")),
        Fate::Succeeds => ("Succeeded", ended(0, "Completed"), json!({})),
    };
    let containers = pod.spec.as_ref().map(|spec| spec.containers.as_slice()).unwrap_or_default();
    let containers: Vec<Value> = containers
        .iter()
        .map(|container| {
            let mut status = BTreeMap::from([
                ("name", json!(container.name)),
                ("image", json!(container.image)),
                ("imageID", json!("")),
                ("ready", json!(ready)),
                ("started", json!(ready)),
                ("restartCount", json!(if fate == Fate::Crashes { 3 } else { 0 })),
                ("state", state.clone()),
            ]);
            if last.as_object().is_some_and(|last| !last.is_empty()) {
                status.insert("lastState", last.clone());
            }
            json!(status)
        })
        .collect();
    let condition = |kind: &str, value: bool| json!({"type": kind, "status": if value { "True" } else { "False" }, "lastTransitionTime": now});
    json!({
        "phase": phase,
        "startTime": now,
        "conditions": [
            condition("Initialized", true), condition("Ready", ready), condition("ContainersReady", ready),
        ],
        "containerStatuses": containers,
    })
}
