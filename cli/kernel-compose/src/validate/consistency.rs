//! Attributes that say one thing twice, and resources that say too much or too little.

use kernel_core::diagnostic::Diagnostic;
use kernel_core::source::Span;

use crate::codes;
use crate::project::Project;
use crate::tree::{Mapping, Node};

/// An attribute of a service and the one below `deploy` that means the same.
const TWINS: [(&str, [&str; 3]); 4] = [
    ("cpus", ["resources", "limits", "cpus"]),
    ("mem_limit", ["resources", "limits", "memory"]),
    ("mem_reservation", ["resources", "reservations", "memory"]),
    ("pids_limit", ["resources", "limits", "pids"]),
];

/// Checks the canonical tree.
pub fn check(project: &Project, diagnostics: &mut Vec<Diagnostic>) {
    let services = project.model.get("services").and_then(Node::as_mapping);
    for entry in services.into_iter().flatten() {
        twins(&entry.key, &entry.value, diagnostics);
        negative_scale(&entry.key, &entry.value, diagnostics);
        build_contexts(&entry.key, &entry.value, services, diagnostics);
    }
    for kind in ["networks", "volumes", "secrets", "configs"] {
        for entry in project.model.get(kind).and_then(Node::as_mapping).into_iter().flatten() {
            if let Some(resource) = entry.value.as_mapping() {
                external(kind, &entry.key, resource, diagnostics);
                origin(kind, &entry.key, entry.key_span, resource, diagnostics);
            }
        }
    }
}

fn twins(name: &str, service: &Node, diagnostics: &mut Vec<Diagnostic>) {
    for (short, path) in TWINS {
        let deploy = path.iter().try_fold(service.get("deploy"), |node, key| node.map(|node| node.get(key)));
        let (Some(short_node), Some(Some(long))) = (service.get(short), deploy) else { continue };
        if short_node.as_text() != long.as_text() {
            let message = format!("service `{name}` has `{short}` and another `deploy.{}`", path.join("."));
            diagnostics.push(
                Diagnostic::error(codes::CONFLICT, message)
                    .at(short_node.span, "this")
                    .at(long.span, "or this")
                    .help("keep one of them"),
            );
        }
    }
}

fn negative_scale(name: &str, service: &Node, diagnostics: &mut Vec<Diagnostic>) {
    let replicas = service.get("deploy").and_then(|deploy| deploy.get("replicas"));
    for node in service.get("scale").into_iter().chain(replicas) {
        if node.as_text().is_some_and(|text| text.starts_with('-')) {
            diagnostics.push(
                Diagnostic::error(codes::BAD_VALUE, format!("service `{name}` can't run less than 0 times"))
                    .at(node.span, "negative")
                    .help("write 0 or more"),
            );
        }
    }
}

/// `additional_contexts: { x: "service:y" }` takes the image of another service that is built.
fn build_contexts(name: &str, service: &Node, services: Option<&Mapping>, diagnostics: &mut Vec<Diagnostic>) {
    let contexts = service.get("build").and_then(|build| build.get("additional_contexts"));
    for entry in contexts.and_then(Node::as_mapping).into_iter().flatten() {
        let Some(wanted) = entry.value.as_text().and_then(|text| text.strip_prefix("service:")) else {
            continue;
        };
        let other = services.and_then(|services| services.get(wanted));
        if other.is_none_or(|other| other.get("build").is_none()) {
            let message = format!(
                "service `{name}` builds on the service `{wanted}`, which is not built in this project"
            );
            diagnostics.push(
                Diagnostic::error(codes::UNDEFINED_SERVICE, message)
                    .at(entry.value.span, "not built here")
                    .help("name a service that has `build`, or an image: `docker-image://NAME`"),
            );
        }
    }
}

/// What somebody else creates can't be described here.
fn external(kind: &str, name: &str, resource: &Mapping, diagnostics: &mut Vec<Diagnostic>) {
    let Some(external) = resource.get("external").filter(|node| node.as_text() == Some("true")) else {
        return;
    };
    let created = |entry: &&crate::tree::Entry| {
        !["external", "name", "ipam"].contains(&entry.key.as_str()) && !entry.key.starts_with("x-")
    };
    if let Some(entry) = resource.iter().find(created) {
        let kind = kind.trim_end_matches('s');
        let message = format!("the {kind} `{name}` is external and says how it is made (`{}`)", entry.key);
        diagnostics.push(
            Diagnostic::error(codes::CONFLICT, message)
                .at(entry.key_span, "this")
                .at(external.span, "or this")
                .help("keep one of them: an external one is only used"),
        );
    }
}

/// A secret or config has exactly one origin.
fn origin(kind: &str, name: &str, span: Span, resource: &Mapping, diagnostics: &mut Vec<Diagnostic>) {
    let origins: &[&str] = match kind {
        "secrets" => &["file", "environment"],
        "configs" => &["file", "environment", "content"],
        _ => return,
    };
    if ["external", "driver", "template_driver"].iter().any(|key| resource.get(key).is_some()) {
        return;
    }
    let given: Vec<_> = origins.iter().filter_map(|key| resource.entry(key)).collect();
    let kind = kind.trim_end_matches('s');
    let list = origins.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(" or ");
    let problem = match given.as_slice() {
        [_] => return,
        [] => Diagnostic::error(codes::CONFLICT, format!("the {kind} `{name}` comes from nowhere"))
            .at(span, "no origin"),
        [first, second, ..] => {
            Diagnostic::error(codes::CONFLICT, format!("the {kind} `{name}` comes from two places"))
                .at(second.key_span, "this")
                .at(first.key_span, "or this")
        }
    };
    diagnostics.push(problem.help(format!("say one of {list}, or `external: true`")));
}
