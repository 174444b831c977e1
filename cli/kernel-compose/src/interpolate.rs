//! Fills in the variables of every value of a tree. Keys are never touched.

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
    /// Variables that were told to have no value.
    pub told: &'a mut BTreeSet<String>,
    /// What was found.
    pub diagnostics: &'a mut Vec<Diagnostic>,
}

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
        if self.diagnostics.len() >= codes::MANY {
            return;
        }
        let template = scalar.text().to_owned();
        let lookup = |name: &str| self.environment.get(name).map(str::to_owned);
        match template::fill(&template, &lookup) {
            Ok(filled) => {
                for (name, range) in filled.unset {
                    if self.told.insert(name.clone()) {
                        let place = self.place(&template, span, &range);
                        self.unset(&name, place);
                    }
                }
                let secret = filled.used.iter().any(|(name, _)| self.environment.is_secret(name));
                *scalar = if secret {
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
