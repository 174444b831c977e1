//! The cluster of the testbed, by what a deployment needs of it: real rollouts, programs that come back, nothing left.
//!
//! These tests run when `KUBECONFIG` is the testbed's: `eval "$(cargo xtask testbed env)"`. Else each says that it was
//! left out. They share one cluster and break its programs, so one runs at a time.
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Namespace, Pod, Service, ServiceAccount};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::{Value, json};
use testbed::kubernetes::{Cluster, Fate, Part, SimulatedNode, is_rolled_out, run_in_pod, workload_image};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::Instant;

const LIMIT: Duration = Duration::from_secs(90);

static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

/// The cluster, for one test alone, with a namespace of the test's own.
struct Bench {
    _turn: MutexGuard<'static, ()>,
    cluster: Cluster,
    client: Client,
    namespace: String,
}

impl Bench {
    /// `None`, said by name, when this process was not told of the testbed's cluster.
    async fn of(test: &str) -> Option<Self> {
        let cluster = Cluster::from_environment().ok();
        let told = std::env::var_os("KUBECONFIG");
        let Some(cluster) =
            cluster.filter(|cluster| told.is_some_and(|path| Path::new(&path) == cluster.kubeconfig()))
        else {
            println!("left out: {test}: KUBECONFIG is not that of the testbed's cluster");
            return None;
        };
        let turn = ONE_AT_A_TIME.lock().await;
        let client = cluster.client().await.unwrap();
        let namespace = json!({"metadata": {"generateName": "testbed-test-"}});
        let namespace: Namespace = serde_json::from_value(namespace).unwrap();
        let made = Api::all(client.clone()).create(&PostParams::default(), &namespace).await.unwrap();
        let namespace = made.metadata.name.unwrap();
        let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), &namespace);
        eventually("a service account", async || accounts.get("default").await.ok()).await;
        Some(Self { _turn: turn, cluster, client, namespace })
    }

    fn deployments(&self) -> Api<Deployment> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    async fn create_deployment(&self, replicas: u32, environment: Value) {
        let deployment = serde_json::from_value(deployment("web", replicas, &environment)).unwrap();
        self.deployments().create(&PostParams::default(), &deployment).await.unwrap();
    }

    async fn patch(&self, change: Value) {
        let patch = Patch::Strategic(&change);
        self.deployments().patch("web", &PatchParams::default(), &patch).await.unwrap();
    }

    /// The names of the pods when the rollout is over and the last one of the rollout before has gone.
    async fn rolled_out(&self) -> BTreeSet<String> {
        eventually("the rollout", async || {
            let deployment = self.deployments().get("web").await.ok()?;
            let pods = self.pods().list(&ListParams::default()).await.ok()?.items;
            let leaving = pods.iter().any(|pod| pod.metadata.deletion_timestamp.is_some());
            (is_rolled_out(&deployment) && !leaving).then(|| pods.into_iter().map(name).collect())
        })
        .await
    }

    async fn end(self) {
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        namespaces.delete(&self.namespace, &DeleteParams::default()).await.unwrap();
        eventually("the namespace to end", async || {
            namespaces.get_opt(&self.namespace).await.ok()?.is_none().then_some(())
        })
        .await;
    }
}

fn name(pod: Pod) -> String {
    pod.metadata.name.unwrap()
}

fn deployment(name: &str, replicas: u32, environment: &Value) -> Value {
    json!({
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "progressDeadlineSeconds": 600,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {
                    "terminationGracePeriodSeconds": 5,
                    "securityContext": {"runAsNonRoot": true},
                    "containers": [{
                        "name": "workload",
                        "image": workload_image("1"),
                        "imagePullPolicy": "Never",
                        "env": environment,
                        "readinessProbe": {"httpGet": {"path": "/ready", "port": 8080}, "periodSeconds": 1},
                    }],
                },
            },
        },
    })
}

fn image(version: &str) -> Value {
    json!({"spec": {"template": {"spec": {"containers": [{"name": "workload", "image": workload_image(version)}]}}}})
}

async fn eventually<T>(what: &str, mut ready: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + LIMIT;
    let mut pace = tokio::time::interval(Duration::from_millis(50));
    loop {
        pace.tick().await;
        if let Some(value) = ready().await {
            return value;
        }
        assert!(Instant::now() < deadline, "waited {LIMIT:?} in vain for {what}");
    }
}

/// What a server at this address answers to `GET /`.
async fn get(address: &str) -> Option<String> {
    let talk = async {
        let mut stream = TcpStream::connect(address).await.ok()?;
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n").await.ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.ok()?;
        Some(answer.rsplit("\r\n\r\n").next()?.trim().to_owned())
    };
    tokio::time::timeout(Duration::from_secs(2), talk).await.ok()?
}

#[tokio::test]
async fn a_rollout_replaces_every_pod_while_the_service_answers() {
    let Some(bench) = Bench::of("a_rollout_replaces_every_pod_while_the_service_answers").await else {
        return;
    };
    let service = json!({
        "metadata": {"name": "web"},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]},
    });
    let services: Api<Service> = Api::namespaced(bench.client.clone(), &bench.namespace);
    let service =
        services.create(&PostParams::default(), &serde_json::from_value(service).unwrap()).await.unwrap();
    let address = format!("{}:80", service.spec.unwrap().cluster_ip.unwrap());
    bench.create_deployment(2, json!([])).await;
    let first = bench.rolled_out().await;
    assert_eq!(first.len(), 2);
    // From this machine, by the address of the service.
    eventually("the first version", async || get(&address).await.filter(|answer| answer == "version 1"))
        .await;

    bench.patch(image("2")).await;
    let second = bench.rolled_out().await;
    assert_eq!(second.len(), 2);
    assert!(first.is_disjoint(&second), "{first:?} {second:?}");
    eventually("the second version", async || get(&address).await.filter(|answer| answer == "version 2"))
        .await;

    // And from a pod, by the name of the service: the cluster's DNS and proxy learn of a change on their own time.
    let pod = second.first().unwrap();
    eventually("the service by its name, from a pod", async || {
        let ran = run_in_pod(&bench.pods(), pod, &["/workload", "get", "http://web/"]).await.unwrap();
        println!("from a pod: {ran:?}");
        (ran.success && ran.output == "version 2\n").then_some(())
    })
    .await;
    let ran = run_in_pod(&bench.pods(), pod, &["/workload", "exit", "7"]).await.unwrap();
    assert!(!ran.success && ran.end.contains("exit code 7"), "{ran:?}");
    bench.end().await;
}

#[tokio::test]
async fn a_version_that_does_not_become_ready_leaves_the_old_pods_serving() {
    let Some(bench) = Bench::of("a_version_that_does_not_become_ready_leaves_the_old_pods_serving").await
    else {
        return;
    };
    bench.create_deployment(2, json!([])).await;
    let first = bench.rolled_out().await;
    let never = json!([{"name": "READY", "value": "false"}]);
    bench
        .patch(json!({"spec": {
            "progressDeadlineSeconds": 2,
            "template": {"spec": {"containers": [{"name": "workload", "env": never}]}},
        }}))
        .await;
    let failed = eventually("the rollout to be given up", async || {
        let deployment = bench.deployments().get("web").await.ok()?;
        let conditions = deployment.status.as_ref()?.conditions.clone()?;
        conditions
            .iter()
            .any(|condition| condition.reason.as_deref() == Some("ProgressDeadlineExceeded"))
            .then_some(deployment)
    })
    .await;
    assert!(!is_rolled_out(&failed));
    let pods = bench.pods().list(&ListParams::default()).await.unwrap().items;
    let names: BTreeSet<String> = pods.into_iter().map(name).collect();
    assert!(names.is_superset(&first) && names.len() == 3, "{names:?}");
    bench.end().await;
}

#[tokio::test]
async fn pods_outlive_a_killed_kubelet_and_obey_the_next_one() {
    let Some(bench) = Bench::of("pods_outlive_a_killed_kubelet_and_obey_the_next_one").await else { return };
    bench.create_deployment(1, json!([])).await;
    let first = bench.rolled_out().await.first().unwrap().clone();
    let address = bench.pods().get(&first).await.unwrap().status.unwrap().pod_ip.unwrap();
    let address = format!("{address}:8080");

    bench.cluster.kill(Part::Kubelet).await.unwrap();
    bench.pods().delete(&first, &DeleteParams::default()).await.unwrap();
    assert_eq!(get(&address).await.as_deref(), Some("version 1"), "nobody is there to end the pod");
    let marked = bench.pods().get(&first).await.unwrap();
    assert!(marked.metadata.deletion_timestamp.is_some());

    bench.cluster.start(Part::Kubelet).unwrap();
    let second = bench.rolled_out().await;
    assert!(!second.contains(&first), "{second:?}");
    assert_eq!(get(&address).await, None, "the pod has ended");
    bench.end().await;
}

#[tokio::test]
async fn what_was_asked_while_the_controller_manager_was_away_is_done_when_it_is_back() {
    let Some(bench) =
        Bench::of("what_was_asked_while_the_controller_manager_was_away_is_done_when_it_is_back").await
    else {
        return;
    };
    bench.create_deployment(1, json!([])).await;
    bench.rolled_out().await;
    bench.cluster.kill(Part::ControllerManager).await.unwrap();
    bench.patch(json!({"spec": {"replicas": 3}})).await;
    let asked = bench.deployments().get("web").await.unwrap();
    let seen = asked.status.as_ref().and_then(|status| status.observed_generation);
    assert!(seen < asked.metadata.generation && !is_rolled_out(&asked), "{asked:?}");

    bench.cluster.start(Part::ControllerManager).unwrap();
    assert_eq!(bench.rolled_out().await.len(), 3);
    bench.end().await;
}

#[tokio::test]
async fn a_paused_api_server_answers_nobody_until_it_goes_on() {
    let Some(bench) = Bench::of("a_paused_api_server_answers_nobody_until_it_goes_on").await else { return };
    bench.cluster.pause(Part::ApiServer).unwrap();
    let asked = tokio::time::timeout(Duration::from_secs(1), bench.client.apiserver_version()).await;
    bench.cluster.resume(Part::ApiServer).unwrap();
    assert!(asked.is_err(), "it answered while it was paused: {asked:?}");
    eventually("the API", async || bench.client.apiserver_version().await.ok()).await;
    bench.end().await;
}

#[tokio::test]
async fn a_cluster_that_is_cut_off_or_slow_is_well_again_when_it_is_healed() {
    let test = "a_cluster_that_is_cut_off_or_slow_is_well_again_when_it_is_healed";
    let Some(bench) = Bench::of(test).await else { return };
    // About a megabyte: minutes through the narrow pipe, a moment without.
    let large = async || {
        let request = http::Request::get("/openapi/v2").body(Vec::new()).unwrap();
        tokio::time::timeout(Duration::from_secs(5), bench.client.request_text(request)).await
    };
    assert!(large().await.unwrap().unwrap().len() > 500_000);
    bench.cluster.slow().await.unwrap();
    let slow = large().await;
    bench.cluster.heal().await.unwrap();
    assert!(slow.is_err(), "a megabyte came through a narrow pipe in no time");
    bench.cluster.cut().await.unwrap();
    let asked = tokio::time::timeout(Duration::from_secs(1), bench.client.apiserver_version()).await;
    bench.cluster.heal().await.unwrap();
    assert!(asked.is_err(), "it answered while it was cut off: {asked:?}");
    eventually("the API", async || bench.client.apiserver_version().await.ok()).await;
    bench.end().await;
}

#[tokio::test]
async fn pods_of_a_simulated_node_have_the_fate_that_was_chosen() {
    let Some(bench) = Bench::of("pods_of_a_simulated_node_have_the_fate_that_was_chosen").await else {
        return;
    };
    let fate = |pod: &Pod| match pod
        .metadata
        .labels
        .as_ref()
        .and_then(|labels| labels.get("app"))
        .map(String::as_str)
    {
        Some("broken") => Fate::NoImage,
        _ => Fate::Runs,
    };
    let node = SimulatedNode::start(&bench.client, "simulated-1", fate).await.unwrap();
    for (deployment_name, replicas) in [("many", 100), ("broken", 1)] {
        let mut deployment = deployment(deployment_name, replicas, &json!([]));
        let spec = &mut deployment["spec"]["template"]["spec"];
        spec["tolerations"] = json!([{"key": SimulatedNode::TAINT, "operator": "Exists"}]);
        spec["nodeName"] = json!(node.name());
        let deployment = serde_json::from_value(deployment).unwrap();
        bench.deployments().create(&PostParams::default(), &deployment).await.unwrap();
    }
    eventually("a hundred simulated pods", async || {
        is_rolled_out(&bench.deployments().get("many").await.ok()?).then_some(())
    })
    .await;
    let reason = eventually("the simulated pod without an image", async || {
        let pods = bench.pods().list(&ListParams::default().labels("app=broken")).await.ok()?.items;
        let container = pods.first()?.status.as_ref()?.container_statuses.as_ref()?.first()?.clone();
        container.state?.waiting?.reason
    })
    .await;
    assert_eq!(reason, "ImagePullBackOff");
    // While its pods can still be let go.
    let namespaces: Api<Namespace> = Api::all(bench.client.clone());
    namespaces.delete(&bench.namespace, &DeleteParams::default()).await.unwrap();
    eventually("the namespace to end", async || {
        namespaces.get_opt(&bench.namespace).await.ok()?.is_none().then_some(())
    })
    .await;
    node.remove().await.unwrap();
}

#[tokio::test]
async fn nothing_is_left_after_down_and_up_makes_it_anew() {
    let Some(bench) = Bench::of("nothing_is_left_after_down_and_up_makes_it_anew").await else { return };
    bench.create_deployment(2, json!([])).await;
    bench.rolled_out().await;
    assert!(bench.cluster.leftovers().unwrap().iter().any(|left| left.contains("of a pod")));

    bench.cluster.down().await.unwrap();
    assert_eq!(bench.cluster.leftovers().unwrap(), Vec::<String>::new());
    bench.cluster.down().await.unwrap();

    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    bench.cluster.up(&workspace, &|_| ()).await.unwrap();
    assert!(bench.cluster.version().await.is_some());
}
