//! Cuts a completed project to its active profiles and to the resources that are used.

use std::collections::{BTreeMap, BTreeSet};

use kernel_core::diagnostic::Diagnostic;

use crate::codes;
use crate::suggest;
use crate::tree::{Entry, Mapping, Node, Value};

/// Takes the services out that no active profile shows, and returns them.
pub fn profiles(
    tree: &mut Node,
    active: &[String],
    diagnostics: &mut Vec<Diagnostic>,
) -> BTreeMap<String, Node> {
    let mut hidden = BTreeMap::new();
    let mut known = BTreeSet::new();
    if let Some(services) = services_of(tree) {
        let mut kept = Mapping::with_capacity(services.len());
        for Entry { key, key_span, value } in std::mem::take(services) {
            known.extend(texts(value.get("profiles")));
            if is_shown(&value, active) {
                kept.push(key, key_span, value);
            } else {
                hidden.insert(key, Node { span: key_span, ..value });
            }
        }
        *services = kept;
    }
    for name in active.iter().filter(|name| *name != "*" && !name.is_empty() && !known.contains(*name)) {
        let help = match suggest::nearest(name, known.iter().map(String::as_str)) {
            Some(near) => format!("did you mean `{near}`?"),
            None if known.is_empty() => "this project has no profiles".to_owned(),
            None => format!(
                "this project has {}",
                known.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
            ),
        };
        diagnostics.push(
            Diagnostic::warning(codes::UNKNOWN_PROFILE, format!("no service has the profile `{name}`"))
                .help(help),
        );
    }
    hidden
}

fn is_shown(service: &Node, active: &[String]) -> bool {
    let profiles = texts(service.get("profiles"));
    profiles.is_empty() || active.iter().any(|name| name == "*" || profiles.contains(name))
}

fn services_of(tree: &mut Node) -> Option<&mut Mapping> {
    let Value::Mapping(top) = &mut tree.value else { return None };
    match top.get_mut("services") {
        Some(Node { value: Value::Mapping(services), .. }) => Some(services),
        _ => None,
    }
}

/// The profiles of hidden services that are asked for by name.
pub fn profiles_of(hidden: &BTreeMap<String, Node>, wanted: &[String]) -> Vec<String> {
    wanted
        .iter()
        .filter_map(|name| hidden.get(name))
        .flat_map(|service| texts(service.get("profiles")))
        .collect()
}

/// Brings hidden services back that these profiles show.
pub fn show(tree: &mut Node, hidden: &mut BTreeMap<String, Node>, active: &[String]) {
    let Some(services) = services_of(tree) else { return };
    for (name, service) in std::mem::take(hidden) {
        if is_shown(&service, active) {
            services.set(name, service.span, service);
        } else {
            hidden.insert(name, service);
        }
    }
}

/// Cuts the project to some services and what they depend on.
pub fn services(
    tree: &mut Node,
    hidden: &BTreeMap<String, Node>,
    wanted: &[String],
    diagnostics: &mut Vec<Diagnostic>,
) {
    let mut none = Mapping::default();
    let services = services_of(tree).unwrap_or(&mut none);
    let mut needed: BTreeSet<String> = BTreeSet::new();
    let mut open: Vec<String> = wanted.to_vec();
    while let Some(name) = open.pop() {
        let Some(service) = services.get(&name) else {
            if wanted.contains(&name) {
                let known =
                    services.iter().map(|entry| entry.key.as_str()).chain(hidden.keys().map(String::as_str));
                let help = suggest::nearest(&name, known).map_or_else(
                    || "`kernel config --services` names those that are there".to_owned(),
                    |near| format!("did you mean `{near}`?"),
                );
                diagnostics.push(
                    Diagnostic::error(codes::UNDEFINED_SERVICE, format!("there is no service `{name}`"))
                        .help(help),
                );
            }
            continue;
        };
        if needed.insert(name) {
            let dependencies = service.get("depends_on").and_then(Node::as_mapping);
            open.extend(dependencies.into_iter().flatten().map(|entry| entry.key.clone()));
        }
    }
    services.retain(|entry| needed.contains(&entry.key));
    for entry in services.iter_mut() {
        if let Value::Mapping(service) = &mut entry.value.value
            && let Some(Node { value: Value::Mapping(dependencies), .. }) = service.get_mut("depends_on")
        {
            dependencies.retain(|entry| needed.contains(&entry.key));
        }
    }
}

/// Takes the resources out that no service uses.
pub fn used_resources(tree: &mut Node) {
    let mut used: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for entry in tree.get("services").and_then(Node::as_mapping).into_iter().flatten() {
        let service = &entry.value;
        let networks = service.get("networks").and_then(Node::as_mapping).into_iter().flatten();
        used.entry("networks").or_default().extend(networks.map(|entry| entry.key.clone()));
        let sources = |attribute: &str| {
            let items = service.get(attribute).and_then(Node::as_sequence).unwrap_or_default();
            items.iter().filter_map(|item| item.get("source").and_then(Node::as_text)).map(str::to_owned)
        };
        let mounts = service.get("volumes").and_then(Node::as_sequence).unwrap_or_default().iter();
        let volumes = mounts.filter(|mount| mount.get("type").and_then(Node::as_text) == Some("volume"));
        let volumes = volumes.filter_map(|mount| mount.get("source").and_then(Node::as_text));
        used.entry("volumes").or_default().extend(volumes.map(str::to_owned));
        for kind in ["secrets", "configs"] {
            used.entry(kind).or_default().extend(sources(kind));
        }
        let built = service.get("build").and_then(|build| build.get("secrets")).and_then(Node::as_sequence);
        let built = built.unwrap_or_default().iter();
        let built = built.filter_map(|item| item.get("source").and_then(Node::as_text));
        used.entry("secrets").or_default().extend(built.map(str::to_owned));
        let models = service.get("models").and_then(Node::as_mapping).into_iter().flatten();
        used.entry("models").or_default().extend(models.map(|entry| entry.key.clone()));
    }
    let Value::Mapping(top) = &mut tree.value else { return };
    for kind in ["networks", "volumes", "secrets", "configs", "models"] {
        let names = used.remove(kind).unwrap_or_default();
        let Some(Node { value: Value::Mapping(resources), .. }) = top.get_mut(kind) else { continue };
        let all = std::mem::take(resources);
        for Entry { key, key_span, value } in all.into_iter().filter(|entry| names.contains(&entry.key)) {
            resources.push(key, key_span, value);
        }
        if resources.is_empty() {
            top.remove(kind);
        }
    }
}

/// The texts of a list.
pub fn texts(node: Option<&Node>) -> Vec<String> {
    let items = node.and_then(Node::as_sequence).unwrap_or_default();
    items.iter().filter_map(Node::as_text).map(str::to_owned).collect()
}
