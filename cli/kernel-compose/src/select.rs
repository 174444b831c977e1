//! Cuts a completed project to its active profiles and to the resources that are used.

use std::collections::{BTreeMap, BTreeSet};

use kernel_core::diagnostic::Diagnostic;

use crate::codes;
use crate::suggest;
use crate::tree::{Entry, Mapping, Node, Value};

/// Takes the services out that no active profile shows, and returns them with their profiles.
pub fn profiles(
    tree: &mut Node,
    active: &[String],
    diagnostics: &mut Vec<Diagnostic>,
) -> BTreeMap<String, Vec<String>> {
    let mut hidden = BTreeMap::new();
    let mut known = BTreeSet::new();
    let Value::Mapping(top) = &mut tree.value else { return hidden };
    if let Some(Node { value: Value::Mapping(services), .. }) = top.get_mut("services") {
        let mut kept = Mapping::default();
        for Entry { key, key_span, value } in std::mem::take(services) {
            let profiles = texts(value.get("profiles"));
            let shown =
                profiles.is_empty() || active.iter().any(|name| name == "*" || profiles.contains(name));
            known.extend(profiles.iter().cloned());
            if shown {
                kept.push(key, key_span, value);
            } else {
                hidden.insert(key, profiles);
            }
        }
        *services = kept;
    }
    for name in active.iter().filter(|name| *name != "*" && !known.contains(*name)) {
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
        used.entry("volumes").or_default().extend(sources("volumes"));
        for kind in ["secrets", "configs"] {
            used.entry(kind).or_default().extend(sources(kind));
            let built = service.get("build").and_then(|build| build.get(kind)).and_then(Node::as_sequence);
            let built = built.unwrap_or_default().iter();
            let built = built.filter_map(|item| item.get("source").and_then(Node::as_text));
            used.entry(kind).or_default().extend(built.map(str::to_owned));
        }
    }
    let Value::Mapping(top) = &mut tree.value else { return };
    for kind in ["networks", "volumes", "secrets", "configs"] {
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
