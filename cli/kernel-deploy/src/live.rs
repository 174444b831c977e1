//! What happens in the cluster, as its watches tell it, and when a workload is ready or will never be.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kernel_core::object::ObjectName;
use kernel_engine::Context;
use kube::api::{DynamicObject, LogParams, TypeMeta};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{Event, watcher};
use kube::{Api, ResourceExt};
use serde_json::Value;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::cluster::{Cluster, watched};
use crate::codes;
use crate::fault::Fault;
use crate::happening::{Happening, What};
use crate::observe::value;
use crate::pods::{Doom, doom};
use crate::said::Said;
use crate::status::{Readiness, readiness};

/// How long a pod without room may wait before that is a verdict.
const ROOM: Duration = Duration::from_secs(4);

/// What the cluster's parts tell of objects. They are a help and no more: who may not read them does without.
const EVENT: &str = "Event";

/// Who waits longer than this for a workload is told what its pods say.
const QUIET: Duration = Duration::from_secs(2);

/// So many last lines of a pod that failed are shown.
const LAST_LINES: i64 = 20;

/// A version of an object that is not older than what we wrote.
#[derive(Clone, Debug)]
pub struct Version {
    /// Which object of this name.
    pub uid: String,
    /// The generation of its specification.
    pub generation: i64,
}

/// Watches of kinds, each begun when somebody asks for it first.
pub struct Live {
    cluster: Cluster,
    shared: Arc<Shared>,
    watches: Mutex<Watches>,
}

#[derive(Default)]
struct Watches {
    begun: BTreeSet<(String, String, Option<String>)>,
    tasks: JoinSet<()>,
}

#[derive(Default)]
struct Shared {
    seen: Mutex<Seen>,
    changed: Notify,
}

#[derive(Default)]
struct Seen {
    objects: BTreeMap<ObjectName, Value>,
    /// Jobs as they were when they went: they may remove themselves when they are done (`ttlSecondsAfterFinished`).
    gone_jobs: BTreeMap<ObjectName, Value>,
    /// When a pod was first without room.
    without_room: BTreeMap<String, Instant>,
    trouble: Option<String>,
    /// What happened to pods and to the addresses of services, as it was seen here.
    timeline: Vec<Happening>,
}

impl Shared {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is known of a workload.
enum Verdict {
    Ready,
    Waiting(String),
    Failed(String),
    Doomed(String, Doom),
}

impl Live {
    /// Nothing is watched yet.
    pub fn new(cluster: Cluster) -> Self {
        Self { cluster, shared: Arc::default(), watches: Mutex::default() }
    }

    /// Waits until an object, in this version or a newer one, does what it is for.
    pub async fn await_ready(
        &self,
        name: &ObjectName,
        version: Option<&Version>,
        context: &Context,
    ) -> Result<(), Fault> {
        self.watch(&name.group, &name.kind, name.namespace.as_ref());
        if matches!(name.group.as_str(), "apps" | "batch") || name.kind == "ReplicationController" {
            self.watch("", "Pod", name.namespace.as_ref());
            self.watch("discovery.k8s.io", "EndpointSlice", name.namespace.as_ref());
            self.watch("", EVENT, name.namespace.as_ref());
        }
        if name.kind == "Deployment" {
            self.watch("apps", "ReplicaSet", name.namespace.as_ref());
        }
        let (begun, mut said) = (Instant::now(), Said::default());
        loop {
            let mut changed = pin!(self.shared.changed.notified());
            changed.as_mut().enable();
            match self.verdict(name, version) {
                Verdict::Ready => return Ok(()),
                Verdict::Failed(reason) => {
                    return Err(Fault::new(codes::FAILED, format!("{name} has failed: {reason}"))
                        .evidence(self.last_lines_of(name).await)
                        .help(format!("`kubectl describe {}` tells more", argument(name))));
                }
                Verdict::Doomed(pod, doom) => return Err(self.doomed(name, &pod, &doom).await),
                Verdict::Waiting(reason) => context.waiting(reason),
            }
            if begun.elapsed() >= QUIET
                && let (Some(namespace), Some((pod, container))) = (&name.namespace, self.unready(name))
            {
                let pods = Api::namespaced(self.cluster.client.clone(), namespace);
                said.listen(&pods, &pod, &container).await;
            }
            tokio::select! {
                () = changed => {}
                line = said.next() => context.emit(kernel_core::event::Event::LogLine(line)),
                // What only time decides is looked at again.
                () = tokio::time::sleep(Duration::from_secs(1)) => {}
            }
        }
    }

    /// A pod of the newest version that runs and is not ready, and the container that it waits for.
    fn unready(&self, name: &ObjectName) -> Option<(String, String)> {
        let seen = self.shared.seen();
        seen.newest_pods(name).find_map(|pod| {
            let statuses = pod.pointer("/status/containerStatuses")?.as_array()?;
            let waits = |one: &&Value| one["ready"] == false && one.pointer("/state/running").is_some();
            let container = text(statuses.iter().find(waits)?, "/name");
            Some((text(pod, "/metadata/name"), container))
        })
    }

    /// What happened so far.
    pub fn timeline(&self) -> Vec<Happening> {
        self.shared.seen().timeline.clone()
    }

    fn verdict(&self, name: &ObjectName, version: Option<&Version>) -> Verdict {
        let mut seen = self.shared.seen();
        let Some(object) = seen.objects.get(name) else {
            if let Some(end) = seen.end_of_job(name, version) {
                return end;
            }
            let nothing = "nothing is known of it yet".to_owned();
            return Verdict::Waiting(seen.trouble.clone().unwrap_or(nothing));
        };
        let current = version.is_none_or(|version| {
            object["metadata"]["uid"] == version.uid.as_str()
                && object["metadata"]["generation"].as_i64().unwrap_or_default() >= version.generation
        });
        if !current {
            return Verdict::Waiting("the change has not arrived yet".to_owned());
        }
        let reason = match readiness(object) {
            Readiness::Ready => return Verdict::Ready,
            Readiness::Failed(reason) => return Verdict::Failed(reason),
            Readiness::Waiting(reason) => reason,
        };
        let (mut waits, mut dooms) = (Vec::new(), Vec::new());
        // Until its controller has seen the change, the newest pods are those of the version before.
        let observed = &object["status"]["observedGeneration"];
        let changing = observed.as_i64() < object["metadata"]["generation"].as_i64() && name.group == "apps";
        for pod in seen.newest_pods(name).filter(|_| !changing) {
            match doom(pod) {
                Some(doom) => dooms.push((text(pod, "/metadata/uid"), text(pod, "/metadata/name"), doom)),
                None => waits.extend(hold_up(pod).map(brief)),
            }
        }
        let warning = seen.last_warning(name).map(brief);
        for (uid, pod, doom) in dooms {
            let since = *seen.without_room.entry(uid).or_insert_with(Instant::now);
            if !doom.may_pass || since.elapsed() >= ROOM {
                return Verdict::Doomed(pod, doom);
            }
            waits.push(format!("pod {pod}: {}", doom.message));
        }
        let trouble = seen.trouble.iter().cloned();
        Verdict::Waiting(
            std::iter::once(reason)
                .chain(waits.into_iter().take(1))
                .chain(warning)
                .chain(trouble)
                .collect::<Vec<_>>()
                .join("; "),
        )
    }

    async fn doomed(&self, name: &ObjectName, pod: &str, doom: &Doom) -> Fault {
        let message = format!("{name}: pod {pod} does not run: {}: {}", doom.reason, doom.message);
        let help = match doom.reason.as_str() {
            "ImagePullBackOff" | "InvalidImageName" | "ErrImageNeverPull" => {
                "check the image's name and that the cluster may fetch it"
            }
            "CreateContainerConfigError" => "check the ConfigMaps and Secrets that the pod refers to",
            "Unschedulable" => "ask for less, add a node, or take the constraint out",
            _ => "the last lines above tell what its program said",
        };
        let lines = self.last_lines(name.namespace.as_deref(), pod, doom).await;
        Fault::new(codes::DOOMED, message).evidence(lines).help(help)
    }

    async fn last_lines(&self, namespace: Option<&str>, pod: &str, doom: &Doom) -> Vec<String> {
        let (Some(namespace), Some(container)) = (namespace, &doom.container) else { return Vec::new() };
        let pods: Api<Pod> = Api::namespaced(self.cluster.client.clone(), namespace);
        let parameters = LogParams {
            container: Some(container.clone()),
            previous: doom.previous,
            tail_lines: Some(LAST_LINES),
            ..LogParams::default()
        };
        // Without them the verdict is as true.
        let text = pods.logs(pod, &parameters).await.unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// The last lines of the first pod of a workload that has any.
    async fn last_lines_of(&self, name: &ObjectName) -> Vec<String> {
        let pods: Vec<(String, Option<String>)> = {
            let seen = self.shared.seen();
            let pods = seen.newest_pods(name);
            pods.map(|pod| (text(pod, "/metadata/name"), first_container(pod))).collect()
        };
        for (pod, container) in pods {
            let doom = Doom {
                reason: String::new(),
                message: String::new(),
                container,
                previous: false,
                may_pass: false,
            };
            let lines = self.last_lines(name.namespace.as_deref(), &pod, &doom).await;
            if !lines.is_empty() {
                return lines;
            }
        }
        Vec::new()
    }

    fn watch(&self, group: &str, kind: &str, namespace: Option<&String>) {
        let question = ObjectName {
            group: group.to_owned(),
            kind: kind.to_owned(),
            namespace: namespace.cloned(),
            name: String::new(),
        };
        let mut watches = self.watches.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (question.group.clone(), question.kind.clone(), question.namespace.clone());
        if !watches.begun.insert(key) {
            return;
        }
        if let (Some(api), Some(resource)) = (self.cluster.api(&question), self.cluster.resource(group, kind))
        {
            let types = TypeMeta { api_version: resource.api.api_version.clone(), kind: kind.to_owned() };
            watches.tasks.spawn(listen(api, question, types, Arc::clone(&self.shared)));
        }
    }
}

async fn listen(api: Api<DynamicObject>, question: ObjectName, types: TypeMeta, shared: Arc<Shared>) {
    let mut events = pin!(watcher(api, watched()).default_backoff());
    let mut listed = BTreeSet::new();
    // What comes in a list does not say of itself what it is.
    let typed = |mut object: DynamicObject| {
        object.types.get_or_insert_with(|| types.clone());
        value(&object)
    };
    let named = |object: &DynamicObject| ObjectName { name: object.name_any(), ..question.clone() };
    while let Some(event) = events.next().await {
        let mut seen = shared.seen();
        match event {
            Ok(Event::Init) => listed.clear(),
            Ok(Event::InitApply(object)) => {
                let name = named(&object);
                listed.insert(name.clone());
                seen.objects.insert(name, typed(object));
            }
            Ok(Event::InitDone) => {
                seen.trouble = None;
                let same = |name: &ObjectName| {
                    (&name.group, &name.kind, &name.namespace)
                        == (&question.group, &question.kind, &question.namespace)
                };
                seen.objects.retain(|name, _| !same(name) || listed.contains(name));
            }
            Ok(Event::Apply(object)) => {
                seen.trouble = None;
                let name = named(&object);
                let now = typed(object);
                seen.note(&name, Some(&now));
                seen.objects.insert(name, now);
            }
            Ok(Event::Delete(object)) => {
                let name = named(&object);
                seen.note(&name, None);
                seen.objects.remove(&name);
                if name.kind == "Job" {
                    seen.gone_jobs.insert(name, typed(object));
                }
            }
            Err(_) if question.kind == EVENT => {}
            Err(error) => seen.trouble = Some(format!("the cluster does not answer: {error}")),
        }
        drop(seen);
        shared.changed.notify_waiters();
    }
}

impl Seen {
    /// Notes what changed about a pod or the addresses of a service.
    fn note(&mut self, name: &ObjectName, now: Option<&Value>) {
        let before = self.objects.get(name);
        let mut said = Vec::new();
        match name.kind.as_str() {
            "Pod" => {
                let ends = |pod: Option<&Value>| {
                    pod.is_some_and(|pod| pod.pointer("/metadata/deletionTimestamp").is_some())
                };
                let ready = |pod: Option<&Value>| pod.is_some_and(is_ready);
                let pod = || name.name.clone();
                if ends(now) && !ends(before) {
                    said.push((pod(), What::BeganToEnd));
                }
                if now.is_none() {
                    said.push((pod(), What::Gone));
                } else if ready(now) != ready(before) {
                    said.push((pod(), if ready(now) { What::Ready } else { What::Unready }));
                }
            }
            "EndpointSlice" => {
                let (old, new) = (addresses(before), addresses(now));
                said.extend(old.difference(&new).map(|pod| (pod.clone(), What::Removed)));
                said.extend(new.difference(&old).map(|pod| (pod.clone(), What::Added)));
            }
            _ => {}
        }
        let at = Timestamp::now();
        for (pod, what) in said {
            let unasked = what == What::Added && self.is_unasked(name, &pod);
            self.timeline.push(Happening { at, pod, what, unasked });
        }
    }

    /// Whether a pod beside this object has a container without a readiness probe.
    fn is_unasked(&self, beside: &ObjectName, pod: &str) -> bool {
        let name = ObjectName {
            group: String::new(),
            kind: "Pod".to_owned(),
            namespace: beside.namespace.clone(),
            name: pod.to_owned(),
        };
        let containers = self.objects.get(&name).and_then(|pod| pod.pointer("/spec/containers")?.as_array());
        containers.into_iter().flatten().any(|container| container.get("readinessProbe").is_none())
    }

    /// How a job ended that is not there any more: by its last state, or by what its controller told of it when nobody saw
    /// that state.
    fn end_of_job(&self, name: &ObjectName, version: Option<&Version>) -> Option<Verdict> {
        let ours = |uid: &str| version.is_none_or(|version| version.uid == uid);
        if let Some(job) = self.gone_jobs.get(name).filter(|job| ours(&text(job, "/metadata/uid"))) {
            match readiness(job) {
                Readiness::Ready => return Some(Verdict::Ready),
                Readiness::Failed(reason) => return Some(Verdict::Failed(reason)),
                Readiness::Waiting(_) => {}
            }
        }
        let events = self.objects.iter().filter(|(other, _)| other.kind == EVENT).map(|(_, event)| event);
        let uid = version.filter(|_| name.kind == "Job")?.uid.as_str();
        let mut of_job = events.filter(|event| text(event, "/involvedObject/uid") == uid);
        of_job.find_map(|event| match text(event, "/reason").as_str() {
            "Completed" => Some(Verdict::Ready),
            "BackoffLimitExceeded" | "DeadlineExceeded" => Some(Verdict::Failed(text(event, "/message"))),
            _ => None,
        })
    }

    /// What was last told as a warning of the newest pods of a workload, or of itself.
    fn last_warning(&self, name: &ObjectName) -> Option<String> {
        let objects = self.newest_pods(name).chain(self.objects.get(name));
        let about: BTreeSet<&str> =
            objects.filter_map(|object| object.pointer("/metadata/uid")?.as_str()).collect();
        let of_these = |event: &&Value| {
            let uid = event.pointer("/involvedObject/uid").and_then(Value::as_str);
            event["type"] == "Warning" && uid.is_some_and(|uid| about.contains(uid))
        };
        let events = self.objects.iter().filter(|(name, _)| name.kind == EVENT).map(|(_, event)| event);
        // RFC 3339 in UTC: the later one is the greater text.
        let at = |event: &&Value| text(event, "/lastTimestamp").max(text(event, "/eventTime"));
        let last = events.filter(of_these).max_by_key(at)?;
        Some(format!("{}: {}", text(last, "/reason"), text(last, "/message").trim()))
    }

    /// The pods of a workload that are of its newest version.
    fn newest_pods<'a>(&'a self, name: &ObjectName) -> Box<dyn Iterator<Item = &'a Value> + 'a> {
        let Some(object) = self.objects.get(name) else { return Box::new(std::iter::empty()) };
        let uid = text(object, "/metadata/uid");
        let owned_by = move |pod: &Value, uid: &str| {
            let owners = pod.pointer("/metadata/ownerReferences").and_then(Value::as_array);
            owners.into_iter().flatten().any(|owner| owner["uid"] == uid)
        };
        let of_kind = |kind: &'static str| {
            let namespace = name.namespace.clone();
            let objects = self.objects.iter();
            objects
                .filter(move |(other, _)| other.kind == kind && other.namespace == namespace)
                .map(|(_, object)| object)
        };
        match name.kind.as_str() {
            "Deployment" => {
                const REVISION: &str = "/metadata/annotations/deployment.kubernetes.io~1revision";
                let newest = of_kind("ReplicaSet")
                    .find(|set| owned_by(set, &uid) && set.pointer(REVISION) == object.pointer(REVISION));
                let Some(newest) = newest.map(|set| text(set, "/metadata/uid")) else {
                    return Box::new(std::iter::empty());
                };
                Box::new(of_kind("Pod").filter(move |pod| owned_by(pod, &newest)))
            }
            "StatefulSet" => {
                let revision = text(object, "/status/updateRevision");
                Box::new(of_kind("Pod").filter(move |pod| {
                    owned_by(pod, &uid) && text(pod, "/metadata/labels/controller-revision-hash") == revision
                }))
            }
            "DaemonSet" => {
                let generation =
                    text(object, "/metadata/annotations/deprecated.daemonset.template.generation");
                Box::new(of_kind("Pod").filter(move |pod| {
                    owned_by(pod, &uid) && text(pod, "/metadata/labels/pod-template-generation") == generation
                }))
            }
            "Pod" => Box::new(std::iter::once(object)),
            _ => Box::new(of_kind("Pod").filter(move |pod| owned_by(pod, &uid))),
        }
    }
}

/// The first words: what waits is told on a line, and what fails is told whole.
fn brief(text: String) -> String {
    const LONGEST: usize = 160;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{} …", &text[..end]),
        None => text,
    }
}

fn is_ready(pod: &Value) -> bool {
    let conditions = pod.pointer("/status/conditions").and_then(Value::as_array);
    conditions.into_iter().flatten().any(|one| one["type"] == "Ready" && one["status"] == "True")
}

/// The pods that a service sends requests to.
fn addresses(slice: Option<&Value>) -> BTreeSet<String> {
    let endpoints = slice.and_then(|slice| slice.get("endpoints")).and_then(Value::as_array);
    let ready = endpoints
        .into_iter()
        .flatten()
        .filter(|one| one.pointer("/conditions/ready") == Some(&Value::Bool(true)));
    ready.map(|one| text(one, "/targetRef/name")).collect()
}

/// What holds a pod up that is not ready, a few words.
fn hold_up(pod: &Value) -> Option<String> {
    let name = text(pod, "/metadata/name");
    let statuses = ["/status/initContainerStatuses", "/status/containerStatuses"];
    let mut statuses = statuses.iter().filter_map(|list| pod.pointer(list)?.as_array()).flatten();
    statuses.find_map(|status| {
        let waiting = status.pointer("/state/waiting/reason").and_then(Value::as_str);
        let message = status.pointer("/state/waiting/message").and_then(Value::as_str);
        let not_ready = status["ready"] == false && status.pointer("/state/running").is_some();
        match (waiting, message) {
            (Some(reason), Some(message)) => Some(format!("pod {name}: {reason}: {message}")),
            (Some(reason), None) => Some(format!("pod {name}: {reason}")),
            _ if not_ready => Some(format!("pod {name}: its readiness probe does not succeed yet")),
            _ => None,
        }
    })
}

fn first_container(pod: &Value) -> Option<String> {
    pod.pointer("/spec/containers/0/name").and_then(Value::as_str).map(str::to_owned)
}

fn text(object: &Value, pointer: &str) -> String {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// As `kubectl` takes it.
fn argument(name: &ObjectName) -> String {
    let namespace = name.namespace.as_ref().map_or_else(String::new, |namespace| format!("-n {namespace} "));
    format!("{namespace}{}/{}", name.kind.to_lowercase(), name.name)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn named(kind: &str, name: &str) -> ObjectName {
        ObjectName {
            group: String::new(),
            kind: kind.to_owned(),
            namespace: Some("shop".to_owned()),
            name: name.to_owned(),
        }
    }

    #[test]
    fn a_job_that_went_by_itself_is_judged_by_what_is_known_of_its_end() {
        let job = named("Job", "migrate");
        let version = Version { uid: "1".to_owned(), generation: 1 };
        let mut seen = Seen::default();
        let mut end = |change: &mut dyn FnMut(&mut Seen)| {
            change(&mut seen);
            match seen.end_of_job(&job, Some(&version)) {
                None => "unknown".to_owned(),
                Some(Verdict::Ready) => "done".to_owned(),
                Some(Verdict::Failed(reason)) => reason,
                Some(_) => "otherwise".to_owned(),
            }
        };
        let event = |uid: &str, reason: &str| {
            let event = json!({
                "involvedObject": {"uid": uid}, "reason": reason, "message": "too often",
            });
            move |seen: &mut Seen| drop(seen.objects.insert(named(EVENT, "one"), event.clone()))
        };
        let state = |uid: &str, condition: &str| {
            let job = json!({
                "apiVersion": "batch/v1", "kind": "Job", "metadata": {"uid": uid},
                "status": {"conditions": [{"type": condition, "status": "True", "message": "no way"}]},
            });
            move |seen: &mut Seen| drop(seen.gone_jobs.insert(named("Job", "migrate"), job.clone()))
        };
        assert_eq!(end(&mut |_| {}), "unknown");
        assert_eq!(end(&mut event("2", "Completed")), "unknown", "it is another job's");
        assert_eq!(end(&mut event("1", "SuccessfulCreate")), "unknown");
        assert_eq!(end(&mut event("1", "Completed")), "done");
        assert_eq!(end(&mut event("1", "BackoffLimitExceeded")), "too often");
        assert_eq!(end(&mut state("2", "Complete")), "too often", "it was another job");
        assert_eq!(end(&mut state("1", "Complete")), "done");
        assert!(end(&mut state("1", "Failed")).contains("no way"));
    }
}
