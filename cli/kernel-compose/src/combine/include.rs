//! `include`: a whole other project becomes a part of this one.

use std::collections::BTreeMap;

use kernel_core::diagnostic::Diagnostic;

use super::{Combiner, circle};
use crate::codes;
use crate::environment::Environment;
use crate::load;
use crate::merge;
use crate::normalise::{self, Base, path};
use crate::request::FileText;
use crate::select;
use crate::short;
use crate::tree::{Entry, Mapping, Node, Value};

impl Combiner<'_> {
    /// Reads what `include` names and merges this file over it.
    pub(super) fn include(&mut self, mut tree: Node, base: Base<'_>) -> Node {
        let include = if let Value::Mapping(top) = &mut tree.value { top.remove("include") } else { None };
        let Some(Value::Sequence(entries)) = include.map(|include| include.value) else { return tree };
        let mut imported = Node::new(Value::Mapping(Mapping::default()), tree.span);
        for entry in entries {
            if let Some(other) = self.included(entry, base) {
                imported = merge::merge(imported, other, self.diagnostics);
            }
        }
        merge::merge(imported, tree, self.diagnostics)
    }

    /// One entry: a load of its own, with its own directory and its own env files as defaults.
    fn included(&mut self, entry: Node, base: Base<'_>) -> Option<Node> {
        let place = entry.span;
        let entry = short::named(entry, crate::schema::Short::Include);
        let texts = |key: &str| select::texts(entry.get(key).cloned().map(short::listed).as_ref());
        if let Some(remote) = texts("path").iter().find(|written| path::is_remote(written)) {
            self.diagnostics.push(
                Diagnostic::error(
                    codes::NOT_IMPLEMENTED,
                    format!("including `{remote}` from elsewhere is not implemented"),
                )
                .at(place, "not a file of this machine")
                .help("fetch it, and include it by its path"),
            );
            return None;
        }
        let paths: Vec<String> =
            texts("path").iter().map(|written| path::absolute(base.directory, written)).collect();
        let first = paths.first()?;
        if let Some(start) = self.including.iter().position(|file| paths.contains(file)) {
            let mut chain = self.including[start..].to_vec();
            chain.push(self.including[start].clone());
            self.diagnostics.push(circle(codes::INCLUDE, "include", &chain, place));
            return None;
        }
        let directory = match entry.get("project_directory").and_then(Node::as_text) {
            Some(written) => path::absolute(base.directory, written),
            None => path::parent(first).to_owned(),
        };
        let environment = self.environment_of(&texts("env_file"), &directory, base, place);

        let sources: Vec<_> =
            paths.iter().filter_map(|path| self.text(path, place, codes::INCLUDE)).collect();
        let documents = load::documents(&sources, self.sources, self.diagnostics);
        let there = Base { directory: &directory, home: base.home };
        let mut including = self.including.clone();
        including.extend(paths);
        let mut inner = Combiner {
            environment: &environment,
            reader: self.reader,
            home: self.home,
            sources: self.sources,
            told: self.told,
            diagnostics: self.diagnostics,
            including,
        };
        let tree = inner.documents(documents, there)?;
        let mut tree = normalise::file(tree, there, self.diagnostics);
        if let Value::Mapping(top) = &mut tree.value {
            // What an included project calls itself means nothing here.
            top.remove("name");
            top.remove("version");
            if let Some(Node { value: Value::Mapping(services), .. }) = top.get_mut("services") {
                services.iter_mut().for_each(|entry| default_context(entry, &directory));
            }
        }
        Some(tree)
    }

    /// The outer environment with the env files below it.
    fn environment_of(
        &mut self,
        files: &[String],
        directory: &str,
        base: Base<'_>,
        place: kernel_core::source::Span,
    ) -> Environment {
        let mut environment = self.environment.clone();
        let mut sources = Vec::new();
        if files.is_empty() {
            let path = path::absolute(directory, ".env");
            if let FileText::Text(text) = self.reader.read(&path) {
                sources.push(self.sources.add(path, text));
            }
        }
        for file in files.iter().filter(|file| *file != "/dev/null") {
            sources.extend(self.text(&path::absolute(base.directory, file), place, codes::INCLUDE));
        }
        let none = BTreeMap::new();
        let defaults = Environment::new(&none, &sources, &none, self.sources, self.diagnostics);
        for name in defaults.names() {
            environment.set_default(name, defaults.get(name).unwrap_or_default());
        }
        environment
    }
}

/// A build without context means the directory of its own project.
fn default_context(entry: &mut Entry, directory: &str) {
    let span = entry.key_span;
    let Value::Mapping(service) = &mut entry.value.value else { return };
    if let Some(Node { value: Value::Mapping(build), .. }) = service.get_mut("build")
        && build.get("context").is_none()
    {
        build.set("context", span, Node::text(directory, span));
    }
}
