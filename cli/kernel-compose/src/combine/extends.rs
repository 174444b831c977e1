//! `extends`: a service takes what another one says, and says the rest itself.

use std::collections::{BTreeMap, BTreeSet};

use kernel_core::diagnostic::Diagnostic;
use kernel_core::source::Span;

use super::{Combiner, circle};
use crate::codes;
use crate::merge;
use crate::normalise::{self, Base, path};
use crate::schema::{SERVICE, Shape};
use crate::suggest;
use crate::tree::{Entry, Mapping, Node, Value};

/// Longer chains are refused.
const DEPTH: usize = 64;

/// A service and the file that it is in; the project's own files have no path.
type Key = (Option<String>, String);

impl Combiner<'_> {
    /// Puts every service over the one that it extends: one of this document or of another file.
    pub(super) fn extends(&mut self, mut tree: Node, base: Base<'_>) -> Node {
        let Some(Node { value: Value::Mapping(services), .. }) =
            (if let Value::Mapping(top) = &mut tree.value { top.get_mut("services") } else { None })
        else {
            return tree;
        };
        if services.iter().all(|entry| entry.value.get("extends").is_none()) {
            return tree;
        }
        let raw = std::mem::take(services);
        let mut stage = Extends {
            combiner: self,
            own: &raw,
            base,
            files: BTreeMap::new(),
            chain: Vec::new(),
            resolved: BTreeMap::new(),
            told: BTreeSet::new(),
        };
        let mut resolved = Mapping::default();
        for entry in &raw {
            let value = match entry.value.get("extends") {
                Some(_) => stage.service(&entry.value, &entry.key, None),
                None => entry.value.clone(),
            };
            resolved.push(entry.key.clone(), entry.key_span, value);
        }
        *services = resolved;
        tree
    }
}

struct Extends<'a, 'b> {
    combiner: &'a mut Combiner<'b>,
    own: &'a Mapping,
    base: Base<'a>,
    /// Other files that were read; nothing when one can't be.
    files: BTreeMap<String, Option<Node>>,
    chain: Vec<Key>,
    /// Services that were resolved, with what they extend below them.
    resolved: BTreeMap<Key, Node>,
    /// The circles that were told, by their members.
    told: BTreeSet<Vec<String>>,
}

impl Extends<'_, '_> {
    /// The service with everything that it extends below it. `file` is the one that it stands in.
    fn service(&mut self, service: &Node, name: &str, file: Option<&str>) -> Node {
        let key = (file.map(str::to_owned), name.to_owned());
        let mut own = service.clone();
        let extends =
            if let Value::Mapping(mapping) = &mut own.value { mapping.remove("extends") } else { None };
        let Some(extends) = extends else { return own };
        // A service whose base can't be had keeps `extends`, so that nothing is said about what it lacks.
        let unresolved = service.clone();
        let Some((wanted, wanted_file, place)) = self.target(&extends, file) else { return unresolved };
        if self.chain.len() == DEPTH {
            self.combiner.diagnostics.push(
                Diagnostic::error(
                    codes::EXTENDS,
                    format!("services extend each other more than {DEPTH} times in a row"),
                )
                .at(place, "not followed")
                .help("extend one that says more"),
            );
            return unresolved;
        }
        self.chain.push(key);
        let target = (wanted_file.clone(), wanted.clone());
        let base = if let Some(start) = self.chain.iter().position(|key| *key == target) {
            let mut names: Vec<String> = self.chain[start..].iter().map(shown).collect();
            let mut members = names.clone();
            members.sort();
            names.push(shown(&target));
            if self.told.insert(members) {
                self.combiner.diagnostics.push(circle(codes::EXTENDS, "extends", &names, place));
            }
            None
        } else {
            self.find(&wanted, wanted_file.as_deref(), place)
        };
        self.chain.pop();
        let Some(base) = base.and_then(merge::settle) else { return unresolved };
        // The reference leaves `extends` of a service that says nothing where it stands.
        if base.is_null() {
            if let Value::Mapping(mapping) = &mut own.value {
                let file = wanted_file.map(|path| ("file", Node::text(path, place)));
                let entries = file.into_iter().chain([("service", Node::text(wanted, place))]);
                mapping.push("extends".to_owned(), place, Node::mapping(entries, place));
            }
            return own;
        }
        let foreign = wanted_file.as_deref() != file;
        let base = match wanted_file.as_deref().filter(|_| foreign) {
            // Its paths are relative to where it stands, so it is written out there.
            Some(path) => {
                let from = file.map_or(self.base.directory, path::parent);
                let directory = self.combiner.shown(from, path::parent(path));
                let there = Base { directory: &directory, home: self.base.home };
                normalise::service(base, &wanted, there, self.combiner.templates)
            }
            None => base,
        };
        merge::merge_as(base, own, Shape::Object(SERVICE), self.combiner.diagnostics)
    }

    /// Which service is extended: its name, the path of its file, and the place that says so.
    fn target(&mut self, extends: &Node, file: Option<&str>) -> Option<(String, Option<String>, Span)> {
        let text = |node: Option<&Node>| node.and_then(Node::as_text).map(str::to_owned);
        let (service, other) = match &extends.value {
            Value::Scalar(scalar) => (Some(scalar.text().to_owned()), None),
            Value::Mapping(mapping) => (text(mapping.get("service")), text(mapping.get("file"))),
            _ => (None, None),
        };
        let Some(service) = service else {
            self.combiner.diagnostics.push(
                Diagnostic::error(codes::EXTENDS, "`extends` does not say which service")
                    .at(extends.span, "no `service`")
                    .help("write `extends: SERVICE`, or `extends: { file: PATH, service: SERVICE }`"),
            );
            return None;
        };
        for Entry { key, key_span, .. } in extends.as_mapping().into_iter().flatten() {
            if key != "service" && key != "file" {
                self.combiner.diagnostics.push(
                    Diagnostic::error(
                        codes::UNKNOWN_ATTRIBUTE,
                        format!("`extends` knows no attribute `{key}`"),
                    )
                    .at(*key_span, "unknown")
                    .help("known here: `service`, `file`"),
                );
            }
        }
        if let Some(remote) = other.as_deref().filter(|other| path::is_elsewhere(other)) {
            self.combiner.diagnostics.push(
                Diagnostic::error(
                    codes::NOT_IMPLEMENTED,
                    format!("extending a service of `{remote}` from elsewhere is not implemented"),
                )
                .at(extends.span, "not a file of this machine")
                .help("fetch it, and extend it by its path"),
            );
            return None;
        }
        let directory = file.map_or(self.base.directory, path::parent);
        let other = other.map(|other| path::absolute(directory, &other)).or(file.map(str::to_owned));
        let place = extends.get("service").map_or(extends.span, |node| node.span);
        Some((service, other, place))
    }

    fn find(&mut self, name: &str, file: Option<&str>, place: Span) -> Option<Node> {
        let key = (file.map(str::to_owned), name.to_owned());
        if let Some(resolved) = self.resolved.get(&key) {
            return Some(resolved.clone());
        }
        if let Some(path) = file
            && !self.files.contains_key(path)
        {
            let read = self.combiner.read(path, place, codes::EXTENDS);
            self.files.insert(path.to_owned(), read);
        }
        let services = match file {
            None => Some(self.own),
            Some(path) => self.files.get(path)?.as_ref()?.get("services").and_then(Node::as_mapping),
        };
        if let Some(service) = services.and_then(|services| services.get(name)).cloned() {
            let resolved = self.service(&service, name, file);
            self.resolved.insert(key, resolved.clone());
            return Some(resolved);
        }
        let names = services.into_iter().flatten().map(|entry| entry.key.as_str());
        let near = suggest::nearest(name, names);
        let help = near.map_or_else(
            || "name a service that is there".to_owned(),
            |near| format!("did you mean `{near}`?"),
        );
        let within = file.map_or_else(|| "this document".to_owned(), |path| format!("`{path}`"));
        self.combiner.diagnostics.push(
            Diagnostic::error(
                codes::EXTENDS,
                format!("the extended service `{name}` does not exist in {within}"),
            )
            .at(place, "no such service")
            .help(help),
        );
        None
    }
}

fn shown((file, name): &Key) -> String {
    match file {
        Some(file) => format!("{name} in {file}"),
        None => name.clone(),
    }
}
