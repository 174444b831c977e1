//! `include` and `extends`: what other files and other services bring in.
//!
//! Both are resolved on the raw tree, before short forms are written out. What comes from another file is written out
//! where it comes from, because its relative paths mean that file's directory; the long form then merges like any other.

mod extends;
mod include;

use std::collections::BTreeSet;

use kernel_core::diagnostic::Diagnostic;
use kernel_core::source::{SourceId, Sources, Span};

use crate::environment::Environment;
use crate::load;
use crate::merge;
use crate::normalise::Base;
use crate::request::{FileText, Files};
use crate::tree::{Node, Value};

/// Brings in what the files of one project name.
pub struct Combiner<'a> {
    /// Values for interpolation.
    pub environment: &'a Environment,
    /// Reads other files.
    pub reader: &'a dyn Files,
    /// What `~` means.
    pub home: Option<&'a str>,
    /// Gets the texts of the other files.
    pub sources: &'a mut Sources,
    /// Variables that were told to have no value.
    pub told: &'a mut BTreeSet<String>,
    /// What was found.
    pub diagnostics: &'a mut Vec<Diagnostic>,
    /// The files that are being included, outermost first.
    pub including: Vec<String>,
}

impl Combiner<'_> {
    /// Resolves `include`, then `extends`, so that a service can extend an included one.
    pub fn combine(&mut self, tree: Node, base: Base<'_>) -> Node {
        let tree = self.include(tree, base);
        let span = tree.span;
        let tree = self.extends(tree, base);
        merge::settle(tree).unwrap_or_else(|| Node::new(Value::Null, span))
    }

    /// Reads and merges the documents of another file. Problems are told at `place`, under `code`.
    fn read(&mut self, path: &str, place: Span, code: kernel_core::diagnostic::Code) -> Option<Node> {
        let source = self.text(path, place, code)?;
        let documents = load::documents(&[source], self.sources, self.diagnostics);
        load::merged(documents, self.environment, self.sources, self.told, self.diagnostics)
    }

    fn text(&mut self, path: &str, place: Span, code: kernel_core::diagnostic::Code) -> Option<SourceId> {
        let reason = match self.reader.read(path) {
            FileText::Text(text) => return Some(self.sources.add(path, text)),
            FileText::Missing => "there is no such file".to_owned(),
            FileText::Unreadable(reason) => reason,
        };
        self.diagnostics.push(
            Diagnostic::error(code, format!("the file `{path}` can't be read: {reason}"))
                .at(place, "named here")
                .help(
                    "the path is relative to the directory of the project, or of the file that was included",
                ),
        );
        None
    }
}

/// Tells that a file or service brings itself in.
fn circle(code: kernel_core::diagnostic::Code, word: &str, chain: &[String], place: Span) -> Diagnostic {
    Diagnostic::error(code, format!("`{word}` goes in a circle: {}", chain.join(" → ")))
        .at(place, "closes the circle")
        .help("take one of these out")
}
