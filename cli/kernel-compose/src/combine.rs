//! `include` and `extends`: what other files and other services bring in.

use std::collections::BTreeSet;

use kernel_core::diagnostic::Diagnostic;
use kernel_core::source::{SourceId, Sources};

use crate::codes;
use crate::environment::Environment;
use crate::normalise::Base;
use crate::request::Files;
use crate::tree::{Mapping, Node};

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
    pub told: BTreeSet<String>,
    /// What was found.
    pub diagnostics: &'a mut Vec<Diagnostic>,
}

impl Combiner<'_> {
    /// Resolves `include`, then `extends`, so that a service can extend an included one.
    pub fn combine(&mut self, tree: Node, _base: Base<'_>, _files: &[SourceId]) -> Node {
        let services = tree.get("services").and_then(Node::as_mapping);
        let extends =
            services.into_iter().flat_map(Mapping::iter).filter_map(|entry| entry.value.get("extends"));
        for place in tree.get("include").into_iter().chain(extends) {
            self.diagnostics.push(
                Diagnostic::error(codes::NOT_IMPLEMENTED, "`include` and `extends` are not implemented yet")
                    .at(place.span, "here"),
            );
        }
        tree
    }
}
