//! The untyped tree: every value knows its file and its bytes, and keeps what merging and decoding need to know about
//! how it was written.

use std::collections::HashMap;
use std::fmt;
use std::sync::OnceLock;

use kernel_core::source::Span;

mod scalar;

pub use scalar::{Plain, Scalar};

/// One value of a document.
#[derive(Clone, Debug)]
pub struct Node {
    /// The value.
    pub value: Value,
    /// Where it stands. Merging moves nodes, so a value always knows its own file.
    pub span: Span,
    /// `!reset` or `!override`, which only merging understands.
    pub tag: Option<Tag>,
}

/// What a node is.
#[derive(Clone, Debug)]
pub enum Value {
    /// Nothing: an empty value, `~` or `null`.
    Null,
    /// A text, which may mean a number or a truth value.
    Scalar(Scalar),
    /// A list.
    Sequence(Vec<Node>),
    /// A mapping.
    Mapping(Mapping),
}

/// A tag of the Compose Specification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tag {
    /// `!reset`: removes the attribute that earlier files gave.
    Reset,
    /// `!override`: replaces what earlier files gave, without merging.
    Override,
}

/// A mapping in the order written, each key once.
#[derive(Clone, Default)]
pub struct Mapping {
    entries: Vec<Entry>,
    /// Where the keys of a large mapping are; made when it is first asked.
    index: OnceLock<HashMap<String, usize>>,
    /// Whether these are names and values that the reference holds as a list of `NAME=value`: they were written as one, or
    /// were merged. No single one of them can be reset any more, and templates are printed as a list.
    listed: bool,
}

/// Mappings up to this size are looked through.
const SMALL: usize = 24;

/// One entry of a mapping.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Where the key stands.
    pub key_span: Span,
    /// The value.
    pub value: Node,
}

impl Node {
    /// A node without a tag.
    #[must_use]
    pub fn new(value: Value, span: Span) -> Self {
        Self { value, span, tag: None }
    }

    /// A text that is a string whatever it looks like.
    #[must_use]
    pub fn text(text: impl Into<String>, span: Span) -> Self {
        Self::new(Value::Scalar(Scalar::quoted(text)), span)
    }

    /// A number or truth value by its canonical text.
    #[must_use]
    pub fn plain(text: impl Into<String>, span: Span) -> Self {
        Self::new(Value::Scalar(Scalar::plain(text)), span)
    }

    /// A mapping of the given entries; the key of each gets the place of its value.
    #[must_use]
    pub fn mapping<K: Into<String>>(entries: impl IntoIterator<Item = (K, Node)>, span: Span) -> Self {
        let mut mapping = Mapping::default();
        for (key, value) in entries {
            mapping.set(key, value.span, value);
        }
        Self::new(Value::Mapping(mapping), span)
    }

    /// A list of texts, all at one place.
    #[must_use]
    pub fn texts<T: Into<String>>(texts: impl IntoIterator<Item = T>, span: Span) -> Self {
        Self::new(Value::Sequence(texts.into_iter().map(|text| Self::text(text, span)).collect()), span)
    }

    /// The scalar, if it is one.
    #[must_use]
    pub fn as_scalar(&self) -> Option<&Scalar> {
        if let Value::Scalar(scalar) = &self.value { Some(scalar) } else { None }
    }

    /// The text of the scalar, if it is one.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        self.as_scalar().map(Scalar::text)
    }

    /// The items, if it is a list.
    #[must_use]
    pub fn as_sequence(&self) -> Option<&[Node]> {
        if let Value::Sequence(items) = &self.value { Some(items) } else { None }
    }

    /// The mapping, if it is one.
    #[must_use]
    pub fn as_mapping(&self) -> Option<&Mapping> {
        if let Value::Mapping(mapping) = &self.value { Some(mapping) } else { None }
    }

    /// The value under `key`, if this is a mapping that has it.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.as_mapping().and_then(|mapping| mapping.get(key))
    }

    /// Whether it is nothing.
    #[must_use]
    pub fn is_null(&self) -> bool {
        matches!(self.value, Value::Null)
    }

    /// Whether it says the same, wherever it stands and in whichever order its keys are.
    #[must_use]
    pub fn same_as(&self, other: &Self) -> bool {
        match (&self.value, &other.value) {
            (Value::Null, Value::Null) => true,
            (Value::Scalar(left), Value::Scalar(right)) => match (left.meaning(), right.meaning()) {
                (Plain::Text, Plain::Text) => left.text() == right.text(),
                (left, right) => left == right,
            },
            (Value::Sequence(left), Value::Sequence(right)) => {
                left.len() == right.len() && left.iter().zip(right).all(|(left, right)| left.same_as(right))
            }
            (Value::Mapping(left), Value::Mapping(right)) => {
                left.len() == right.len()
                    && left
                        .iter()
                        .all(|entry| right.get(&entry.key).is_some_and(|other| entry.value.same_as(other)))
            }
            _ => false,
        }
    }

    /// What it is, for a person.
    #[must_use]
    pub fn describe(&self) -> &'static str {
        match &self.value {
            Value::Null => "nothing",
            Value::Scalar(scalar) => scalar.describe(),
            Value::Sequence(_) => "a list",
            Value::Mapping(_) => "a mapping",
        }
    }
}

impl Mapping {
    /// An empty mapping with room for so many entries.
    #[must_use]
    pub(crate) fn with_capacity(entries: usize) -> Self {
        Self { entries: Vec::with_capacity(entries), index: OnceLock::new(), listed: false }
    }

    /// Whether these are names and values that stand for a list of `NAME=value`.
    #[must_use]
    pub(crate) fn is_listed(&self) -> bool {
        self.listed
    }

    /// Says whether these stand for a list of `NAME=value`.
    pub(crate) fn set_listed(&mut self, listed: bool) {
        self.listed = listed;
    }

    /// The value under `key`.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|entry| &entry.value)
    }

    /// The value under `key`, to change.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Node> {
        let place = self.place(key)?;
        self.entries.get_mut(place).map(|entry| &mut entry.value)
    }

    fn place(&self, key: &str) -> Option<usize> {
        if self.entries.len() <= SMALL {
            return self.entries.iter().position(|entry| entry.key == key);
        }
        let index = self.index.get_or_init(|| {
            let places = self.entries.iter().enumerate().rev();
            places.map(|(place, entry)| (entry.key.clone(), place)).collect()
        });
        index.get(key).copied()
    }

    /// The whole entry of `key`.
    #[must_use]
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        self.place(key).and_then(|place| self.entries.get(place))
    }

    /// Puts a value under `key`: in place of the one that is there, else at the end.
    pub fn set(&mut self, key: impl Into<String>, key_span: Span, value: Node) {
        let key = key.into();
        match self.place(&key).and_then(|place| self.entries.get_mut(place)) {
            Some(entry) => *entry = Entry { key, key_span, value },
            None => self.push(key, key_span, value),
        }
    }

    /// Puts a value at the end; the caller knows that `key` is not there yet.
    pub(crate) fn push(&mut self, key: String, key_span: Span, value: Node) {
        if let Some(index) = self.index.get_mut() {
            index.entry(key.clone()).or_insert(self.entries.len());
        }
        self.entries.push(Entry { key, key_span, value });
    }

    /// Keeps the entries that `keep` wants.
    pub fn retain(&mut self, keep: impl FnMut(&Entry) -> bool) {
        self.index.take();
        self.entries.retain(keep);
    }

    /// Takes the value of `key` out.
    pub fn remove(&mut self, key: &str) -> Option<Node> {
        let place = self.place(key)?;
        self.index.take();
        Some(self.entries.remove(place).value)
    }

    /// The entries in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Entry> {
        self.entries.iter()
    }

    /// The entries in order, to change.
    pub fn iter_mut(&mut self) -> std::slice::IterMut<'_, Entry> {
        // A key may be changed.
        self.index.take();
        self.entries.iter_mut()
    }

    /// Puts the entries into the order of their keys.
    pub fn sort(&mut self) {
        self.index.take();
        self.entries.sort_by(|left, right| left.key.cmp(&right.key));
    }

    /// How many entries it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether it has no entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

impl fmt::Debug for Mapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.entries.iter().map(|entry| (&entry.key, &entry.value))).finish()
    }
}

impl IntoIterator for Mapping {
    type Item = Entry;
    type IntoIter = std::vec::IntoIter<Entry>;

    fn into_iter(self) -> Self::IntoIter {
        self.entries.into_iter()
    }
}

impl<'a> IntoIterator for &'a Mapping {
    type Item = &'a Entry;
    type IntoIter = std::slice::Iter<'a, Entry>;

    fn into_iter(self) -> Self::IntoIter {
        self.entries.iter()
    }
}
