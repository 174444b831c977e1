//! Texts that people wrote, and places in them, so that a diagnostic can point at the cause with a caret.

use std::sync::Arc;

/// Names one text of a [`Sources`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SourceId(u32);

/// A range of bytes in one text. `start <= end`, both on character borders.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Span {
    /// The text that the range is in.
    pub source: SourceId,
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

/// One text with the name under which its reader knows it.
#[derive(Clone, Debug)]
pub struct Source {
    /// The path as it was given, or a name such as `<stdin>`.
    pub name: String,
    /// The whole text.
    pub text: Arc<str>,
}

/// All texts that were read for one command. Only grows, so an id stays valid.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    files: Vec<Source>,
}

impl Sources {
    /// Adds a text and returns its id.
    pub fn add(&mut self, name: impl Into<String>, text: impl Into<Arc<str>>) -> SourceId {
        let id = SourceId(u32::try_from(self.files.len()).unwrap_or(u32::MAX));
        self.files.push(Source { name: name.into(), text: text.into() });
        id
    }

    /// The text that `id` names. An id of another `Sources` gives `None`.
    #[must_use]
    pub fn get(&self, id: SourceId) -> Option<&Source> {
        self.files.get(id.0 as usize)
    }

    /// Line and column of a byte, both from 1, the column in characters.
    #[must_use]
    pub fn position(&self, id: SourceId, byte: usize) -> Option<(usize, usize)> {
        let text = &self.get(id)?.text;
        let before = text.get(..byte.min(text.len()))?;
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |last| last.chars().count()) + 1;
        Some((line, column))
    }

    /// `name:line:column` of the start of a span, as compilers print it.
    #[must_use]
    pub fn locate(&self, span: Span) -> Option<String> {
        let (line, column) = self.position(span.source, span.start)?;
        Some(format!("{}:{line}:{column}", self.get(span.source)?.name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_counts_characters_and_a_line_starts_at_one() {
        let mut sources = Sources::default();
        let source = sources.add("a.yml", "é: 1\nb: ü2\n");
        let start = "é: 1\nb: ü".len();
        assert_eq!(sources.position(source, 0), Some((1, 1)));
        assert_eq!(sources.locate(Span { source, start, end: start + 1 }).as_deref(), Some("a.yml:2:5"));
    }
}
