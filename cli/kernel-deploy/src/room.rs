//! Whether the cluster has room for a deploy at its worst moment, before anything is changed: new pods and those that a
//! rollout makes beside the old ones, against what nodes have left and what quotas still allow.
//!
//! The answer is careful in one direction only. Affinities, spread and volumes are not looked at, so what is said to fit may
//! still find no node; what is said not to fit would need nodes that are not there yet.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::try_join_all;
use k8s_openapi::api::core::v1::{Node, Pod, ResourceQuota};
use kernel_core::object::ObjectName;
use kernel_core::quantity::{bytes, processors, thousandths};
use kube::api::ListParams;
use kube::{Api, Error};
use serde_json::Value;

use crate::cluster::Cluster;
use crate::codes;
use crate::fault::Fault;
use crate::manifest::Manifest;
use crate::observe::Observation;

/// What pods ask for, or nodes have: thousandths of processors and of bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Amount {
    cpu: i128,
    memory: i128,
}

impl Amount {
    /// What stands in a map with `cpu` and `memory`.
    fn of(map: &Value) -> Self {
        let read = |name: &str| match &map[name] {
            Value::String(text) => thousandths(text),
            Value::Number(number) => thousandths(&number.to_string()),
            _ => None,
        };
        Self { cpu: read("cpu").unwrap_or_default(), memory: read("memory").unwrap_or_default() }
    }

    fn or(self, other: Self) -> Self {
        let choose = |one, other| if one == 0 { other } else { one };
        Self { cpu: choose(self.cpu, other.cpu), memory: choose(self.memory, other.memory) }
    }

    fn max(self, other: Self) -> Self {
        Self { cpu: self.cpu.max(other.cpu), memory: self.memory.max(other.memory) }
    }

    fn plus(self, other: Self) -> Self {
        Self { cpu: self.cpu + other.cpu, memory: self.memory + other.memory }
    }

    fn minus(self, other: Self) -> Self {
        Self { cpu: self.cpu - other.cpu, memory: self.memory - other.memory }
    }

    fn times(self, number: i64) -> Self {
        Self { cpu: self.cpu * i128::from(number), memory: self.memory * i128::from(number) }
    }

    fn holds(self, other: Self) -> bool {
        self.cpu >= other.cpu && self.memory >= other.memory
    }

    /// `cpu 250m and memory 64Mi`.
    fn told(self) -> String {
        #[expect(clippy::cast_precision_loss, reason = "a number of processors has few digits")]
        let cpus = self.cpu.max(0) as f64 / 1_000.0;
        let memory = u64::try_from(self.memory.max(0) / 1_000).unwrap_or(u64::MAX);
        format!("cpu {} and memory {}", processors(cpus), bytes(memory))
    }
}

/// Pods that one workload has more than now, when it has most.
#[derive(Clone, Debug)]
struct Demand<'a> {
    name: ObjectName,
    pods: i64,
    requests: Amount,
    limits: Amount,
    /// The pod's `spec`.
    spec: &'a Value,
}

/// What a node has left, and whom it takes.
#[derive(Clone, Debug)]
struct Room {
    labels: BTreeMap<String, String>,
    taints: Vec<Value>,
    left: Amount,
    pods: i64,
}

/// Asks the cluster for its nodes and quotas, when these manifests make pods. Gives what could not be asked, as a sentence.
///
/// # Errors
/// What there is no room for, all of it, or the cluster does not answer.
pub(crate) async fn check(
    cluster: &Cluster,
    desired: &[Manifest],
    observed: &[Observation],
) -> Result<Option<String>, Fault> {
    let demands: Vec<Demand<'_>> =
        desired.iter().zip(observed).filter_map(|(wanted, there)| demand(wanted, there)).collect();
    if demands.is_empty() {
        return Ok(None);
    }
    let (nodes, quotas) = tokio::join!(rooms(cluster), quotas(cluster, &demands));
    let mut lines = over_quota(&demands, &quotas?, desired);
    let unasked = match nodes? {
        Some(rooms) => {
            lines.extend(without_node(&demands, rooms));
            None
        }
        None => Some("whether the nodes have room is not known: we may not list them".to_owned()),
    };
    if lines.is_empty() {
        return Ok(unasked);
    }
    let message = "the cluster has no room for what this deploy makes; nothing was changed";
    Err(Fault::new(codes::NO_ROOM, message).evidence(lines).help(
        "ask for less, make room or raise the quota; where nodes are added on demand, say `--no-room-check`",
    ))
}

/// The pods that a workload adds, or nothing.
fn demand<'a>(wanted: &'a Manifest, there: &Observation) -> Option<Demand<'a>> {
    let body = &wanted.body;
    let kind = wanted.kind();
    let template = match kind {
        "Deployment" | "StatefulSet" | "ReplicaSet" | "Job" => &body["spec"]["template"]["spec"],
        "Pod" => &body["spec"],
        _ => return None,
    };
    let number = |value: &Value| value.as_i64();
    let replicas = |body: &Value| number(&body["spec"]["replicas"]);
    let pods = match (kind, there) {
        ("Pod", Observation::Missing) => 1,
        ("Job", Observation::Missing) => number(&body["spec"]["parallelism"]).unwrap_or(1),
        (_, Observation::Missing) => replicas(body).unwrap_or(1),
        // It is taken away before it is made anew.
        ("Pod" | "Job", _) | (_, Observation::Immutable { .. } | Observation::Done) => 0,
        (_, Observation::Present { live, differences, .. }) => {
            let before = replicas(live).unwrap_or(1);
            let after = replicas(body).unwrap_or(before);
            let rolls = differences.iter().any(|difference| difference.path.starts_with("spec.template"));
            let beside = if kind == "Deployment" && rolls { surge(body, after) } else { 0 };
            (after - before).max(0) + beside
        }
    };
    (pods > 0).then(|| Demand {
        name: wanted.name(),
        pods,
        requests: pod_amount(template, "requests"),
        limits: pod_amount(template, "limits"),
        spec: template,
    })
}

/// How many pods a rollout makes beside those that are there.
fn surge(deployment: &Value, replicas: i64) -> i64 {
    let strategy = &deployment["spec"]["strategy"];
    if strategy["type"] == "Recreate" {
        return 0;
    }
    match &strategy["rollingUpdate"]["maxSurge"] {
        Value::Number(number) => number.as_i64().unwrap_or_default(),
        Value::String(share) => {
            let percent: i64 = share.trim_end_matches('%').parse().unwrap_or(25);
            (percent * replicas + 99) / 100
        }
        _ => (25 * replicas + 99) / 100,
    }
}

/// What a pod needs: its containers together, or its largest step of initialisation, and what its runtime costs. A request
/// that is not made is as large as the limit.
/// Source: Kubernetes documentation, "Init containers", "Resource sharing within containers".
fn pod_amount(spec: &Value, which: &str) -> Amount {
    let of = |container: &Value| {
        let resources = &container["resources"];
        let amount = Amount::of(&resources[which]);
        if which == "requests" { amount.or(Amount::of(&resources["limits"])) } else { amount }
    };
    let list = |name: &str| spec[name].as_array().map(Vec::as_slice).unwrap_or_default().iter();
    let (mut beside, mut largest) = (Amount::default(), Amount::default());
    for container in list("initContainers") {
        if container["restartPolicy"] == "Always" {
            beside = beside.plus(of(container));
            largest = largest.max(beside);
        } else {
            largest = largest.max(beside.plus(of(container)));
        }
    }
    let together = list("containers").fold(beside, |sum, container| sum.plus(of(container)));
    together.max(largest).plus(Amount::of(&spec["overhead"]))
}

/// Which demands find no node, a line each. The largest pods are placed first.
fn without_node(demands: &[Demand<'_>], mut rooms: Vec<Room>) -> Vec<String> {
    let mut order: Vec<&Demand<'_>> = demands.iter().collect();
    order.sort_by_key(|demand| std::cmp::Reverse((demand.requests.memory, demand.requests.cpu)));
    let mut lines = Vec::new();
    for demand in order {
        let mut homeless = 0;
        for _ in 0..demand.pods {
            let room = rooms
                .iter_mut()
                .find(|room| room.pods > 0 && room.left.holds(demand.requests) && takes(room, demand.spec));
            match room {
                Some(room) => {
                    room.left = room.left.minus(demand.requests);
                    room.pods -= 1;
                }
                None => homeless += 1,
            }
        }
        if homeless > 0 {
            let best =
                rooms.iter().filter(|room| takes(room, demand.spec)).max_by_key(|room| room.left.memory);
            let rest = match best {
                None => "no node may take it: look at its `nodeSelector` and `tolerations`".to_owned(),
                Some(room) if room.pods <= 0 => "the nodes hold as many pods as they may".to_owned(),
                Some(room) => format!("the node with most has {} left", room.left.told()),
            };
            lines.push(format!(
                "{}: {homeless} of {} more pods find no node; each asks for {}; {rest}",
                demand.name,
                demand.pods,
                demand.requests.told()
            ));
        }
    }
    lines
}

/// Whether a node may take such a pod: its labels and its taints, not affinities.
fn takes(room: &Room, spec: &Value) -> bool {
    let chosen = spec["nodeSelector"]
        .as_object()
        .into_iter()
        .flatten()
        .all(|(label, value)| room.labels.get(label).map(String::as_str) == value.as_str());
    let tolerations = spec["tolerations"].as_array().map(Vec::as_slice).unwrap_or_default();
    let tolerated = |taint: &Value| {
        tolerations.iter().any(|toleration| {
            let key = toleration["key"].as_str().unwrap_or_default();
            let any = toleration["operator"] == "Exists";
            let effect = toleration["effect"].as_str().unwrap_or_default();
            (key == taint["key"] || (key.is_empty() && any))
                && (any
                    || toleration["value"].as_str().unwrap_or_default()
                        == taint["value"].as_str().unwrap_or_default())
                && (effect.is_empty() || effect == taint["effect"])
        })
    };
    chosen && room.taints.iter().filter(|taint| taint["effect"] != "PreferNoSchedule").all(tolerated)
}

/// What each node has left; `None` when we may not ask.
async fn rooms(cluster: &Cluster) -> Result<Option<Vec<Room>>, Fault> {
    let nodes: Api<Node> = Api::all(cluster.client.clone());
    let pods: Api<Pod> = Api::all(cluster.client.clone());
    let placed = ListParams::default().fields("spec.nodeName!=,status.phase!=Succeeded,status.phase!=Failed");
    let every = ListParams::default();
    let (nodes, pods) = tokio::join!(nodes.list(&every), pods.list(&placed));
    let forbidden = |error: &Error| matches!(error, Error::Api(status) if status.code == 403);
    let (nodes, pods) = match (nodes, pods) {
        (Ok(nodes), Ok(pods)) => (nodes, pods),
        (Err(error), _) | (_, Err(error)) if forbidden(&error) => return Ok(None),
        (Err(error), _) | (_, Err(error)) => {
            return Err(Fault::of("looking how much room the nodes have", &error));
        }
    };
    let mut used: BTreeMap<String, (Amount, i64)> = BTreeMap::new();
    for pod in pods {
        let spec = serde_json::to_value(pod.spec).unwrap_or_default();
        let Some(node) = spec["nodeName"].as_str() else { continue };
        let (amount, number) = used.entry(node.to_owned()).or_default();
        *amount = amount.plus(pod_amount(&spec, "requests"));
        *number += 1;
    }
    let room = |node: Node| {
        let node = serde_json::to_value(node).unwrap_or_default();
        let conditions = node["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let ready = conditions.iter().any(|one| one["type"] == "Ready" && one["status"] == "True");
        let (used, number) = used.get(node["metadata"]["name"].as_str()?).copied().unwrap_or_default();
        let allocatable = &node["status"]["allocatable"];
        let most: i64 = allocatable["pods"].as_str().and_then(|text| text.parse().ok()).unwrap_or(i64::MAX);
        (ready && node["spec"]["unschedulable"] != true).then(|| Room {
            labels: serde_json::from_value(node["metadata"]["labels"].clone()).unwrap_or_default(),
            taints: node["spec"]["taints"].as_array().cloned().unwrap_or_default(),
            left: Amount::of(allocatable).minus(used),
            pods: most - number,
        })
    };
    Ok(Some(nodes.into_iter().filter_map(room).collect()))
}

/// The quotas of the namespaces in which pods are made.
async fn quotas(cluster: &Cluster, demands: &[Demand<'_>]) -> Result<Vec<Value>, Fault> {
    let namespaces: BTreeSet<&String> =
        demands.iter().filter_map(|demand| demand.name.namespace.as_ref()).collect();
    let lists = namespaces.into_iter().map(|namespace| async move {
        let quotas: Api<ResourceQuota> = Api::namespaced(cluster.client.clone(), namespace);
        match quotas.list(&ListParams::default()).await {
            Ok(list) => Ok(list.items),
            Err(Error::Api(status)) if status.code == 403 => Ok(Vec::new()),
            Err(error) => Err(Fault::of("reading the quotas of the namespace", &error)),
        }
    });
    let found = try_join_all(lists).await?;
    Ok(found.into_iter().flatten().filter_map(|quota| serde_json::to_value(quota).ok()).collect())
}

/// Which quotas would be gone beyond, a line for each of their resources. A quota that this deploy changes or makes counts
/// as it will be.
fn over_quota(demands: &[Demand<'_>], live: &[Value], desired: &[Manifest]) -> Vec<String> {
    let name = |quota: &Value| {
        let text = |field: &str| quota["metadata"][field].as_str().unwrap_or_default().to_owned();
        (text("namespace"), text("name"))
    };
    let mut hard: BTreeMap<(String, String), &Value> =
        live.iter().map(|quota| (name(quota), &quota["spec"])).collect();
    let wanted = desired.iter().filter(|manifest| manifest.kind() == "ResourceQuota");
    hard.extend(wanted.map(|manifest| (name(&manifest.body), &manifest.body["spec"])));
    let mut lines = Vec::new();
    for ((namespace, quota), spec) in hard {
        // Such a quota counts some pods only.
        if !spec["scopes"].is_null() || !spec["scopeSelector"].is_null() {
            continue;
        }
        let used = live.iter().find(|live| name(live) == (namespace.clone(), quota.clone()));
        let mine = || demands.iter().filter(|demand| demand.name.namespace.as_ref() == Some(&namespace));
        let sum = |amount: fn(&Demand<'_>) -> i128| mine().map(amount).sum::<i128>();
        for (resource, limit) in spec["hard"].as_object().into_iter().flatten() {
            let more = match resource.as_str() {
                "pods" => sum(|demand| i128::from(demand.pods) * 1_000),
                "cpu" | "requests.cpu" => sum(|demand| demand.requests.times(demand.pods).cpu),
                "memory" | "requests.memory" => sum(|demand| demand.requests.times(demand.pods).memory),
                "limits.cpu" => sum(|demand| demand.limits.times(demand.pods).cpu),
                "limits.memory" => sum(|demand| demand.limits.times(demand.pods).memory),
                _ => continue,
            };
            let read = |value: &Value| match value {
                Value::String(text) => thousandths(text),
                Value::Number(number) => thousandths(&number.to_string()),
                _ => None,
            };
            let Some(most) = read(limit) else { continue };
            let now = used.map(|quota| &quota["status"]["used"][resource]).and_then(read).unwrap_or_default();
            if more > 0 && now + more > most {
                let told = |amount: i128| match resource.rsplit('.').next() {
                    Some("memory") => bytes(u64::try_from(amount / 1_000).unwrap_or(u64::MAX)),
                    #[expect(clippy::cast_precision_loss, reason = "a number of processors has few digits")]
                    _ => processors(amount as f64 / 1_000.0),
                };
                lines.push(format!(
                    "quota {quota}: `{resource}` allows {}, {} are used, and this deploy needs {} more",
                    told(most),
                    told(now),
                    told(more)
                ));
            }
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use kernel_core::object::Difference;
    use serde_json::json;

    use super::*;
    use crate::manifest::Origin;

    fn manifest(kind: &str, name: &str, spec: Value) -> Manifest {
        let body = json!({
            "apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": "shop"}, "spec": spec,
        });
        Manifest { origin: Origin { file: "a.yaml".to_owned(), line: 1 }, body }
    }

    fn deployment(replicas: i64, cpu: &str, memory: &str) -> Manifest {
        let container =
            json!({"name": "web", "resources": {"requests": {"cpu": cpu}, "limits": {"memory": memory}}});
        manifest(
            "Deployment",
            "web",
            json!({"replicas": replicas, "template": {"spec": {"containers": [container]}}}),
        )
    }

    fn present(live: &Manifest, path: &str) -> Observation {
        let difference = Difference { path: path.to_owned(), from: None, to: None };
        Observation::Present { live: live.body.clone(), differences: vec![difference], adopt: false }
    }

    fn room(cpu: &str, memory: &str) -> Room {
        let left = Amount::of(&json!({"cpu": cpu, "memory": memory}));
        Room { labels: BTreeMap::new(), taints: Vec::new(), left, pods: 10 }
    }

    #[test]
    fn a_rollout_needs_what_it_has_beside_the_old_pods() {
        let (three, five) = (deployment(3, "1", "1Gi"), deployment(5, "1", "1Gi"));
        let pods =
            |wanted: &Manifest, there: &Observation| demand(wanted, there).map_or(0, |demand| demand.pods);
        assert_eq!(pods(&three, &Observation::Missing), 3);
        assert_eq!(pods(&three, &present(&three, "metadata.labels.a")), 0);
        assert_eq!(
            pods(&three, &present(&three, "spec.template.spec.containers[web].image")),
            1,
            "25 %, rounded up"
        );
        assert_eq!(pods(&five, &present(&three, "spec.replicas")), 2);
        let mut recreated = deployment(3, "1", "1Gi");
        recreated.body["spec"]["strategy"] = json!({"type": "Recreate"});
        assert_eq!(pods(&recreated, &present(&three, "spec.template.spec")), 0);
        // An autoscaler's number is the live one.
        let mut scaled = three.clone();
        scaled.body["spec"]["strategy"] = json!({"rollingUpdate": {"maxSurge": "100%"}});
        if let Some(spec) = scaled.body["spec"].as_object_mut() {
            spec.remove("replicas");
        }
        assert_eq!(pods(&scaled, &present(&three, "spec.template.spec")), 3);
        assert_eq!(pods(&manifest("Service", "web", json!({})), &Observation::Missing), 0);
    }

    #[test]
    fn a_pod_is_as_large_as_its_containers_or_its_largest_step_before() {
        let asks = |cpu: &str| json!({"resources": {"requests": {"cpu": cpu, "memory": "1Ki"}}});
        let mut sidecar = asks("1");
        sidecar["restartPolicy"] = json!("Always");
        let spec = json!({
            "initContainers": [asks("4"), sidecar, asks("2")], "containers": [asks("1"), asks("500m")],
            "overhead": {"cpu": "100m"},
        });
        assert_eq!(pod_amount(&spec, "requests"), Amount { cpu: 4_100, memory: 3_000 << 10 });
    }

    #[test]
    fn what_finds_no_node_is_told_with_what_is_left() {
        let web = deployment(3, "1", "1Gi");
        let demands = [demand(&web, &Observation::Missing).unwrap()];
        assert_eq!(without_node(&demands, vec![room("2", "8Gi"), room("1", "1Gi")]), Vec::<String>::new());
        let lines = without_node(&demands, vec![room("2500m", "8Gi")]);
        let told = "Deployment web: 1 of 3 more pods find no node; each asks for cpu 1 and memory 1Gi; the node \
                    with most has cpu 500m and memory 6Gi left";
        assert_eq!(lines, [told]);
        let full = Room { pods: 2, ..room("100", "100Gi") };
        assert!(without_node(&demands, vec![full])[0].ends_with("the nodes hold as many pods as they may"));
    }

    #[test]
    fn labels_and_taints_decide_who_may_take_a_pod() {
        let taint = json!({"key": "gpu", "value": "yes", "effect": "NoSchedule"});
        let labels = BTreeMap::from([("disk".to_owned(), "ssd".to_owned())]);
        let node = Room { labels, taints: vec![taint], ..room("1", "1Gi") };
        let tolerant = |toleration: Value| json!({"tolerations": [toleration]});
        assert!(!takes(&node, &json!({})));
        assert!(takes(&node, &tolerant(json!({"operator": "Exists"}))));
        assert!(takes(&node, &tolerant(json!({"key": "gpu", "value": "yes", "effect": "NoSchedule"}))));
        assert!(!takes(&node, &tolerant(json!({"key": "gpu", "value": "no"}))));
        assert!(!takes(&node, &tolerant(json!({"key": "gpu", "operator": "Exists", "effect": "NoExecute"}))));
        let mut chosen = tolerant(json!({"operator": "Exists"}));
        chosen["nodeSelector"] = json!({"disk": "ssd"});
        assert!(takes(&node, &chosen));
        chosen["nodeSelector"] = json!({"disk": "ssd", "zone": "a"});
        assert!(!takes(&node, &chosen));
    }

    #[test]
    fn a_quota_counts_as_it_will_be() {
        let quota = |pods: &str| {
            manifest("ResourceQuota", "all", json!({"hard": {"pods": pods, "requests.memory": "8Gi"}}))
        };
        let mut live = quota("10").body;
        live["status"] = json!({"used": {"pods": "9", "requests.memory": "1Gi"}});
        let web = deployment(3, "1", "1Gi");
        let demands = [demand(&web, &Observation::Missing).unwrap()];
        let lines = over_quota(&demands, std::slice::from_ref(&live), &[]);
        assert_eq!(lines, ["quota all: `pods` allows 10, 9 are used, and this deploy needs 3 more"]);
        assert_eq!(over_quota(&demands, &[live], &[quota("20")]), Vec::<String>::new());
        assert_eq!(over_quota(&demands, &[], &[quota("2")]).len(), 1, "the one that this deploy makes");
    }
}
