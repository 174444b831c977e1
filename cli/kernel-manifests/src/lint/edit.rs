//! Changes of a text that leave everything else in it as it was, comments and all.

use kernel_compose::tree::{Entry, Node};
use kernel_core::source::{Sources, Span};

/// What one part of a text becomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    /// What is replaced.
    span: Span,
    kind: Kind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    /// By this text.
    Replace(String),
    /// By nothing, with the line around it.
    TakeOut,
    /// Nothing is: these lines come into the mapping whose first entry stands there.
    Insert(Vec<String>),
}

impl Edit {
    /// Another scalar in place of this one.
    pub(super) fn replace(value: &Node, text: impl Into<String>) -> Option<Self> {
        value.as_scalar()?;
        Some(Self { span: value.span, kind: Kind::Replace(text.into()) })
    }

    /// Without this entry, which has to be a scalar on a line of its own.
    pub(super) fn take_out(entry: &Entry) -> Option<Self> {
        entry.value.as_scalar()?;
        Some(Self { span: Span { end: entry.value.span.end, ..entry.key_span }, kind: Kind::TakeOut })
    }

    /// Further entries of a mapping: lines that are indented from 0.
    pub(super) fn insert(mapping: &Node, lines: &[&str]) -> Option<Self> {
        let first = mapping.as_mapping()?.iter().next()?;
        let lines = lines.iter().map(|line| (*line).to_owned()).collect();
        // Behind the first entry where it is one line, so that a name stays on top.
        let end = first.value.as_scalar().map_or(first.key_span.end, |_| first.value.span.end);
        Some(Self { span: Span { end, ..first.key_span }, kind: Kind::Insert(lines) })
    }

    /// The bytes to replace and what replaces them. `None` when the text around is not of a form that is surely
    /// understood.
    fn resolve(&self, text: &str) -> Option<(usize, usize, String)> {
        let Span { start, end, .. } = self.span;
        let line_start = text.get(..start)?.rfind('\n').map_or(0, |at| at + 1);
        let before = text.get(line_start..start)?;
        let block = before.chars().all(|character| character == ' ' || character == '-');
        match &self.kind {
            Kind::Replace(with) => Some((start, end, with.clone())),
            Kind::TakeOut => {
                let line_end = text.get(end..)?.find('\n').map_or(text.len(), |at| end + at + 1);
                let after = text.get(end..line_end)?.trim();
                let whole = before.trim().is_empty() && (after.is_empty() || after.starts_with('#'));
                // A comment at the end of the line is about the entry and goes with it.
                whole.then(|| (line_start, line_end, String::new()))
            }
            Kind::Insert(lines) if block => {
                let indent = " ".repeat(before.chars().count());
                let first = text.get(start..end)?;
                let (_, value) = first.split_once(':').unwrap_or((first, ""));
                if first.contains('\n')
                    || value.trim().is_empty()
                    || value.trim_start().starts_with(['|', '>'])
                {
                    let inserted =
                        lines.iter().fold(String::new(), |text, line| text + line + "\n" + &indent);
                    return Some((start, start, inserted));
                }
                let line_end = text.get(end..)?.find('\n').map_or(text.len(), |at| end + at);
                let inserted = lines.iter().fold(String::new(), |text, line| text + "\n" + &indent + line);
                Some((line_end, line_end, inserted))
            }
            Kind::Insert(_) => None,
        }
    }
}

/// The texts with these edits made, by the name of the text, and how many were made. Of two that touch the same part only
/// the first is made; the next look finds what the other is for.
#[must_use]
pub fn fixed(edits: &[Edit], sources: &Sources) -> (Vec<(String, String)>, usize) {
    let mut made: Vec<(Span, usize, usize, String)> = Vec::new();
    for edit in edits {
        let Some(source) = sources.get(edit.span.source) else { continue };
        let Some((start, end, text)) = edit.resolve(&source.text) else { continue };
        let clash = made.iter().any(|(span, other_start, other_end, _)| {
            span.source == edit.span.source && start <= *other_end && *other_start <= end
        });
        if !clash {
            made.push((edit.span, start, end, text));
        }
    }
    made.sort_by_key(|(_, start, ..)| std::cmp::Reverse(*start));
    let mut texts: Vec<(kernel_core::source::SourceId, String, String)> = Vec::new();
    for (span, start, end, with) in &made {
        let Some(source) = sources.get(span.source) else { continue };
        let place = texts.iter().position(|(id, ..)| *id == span.source).unwrap_or_else(|| {
            texts.push((span.source, source.name.clone(), source.text.to_string()));
            texts.len() - 1
        });
        texts[place].2.replace_range(*start..*end, with);
    }
    (texts.into_iter().map(|(_, name, text)| (name, text)).collect(), made.len())
}
