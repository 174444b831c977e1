//! `include`: a whole other project becomes a part of this one.

use kernel_core::diagnostic::Diagnostic;
use kernel_core::source::Span;

use super::{Combiner, circle};
use crate::codes;
use crate::environment::Environment;
use crate::load;
use crate::normalise::{Base, Steps, path};
use crate::request::FileText;
use crate::schema::{Accepts, Short};
use crate::select;
use crate::short;
use crate::tree::{Entry, Mapping, Node, Value};

/// What an included project hands over. What it calls itself, and its extensions, mean nothing here.
const KINDS: [&str; 6] = ["services", "volumes", "networks", "secrets", "configs", "models"];

impl Combiner<'_> {
    /// Reads what `include` names and takes it into this document.
    pub(super) fn include(&mut self, mut tree: Node, base: Base<'_>) -> Node {
        let Value::Mapping(top) = &mut tree.value else { return tree };
        let Some(include) = top.remove("include") else { return tree };
        let entries = match include.value {
            Value::Sequence(entries) => entries,
            Value::Null => return tree,
            _ => {
                self.diagnostics.push(
                    Diagnostic::error(
                        codes::WRONG_SHAPE,
                        format!("`include`: a list is wanted, and this is {}", include.describe()),
                    )
                    .at(include.span, include.describe())
                    .help("write `include: [PATH]`"),
                );
                return tree;
            }
        };
        for entry in entries {
            if let Some(Node { value: Value::Mapping(mut other), .. }) = self.included(entry, base) {
                for kind in KINDS {
                    if let Some(Node { value: Value::Mapping(resources), span, .. }) = other.remove(kind) {
                        self.import(top, kind, resources, span);
                    }
                }
            }
        }
        tree
    }

    /// Takes resources in. One that is already there has to be the same.
    fn import(&mut self, top: &mut Mapping, kind: &str, resources: Mapping, span: Span) {
        if top.get(kind).is_none_or(Node::is_null) {
            top.set(kind, span, Node::new(Value::Mapping(Mapping::default()), span));
        }
        let Some(Node { value: Value::Mapping(target), .. }) = top.get_mut(kind) else { return };
        for Entry { key, key_span, value } in resources {
            match target.entry(&key) {
                None => target.push(key, key_span, value),
                Some(own) if own.value.same_as(&value) => {}
                Some(own) => {
                    let kind = kind.trim_end_matches('s');
                    self.diagnostics.push(
                        Diagnostic::error(
                            codes::INCLUDE,
                            format!("the {kind} `{key}` is included, and another one of that name is there"),
                        )
                        .at(own.key_span, "this one")
                        .at(key_span, "the included one")
                        .help("give one of them another name, or change the included one in a file of its own: `include: [{ path: [THAT, THIS] }]`"),
                    );
                }
            }
        }
    }

    /// One entry: a load of its own, with its own directory and its own env files as defaults.
    fn included(&mut self, entry: Node, base: Base<'_>) -> Option<Node> {
        let place = entry.span;
        let entry = short::named(entry, Short::Include);
        if entry.as_mapping().is_none() {
            return self.not_an_entry(&entry);
        }
        let paths = self.texts(&entry, "path")?;
        let env_files = self.texts(&entry, "env_file")?;
        if let Some(remote) = paths.iter().find(|written| path::is_elsewhere(written)) {
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
            paths.iter().map(|written| path::absolute(base.directory, written)).collect();
        let first = paths.first()?;
        if let Some(start) = self.including.iter().position(|file| file == first) {
            let mut chain = self.including[start..].to_vec();
            chain.push(self.including[start].clone());
            self.diagnostics.push(circle(codes::INCLUDE, "include", &chain, place));
            return None;
        }
        let written = entry.get("project_directory").and_then(Node::as_text).filter(|text| !text.is_empty());
        let directory = match written {
            Some(written) => path::absolute(base.directory, written),
            None => path::parent(first).to_owned(),
        };
        let environment = self.environment_of(self.environment, &env_files, &directory, base, place);

        let sources: Vec<_> =
            paths.iter().filter_map(|path| self.text(path, place, codes::INCLUDE)).collect();
        let documents = load::documents(&sources, self.sources, self.diagnostics);
        // The reference takes a relative directory that is not there for a file in one.
        let missing =
            written.is_some_and(|written| !written.starts_with('/') && !self.reader.is_directory(&directory));
        let directory = if missing { path::parent(&directory).to_owned() } else { directory };
        let there = Base { directory: &directory, home: base.home };
        let mut including = self.including.clone();
        including.push(first.clone());
        let mut inner = Combiner {
            environment: &environment,
            templates: self.templates,
            relative: self.relative,
            reader: self.reader,
            sources: self.sources,
            told: self.told,
            diagnostics: self.diagnostics,
            named_at: self.named_at,
            including,
        };
        let tree = inner.documents(documents, there)?.tree;
        let shown = self.shown(base.directory, &directory);
        let mut tree = self.normalised(tree, Base { directory: &shown, home: base.home }, Steps::Paths);
        if let Value::Mapping(top) = &mut tree.value {
            if let Some(Node { value: Value::Mapping(services), .. }) = top.get_mut("services") {
                services.iter_mut().for_each(|entry| default_context(entry, &shown));
            }
            resolve_listed_variables(top, &environment);
        }
        Some(tree)
    }

    fn not_an_entry(&mut self, node: &Node) -> Option<Node> {
        self.diagnostics.push(
            Diagnostic::error(
                codes::WRONG_SHAPE,
                format!("`include`: a path or a mapping is wanted, and this is {}", node.describe()),
            )
            .at(node.span, node.describe())
            .help("write `include: [PATH]`, or `include: [{ path: PATH }]`"),
        );
        None
    }

    /// The texts under a key; nothing when something else is among them.
    fn texts(&mut self, entry: &Node, key: &str) -> Option<Vec<String>> {
        let node = entry.get(key).cloned().map(short::listed).filter(|node| !node.is_null());
        let Some(node) = node else { return Some(Vec::new()) };
        let text = |node: &Node| node.as_scalar().is_some_and(|scalar| Accepts::TEXT.allows(scalar));
        match node.as_sequence() {
            Some(items) if items.iter().all(text) => Some(select::texts(Some(&node))),
            _ => {
                self.not_an_entry(&node);
                None
            }
        }
    }

    /// The outer environment with the env files below it.
    fn environment_of(
        &mut self,
        outer: &Environment,
        files: &[String],
        directory: &str,
        base: Base<'_>,
        place: Span,
    ) -> Environment {
        let mut environment = outer.clone();
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
        environment.add_env_files(&sources, self.sources, self.diagnostics);
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
        build.push("context".to_owned(), span, Node::text(directory, span));
    }
}

/// A bare name in a list of variables has the value that the included project's own environment gives it. One that was
/// written as a key of a mapping has not: its value comes from the environment of the whole project.
fn resolve_listed_variables(top: &mut Mapping, environment: &Environment) {
    let Some(Node { value: Value::Mapping(services), .. }) = top.get_mut("services") else { return };
    for service in services.iter_mut() {
        let Value::Mapping(service) = &mut service.value.value else { continue };
        let Some(Node { value: Value::Mapping(variables), .. }) = service.get_mut("environment") else {
            continue;
        };
        for variable in variables.iter_mut() {
            // Only what was an item of a list stands at the place of its own name.
            let listed = variable.value.is_null() && variable.value.span == variable.key_span;
            if let Some(value) = environment.scalar(&variable.key).filter(|_| listed) {
                variable.value.value = Value::Scalar(value);
            }
        }
    }
}
