//! Rules for having no right more than needed. They follow the “restricted” Pod Security Standard and go on where it ends.

use kernel_compose::tree::Node;

use super::set::{Workload, name, place};
use super::{Edit, Finding, Rule, Set};
use crate::document::{at, boolean, integer, is_true, items};
use crate::images::is_digest;

/// Every container, with its workload.
fn containers<'s, 'a>(set: &'s Set<'a>) -> impl Iterator<Item = (&'s Workload<'a>, &'a Node)> {
    set.workloads
        .iter()
        .flat_map(|workload| workload.all_containers().map(move |container| (workload, container)))
}

/// What a container's security context says, else what that of its pod says.
fn security<'a>(workload: &Workload<'a>, container: &'a Node, key: &str) -> Option<&'a Node> {
    let own = at(container, "securityContext").and_then(|context| context.get(key));
    own.or_else(|| at(workload.spec, "securityContext").and_then(|context| context.get(key)))
}

fn of(workload: &Workload<'_>, container: &Node) -> String {
    format!("the container `{}` of {}", name(container), workload.document.title())
}

pub(super) fn digest(rule: &Rule, set: &Set<'_>, findings: &mut Vec<Finding>) {
    for (workload, container) in containers(set) {
        let Some(image) = container.get("image") else { continue };
        let text = image.as_text().unwrap_or_default();
        if !text.rsplit_once('@').is_some_and(|(_, digest)| is_digest(digest)) {
            let message = format!("{} runs whatever `{text}` is today", of(workload, container));
            findings.push(rule.finding(
                message,
                image.span,
                "no digest",
                "name it as `NAME@sha256:…`: a tag can be moved, and a rollback needs what was there",
            ));
        }
    }
}

pub(super) fn root(rule: &Rule, set: &Set<'_>, findings: &mut Vec<Finding>) {
    for (workload, container) in containers(set) {
        let user = security(workload, container, "runAsUser");
        if let Some(user) = user.filter(|user| integer(user) == Some(0)) {
            let message = format!("{} runs as root", of(workload, container));
            findings.push(rule.finding(message, user.span, "root", "take another user"));
        } else if !is_true(security(workload, container, "runAsNonRoot")) {
            let message = format!("{} may run as root", of(workload, container));
            findings.push(rule.finding(
                message,
                place(container),
                "no `runAsNonRoot: true`",
                "say `runAsNonRoot: true` in the `securityContext` of the pod",
            ));
        }
    }
}

pub(super) fn root_filesystem(rule: &Rule, set: &Set<'_>, findings: &mut Vec<Finding>) {
    for (workload, container) in containers(set) {
        if !is_true(at(container, "securityContext.readOnlyRootFilesystem")) {
            let message = format!("{} can write to its root file system", of(workload, container));
            findings.push(rule.finding(
                message,
                place(container),
                "no `readOnlyRootFilesystem: true`",
                "say it in the container's `securityContext`, and mount an `emptyDir` where it has to write",
            ));
        }
    }
}

pub(super) fn capabilities(rule: &Rule, set: &Set<'_>, findings: &mut Vec<Finding>) {
    for (workload, container) in containers(set) {
        let dropped = items(container, "securityContext.capabilities.drop");
        if !dropped.iter().any(|capability| capability.as_text() == Some("ALL")) {
            let message = format!("{} has the capabilities that the runtime gives", of(workload, container));
            findings.push(rule.finding(
                message,
                place(container),
                "no `capabilities.drop: [ALL]`",
                "say it in the container's `securityContext`",
            ));
        }
        for added in items(container, "securityContext.capabilities.add") {
            if added.as_text() != Some("NET_BIND_SERVICE") {
                let message = format!(
                    "{} has the capability `{}`",
                    of(workload, container),
                    added.as_text().unwrap_or_default()
                );
                findings.push(rule.finding(
                    message,
                    added.span,
                    "a right more",
                    "take it out, or say why it has to be",
                ));
            }
        }
    }
}

pub(super) fn seccomp(rule: &Rule, set: &Set<'_>, findings: &mut Vec<Finding>) {
    for (workload, container) in containers(set) {
        let profile = security(workload, container, "seccompProfile");
        let kind = profile.and_then(|profile| profile.get("type")).and_then(Node::as_text);
        if matches!(kind, Some("RuntimeDefault" | "Localhost")) {
            continue;
        }
        let message = format!("{} may make every system call", of(workload, container));
        let help = "say `seccompProfile: { type: RuntimeDefault }` in the `securityContext` of the pod";
        let finding = rule.finding(
            message,
            profile.map_or(place(container), |profile| profile.span),
            "no profile",
            help,
        );
        // Once for the pod, with its first container.
        let first = workload.all_containers().next().is_some_and(|first| std::ptr::eq(first, container));
        let fix = match (profile, at(workload.spec, "securityContext")) {
            _ if !first => None,
            (Some(_), _) => None,
            (None, Some(context)) => Edit::insert(context, &["seccompProfile:", "  type: RuntimeDefault"]),
            (None, None) => Edit::insert(
                workload.spec,
                &["securityContext:", "  seccompProfile:", "    type: RuntimeDefault"],
            ),
        };
        findings.push(finding.fix(fix));
    }
}

pub(super) fn escalation(rule: &Rule, set: &Set<'_>, findings: &mut Vec<Finding>) {
    for (workload, container) in containers(set) {
        if boolean(at(container, "securityContext.allowPrivilegeEscalation")) != Some(false) {
            let message =
                format!("a process of {} can get more rights than it began with", of(workload, container));
            findings.push(rule.finding(
                message,
                place(container),
                "no `allowPrivilegeEscalation: false`",
                "say it in the container's `securityContext`",
            ));
        }
    }
}

pub(super) fn resources(rule: &Rule, set: &Set<'_>, findings: &mut Vec<Finding>) {
    for (workload, container) in containers(set) {
        let wanted = ["requests.cpu", "requests.memory", "limits.memory"];
        // A limit without a request is a request of the same size.
        let has = |path: &str| {
            let get = |path: &str| at(container, &format!("resources.{path}")).is_some();
            get(path)
                || path.strip_prefix("requests.").is_some_and(|resource| get(&format!("limits.{resource}")))
        };
        let missing: Vec<&str> = wanted.into_iter().filter(|path| !has(path)).collect();
        if !missing.is_empty() {
            let message =
                format!("{} does not say what it needs: `{}`", of(workload, container), missing.join("`, `"));
            findings.push(rule.finding(
                message,
                place(container),
                "no such `resources`",
                "without them it is placed anywhere, and the first to be killed",
            ));
        }
    }
}

pub(super) fn token(rule: &Rule, set: &Set<'_>, findings: &mut Vec<Finding>) {
    for workload in &set.workloads {
        let account = at(workload.spec, "serviceAccountName").and_then(Node::as_text).unwrap_or("default");
        let by_account = set.find("ServiceAccount", account, workload.document);
        let by_account = by_account.and_then(|account| boolean(account.at("automountServiceAccountToken")));
        let mounted =
            boolean(workload.spec.get("automountServiceAccountToken")).or(by_account).unwrap_or(true);
        let bound = set
            .of_kind("RoleBinding")
            .chain(set.of_kind("ClusterRoleBinding"))
            .any(|binding| items(&binding.node, "subjects").iter().any(|subject| name(subject) == account));
        if mounted && !bound {
            let message = format!("the pods of {} have a token of the API server", workload.document.title());
            let help = "say `automountServiceAccountToken: false` in the pod's `spec`; where pods need the API, give their account a role";
            findings.push(rule.finding(
                message,
                workload.document.place(),
                "and no role that needs it",
                help,
            ));
        }
    }
}

pub(super) fn policy(rule: &Rule, set: &Set<'_>, findings: &mut Vec<Finding>) {
    for workload in &set.workloads {
        if set.selecting("NetworkPolicy", "spec.podSelector", workload).next().is_none() {
            let message = format!(
                "everybody may talk to the pods of {}, and they to everybody",
                workload.document.title()
            );
            let help = "add a NetworkPolicy that names who calls them and whom they call";
            findings.push(rule.finding(message, workload.document.place(), "no policy selects them", help));
        }
    }
}

pub(super) fn node(rule: &Rule, set: &Set<'_>, findings: &mut Vec<Finding>) {
    for workload in &set.workloads {
        for key in ["hostNetwork", "hostPID", "hostIPC"] {
            if let Some(node) = workload.spec.get(key).filter(|node| is_true(Some(node))) {
                let message =
                    format!("the pods of {} share the node's own: `{key}`", workload.document.title());
                findings.push(rule.finding(message, node.span, "the node's", "take it out"));
            }
        }
        for volume in items(workload.spec, "volumes") {
            if let Some(path) = volume.get("hostPath") {
                let message = format!("the pods of {} mount a path of their node", workload.document.title());
                findings.push(rule.finding(
                    message,
                    path.span,
                    "the node's",
                    "take a volume of another kind",
                ));
            }
        }
    }
    for (workload, container) in containers(set) {
        if let Some(privileged) =
            at(container, "securityContext.privileged").filter(|node| is_true(Some(node)))
        {
            let message = format!("{} may do whatever its node may", of(workload, container));
            findings.push(rule.finding(message, privileged.span, "privileged", "take it out"));
        }
    }
}

/// Whether a name is one of a secret: its last word says so.
fn names_a_secret(name: &str) -> bool {
    let last = name.rsplit(['_', '-', '.']).next().unwrap_or_default();
    let words = ["PASSWORD", "PASSWD", "SECRET", "TOKEN", "APIKEY"];
    words.contains(&last.to_ascii_uppercase().as_str())
        || ["SECRET_KEY", "PRIVATE_KEY", "API_KEY", "ACCESS_KEY"]
            .iter()
            .any(|end| name.to_ascii_uppercase().ends_with(end))
}

/// Whether a text is a secret by itself: not empty, and not only a reference to one.
fn is_given(text: &str) -> bool {
    let is_reference = text.starts_with("$(") && text.ends_with(')');
    !text.is_empty() && !is_reference
}

/// Whether a text is an address with a password in it.
fn has_password(text: &str) -> bool {
    let authority = text.split_once("//").map_or("", |(_, rest)| rest.split('/').next().unwrap_or_default());
    let user = authority.rsplit_once('@').map_or("", |(user, _)| user);
    user.split_once(':').is_some_and(|(_, password)| is_given(password))
}

pub(super) fn plain_secret(rule: &Rule, set: &Set<'_>, findings: &mut Vec<Finding>) {
    let help = "put it into a Secret and take it from there: `valueFrom.secretKeyRef`, or `$(NAME)` of an earlier variable";
    let mut look = |key: &str, value: &Node, whose: String| {
        let text = value.as_text().unwrap_or_default();
        if (names_a_secret(key) && is_given(text)) || has_password(text) {
            let message =
                format!("the secret `{key}` of {whose} can be read by everybody who may see the manifest");
            findings.push(rule.finding(message, value.span, "a secret, by its name or form", help));
        }
    };
    for (workload, container) in containers(set) {
        for variable in items(container, "env") {
            if let Some(value) = variable.get("value") {
                look(name(variable), value, of(workload, container));
            }
        }
    }
    for map in set.of_kind("ConfigMap") {
        for entry in map.at("data").and_then(Node::as_mapping).into_iter().flatten() {
            look(&entry.key, &entry.value, map.title());
        }
    }
}
