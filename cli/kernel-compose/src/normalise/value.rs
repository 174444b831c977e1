//! Scalars, commands and lists of `NAME=value`.

use std::collections::HashMap;

use kernel_core::diagnostic::Diagnostic;

use super::{Normaliser, path, units};
use crate::codes;
use crate::schema::Attribute;
use crate::short;
use crate::tree::{Entry, Mapping, Node, Plain, Scalar, Value};

impl Normaliser<'_> {
    /// A string; a number counts by its text as written.
    pub(super) fn text(&mut self, mut node: Node) -> Option<Node> {
        let Value::Scalar(scalar) = &mut node.value else { return self.wrong_shape(&node, "a text") };
        *scalar = scalar.part(|text| text);
        Some(node)
    }

    pub(super) fn path(&mut self, node: Node) -> Option<Node> {
        let node = self.text(node)?;
        let text = self.resolve(node.as_text()?);
        Some(Node::text(text, node.span))
    }

    pub(super) fn context(&mut self, node: Node) -> Option<Node> {
        let node = self.text(node)?;
        if node.as_text().is_some_and(path::is_remote) { Some(node) } else { self.path(node) }
    }

    pub(super) fn resolve(&self, written: &str) -> String {
        match (written.strip_prefix('~'), self.base.home) {
            (Some(rest), Some(home)) if rest.is_empty() || rest.starts_with('/') => {
                path::clean(&format!("{home}{rest}"))
            }
            _ => path::absolute(self.base.directory, written),
        }
    }

    pub(super) fn boolean(&mut self, node: Node) -> Option<Node> {
        let Value::Scalar(scalar) = &node.value else { return self.wrong_shape(&node, "`true` or `false`") };
        let word = scalar.text().to_ascii_lowercase();
        let value = match word.as_str() {
            "true" | "yes" | "on" | "y" => true,
            "false" | "no" | "off" | "n" => false,
            _ => return self.wrong_shape(&node, "`true` or `false`"),
        };
        if word != value.to_string() {
            let message = format!("{}: `{}` is an old way to write `{value}`", self.place, scalar.text());
            self.diagnostics.push(
                Diagnostic::warning(codes::OBSOLETE, message)
                    .at(node.span, "old")
                    .help(format!("write `{value}`")),
            );
        }
        Some(Node::plain(value.to_string(), node.span))
    }

    pub(super) fn integer(&mut self, node: Node) -> Option<Node> {
        let Value::Scalar(scalar) = &node.value else { return self.wrong_shape(&node, "a whole number") };
        let number = match Scalar::plain(scalar.text()).meaning() {
            Plain::Integer(number) => number,
            Plain::Float(number) if number.fract() == 0.0 && number.abs() < 9e15 => number as i128,
            _ => return self.wrong_shape(&node, "a whole number"),
        };
        Some(Node::plain(number.to_string(), node.span))
    }

    /// The mode of a file, given back as octal text.
    pub(super) fn mode(&mut self, node: Node) -> Option<Node> {
        let node = self.integer(node)?;
        match node.as_text().and_then(|text| text.parse::<u32>().ok()).filter(|mode| *mode <= 0o7777) {
            Some(mode) => Some(Node::text(format!("{mode:04o}"), node.span)),
            None => self.bad_value(
                node.span,
                "this is not the mode of a file",
                "not a mode",
                "write an octal number: `0440`",
            ),
        }
    }

    /// Further build contexts by name: paths, or what is fetched.
    pub(super) fn contexts(&mut self, node: Node) -> Option<Node> {
        let span = node.span;
        let Value::Mapping(entries) = self.pairs(node, false)?.value else { return None };
        let mut mapping = Mapping::default();
        for Entry { key, key_span, value } in entries {
            if let Some(value) = self.context(value) {
                mapping.push(key, key_span, value);
            }
        }
        Some(Node::new(Value::Mapping(mapping), span))
    }

    pub(super) fn number(&mut self, node: Node) -> Option<Node> {
        let Value::Scalar(scalar) = &node.value else { return self.wrong_shape(&node, "a number") };
        let number = Scalar::plain(scalar.text());
        match number.meaning() {
            Plain::Integer(_) => Some(Node::plain(number.canonical_text(), node.span)),
            Plain::Float(value) if value.is_finite() => Some(Node::plain(number.canonical_text(), node.span)),
            _ => self.wrong_shape(&node, "a number"),
        }
    }

    pub(super) fn bytes(&mut self, node: Node) -> Option<Node> {
        let Value::Scalar(scalar) = &node.value else { return self.wrong_shape(&node, "a size") };
        match units::bytes(scalar.text()) {
            Some(bytes) => Some(Node::text(bytes.to_string(), node.span)),
            None if scalar.text() == "-1" => self.text(node),
            None => {
                let message = format!("`{}` is not a size", shown(scalar));
                self.bad_value(
                    node.span,
                    &message,
                    "not a size",
                    "write a number with a unit: `512k`, `64m`, `2g`",
                )
            }
        }
    }

    pub(super) fn duration(&mut self, node: Node) -> Option<Node> {
        let Value::Scalar(scalar) = &node.value else { return self.wrong_shape(&node, "a time") };
        match units::duration(scalar.text()) {
            Some(duration) => Some(Node::text(units::duration_text(duration), node.span)),
            None => {
                let message = format!("`{}` is not a time", shown(scalar));
                self.bad_value(
                    node.span,
                    &message,
                    "not a time",
                    "write numbers with units: `250ms`, `10s`, `1m30s`",
                )
            }
        }
    }

    pub(super) fn command(&mut self, node: Node) -> Option<Node> {
        let Value::Scalar(scalar) = &node.value else { return self.texts(node) };
        let Some(words) = units::words(scalar.text()) else {
            let help = "close the quote, or write the command as a list";
            return self.bad_value(
                node.span,
                "the command has a quote that is not closed",
                "not closed",
                help,
            );
        };
        let templates = scalar.template().map(|template| units::words(template).unwrap_or_default());
        let items = words.into_iter().enumerate().map(|(index, word)| {
            let scalar = match &templates {
                None => Scalar::quoted(word),
                Some(templates) => {
                    let template = templates.get(index).map_or("<hidden>", String::as_str);
                    if template == word { Scalar::quoted(word) } else { Scalar::with_secret(word, template) }
                }
            };
            Node::new(Value::Scalar(scalar), node.span)
        });
        Some(Node::new(Value::Sequence(items.collect()), node.span))
    }

    pub(super) fn health_test(&mut self, node: Node) -> Option<Node> {
        let span = node.span;
        if matches!(node.value, Value::Scalar(_)) {
            let node = self.text(node)?;
            return Some(Node::new(Value::Sequence(vec![Node::text("CMD-SHELL", span), node]), span));
        }
        let node = self.texts(node)?;
        let first = node.as_sequence().and_then(|items| items.first());
        match first.and_then(Node::as_text) {
            Some("NONE" | "CMD" | "CMD-SHELL") => Some(node),
            _ => {
                let place = first.map_or(span, |first| first.span);
                let help = "write `[CMD, program, argument]` or `[CMD-SHELL, line]`";
                self.bad_value(
                    place,
                    "the list starts with none of `CMD`, `CMD-SHELL`, `NONE`",
                    "not one of them",
                    help,
                )
            }
        }
    }

    fn texts(&mut self, node: Node) -> Option<Node> {
        self.list(node, crate::schema::Shape::Text, false)
    }

    /// A mapping of strings. A name without value keeps none, or has the empty one.
    pub(super) fn pairs(&mut self, node: Node, keep_null: bool) -> Option<Node> {
        let span = node.span;
        let node = short::pairs(node);
        let Value::Mapping(entries) = node.value else {
            return self.wrong_shape(&node, "a mapping or a list of `NAME=value`");
        };
        let mut mapping = Mapping::default();
        for Entry { key, key_span, value } in entries {
            self.place.key(&key);
            if key.is_empty() {
                self.bad_value(key_span, "the name is missing", "no name before `=`", "write `NAME=value`");
            } else if let Value::Scalar(scalar) = &value.value {
                let scalar = match scalar.template() {
                    Some(_) => scalar.clone(),
                    None => Scalar::quoted(scalar.canonical_text()),
                };
                mapping.set(key, key_span, Node::new(Value::Scalar(scalar), value.span));
            } else if value.is_null() {
                let value = if keep_null { Value::Null } else { Value::Scalar(Scalar::quoted("")) };
                mapping.set(key, key_span, Node::new(value, key_span));
            } else {
                self.wrong_shape(&value, "a text");
            }
            self.place.up();
        }
        Some(Node::new(Value::Mapping(mapping), span))
    }

    /// `external`: a truth value, or the old mapping with a name.
    pub(super) fn external(&mut self, node: Node) -> Option<Node> {
        if matches!(node.value, Value::Mapping(_)) {
            const OLD: &[Attribute] = &[crate::schema::attribute("name", crate::schema::Shape::Text)];
            let message = format!("{}: a mapping is an old way to name an external resource", self.place);
            self.diagnostics.push(
                Diagnostic::warning(codes::OBSOLETE, message)
                    .at(node.span, "old")
                    .help("write `external: true`, and `name: …` beside it"),
            );
            return self.object(node, OLD);
        }
        self.boolean(node)
    }

    pub(super) fn device(&mut self, node: Node, table: &'static [Attribute]) -> Option<Node> {
        let Some(text) = node.as_text() else { return self.object(node, table) };
        let mut parts = text.splitn(3, ':');
        let source = parts.next().unwrap_or_default();
        let target = parts.next().unwrap_or(source);
        let permissions = parts.next().unwrap_or("rwm");
        let entries = [("source", source), ("target", target), ("permissions", permissions)];
        Some(Node::mapping(entries.map(|(key, text)| (key, Node::text(text, node.span))), node.span))
    }
}

/// A value as it may be shown in a message.
fn shown(scalar: &Scalar) -> &str {
    scalar.template().unwrap_or(scalar.text())
}

/// Puts texts into order.
pub fn sorted(mut node: Node) -> Node {
    if let Value::Sequence(items) = &mut node.value {
        items.sort_by(|left, right| left.as_text().cmp(&right.as_text()));
    }
    node
}

/// Keeps the first of equal texts.
pub fn unique(node: Node) -> Node {
    unique_by(node, |item| item.as_text().map(str::to_owned))
}

/// Keeps one of the items with equal keys: the later one, at the place of the first.
pub fn unique_by(mut node: Node, key: impl Fn(&Node) -> Option<String>) -> Node {
    if let Value::Sequence(items) = &mut node.value {
        let mut places = HashMap::new();
        let mut kept: Vec<Node> = Vec::with_capacity(items.len());
        for item in std::mem::take(items) {
            match key(&item) {
                Some(key) => match places.get(&key) {
                    Some(place) => kept[*place] = item,
                    None => {
                        places.insert(key, kept.len());
                        kept.push(item);
                    }
                },
                None => kept.push(item),
            }
        }
        *items = kept;
    }
    node
}

/// Where a secret or config is mounted.
pub fn reference_target(node: &Node) -> Option<String> {
    let target = node.get("target").or_else(|| node.get("source"));
    target.and_then(Node::as_text).map(str::to_owned)
}
