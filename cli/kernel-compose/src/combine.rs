//! `include` and `extends`: what other files and other services bring in.
//!
//! Both are resolved on the raw tree, before short forms are written out. What comes from another file is written out
//! where it comes from, because its relative paths mean that file's directory; the long form then merges like any other.

mod extends;
mod include;

use std::collections::BTreeMap;

use kernel_core::diagnostic::{Code, Diagnostic, Label};
use kernel_core::source::{SourceId, Sources, Span};

use crate::environment::Environment;
use crate::interpolate::{Interpolation, Told};
use crate::load;
use crate::merge;
use crate::normalise::{self, Base, Steps, path};
use crate::request::{FileText, Files};
use crate::tree::{Mapping, Node, Value};

/// Brings in what the files of one project name.
pub struct Combiner<'a> {
    /// Values for interpolation.
    pub environment: &'a Environment,
    /// Whether templates stay as they are.
    pub templates: bool,
    /// Whether paths of other files are written from the directory that those are named in, instead of made absolute.
    pub relative: bool,
    /// Reads other files.
    pub reader: &'a dyn Files,
    /// Gets the texts of the other files.
    pub sources: &'a mut Sources,
    /// What was told of variables so far.
    pub told: &'a mut Told,
    /// What was found.
    pub diagnostics: &'a mut Vec<Diagnostic>,
    /// Where each file was named that was read on the way.
    pub named_at: &'a mut BTreeMap<SourceId, Span>,
    /// The files that are being included, outermost first.
    pub including: Vec<String>,
}

/// Adds to each problem in a file that another one named where it was named, and so on up to the project's own files.
pub fn tell_chains(named_at: &BTreeMap<SourceId, Span>, diagnostics: &mut [Diagnostic]) {
    for diagnostic in diagnostics {
        let Some(mut source) = diagnostic.labels.first().map(|label| label.span.source) else { continue };
        for _ in 0..CHAIN {
            let Some(place) = named_at.get(&source) else { break };
            if diagnostic.labels.iter().any(|label| label.span == *place) {
                break;
            }
            diagnostic.labels.push(Label { span: *place, text: "brought in here".to_owned() });
            source = place.source;
        }
    }
}

/// Files that are told of a chain.
const CHAIN: usize = 8;

/// What the documents of a project come to.
pub struct Combined {
    /// Checked, with short forms written out. What is wrong is not in it.
    pub tree: Node,
    /// The same with everything in it that was written.
    pub declared: Node,
}

impl Combiner<'_> {
    /// Interpolates documents, brings in what each names, and merges each over the former ones. Nothing when there is
    /// none. What a document extends or includes is what it says itself.
    pub fn documents(&mut self, documents: Vec<Node>, base: Base<'_>) -> Option<Combined> {
        let mut result: Option<Combined> = None;
        for mut document in documents {
            self.interpolate(&mut document);
            let document = self.extends(document, base);
            let document = self.include(document, base);
            let (former, declared) = match result {
                Some(Combined { tree, declared }) => (tree, self.silently_merged(declared, document.clone())),
                None => {
                    let empty = Node::new(Value::Mapping(Mapping::default()), document.span);
                    (empty, merge::settle(document.clone()).unwrap_or_else(|| document.clone()))
                }
            };
            let merged = merge::merge(former, document, self.diagnostics);
            let mut tree = merge::settle(merged)?;
            tree = self.normalised(tree, base, Steps::Check);
            load::obsolete_version(&mut tree, self.diagnostics);
            result = Some(Combined { tree, declared });
        }
        result
    }

    /// How the directory of another file is written into paths of what is named in `from`.
    fn shown(&self, from: &str, directory: &str) -> String {
        if self.relative { path::relative(from, directory) } else { directory.to_owned() }
    }

    fn normalised(&mut self, tree: Node, base: Base<'_>, steps: Steps) -> Node {
        if self.templates {
            normalise::templates(tree, base, steps, self.sources, self.diagnostics)
        } else {
            normalise::file(tree, base, steps, self.diagnostics)
        }
    }

    /// What is wrong with the merge is told where the checked trees are merged.
    fn silently_merged(&self, declared: Node, document: Node) -> Node {
        let span = declared.span;
        merge::settle(merge::merge(declared, document, &mut Vec::new()))
            .unwrap_or_else(|| Node::new(Value::Mapping(Mapping::default()), span))
    }

    fn interpolate(&mut self, document: &mut Node) {
        let Self { environment, sources, told, diagnostics, .. } = self;
        if !self.templates {
            Interpolation { environment, sources, told, diagnostics }.tree(document);
        }
    }

    /// Reads and merges the documents of another file. Problems are told at `place`, under `code`.
    fn read(&mut self, path: &str, place: Span, code: Code) -> Option<Node> {
        let source = self.text(path, place, code)?;
        let mut result: Option<Node> = None;
        for mut document in load::documents(&[source], self.sources, self.diagnostics) {
            self.interpolate(&mut document);
            result = Some(match result {
                Some(former) => merge::merge(former, document, self.diagnostics),
                None => document,
            });
        }
        result
    }

    fn text(&mut self, path: &str, place: Span, code: Code) -> Option<SourceId> {
        let reason = match self.reader.read(path) {
            FileText::Text(text) => {
                let source = self.sources.add(path, text);
                self.named_at.insert(source, place);
                return Some(source);
            }
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
fn circle(code: Code, word: &str, chain: &[String], place: Span) -> Diagnostic {
    Diagnostic::error(code, format!("`{word}` goes in a circle: {}", chain.join(" → ")))
        .at(place, "closes the circle")
        .help("take one of these out")
}
