//! The environment and the labels of each service: its env files and label files in order, what it says itself over
//! them, and names without value from the environment of the command.

use std::collections::BTreeSet;

use kernel_core::diagnostic::Diagnostic;
use kernel_core::source::{Sources, Span};

use crate::codes;
use crate::dotenv::{self, Values};
use crate::environment::Environment;
use crate::normalise::path;
use crate::request::{FileText, Files};
use crate::tree::{Entry, Mapping, Node, Scalar, Value};

/// What is needed to write environments and labels out.
pub struct Stage<'a> {
    /// Where names without value are looked for.
    pub environment: &'a Environment,
    /// Reads the files.
    pub reader: &'a dyn Files,
    /// Where paths start that were not made absolute.
    pub directory: &'a str,
    /// Takes their texts up.
    pub sources: &'a mut Sources,
    /// Whether env files stay as they are.
    pub env_files_unread: bool,
    /// The services that are done already.
    pub done: BTreeSet<String>,
    /// What is wrong.
    pub diagnostics: &'a mut Vec<Diagnostic>,
}

impl Stage<'_> {
    /// Writes the whole environment and the labels of every service out that is not done, and takes `env_file` away.
    /// `label_file` stays, because it is a part of the service's hash.
    pub fn resolve(&mut self, tree: &mut Node) {
        let Value::Mapping(top) = &mut tree.value else { return };
        let Some(Node { value: Value::Mapping(services), .. }) = top.get_mut("services") else { return };
        for entry in services.iter_mut() {
            if self.done.insert(entry.key.clone()) {
                self.variables(entry);
                self.labels(entry);
            }
        }
    }

    fn variables(&mut self, entry: &mut Entry) {
        let span = entry.key_span;
        let Value::Mapping(service) = &mut entry.value.value else { return };
        let mut own = match service.remove("environment").map(|node| node.value) {
            Some(Value::Mapping(own)) => own,
            _ => Mapping::default(),
        };
        for entry in own.iter_mut().filter(|entry| entry.value.is_null()) {
            if let Some(value) = self.environment.scalar(&entry.key) {
                entry.value.value = Value::Scalar(value);
            }
        }
        let mut all = own;
        if let Some(files) = (!self.env_files_unread).then(|| service.remove("env_file")).flatten() {
            let mut values = Values::new();
            for file in files.as_sequence().unwrap_or_default() {
                self.env_file(file, &all, &entry.key, &mut values);
            }
            for (name, line) in values {
                if all.get(&name).is_none() {
                    let value = Node::new(Value::Scalar(Scalar::quoted(line.value)), line.span);
                    all.push(name, line.span, value);
                }
            }
        }
        if !all.is_empty() {
            all.sort();
            service.set("environment", span, Node::new(Value::Mapping(all), span));
        }
    }

    fn labels(&mut self, entry: &mut Entry) {
        let span = entry.key_span;
        let Value::Mapping(service) = &mut entry.value.value else { return };
        let Some(files) = service.get("label_file").cloned() else { return };
        let mut values = Values::new();
        for file in files.as_sequence().unwrap_or_default() {
            let Some(path) = file.as_text() else { continue };
            let Some(text) = self.text(path, file.span, &entry.key, "label", true) else { continue };
            let source = self.sources.add(path, text.as_str());
            let nothing = |_: &str| None;
            dotenv::parse(source, &text, &nothing, &mut values, self.diagnostics);
        }
        let mut labels = match service.remove("labels").map(|node| node.value) {
            Some(Value::Mapping(labels)) => labels,
            _ => Mapping::default(),
        };
        for (name, line) in values {
            if labels.get(&name).is_none() {
                labels.push(name, line.span, Node::text(line.value, line.span));
            }
        }
        service.set("labels", span, Node::new(Value::Mapping(labels), span));
    }

    fn env_file(&mut self, file: &Node, own: &Mapping, service: &str, values: &mut Values) {
        let text = |key: &str| file.get(key).and_then(Node::as_text);
        let Some(path) = text("path") else { return };
        let place = file.get("path").map_or(file.span, |path| path.span);
        let required = text("required") != Some("false");
        let format = text("format").filter(|format| !format.is_empty());
        let Some(contents) = self.text(path, place, service, "env", required) else { return };
        let source = self.sources.add(path, contents.as_str());
        // What the service says itself is asked before the files' own earlier lines.
        let lookup = |name: &str| {
            let own = || own.get(name).and_then(Node::as_text).map(str::to_owned);
            self.environment.get(name).map(str::to_owned).or_else(own)
        };
        match format {
            None | Some(".env") => dotenv::parse(source, &contents, &lookup, values, self.diagnostics),
            Some("raw") => dotenv::parse_raw(source, &contents, &lookup, values, self.diagnostics),
            Some(other) => {
                let span = file.get("format").map_or(place, |format| format.span);
                self.diagnostics.push(
                    Diagnostic::error(
                        codes::BAD_VALUE,
                        format!("service `{service}`: `{other}` is not a format of an env file"),
                    )
                    .at(span, "unknown")
                    .help("write `format: raw`, or leave it out"),
                );
            }
        }
    }

    /// The text of a file; nothing when it can't be read, which is told unless it may be missing.
    fn text(&mut self, path: &str, place: Span, service: &str, kind: &str, required: bool) -> Option<String> {
        let (reason, help) = match self.reader.read(&path::absolute(self.directory, path)) {
            FileText::Text(contents) => return Some(contents),
            FileText::Missing if !required => return None,
            FileText::Missing if kind == "env" => {
                ("there is no such file".to_owned(), "create it, or say `required: false` beside its path")
            }
            FileText::Missing => ("there is no such file".to_owned(), "create it, or take it out"),
            FileText::Unreadable(reason) => (reason, "make it readable"),
        };
        let message = format!("the {kind} file `{path}` of service `{service}` can't be read: {reason}");
        self.diagnostics
            .push(Diagnostic::error(codes::ENV_FILE_MISSING, message).at(place, "named here").help(help));
        None
    }
}
