//! Checks a merged tree against the tables of [`crate::schema`] and writes every short form out.
//!
//! What is wrong is told and left out, so that one mistake is told once and the rest is still checked. Doing it again
//! changes nothing: the long form is a fixed point.

mod mount;
pub mod path;
mod port;
pub mod units;
mod value;

use kernel_core::diagnostic::Diagnostic;
use kernel_core::source::Span;

use crate::codes;
use crate::place::Place;
use crate::schema::{self, Attribute, Shape, Short};
use crate::short;
use crate::suggest;
use crate::tree::{Entry, Mapping, Node, Value};

/// What relative paths resolve against.
#[derive(Clone, Copy, Debug)]
pub struct Base<'a> {
    /// The absolute directory of the project or file.
    pub directory: &'a str,
    /// What `~` means, where it is known.
    pub home: Option<&'a str>,
}

/// Checks and writes out a whole file.
pub fn file(tree: Node, base: Base<'_>, diagnostics: &mut Vec<Diagnostic>) -> Node {
    let span = tree.span;
    let mut normaliser = Normaliser { base, place: Place::default(), diagnostics };
    normaliser.node(tree, Shape::Object(schema::TOP)).unwrap_or_else(|| Node::new(Value::Null, span))
}

/// Checks and writes out one service that comes from another file.
pub fn service(tree: Node, name: &str, base: Base<'_>, diagnostics: &mut Vec<Diagnostic>) -> Node {
    let span = tree.span;
    let mut place = Place::default();
    place.key("services");
    place.key(name);
    let mut normaliser = Normaliser { base, place, diagnostics };
    normaliser.node(tree, Shape::Object(schema::SERVICE)).unwrap_or_else(|| Node::new(Value::Null, span))
}

struct Normaliser<'a> {
    base: Base<'a>,
    place: Place,
    diagnostics: &'a mut Vec<Diagnostic>,
}

impl Normaliser<'_> {
    /// The long form; nothing when it is wrong or says nothing.
    fn node(&mut self, node: Node, shape: Shape) -> Option<Node> {
        if node.is_null() {
            let kept = matches!(shape, Shape::Optional(_) | Shape::Any);
            return kept.then_some(node);
        }
        match shape {
            Shape::Any => Some(node),
            Shape::Text => self.text(node),
            Shape::Path => self.path(node),
            Shape::Context => self.context(node),
            Shape::Boolean => self.boolean(node),
            Shape::Integer => self.integer(node),
            Shape::Mode => self.mode(node),
            Shape::Contexts => self.contexts(node),
            Shape::Number => self.number(node),
            Shape::Bytes => self.bytes(node),
            Shape::Duration => self.duration(node),
            Shape::Texts => self.list(node, Shape::Text, false).map(value::unique),
            Shape::TextOrTexts => self.list(short::listed(node), Shape::Text, false).map(value::unique),
            Shape::Paths => self.list(short::listed(node), Shape::Path, false).map(value::unique),
            Shape::Hosts => self
                .list(short::hosts(node), Shape::Text, false)
                .map(|list| value::sorted(value::unique(list))),
            Shape::Command => self.command(node),
            Shape::HealthTest => self.health_test(node),
            Shape::Pairs => self.pairs(node, false),
            Shape::Variables => self.pairs(node, true),
            Shape::External => self.external(node),
            Shape::Object(table) | Shape::Logging(table) => self.object(node, table),
            Shape::List(Shape::Short(Short::EnvFile, table)) => {
                self.list(short::listed(node), Shape::Short(Short::EnvFile, table), false)
            }
            Shape::List(Shape::Short(Short::Port, table)) => self.ports(node, table),
            Shape::List(Shape::Short(Short::Volume, table)) => self.mounts(node, table),
            Shape::List(item @ Shape::Short(Short::Reference, _)) => {
                self.list(node, *item, false).map(|list| value::unique_by(list, value::reference_target))
            }
            Shape::List(item) | Shape::Keyed(_, item) => self.list(node, *item, true),
            Shape::Map(item) => self.map(node, *item),
            Shape::Keys(item) => self.map(short::keys(node), *item),
            Shape::Optional(inner) => self.node(node, *inner),
            Shape::Short(Short::Device, table) => self.device(node, table),
            Shape::Short(Short::Ulimit, table) if matches!(node.value, Value::Mapping(_)) => {
                self.object(node, table)
            }
            Shape::Short(Short::Ulimit, _) => self.integer(node),
            Shape::Short(kind, table) => self.object(short::named(node, kind), table),
        }
    }

    fn object(&mut self, node: Node, table: &'static [Attribute]) -> Option<Node> {
        let span = node.span;
        let Value::Mapping(entries) = node.value else { return self.wrong_shape(&node, "a mapping") };
        let mut mapping = Mapping::default();
        for Entry { key, key_span, value } in entries {
            let shape = match schema::find(table, &key) {
                Some(attribute) => attribute.shape,
                None if key.starts_with("x-") => Shape::Any,
                None => {
                    self.unknown(&key, key_span, table);
                    continue;
                }
            };
            self.place.key(&key);
            if let Some(value) = self.node(value, shape) {
                mapping.push(key, key_span, value);
            }
            self.place.up();
        }
        Some(Node::new(Value::Mapping(mapping), span))
    }

    fn map(&mut self, node: Node, shape: Shape) -> Option<Node> {
        let span = node.span;
        let Value::Mapping(entries) = node.value else { return self.wrong_shape(&node, "a mapping") };
        let mut mapping = Mapping::default();
        for Entry { key, key_span, value } in entries {
            if key.starts_with("x-") && matches!(shape, Shape::Object(_)) {
                mapping.push(key, key_span, value);
                continue;
            }
            self.place.key(&key);
            // A key with nothing below it still says that it is there.
            let value = if value.is_null() && matches!(shape, Shape::Object(_)) {
                Some(Node::new(Value::Mapping(Mapping::default()), key_span))
            } else {
                self.node(value, shape)
            };
            if let Some(mut value) = value {
                if matches!(value.value, Value::Mapping(_) | Value::Null) {
                    // The key is the better place for a caret than the first line of what is below it.
                    value.span = key_span;
                }
                mapping.push(key, key_span, value);
            }
            self.place.up();
        }
        Some(Node::new(Value::Mapping(mapping), span))
    }

    fn list(&mut self, node: Node, shape: Shape, keep_null: bool) -> Option<Node> {
        let span = node.span;
        let Value::Sequence(items) = node.value else { return self.wrong_shape(&node, "a list") };
        let mut list = Vec::with_capacity(items.len());
        for (index, item) in items.into_iter().enumerate() {
            self.place.index(index);
            if item.is_null() && !keep_null {
                self.wrong_shape(&item, "a text");
            } else {
                list.extend(self.node(item, shape));
            }
            self.place.up();
        }
        Some(Node::new(Value::Sequence(list), span))
    }

    fn unknown(&mut self, key: &str, span: Span, table: &'static [Attribute]) {
        let known = || table.iter().map(|attribute| attribute.name);
        let (code, owner) = if self.place.as_str().ends_with("x-kernel") {
            (codes::KERNEL_EXTENSION, "`kernel`")
        } else {
            (codes::UNKNOWN_ATTRIBUTE, "the Compose Specification")
        };
        let help = match suggest::nearest(key, known()) {
            Some(near) => format!("did you mean `{near}`?"),
            None if table.len() > 12 => {
                "see `docs/compose.md`; what is only for you goes under a name that starts with `x-`"
                    .to_owned()
            }
            None => format!(
                "known here: {}",
                known().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
            ),
        };
        let place = if self.place.is_top() { String::new() } else { format!("{}: ", self.place) };
        let message = format!("{place}{owner} knows no attribute `{key}` here");
        self.diagnostics.push(Diagnostic::error(code, message).at(span, "unknown").help(help));
    }

    fn wrong_shape(&mut self, node: &Node, wanted: &str) -> Option<Node> {
        let message = format!("{}: {wanted} is wanted, and this is {}", self.place, node.describe());
        self.diagnostics.push(
            Diagnostic::error(codes::WRONG_SHAPE, message)
                .at(node.span, node.describe())
                .help(format!("write {wanted} here")),
        );
        None
    }

    fn bad_value(&mut self, span: Span, message: &str, label: &str, help: &str) -> Option<Node> {
        let message = format!("{}: {message}", self.place);
        self.diagnostics.push(Diagnostic::error(codes::BAD_VALUE, message).at(span, label).help(help));
        None
    }
}
