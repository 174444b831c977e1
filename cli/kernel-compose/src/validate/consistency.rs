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

/// Checks the services of a canonical tree.
pub fn check(project: &Project, diagnostics: &mut Vec<Diagnostic>) {
    let services = project.model.get("services").and_then(Node::as_mapping);
    for entry in services.into_iter().flatten() {
        twins(&entry.key, &entry.value, diagnostics);
        negative_scale(&entry.key, &entry.value, diagnostics);
        build_contexts(&entry.key, &entry.value, services, diagnostics);
        platforms(&entry.key, &entry.value, diagnostics);
        health_test(&entry.key, &entry.value, diagnostics);
        watches(&entry.key, &entry.value, diagnostics);
    }
}

/// Checks the volumes, secrets and configs of a complete tree.
pub fn resources(model: &Node, diagnostics: &mut Vec<Diagnostic>) {
    for kind in ["volumes", "secrets", "configs"] {
        for entry in model.get(kind).and_then(Node::as_mapping).into_iter().flatten() {
            let Some(resource) = entry.value.as_mapping() else { continue };
            if kind == "volumes" {
                external(&entry.key, resource, diagnostics);
            } else if origin(kind, &entry.key, entry.key_span, resource, diagnostics) && kind == "secrets" {
                empty_secret(&entry.key, entry.key_span, resource, diagnostics);
            }
        }
    }
}

/// A request for devices says how many or which.
pub fn device_requests(model: &Node, diagnostics: &mut Vec<Diagnostic>) {
    for entry in model.get("services").and_then(Node::as_mapping).into_iter().flatten() {
        let path = ["resources", "reservations", "devices"];
        let reserved =
            path.iter().try_fold(entry.value.get("deploy"), |node, key| node.map(|node| node.get(key)));
        for requests in [entry.value.get("gpus"), reserved.flatten()] {
            for request in requests.and_then(Node::as_sequence).unwrap_or_default() {
                if let (Some(count), Some(ids)) = (request.get("count"), request.get("device_ids")) {
                    let message =
                        format!("service `{}` asks for a number of devices and for certain ones", entry.key);
                    diagnostics.push(
                        Diagnostic::error(codes::CONFLICT, message)
                            .at(count.span, "this")
                            .at(ids.span, "or this")
                            .help("keep one of them"),
                    );
                }
            }
        }
    }
}

fn twins(name: &str, service: &Node, diagnostics: &mut Vec<Diagnostic>) {
    for (short, [resources, kind, key]) in TWINS {
        let group =
            service.get("deploy").and_then(|deploy| deploy.get(resources)).and_then(|node| node.get(kind));
        let (Some(short_node), Some(group)) = (service.get(short), group) else { continue };
        let value = |node: Option<&Node>| node.and_then(Node::as_text).unwrap_or("0").to_owned();
        let (left, right) = (value(Some(short_node)), value(group.get(key)));
        if left != "0" && left != right {
            let path = format!("{resources}.{kind}.{key}");
            let place = group.get(key).map_or(group.span, |node| node.span);
            let message = format!("service `{name}` has `{short}` and another `deploy.{path}`");
            diagnostics.push(
                Diagnostic::error(codes::CONFLICT, message)
                    .at(short_node.span, "this")
                    .at(place, "or this")
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

/// A service runs on a platform that it is built for.
fn platforms(name: &str, service: &Node, diagnostics: &mut Vec<Diagnostic>) {
    let built = service.get("build").and_then(|build| build.get("platforms"));
    let Some(platform) = service.get("platform").filter(|node| node.as_text() != Some("")) else { return };
    let Some((built, items)) = built.and_then(|node| Some((node, node.as_sequence()?))) else { return };
    if !items.is_empty() && items.iter().all(|item| item.as_text() != platform.as_text()) {
        let message = format!("service `{name}` runs on a platform that it is not built for");
        diagnostics.push(
            Diagnostic::error(codes::CONFLICT, message)
                .at(platform.span, "runs on this")
                .at(built.span, "built for these")
                .help("add it to `build.platforms`"),
        );
    }
}

fn health_test(name: &str, service: &Node, diagnostics: &mut Vec<Diagnostic>) {
    let test = service.get("healthcheck").and_then(|health| health.get("test"));
    let Some(first) = test.and_then(Node::as_sequence).and_then(|words| words.first()) else { return };
    if !matches!(first.as_text(), Some("CMD" | "CMD-SHELL" | "NONE")) {
        let message = format!(
            "service `{name}`: the test of the health check starts with none of `CMD`, `CMD-SHELL`, `NONE`"
        );
        diagnostics.push(
            Diagnostic::error(codes::BAD_VALUE, message)
                .at(first.span, "not one of them")
                .help("write `[CMD, program, argument]` or `[CMD-SHELL, line]`"),
        );
    }
}

/// What is copied goes somewhere.
fn watches(name: &str, service: &Node, diagnostics: &mut Vec<Diagnostic>) {
    let watch = service.get("develop").and_then(|develop| develop.get("watch"));
    for item in watch.and_then(Node::as_sequence).unwrap_or_default() {
        let text = |key: &str| item.get(key).and_then(Node::as_text).unwrap_or_default();
        let message = if text("path").is_empty() {
            format!("service `{name}`: the path that is watched is empty")
        } else if text("target").is_empty() && !["rebuild", "restart"].contains(&text("action")) {
            format!("service `{name}`: `{}` needs a target", text("action"))
        } else {
            continue;
        };
        diagnostics.push(
            Diagnostic::error(codes::BAD_VALUE, message)
                .at(item.span, "says too little")
                .help("write `{ path: …, action: …, target: … }`"),
        );
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
fn external(name: &str, resource: &Mapping, diagnostics: &mut Vec<Diagnostic>) {
    let Some(external) = resource.get("external").filter(|node| node.as_text() == Some("true")) else {
        return;
    };
    let created = |entry: &&crate::tree::Entry| {
        !["external", "name"].contains(&entry.key.as_str()) && !entry.key.starts_with("x-")
    };
    if let Some(entry) = resource.iter().find(created) {
        let message = format!("the volume `{name}` is external and says how it is made (`{}`)", entry.key);
        diagnostics.push(
            Diagnostic::error(codes::CONFLICT, message)
                .at(entry.key_span, "this")
                .at(external.span, "or this")
                .help("keep one of them: an external one is only used"),
        );
    }
}

/// A secret or config has exactly one origin; whether that is so.
fn origin(kind: &str, name: &str, span: Span, resource: &Mapping, diagnostics: &mut Vec<Diagnostic>) -> bool {
    let origins: &[&str] =
        if kind == "secrets" { &["file", "environment"] } else { &["file", "environment", "content"] };
    let given: Vec<_> = origins.iter().filter_map(|key| resource.entry(key)).collect();
    let kind = kind.trim_end_matches('s');
    let list = origins.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(" or ");
    let elsewhere = ["external", "driver"].iter().any(|key| resource.get(key).is_some());
    let problem = match given.as_slice() {
        [_] => return true,
        [] if elsewhere => return true,
        [] => Diagnostic::error(codes::CONFLICT, format!("the {kind} `{name}` comes from nowhere"))
            .at(span, "no origin"),
        [first, second, ..] => {
            Diagnostic::error(codes::CONFLICT, format!("the {kind} `{name}` comes from two places"))
                .at(second.key_span, "this")
                .at(first.key_span, "or this")
        }
    };
    diagnostics.push(problem.help(format!("say one of {list}, or `external: true`")));
    false
}

/// A secret of this project comes from a file or a variable, also where a driver is named.
fn empty_secret(name: &str, span: Span, secret: &Mapping, diagnostics: &mut Vec<Diagnostic>) {
    let text = |key: &str| secret.get(key).and_then(Node::as_text).unwrap_or_default();
    if text("external") != "true" && text("file").is_empty() && text("environment").is_empty() {
        diagnostics.push(
            Diagnostic::error(codes::CONFLICT, format!("the secret `{name}` comes from nowhere"))
                .at(span, "no origin")
                .help("say `file` or `environment`, or `external: true`"),
        );
    }
}
