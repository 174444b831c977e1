//! Fills in the variables of every value of a tree. Keys are never touched.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::ops::Range;

use kernel_core::diagnostic::Diagnostic;
use kernel_core::source::{Sources, Span};

use crate::codes;
use crate::environment::Environment;
use crate::suggest;
use crate::template::{self, Problem};
use crate::tree::{Node, Scalar, Value};

/// Fills in variables and tells what could not be filled in. One per load, so that a variable without value is told
/// once.
pub struct Interpolation<'a> {
    /// Where values come from.
    pub environment: &'a Environment,
    /// For places inside a scalar.
    pub sources: &'a Sources,
    /// What the load came to so far.
    pub told: &'a mut Told,
    /// What was found.
    pub diagnostics: &'a mut Vec<Diagnostic>,
}

/// What one load remembers of all its interpolations.
#[derive(Debug, Default)]
pub struct Told {
    /// Variables that were told to have no value.
    unset: BTreeSet<String>,
    /// Bytes of all texts that something was filled into.
    bytes: usize,
}

/// Bytes that all texts of a load may have together after variables were filled in.
const LARGEST: usize = 64 << 20;

impl Interpolation<'_> {
    /// Fills in every value below `node`.
    pub fn tree(&mut self, node: &mut Node) {
        let span = node.span;
        match &mut node.value {
            Value::Null => {}
            Value::Scalar(scalar) if scalar.text().contains('$') => self.scalar(scalar, span),
            Value::Scalar(_) => {}
            Value::Sequence(items) => items.iter_mut().for_each(|item| self.tree(item)),
            Value::Mapping(mapping) => mapping.iter_mut().for_each(|entry| self.tree(&mut entry.value)),
        }
    }

    fn scalar(&mut self, scalar: &mut Scalar, span: Span) {
        if self.diagnostics.len() >= codes::MANY || self.told.bytes > LARGEST {
            return;
        }
        let template = scalar.text().to_owned();
        let secret = Cell::new(false);
        let lookup = |name: &str| {
            secret.set(secret.get() || self.environment.is_secret(name));
            self.environment.get(name).map(str::to_owned)
        };
        match template::fill(&template, &lookup) {
            Ok(filled) if self.told.bytes + filled.text.len() > LARGEST => {
                self.told.bytes = usize::MAX / 2;
                self.diagnostics.push(
                    Diagnostic::error(
                        codes::TOO_LARGE,
                        "with all variables filled in the texts become too long",
                    )
                    .at(span, "this one is not filled in")
                    .help("use shorter values"),
                );
            }
            Ok(filled) => {
                self.told.bytes += filled.text.len();
                for (name, range) in filled.unset {
                    if self.told.unset.insert(name.clone()) {
                        let place = self.place(&template, span, &range);
                        self.unset(&name, place);
                    }
                }
                *scalar = if secret.get() {
                    Scalar::with_secret(filled.text, &template)
                } else {
                    Scalar::quoted(filled.text)
                };
            }
            Err(Problem::Format { range, reason }) => {
                let place = self.place(&template, span, &range);
                self.diagnostics.push(
                    Diagnostic::error(codes::INTERPOLATION, format!("a variable can't be read: {reason}"))
                        .at(place, "this can't be read")
                        .help("write `${NAME}`, `${NAME:-default}` or `${NAME:?message}`; `$$` is a dollar sign that means itself"),
                );
            }
            Err(Problem::Required { range, name, message }) => {
                let place = self.place(&template, span, &range);
                let mut text = format!("the variable `{name}` has no value");
                if !message.is_empty() {
                    text = format!("{text}: {message}");
                }
                let help = self.how_to_set(&name);
                self.diagnostics.push(
                    Diagnostic::error(codes::VARIABLE_REQUIRED, text).at(place, "needed here").help(help),
                );
            }
        }
    }

    fn unset(&mut self, name: &str, place: Span) {
        let help = format!("{}, or give a default: `${{{name}:-…}}`", self.how_to_set(name));
        self.diagnostics.push(
            Diagnostic::warning(
                codes::VARIABLE_UNSET,
                format!("the variable `{name}` has no value and became an empty text"),
            )
            .at(place, "empty")
            .help(help),
        );
    }

    fn how_to_set(&self, name: &str) -> String {
        match suggest::nearest(name, self.environment.names()) {
            Some(near) => {
                format!("did you mean `{near}`? Else set `{name}` in the environment or in an env file")
            }
            None => format!("set `{name}` in the environment or in an env file"),
        }
    }

    /// The place of a part of the value, as exact as the way it was written allows.
    fn place(&self, value: &str, span: Span, range: &Range<usize>) -> Span {
        let Some(written) =
            self.sources.get(span.source).and_then(|source| source.text.get(span.start..span.end))
        else {
            return span;
        };
        let Some(part) = value.get(range.clone()) else { return span };
        // Quotes and block indicators shift the value; escapes and folding break it up. Where the part stands in the
        // text as it is, the n-th time in the value is the n-th time in the text.
        let earlier = value[..range.start].matches(part).count();
        match written.match_indices(part).nth(earlier) {
            Some((offset, _)) => {
                let start = span.start + offset;
                Span { start, end: start + part.len(), ..span }
            }
            None => span,
        }
    }
}
