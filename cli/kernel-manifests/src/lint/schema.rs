//! Rules about the form of an object.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::autoscaling::v1::HorizontalPodAutoscaler as OldHorizontalPodAutoscaler;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::{
    ConfigMap, LimitRange, Namespace, PersistentVolumeClaim, Pod, ResourceQuota, Secret, Service,
    ServiceAccount,
};
use k8s_openapi::api::networking::v1::{Ingress, IngressClass, NetworkPolicy};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use k8s_openapi::api::scheduling::v1::PriorityClass;
use k8s_openapi::api::storage::v1::StorageClass;
use kernel_compose::tree::Node;
use kernel_core::source::Span;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;

use super::set;
use super::{Finding, IGNORE, RULES, Rule, Set};
use crate::decode::{Mistake, decode};
use crate::document::{Document, at};

/// Reads a tree as an object of one kind, and writes it again.
type Read = fn(&Node) -> (Option<Json>, Vec<Mistake>);

/// The kinds of Kubernetes itself that are known here, with the versions that it serves.
const KINDS: [(&str, &str, Read); 27] = [
    ("apps/v1", "DaemonSet", typed::<DaemonSet>),
    ("apps/v1", "Deployment", typed::<Deployment>),
    ("apps/v1", "ReplicaSet", typed::<ReplicaSet>),
    ("apps/v1", "StatefulSet", typed::<StatefulSet>),
    ("autoscaling/v1", "HorizontalPodAutoscaler", typed::<OldHorizontalPodAutoscaler>),
    ("autoscaling/v2", "HorizontalPodAutoscaler", typed::<HorizontalPodAutoscaler>),
    ("batch/v1", "CronJob", typed::<CronJob>),
    ("batch/v1", "Job", typed::<Job>),
    ("networking.k8s.io/v1", "Ingress", typed::<Ingress>),
    ("networking.k8s.io/v1", "IngressClass", typed::<IngressClass>),
    ("networking.k8s.io/v1", "NetworkPolicy", typed::<NetworkPolicy>),
    ("policy/v1", "PodDisruptionBudget", typed::<PodDisruptionBudget>),
    ("rbac.authorization.k8s.io/v1", "ClusterRole", typed::<ClusterRole>),
    ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding", typed::<ClusterRoleBinding>),
    ("rbac.authorization.k8s.io/v1", "Role", typed::<Role>),
    ("rbac.authorization.k8s.io/v1", "RoleBinding", typed::<RoleBinding>),
    ("scheduling.k8s.io/v1", "PriorityClass", typed::<PriorityClass>),
    ("storage.k8s.io/v1", "StorageClass", typed::<StorageClass>),
    ("v1", "ConfigMap", typed::<ConfigMap>),
    ("v1", "LimitRange", typed::<LimitRange>),
    ("v1", "Namespace", typed::<Namespace>),
    ("v1", "PersistentVolumeClaim", typed::<PersistentVolumeClaim>),
    ("v1", "Pod", typed::<Pod>),
    ("v1", "ResourceQuota", typed::<ResourceQuota>),
    ("v1", "Secret", typed::<Secret>),
    ("v1", "Service", typed::<Service>),
    ("v1", "ServiceAccount", typed::<ServiceAccount>),
];

/// The groups of Kubernetes itself, past ones among them.
const GROUPS: [&str; 9] = [
    "",
    "apps",
    "autoscaling",
    "batch",
    "extensions",
    "networking.k8s.io",
    "policy",
    "rbac.authorization.k8s.io",
    "scheduling.k8s.io",
];

/// The object as its kind understands it, and what it does not. `None`: the kind is not known here, as with those of
/// custom resources.
fn understood(document: &Document) -> Option<(Option<Json>, Vec<Mistake>)> {
    let known = |(version, kind, _): &&(&str, &str, Read)| {
        *version == document.api_version() && *kind == document.kind()
    };
    KINDS.iter().find(known).map(|(_, _, read)| read(&document.node))
}

fn typed<T: DeserializeOwned + Serialize>(node: &Node) -> (Option<Json>, Vec<Mistake>) {
    let (value, mistakes) = decode::<T>(node);
    (value.and_then(|value| serde_json::to_value(value).ok()), mistakes)
}

pub(super) fn whole(rule: &Rule, set: &Set<'_>, findings: &mut Vec<Finding>) {
    for document in set.documents {
        let missing: Vec<&str> = ["apiVersion", "kind", "metadata.name"]
            .into_iter()
            .filter(|path| document.text(path).is_empty())
            .filter(|path| *path != "metadata.name" || document.text("metadata.generateName").is_empty())
            .collect();
        if !missing.is_empty() && !is_kustomization(document) {
            let message = format!("this is no object of Kubernetes: it lacks `{}`", missing.join("`, `"));
            findings.push(rule.finding(
                message,
                document.node.span,
                "this object",
                "add it, or take the document out",
            ));
        }
        let group = document.api_version().split_once('/').map_or("", |(group, _)| group);
        let of_kind = KINDS.iter().filter(|(_, kind, _)| *kind == document.kind());
        let served: Vec<&str> = of_kind.map(|(version, ..)| *version).collect();
        let version = document.at("apiVersion").filter(|_| GROUPS.contains(&group) && !served.is_empty());
        if let Some(version) = version.filter(|_| !served.contains(&document.api_version())) {
            let message = format!("there is no {} in `{}`", document.kind(), document.api_version());
            let help = format!("write `{}`", served.join("` or `"));
            findings.push(rule.finding(message, version.span, "not served", help));
        }
    }
}

fn is_kustomization(document: &Document) -> bool {
    document.kind() == "Kustomization"
}

pub(super) fn fields(rule: &Rule, set: &Set<'_>, findings: &mut Vec<Finding>) {
    for document in set.documents {
        let Some((Some(known), _)) = understood(document) else { continue };
        let mut unknown = Vec::new();
        unknown_keys(&document.node, &known, &mut unknown);
        for (key, span) in unknown {
            let message = format!("{} does not know the field `{key}`", document.title());
            let help = "check the spelling and the indentation; `kubectl explain` lists the fields of a kind";
            findings.push(rule.finding(message, span, "not known here", help));
        }
    }
}

/// Keys that did not come back from the typed object: it does not know them.
fn unknown_keys(node: &Node, known: &Json, unknown: &mut Vec<(String, Span)>) {
    match known {
        Json::Object(known) => {
            for entry in node.as_mapping().into_iter().flatten().filter(|entry| !entry.value.is_null()) {
                match known.get(&entry.key) {
                    Some(known) => unknown_keys(&entry.value, known, unknown),
                    None => unknown.push((entry.key.clone(), entry.key_span)),
                }
            }
        }
        Json::Array(known) => {
            for (item, known) in node.as_sequence().into_iter().flatten().zip(known) {
                unknown_keys(item, known, unknown);
            }
        }
        _ => {}
    }
}

pub(super) fn types(rule: &Rule, set: &Set<'_>, findings: &mut Vec<Finding>) {
    for document in set.documents {
        for mistake in understood(document).map(|(_, mistakes)| mistakes).unwrap_or_default() {
            let message = format!("{} can't be read: {}", document.title(), mistake.message);
            let help = "`kubectl explain` tells the type of a field";
            findings.push(rule.finding(message, mistake.span, "here", help));
        }
    }
}

pub(super) fn once(rule: &Rule, set: &Set<'_>, findings: &mut Vec<Finding>) {
    let mut seen: BTreeMap<(&str, &str, &str, &str), Span> = BTreeMap::new();
    for document in set.documents.iter().filter(|document| !document.name().is_empty()) {
        let group = document.api_version().split_once('/').map_or("", |(group, _)| group);
        let key = (group, document.kind(), document.namespace(), document.name());
        match seen.get(&key) {
            Some(first) => findings.push(
                rule.finding(
                    format!("{} stands twice", document.title()),
                    document.place(),
                    "again here",
                    "keep one of them: the later would silently replace the earlier",
                )
                .also(*first, "first here"),
            ),
            None => drop(seen.insert(key, document.place())),
        }
    }
}

/// An exception has a rule and a reason.
pub(super) fn exceptions(rule: &Rule, objects: &Set<'_>, findings: &mut Vec<Finding>) {
    for document in objects.documents {
        let Some(place) = at(&document.node, "metadata.annotations").and_then(|all| all.get(IGNORE)) else {
            continue;
        };
        for (code, reason) in set::exceptions(document) {
            let what = if !RULES.iter().any(|rule| rule.code.0 == code) {
                format!("`{code}` is no rule")
            } else if reason.is_empty() {
                format!("the exception from {code} has no reason and is not followed")
            } else {
                continue;
            };
            findings.push(rule.finding(
                what,
                place.span,
                "here",
                "write `K-LINT-015: the reason`; `;` between several",
            ));
        }
    }
}
