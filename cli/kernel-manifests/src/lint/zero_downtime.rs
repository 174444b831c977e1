//! Rules without which requests are lost while pods are replaced.

use kernel_compose::tree::Node;
use kernel_core::quantity::thousandths;

use super::set::{Workload, name, place};
use super::{Edit, Finding, Rule, Set};
use crate::document::{at, integer, items};

/// Kubernetes' own grace period in seconds.
const GRACE: i64 = 30;
/// Seconds in which endpoints learn that a pod leaves.
const LEAVE: i64 = 5;

/// A number of pods, or a share of them in percent.
fn share(node: Option<&Node>, default: i64, of: i64, round_up: bool) -> i64 {
    let percent = |percent: i64| {
        let hundredths = percent.saturating_mul(of);
        if round_up { hundredths.saturating_add(99) / 100 } else { hundredths / 100 }
    };
    let Some(node) = node else { return percent(default) };
    integer(node).unwrap_or_else(|| {
        let text = node.as_text().unwrap_or_default();
        text.strip_suffix('%').and_then(|text| text.parse().ok()).map_or(0, percent)
    })
}

pub(super) fn rollout(rule: &Rule, set: &Set<'_>, findings: &mut Vec<Finding>) {
    for workload in set.serving().filter(|workload| workload.document.kind() == "Deployment") {
        let document = workload.document;
        let pods = set.pods_of(workload).1;
        let help = "`maxUnavailable: 0` and `maxSurge: 1` bring a new pod before an old one goes";
        if document.text("spec.strategy.type") == "Recreate" {
            let span = document.at("spec.strategy.type").unwrap_or(&document.node).span;
            let message = format!("{} ends all pods before it starts new ones", document.title());
            findings.push(rule.finding(message, span, "nothing serves in between", help));
            continue;
        }
        let given = document.at("spec.strategy.rollingUpdate");
        let (unavailable, surge) = (
            given.and_then(|given| given.get("maxUnavailable")),
            given.and_then(|given| given.get("maxSurge")),
        );
        let gone = share(unavailable, 25, pods, false);
        if gone > 0 {
            let message = format!(
                "a rollout of {} takes away {gone} of {pods} pods before new ones are ready",
                document.title()
            );
            let span =
                unavailable.or(document.at("spec.strategy")).map_or(document.place(), |node| node.span);
            let fix = match (unavailable, given, document.at("spec.strategy")) {
                (Some(node), ..) => Edit::replace(node, "0"),
                (None, Some(given), _) => Edit::insert(given, &["maxUnavailable: 0"]),
                (None, None, None) => document.at("spec").and_then(|spec| {
                    Edit::insert(
                        spec,
                        &[
                            "strategy:",
                            "  type: RollingUpdate",
                            "  rollingUpdate:",
                            "    maxSurge: 1",
                            "    maxUnavailable: 0",
                        ],
                    )
                }),
                (None, None, Some(_)) => None,
            };
            // Without a surge there would be no way forward.
            let surge = surge
                .filter(|surge| share(Some(surge), 25, pods, true) == 0)
                .and_then(|surge| Edit::replace(surge, "1"));
            findings.push(rule.finding(message, span, "fewer pods than wanted", help).fix(fix).fix(surge));
        } else if share(surge, 25, pods, true) == 0 {
            let span = surge.map_or(document.place(), |node| node.span);
            let message = format!("a rollout of {} can go neither up nor down", document.title());
            let fix = surge.and_then(|surge| Edit::replace(surge, "1"));
            findings.push(rule.finding(message, span, "no pod more, and none less", help).fix(fix));
        }
    }
}

pub(super) fn readiness(rule: &Rule, set: &Set<'_>, findings: &mut Vec<Finding>) {
    for workload in set.serving() {
        for container in workload.serving_containers() {
            if container.get("readinessProbe").is_none() {
                let message = format!(
                    "the container `{}` of {} gets requests before it can answer them",
                    name(container),
                    workload.document.title()
                );
                let help = "give it a `readinessProbe` that asks what it needs to serve, such as its stores";
                findings.push(rule.finding(message, place(container), "no readiness probe", help));
            }
        }
    }
}

pub(super) fn same_probe(rule: &Rule, set: &Set<'_>, findings: &mut Vec<Finding>) {
    for workload in &set.workloads {
        for container in workload.containers() {
            let (Some(ready), Some(live)) = (container.get("readinessProbe"), container.get("livenessProbe"))
            else {
                continue;
            };
            let asked = |probe: &Node, action: &str| probe.get(action).cloned();
            let same = ["httpGet", "exec", "tcpSocket", "grpc"].iter().any(|action| {
                asked(ready, action)
                    .zip(asked(live, action))
                    .is_some_and(|(ready, live)| ready.same_as(&live))
            });
            if same {
                let message = format!(
                    "the container `{}` of {} is killed when it is only not ready",
                    name(container),
                    workload.document.title()
                );
                let help = "let the liveness probe ask only whether the process answers, or leave it out: a store that is away would restart every pod";
                findings.push(
                    rule.finding(message, live.span, "asks the same", help).also(ready.span, "as this"),
                );
            }
        }
    }
}

/// Seconds that the hook before SIGTERM takes, if that can be known.
fn pre_stop_seconds(container: &Node) -> Option<i64> {
    let hook = at(container, "lifecycle.preStop")?;
    if let Some(seconds) = at(hook, "sleep.seconds") {
        return integer(seconds);
    }
    let words: Vec<&str> = items(hook, "exec.command").iter().filter_map(Node::as_text).collect();
    let line = words.join(" ");
    let after = line.split("sleep ").nth(1)?;
    after.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

fn grace(workload: &Workload<'_>) -> i64 {
    workload.spec.get("terminationGracePeriodSeconds").and_then(integer).unwrap_or(GRACE)
}

pub(super) fn pre_stop(rule: &Rule, set: &Set<'_>, findings: &mut Vec<Finding>) {
    for workload in set.serving() {
        for container in workload.serving_containers() {
            if at(container, "lifecycle.preStop").is_some() {
                if pre_stop_seconds(container) == Some(0) {
                    let span = at(container, "lifecycle.preStop").map_or(place(container), |node| node.span);
                    let message = format!(
                        "the container `{}` of {} does not wait before SIGTERM",
                        name(container),
                        workload.document.title()
                    );
                    findings.push(rule.finding(message, span, "0 seconds", "wait for 5 seconds"));
                }
                continue;
            }
            let message = format!(
                "the container `{}` of {} gets SIGTERM while requests are still sent to it",
                name(container),
                workload.document.title()
            );
            let help = "pause before SIGTERM: `lifecycle: { preStop: { sleep: { seconds: 5 } } }`";
            let room = container.get("lifecycle").is_none()
                && grace(workload).saturating_sub(LEAVE)
                    > drain_seconds(set, workload, container).unwrap_or(0);
            let fix =
                Edit::insert(container, &["lifecycle:", "  preStop:", "    sleep:", "      seconds: 5"])
                    .filter(|_| room);
            findings.push(rule.finding(message, place(container), "no pause before the end", help).fix(fix));
        }
    }
}

/// Seconds that the program itself takes after SIGTERM, as our services are told by variables.
fn drain_seconds(set: &Set<'_>, workload: &Workload<'_>, container: &Node) -> Option<i64> {
    let variable = |wanted: &str| {
        let own = items(container, "env").iter().find(|variable| name(variable) == wanted);
        let own = own.and_then(|variable| variable.get("value")).and_then(Node::as_text);
        own.or_else(|| {
            items(container, "envFrom").iter().rev().find_map(|from| {
                let map = at(from, "configMapRef.name").and_then(Node::as_text)?;
                at(&set.find("ConfigMap", map, workload.document)?.node, "data")?.get(wanted)?.as_text()
            })
        })
    };
    let seconds = |text: &str| text.strip_suffix('s').unwrap_or(text).parse::<i64>().ok();
    let timeout = variable("SHUTDOWN_TIMEOUT").and_then(seconds)?;
    Some(timeout.saturating_add(variable("SHUTDOWN_DELAY").and_then(seconds).unwrap_or(0)))
}

pub(super) fn drain(rule: &Rule, set: &Set<'_>, findings: &mut Vec<Finding>) {
    for workload in &set.workloads {
        for container in workload.containers() {
            let pause = pre_stop_seconds(container).unwrap_or(0);
            let drain = drain_seconds(set, workload, container);
            let needed = pause.saturating_add(drain.unwrap_or(0));
            let given = grace(workload);
            if needed < given || needed == 0 {
                continue;
            }
            let node = workload.spec.get("terminationGracePeriodSeconds");
            let message = match drain {
                Some(drain) => format!(
                    "the container `{}` of {} is killed while it drains: {pause} s before SIGTERM and {drain} s after it, of {given} s",
                    name(container),
                    workload.document.title()
                ),
                None => format!(
                    "the container `{}` of {} is killed before it gets SIGTERM: {pause} s before it, of {given} s",
                    name(container),
                    workload.document.title()
                ),
            };
            let more = needed.saturating_add(LEAVE);
            let help = format!("`terminationGracePeriodSeconds: {more}`, or less time for the drain");
            let fix = match node {
                Some(node) => Edit::replace(node, more.to_string()),
                None => Edit::insert(workload.spec, &[&format!("terminationGracePeriodSeconds: {more}")]),
            };
            let span = node.map_or(place(container), |node| node.span);
            findings.push(rule.finding(message, span, "too short", help).fix(fix));
        }
    }
}

pub(super) fn one_pod(rule: &Rule, set: &Set<'_>, findings: &mut Vec<Finding>) {
    for workload in set.serving().filter(|workload| workload.document.kind() == "Deployment") {
        let (least, _) = set.pods_of(workload);
        if least < 2 {
            let span = match set.scaler_of(workload) {
                Some(scaler) => scaler.at("spec.minReplicas").map_or(scaler.place(), |node| node.span),
                None => {
                    workload.document.at("spec.replicas").map_or(workload.document.place(), |node| node.span)
                }
            };
            let message = format!("nothing serves when the one pod of {} goes", workload.document.title());
            findings.push(rule.finding(message, span, "one pod or none", "have two or more"));
        }
    }
}

pub(super) fn blocking_budget(rule: &Rule, set: &Set<'_>, findings: &mut Vec<Finding>) {
    for budget in set.of_kind("PodDisruptionBudget") {
        let workload = set.workloads.iter().find(|workload| {
            set.selecting("PodDisruptionBudget", "spec.selector", workload)
                .any(|found| std::ptr::eq(found, budget))
        });
        let pods = workload.map(|workload| set.pods_of(workload).0);
        let (least, most) = (budget.at("spec.minAvailable"), budget.at("spec.maxUnavailable"));
        let whole = |node: &Node| node.as_text() == Some("100%");
        let blocked = match (least, most) {
            (Some(node), _) if whole(node) => Some((node, None)),
            (Some(node), _) => {
                let kept = pods.map_or(0, |pods| share(Some(node), 0, pods, true));
                pods.is_some_and(|pods| pods > 0 && kept >= pods).then_some((node, None))
            }
            (None, Some(node)) if integer(node) == Some(0) || node.as_text() == Some("0%") => {
                Some((node, Edit::replace(node, "1")))
            }
            _ => None,
        };
        if let Some((node, fix)) = blocked {
            let message = format!("{} lets no pod be evicted: nodes can't be drained", budget.title());
            let help = "`maxUnavailable: 1` lets one go at a time; one pod alone needs no budget";
            findings.push(rule.finding(message, node.span, "no pod may go", help).fix(fix));
        }
    }
}

pub(super) fn no_budget(rule: &Rule, set: &Set<'_>, findings: &mut Vec<Finding>) {
    for workload in set.serving().filter(|workload| workload.document.kind() != "DaemonSet") {
        if set.pods_of(workload).1 >= 2
            && set.selecting("PodDisruptionBudget", "spec.selector", workload).next().is_none()
        {
            let message = format!("all pods of {} may be evicted at once", workload.document.title());
            let help = "add a PodDisruptionBudget with `maxUnavailable: 1` and the workload's selector";
            findings.push(rule.finding(message, workload.document.place(), "no disruption budget", help));
        }
    }
}

pub(super) fn replicas(rule: &Rule, set: &Set<'_>, findings: &mut Vec<Finding>) {
    for workload in &set.workloads {
        let entry =
            workload.document.at("spec").and_then(Node::as_mapping).and_then(|spec| spec.entry("replicas"));
        let (Some(entry), Some(scaler)) = (entry, set.scaler_of(workload)) else { continue };
        let message = format!(
            "each apply of {} takes the number of pods from the autoscaler",
            workload.document.title()
        );
        let help = "take `replicas` out; where it runs already, hand the number over first";
        findings.push(
            rule.finding(message, entry.key_span, "says it too", help)
                .also(scaler.place(), "says how many there are")
                .fix(Edit::take_out(entry)),
        );
    }
}

pub(super) fn scaler_requests(rule: &Rule, set: &Set<'_>, findings: &mut Vec<Finding>) {
    for workload in &set.workloads {
        let Some(scaler) = set.scaler_of(workload) else { continue };
        let share = scaler.at("spec.targetCPUUtilizationPercentage").map(|node| (node, "cpu"));
        let metrics = items(&scaler.node, "spec.metrics").iter().filter_map(|metric| {
            let utilization =
                at(metric, "resource.target.type").and_then(Node::as_text) == Some("Utilization");
            at(metric, "resource.name")
                .and_then(Node::as_text)
                .filter(|_| utilization)
                .map(|resource| (metric, resource))
        });
        for (metric, resource) in share.into_iter().chain(metrics) {
            for container in workload.containers() {
                if at(container, "resources.requests").and_then(|requests| requests.get(resource)).is_none() {
                    let message = format!(
                        "{} measures the share of the {resource} asked for, and the container `{}` asks for none",
                        scaler.title(),
                        name(container)
                    );
                    let help = format!(
                        "set `resources.requests.{resource}` of every container of {}",
                        workload.document.title()
                    );
                    findings.push(
                        rule.finding(message, place(container), "no request", help)
                            .also(metric.span, "measured here"),
                    );
                }
            }
        }
    }
}

pub(super) fn scaler_target(rule: &Rule, set: &Set<'_>, findings: &mut Vec<Finding>) {
    for scaler in set.of_kind("HorizontalPodAutoscaler") {
        let (kind, target) =
            (scaler.text("spec.scaleTargetRef.kind"), scaler.text("spec.scaleTargetRef.name"));
        let known = ["Deployment", "StatefulSet", "ReplicaSet"].contains(&kind);
        if known && set.find(kind, target, scaler).is_none() {
            let span = scaler.at("spec.scaleTargetRef.name").map_or(scaler.place(), |node| node.span);
            let message = format!("{} scales the {kind} `{target}`, which is not there", scaler.title());
            findings.push(rule.finding(
                message,
                span,
                "no such object",
                "name one of these manifests, in the same namespace",
            ));
        }
        let number = |path| scaler.at(path).and_then(integer);
        let (least, most) =
            (number("spec.minReplicas").unwrap_or(1), number("spec.maxReplicas").unwrap_or(i64::MAX));
        if least > most {
            let span = scaler.at("spec.maxReplicas").map_or(scaler.place(), |node| node.span);
            let message =
                format!("{} has more pods at least ({least}) than at most ({most})", scaler.title());
            findings.push(rule.finding(message, span, "less than `minReplicas`", "turn them around"));
        }
    }
}

pub(super) fn quota(rule: &Rule, set: &Set<'_>, findings: &mut Vec<Finding>) {
    for quota in set.of_kind("ResourceQuota") {
        let workloads = || {
            let here = |workload: &&Workload<'_>| workload.document.namespace() == quota.namespace();
            set.workloads.iter().filter(here).filter(|workload| workload.document.kind() != "DaemonSet")
        };
        let Some(hard) = quota.at("spec.hard").and_then(Node::as_mapping) else { continue };
        for entry in hard.iter() {
            let Some(limit) = entry.value.as_text().and_then(thousandths) else { continue };
            let asked = |workload: &Workload<'_>| -> i128 {
                let (part, resource) = match entry.key.as_str() {
                    "pods" | "count/pods" => return 1_000,
                    "cpu" | "memory" => ("requests", entry.key.as_str()),
                    key => match key.split_once('.') {
                        Some((part @ ("requests" | "limits"), resource)) => (part, resource),
                        _ => return 0,
                    },
                };
                let of = |container: &Node| {
                    at(container, "resources")?.get(part)?.get(resource)?.as_text().and_then(thousandths)
                };
                workload.containers().iter().filter_map(of).fold(0, i128::saturating_add)
            };
            let of_all = |workload| asked(workload).saturating_mul(most_pods(set, workload).into());
            let needed = workloads().map(of_all).fold(0, i128::saturating_add);
            if needed > limit {
                let shown = |value: i128| match entry.key.as_str() {
                    key if key.ends_with("cpu") => format!("{value}m"),
                    key if key.ends_with("memory") => format!("{}Mi", (value / 1_000) >> 20),
                    _ => (value / 1_000).to_string(),
                };
                let message = format!(
                    "{} is too small: while all is replaced, pods need {} of `{}`",
                    quota.title(),
                    shown(needed),
                    entry.key
                );
                let help = "raise it, or ask for less: pods above the quota are never made, and the rollout stands still";
                findings.push(rule.finding(
                    message,
                    entry.value.span,
                    &format!("{} at most", shown(limit)),
                    help,
                ));
            }
        }
    }
}

/// The largest number of pods of a workload while it is replaced.
fn most_pods(set: &Set<'_>, workload: &Workload<'_>) -> i64 {
    let (_, pods) = set.pods_of(workload);
    match workload.document.kind() {
        "Deployment" if workload.document.text("spec.strategy.type") != "Recreate" => {
            let surge = workload.document.at("spec.strategy.rollingUpdate.maxSurge");
            pods.saturating_add(share(surge, 25, pods, true))
        }
        "Job" => workload.document.at("spec.parallelism").and_then(integer).unwrap_or(1),
        "CronJob" => 1,
        _ => pods,
    }
}

pub(super) fn spread(rule: &Rule, set: &Set<'_>, findings: &mut Vec<Finding>) {
    for workload in set.serving().filter(|workload| workload.document.kind() == "Deployment") {
        let spread = !items(workload.spec, "topologySpreadConstraints").is_empty()
            || at(workload.spec, "affinity.podAntiAffinity").is_some();
        if !spread && set.pods_of(workload).1 >= 2 {
            let message =
                format!("all pods of {} may stand on one node, and go with it", workload.document.title());
            let help = "add `topologySpreadConstraints` over `kubernetes.io/hostname`";
            findings.push(rule.finding(message, workload.document.place(), "not spread", help));
        }
    }
}
