//! The environment of each service: its env files in order, its `environment` over them, and names without value from
//! the environment of the command.

use kernel_core::diagnostic::Diagnostic;
use kernel_core::source::{Sources, Span};

use crate::codes;
use crate::dotenv::{self, Entry as Line};
use crate::environment::Environment;
use crate::request::{FileText, Files};
use crate::tree::{Entry, Mapping, Node, Scalar, Value};

/// Writes the whole environment of every service into `environment` and takes `env_file` out.
pub fn resolve(
    tree: &mut Node,
    environment: &Environment,
    reader: &dyn Files,
    sources: &mut Sources,
    diagnostics: &mut Vec<Diagnostic>,
) {
    let Value::Mapping(top) = &mut tree.value else { return };
    let Some(Node { value: Value::Mapping(services), .. }) = top.get_mut("services") else { return };
    let mut stage = Stage { environment, reader, sources, diagnostics };
    for entry in services.iter_mut().filter(|entry| !entry.key.starts_with("x-")) {
        stage.service(entry);
    }
}

struct Stage<'a> {
    environment: &'a Environment,
    reader: &'a dyn Files,
    sources: &'a mut Sources,
    diagnostics: &'a mut Vec<Diagnostic>,
}

impl Stage<'_> {
    fn service(&mut self, entry: &mut Entry) {
        let span = entry.key_span;
        let Value::Mapping(service) = &mut entry.value.value else { return };
        let mut own = match service.remove("environment").map(|node| node.value) {
            Some(Value::Mapping(own)) => own,
            _ => Mapping::default(),
        };
        for entry in own.iter_mut().filter(|entry| entry.value.is_null()) {
            if let Some(value) = self.value_of(&entry.key) {
                entry.value.value = Value::Scalar(value);
            }
        }
        let mut all = Mapping::default();
        if let Some(files) = service.remove("env_file") {
            for file in files.as_sequence().unwrap_or_default() {
                for line in self.file(file, &own, &entry.key) {
                    // A bare name that has no value anywhere says nothing.
                    if let Some(text) = line.value {
                        let value = Node::new(Value::Scalar(Scalar::quoted(text)), line.span);
                        all.set(line.name, line.span, value);
                    }
                }
            }
        }
        for Entry { key, key_span, value } in own {
            all.set(key, key_span, value);
        }
        if !all.is_empty() {
            all.sort();
            service.set("environment", span, Node::new(Value::Mapping(all), span));
        }
    }

    fn value_of(&self, name: &str) -> Option<Scalar> {
        let value = self.environment.get(name)?.to_owned();
        let secret = self.environment.is_secret(name);
        Some(if secret { Scalar::with_secret(value, &format!("${{{name}}}")) } else { Scalar::quoted(value) })
    }

    fn file(&mut self, file: &Node, own: &Mapping, service: &str) -> Vec<Line> {
        let text = |key: &str| file.get(key).and_then(Node::as_text);
        let Some(path) = text("path").map(str::to_owned) else { return Vec::new() };
        let place = file.get("path").map_or(file.span, |path| path.span);
        let contents = match self.reader.read(&path) {
            FileText::Text(contents) => contents,
            FileText::Missing if text("required") == Some("false") => return Vec::new(),
            FileText::Missing => {
                return self.missing(
                    &path,
                    place,
                    service,
                    "there is no such file",
                    "create it, or say `required: false` beside its path",
                );
            }
            FileText::Unreadable(reason) => {
                return self.missing(&path, place, service, &reason, "make it readable");
            }
        };
        let format = text("format").map(str::to_owned);
        let source = self.sources.add(path, contents.clone());
        match format.as_deref() {
            Some("raw") => dotenv::parse_raw(source, &contents, self.diagnostics),
            _ => {
                // What the service says itself is asked before the file's own earlier lines.
                let lookup = |name: &str| {
                    let own = || own.get(name).and_then(Node::as_text).map(str::to_owned);
                    self.environment.get(name).map(str::to_owned).or_else(own)
                };
                dotenv::parse(source, &contents, &lookup, self.diagnostics)
            }
        }
    }

    fn missing(&mut self, path: &str, place: Span, service: &str, reason: &str, help: &str) -> Vec<Line> {
        let message = format!("the env file `{path}` of service `{service}` can't be read: {reason}");
        self.diagnostics
            .push(Diagnostic::error(codes::ENV_FILE_MISSING, message).at(place, "named here").help(help));
        Vec::new()
    }
}
