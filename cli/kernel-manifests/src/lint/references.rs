//! Rules about what objects say of each other: a name that leads nowhere is found before anything waits for it.

use std::collections::BTreeSet;

use kernel_compose::tree::Node;

use super::selector::{labels, matches};
use super::set::{Workload, name, place, pod_labels};
use super::{Finding, Rule, Set};
use crate::document::{Document, at, integer, is_true, items};

pub(super) fn own_pods(rule: &Rule, set: &Set<'_>, findings: &mut Vec<Finding>) {
    for workload in &set.workloads {
        let document = workload.document;
        if !["Deployment", "StatefulSet", "DaemonSet", "ReplicaSet"].contains(&document.kind()) {
            continue;
        }
        let Some(selector) = document.at("spec.selector") else {
            let message = format!("{} does not say which pods are its own", document.title());
            let help = "add `selector: { matchLabels: … }` with labels of its template";
            findings.push(rule.finding(message, document.place(), "no `selector`", help));
            continue;
        };
        if !matches(selector, &pod_labels(workload.pod)) {
            let message = format!("{} does not select the pods that it makes", document.title());
            let span = at(workload.pod, "metadata.labels").unwrap_or(workload.pod).span;
            findings.push(
                rule.finding(
                    message,
                    selector.span,
                    "selects other labels",
                    "make them the same; the API server refuses anything else",
                )
                .also(span, "the labels of the pods"),
            );
        }
    }
}

pub(super) fn service_pods(rule: &Rule, set: &Set<'_>, findings: &mut Vec<Finding>) {
    for service in set.of_kind("Service") {
        let Some(selector) = service.at("spec.selector").filter(|selector| !labels(selector).is_empty())
        else {
            continue;
        };
        if !set.workloads.iter().any(|workload| leads_to(service, workload)) {
            let message = format!("{} selects no pods of these manifests", service.title());
            findings.push(rule.finding(
                message,
                selector.span,
                "no pods have these labels",
                "compare it with the labels of the pods",
            ));
        }
    }
}

fn leads_to(service: &Document, workload: &Workload<'_>) -> bool {
    let selector = service.at("spec.selector").map(labels).unwrap_or_default();
    let has = pod_labels(workload.pod);
    service.namespace() == workload.document.namespace()
        && !selector.is_empty()
        && selector.iter().all(|(key, value)| has.get(key) == Some(value))
}

pub(super) fn service_port(rule: &Rule, set: &Set<'_>, findings: &mut Vec<Finding>) {
    for service in set.of_kind("Service") {
        for workload in set.workloads.iter().filter(|workload| leads_to(service, workload)) {
            let all: Vec<&Node> =
                workload.containers().iter().flat_map(|container| items(container, "ports")).collect();
            for port in items(&service.node, "spec.ports") {
                let Some(target) = port.get("targetPort").or(port.get("port")) else { continue };
                let found = match integer(target) {
                    // A port that no container names can be open all the same.
                    Some(number) => {
                        all.is_empty()
                            || all
                                .iter()
                                .any(|port| port.get("containerPort").and_then(integer) == Some(number))
                    }
                    None => all.iter().any(|port| name(port) == target.as_text().unwrap_or_default()),
                };
                if !found {
                    let message = format!(
                        "{} leads to the port {} of {}, which has none such",
                        service.title(),
                        target.as_text().unwrap_or_default(),
                        workload.document.title()
                    );
                    findings.push(rule.finding(
                        message,
                        target.span,
                        "no container has it",
                        "compare it with `ports` of the containers",
                    ));
                }
            }
        }
    }
}

/// A ConfigMap or Secret that a pod needs.
struct Need<'a> {
    kind: &'static str,
    name: &'a Node,
    keys: Vec<&'a Node>,
}

fn needs<'a>(workload: &Workload<'a>) -> Vec<Need<'a>> {
    let mut needs = Vec::new();
    let mut add = |kind, node: Option<&'a Node>, name: &str, keys: Vec<&'a Node>| {
        let Some(node) = node.filter(|node| !is_true(node.get("optional"))) else { return };
        if let Some(name) = node.get(name) {
            needs.push(Need { kind, name, keys });
        }
    };
    for container in workload.all_containers() {
        for variable in items(container, "env") {
            for (kind, path) in
                [("ConfigMap", "valueFrom.configMapKeyRef"), ("Secret", "valueFrom.secretKeyRef")]
            {
                let node = at(variable, path);
                add(kind, node, "name", node.and_then(|node| node.get("key")).into_iter().collect());
            }
        }
        for from in items(container, "envFrom") {
            add("ConfigMap", from.get("configMapRef"), "name", Vec::new());
            add("Secret", from.get("secretRef"), "name", Vec::new());
        }
    }
    for volume in items(workload.spec, "volumes") {
        let projected = items(volume, "projected.sources");
        for source in std::iter::once(volume).chain(projected) {
            let keys = |node: Option<&'a Node>| -> Vec<&'a Node> {
                node.into_iter()
                    .flat_map(|node| items(node, "items"))
                    .filter_map(|item| item.get("key"))
                    .collect()
            };
            add("ConfigMap", source.get("configMap"), "name", keys(source.get("configMap")));
            let secret = source.get("secret");
            add("Secret", secret, "secretName", keys(secret));
            add("Secret", secret, "name", keys(secret));
        }
    }
    needs
}

pub(super) fn config(rule: &Rule, set: &Set<'_>, findings: &mut Vec<Finding>) {
    let mut told = BTreeSet::new();
    for workload in &set.workloads {
        for need in needs(workload) {
            let wanted = need.name.as_text().unwrap_or_default();
            let Some(document) = set.find(need.kind, wanted, workload.document) else {
                if told.insert((workload.document.title(), need.kind, wanted)) {
                    let message = format!(
                        "{} needs the {} `{wanted}`, which is not there",
                        workload.document.title(),
                        need.kind
                    );
                    let help = "add it, or say `optional: true`; its pods would wait for it for ever";
                    findings.push(rule.finding(message, need.name.span, "not in these manifests", help));
                }
                continue;
            };
            for key in need.keys {
                let wanted = key.as_text().unwrap_or_default();
                let has = ["data", "binaryData", "stringData"]
                    .iter()
                    .any(|part| document.at(part).is_some_and(|data| data.get(wanted).is_some()));
                if !has {
                    let message = format!(
                        "{} needs the key `{wanted}` of {}, which has none such",
                        workload.document.title(),
                        document.title()
                    );
                    findings.push(
                        rule.finding(message, key.span, "no such key", "add it there")
                            .also(document.place(), "here"),
                    );
                }
            }
        }
    }
}

pub(super) fn account(rule: &Rule, set: &Set<'_>, findings: &mut Vec<Finding>) {
    for workload in &set.workloads {
        let Some(node) = workload.spec.get("serviceAccountName") else { continue };
        let wanted = node.as_text().unwrap_or_default();
        if !wanted.is_empty()
            && wanted != "default"
            && set.find("ServiceAccount", wanted, workload.document).is_none()
        {
            let message = format!(
                "{} runs as the ServiceAccount `{wanted}`, which is not there",
                workload.document.title()
            );
            findings.push(rule.finding(
                message,
                node.span,
                "not in these manifests",
                "add it: no pod is made without it",
            ));
        }
    }
}

pub(super) fn probe_port(rule: &Rule, set: &Set<'_>, findings: &mut Vec<Finding>) {
    for workload in &set.workloads {
        for container in workload.all_containers() {
            let ports = items(container, "ports");
            for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
                for action in ["httpGet", "tcpSocket", "grpc"] {
                    let Some(port) = at(container, &format!("{probe}.{action}.port")) else { continue };
                    let found = match integer(port) {
                        Some(number) => {
                            ports.is_empty()
                                || ports
                                    .iter()
                                    .any(|port| port.get("containerPort").and_then(integer) == Some(number))
                        }
                        None => ports.iter().any(|named| name(named) == port.as_text().unwrap_or_default()),
                    };
                    if !found {
                        let message = format!(
                            "the {probe} of the container `{}` of {} asks the port {}, which it does not have",
                            name(container),
                            workload.document.title(),
                            port.as_text().unwrap_or_default()
                        );
                        findings.push(
                            rule.finding(
                                message,
                                port.span,
                                "not one of its ports",
                                "compare it with `ports`",
                            )
                            .also(place(container), "of this container"),
                        );
                    }
                }
            }
        }
    }
}
