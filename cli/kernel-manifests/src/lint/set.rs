//! All objects that are looked at together, and what follows from several of them.

use std::collections::BTreeMap;

use kernel_compose::tree::Node;
use kernel_core::diagnostic::Diagnostic;
use kernel_core::source::Span;

use super::IGNORE;
use super::selector::{labels, matches};
use crate::document::{Document, at, integer, items};

/// All objects that are looked at together.
pub struct Set<'a> {
    /// In the order of their files.
    pub(super) documents: &'a [Document],
    /// Those that make pods.
    pub(super) workloads: Vec<Workload<'a>>,
}

/// An object that makes pods.
pub(super) struct Workload<'a> {
    pub document: &'a Document,
    /// What the pods are: their `metadata` and `spec`.
    pub pod: &'a Node,
    pub spec: &'a Node,
}

impl<'a> Set<'a> {
    pub(super) fn of(documents: &'a [Document]) -> Self {
        let workloads = documents.iter().filter_map(|document| {
            let pod = match document.kind() {
                "Pod" => &document.node,
                "CronJob" => document.at("spec.jobTemplate.spec.template")?,
                "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet" | "Job" => {
                    document.at("spec.template")?
                }
                _ => return None,
            };
            Some(Workload { document, pod, spec: pod.get("spec")? })
        });
        Self { workloads: workloads.collect(), documents }
    }

    /// The objects of a kind.
    pub(super) fn of_kind(&self, kind: &str) -> impl Iterator<Item = &'a Document> {
        self.documents.iter().filter(move |document| document.kind() == kind)
    }

    /// The object of that kind and name, in the namespace of `near`.
    pub(super) fn find(&self, kind: &str, name: &str, near: &Document) -> Option<&'a Document> {
        self.of_kind(kind).find(|found| found.name() == name && found.namespace() == near.namespace())
    }

    /// The Services that lead to the pods of a workload.
    pub(super) fn services_of(&self, workload: &Workload<'a>) -> impl Iterator<Item = &'a Document> {
        let (pod, namespace) = (workload.pod, workload.document.namespace());
        self.of_kind("Service").filter(move |service| {
            let selector = service.at("spec.selector").map(labels).unwrap_or_default();
            let has = pod_labels(pod);
            service.namespace() == namespace
                && !selector.is_empty()
                && selector.iter().all(|(key, value)| has.get(key) == Some(value))
        })
    }

    /// Deployments and their like whose pods are reached by a Service.
    pub(super) fn serving(&self) -> impl Iterator<Item = &Workload<'a>> {
        self.workloads.iter().filter(|workload| {
            ["Deployment", "StatefulSet", "DaemonSet"].contains(&workload.document.kind())
                && self.services_of(workload).next().is_some()
        })
    }

    /// The autoscaler that says how many pods a workload has.
    pub(super) fn scaler_of(&self, workload: &Workload<'a>) -> Option<&'a Document> {
        let document = workload.document;
        self.of_kind("HorizontalPodAutoscaler").find(|scaler| {
            scaler.text("spec.scaleTargetRef.kind") == document.kind()
                && scaler.text("spec.scaleTargetRef.name") == document.name()
                && scaler.namespace() == document.namespace()
        })
    }

    /// The least and the largest number of pods.
    pub(super) fn pods_of(&self, workload: &Workload<'a>) -> (i64, i64) {
        if let Some(scaler) = self.scaler_of(workload) {
            let number = |path| scaler.at(path).and_then(integer);
            let least = number("spec.minReplicas").unwrap_or(1);
            return (least, number("spec.maxReplicas").unwrap_or(least));
        }
        let replicas = workload.document.at("spec.replicas").and_then(integer).unwrap_or(1);
        (replicas, replicas)
    }

    /// The objects of a kind whose selector at `path` takes the pods of a workload.
    pub(super) fn selecting(
        &self,
        kind: &str,
        path: &'static str,
        workload: &Workload<'a>,
    ) -> impl Iterator<Item = &'a Document> {
        let (pod, namespace) = (workload.pod, workload.document.namespace());
        self.of_kind(kind).filter(move |document| {
            let selector = document.at(path);
            document.namespace() == namespace
                && selector.is_some_and(|selector| matches(selector, &pod_labels(pod)))
        })
    }

    /// Whether the object that a finding is about is an exception from the rule.
    pub(super) fn excepts(&self, diagnostic: &Diagnostic) -> bool {
        let Some(place) = diagnostic.labels.first().map(|label| label.span) else { return false };
        let within = |document: &&Document| contains(&document.node, place);
        let document = self.documents.iter().find(within);
        document.is_some_and(|document| {
            exceptions(document).iter().any(|(code, reason)| *code == diagnostic.code.0 && !reason.is_empty())
        })
    }
}

/// The exceptions of an object, with their reasons.
pub(super) fn exceptions(document: &Document) -> Vec<(&str, &str)> {
    let text =
        at(&document.node, "metadata.annotations").and_then(|all| all.get(IGNORE)).and_then(Node::as_text);
    let parts = text.unwrap_or_default().split(';').map(str::trim).filter(|part| !part.is_empty());
    parts
        .map(|part| part.split_once(':').map_or((part, ""), |(code, reason)| (code.trim(), reason.trim())))
        .collect()
}

/// Whether a place is one of the values or keys of a tree.
fn contains(node: &Node, place: Span) -> bool {
    node.span == place
        || node.as_sequence().is_some_and(|items| items.iter().any(|item| contains(item, place)))
        || node.as_mapping().is_some_and(|mapping| {
            mapping.iter().any(|entry| entry.key_span == place || contains(&entry.value, place))
        })
}

/// The labels of pods.
pub(super) fn pod_labels(pod: &Node) -> BTreeMap<&str, &str> {
    at(pod, "metadata.labels").map(labels).unwrap_or_default()
}

impl<'a> Workload<'a> {
    /// The containers that run beside each other.
    pub fn containers(&self) -> &'a [Node] {
        items(self.spec, "containers")
    }

    /// Every container, those that prepare among them.
    pub fn all_containers(&self) -> impl Iterator<Item = &'a Node> {
        items(self.spec, "initContainers").iter().chain(self.containers())
    }

    /// Those that somebody connects to: with a port or a readiness probe; else the first.
    pub fn serving_containers(&self) -> Vec<&'a Node> {
        let serves = |container: &&Node| container.get("ports").or(container.get("readinessProbe")).is_some();
        let serving: Vec<&Node> = self.containers().iter().filter(serves).collect();
        if serving.is_empty() { self.containers().iter().take(1).collect() } else { serving }
    }
}

/// The name of a container.
pub(super) fn name(container: &Node) -> &str {
    container.get("name").and_then(Node::as_text).unwrap_or_default()
}

/// Where a container is named.
pub(super) fn place(container: &Node) -> Span {
    container.get("name").unwrap_or(container).span
}
