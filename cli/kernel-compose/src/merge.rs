//! Puts one tree over another by the rules of the Compose Specification: mappings merge, lists append, scalars
//! replace, and the exceptions follow from the shape of the attribute.

use kernel_core::diagnostic::Diagnostic;

use crate::codes;
use crate::place::Place;
use crate::schema::{self, Attribute, Shape, Short};
use crate::short;
use crate::tree::{Entry, Mapping, Node, Tag, Value};

/// Merges `over` into `base`, both whole files. Tags stay, because they also mean what `extends` brings in later;
/// [`settle`] takes them off in the end.
pub fn merge(base: Node, over: Node, diagnostics: &mut Vec<Diagnostic>) -> Node {
    merge_as(base, over, Shape::Object(schema::TOP), diagnostics)
}

/// Merges two values of one shape.
pub fn merge_as(base: Node, over: Node, shape: Shape, diagnostics: &mut Vec<Diagnostic>) -> Node {
    let mut merge = Merge { place: Place::default(), diagnostics };
    merge.node(base, over, shape)
}

struct Merge<'a> {
    place: Place,
    diagnostics: &'a mut Vec<Diagnostic>,
}

impl Merge<'_> {
    fn node(&mut self, mut base: Node, mut over: Node, shape: Shape) -> Node {
        if over.tag.is_some() {
            return over;
        }
        match base.tag.take() {
            // Nothing below a reset is to come through any more.
            Some(Tag::Reset) => {
                over.tag = Some(Tag::Override);
                return over;
            }
            Some(Tag::Override) => {
                let merged = self.node(base, over, shape);
                return Node { tag: Some(Tag::Override), ..merged };
            }
            None => {}
        }
        if over.is_null() {
            return base;
        }
        if base.is_null() {
            return over;
        }
        match shape {
            Shape::Command | Shape::HealthTest | Shape::Short(Short::Ulimit, _) => over,
            Shape::Text
            | Shape::Path
            | Shape::Context
            | Shape::Boolean
            | Shape::Integer
            | Shape::Mode
            | Shape::Number
            | Shape::Bytes
            | Shape::Duration => over,
            Shape::Texts | Shape::TextOrTexts | Shape::Paths => {
                unique_texts(self.lists(short::listed(base), short::listed(over)))
            }
            Shape::Hosts => unique_texts(self.lists(short::hosts(base), short::hosts(over))),
            Shape::Pairs | Shape::Variables | Shape::Contexts => {
                self.mappings(short::pairs(base), short::pairs(over), |_| Shape::Text, true)
            }
            Shape::Keys(value) => self.mappings(short::keys(base), short::keys(over), |_| *value, false),
            Shape::Map(value) => self.mappings(base, over, |_| *value, false),
            Shape::Object(table) => self.mappings(base, over, |key| attribute_shape(table, key), false),
            Shape::Short(kind, table) => {
                let (base, over) = (short::named(base, kind), short::named(over, kind));
                self.mappings(base, over, |key| attribute_shape(table, key), false)
            }
            Shape::Logging(table) => {
                let driver = |node: &Node| node.get("driver").and_then(Node::as_text).map(str::to_owned);
                match (driver(&base), driver(&over)) {
                    (Some(left), Some(right)) if left != right => over,
                    _ => self.mappings(base, over, |key| attribute_shape(table, key), false),
                }
            }
            Shape::List(Shape::Short(Short::EnvFile, _)) => {
                self.lists(short::listed(base), short::listed(over))
            }
            Shape::List(_) => self.lists(base, over),
            Shape::Keyed(key, item) => self.keyed(base, over, key, *item),
            Shape::Optional(inner) => self.node(base, over, *inner),
            Shape::Any | Shape::External => self.anything(base, over),
        }
    }

    /// Merges key by key. With `replace` a later value takes the place of the earlier one, also when it is nothing.
    fn mappings(&mut self, base: Node, over: Node, shape: impl Fn(&str) -> Shape, replace: bool) -> Node {
        let (span, at) = (base.span, over.span);
        match (base.value, over.value) {
            (Value::Mapping(mut merged), Value::Mapping(entries)) => {
                for Entry { key, key_span, value } in entries {
                    self.place.key(&key);
                    let earlier = merged.get_mut(&key).filter(|earlier| !replace || earlier.tag.is_some());
                    let earlier = earlier.map(|node| std::mem::replace(node, Node::new(Value::Null, at)));
                    let value = match earlier {
                        Some(earlier) => self.node(earlier, value, shape(&key)),
                        None => value,
                    };
                    merged.set(key, key_span, value);
                    self.place.up();
                }
                Node::new(Value::Mapping(merged), span)
            }
            (base, over) => self.mismatch(Node::new(base, span), &Node::new(over, at)),
        }
    }

    fn lists(&mut self, base: Node, over: Node) -> Node {
        let (span, at) = (base.span, over.span);
        match (base.value, over.value) {
            (Value::Sequence(mut items), Value::Sequence(more)) => {
                items.extend(more);
                Node::new(Value::Sequence(items), span)
            }
            (base, over) => self.mismatch(Node::new(base, span), &Node::new(over, at)),
        }
    }

    fn keyed(&mut self, base: Node, over: Node, key: &str, shape: Shape) -> Node {
        let (span, at) = (base.span, over.span);
        match (base.value, over.value) {
            (Value::Sequence(mut items), Value::Sequence(more)) => {
                for item in more {
                    let name = item.get(key).and_then(Node::as_text).map(str::to_owned);
                    let found = items.iter_mut().find(|earlier| {
                        name.is_some() && earlier.get(key).and_then(Node::as_text) == name.as_deref()
                    });
                    match found {
                        Some(earlier) => {
                            let base = std::mem::replace(earlier, Node::new(Value::Null, at));
                            *earlier = self.node(base, item, shape);
                        }
                        None => items.push(item),
                    }
                }
                Node::new(Value::Sequence(items), span)
            }
            (base, over) => self.mismatch(Node::new(base, span), &Node::new(over, at)),
        }
    }

    fn anything(&mut self, base: Node, over: Node) -> Node {
        match (&base.value, &over.value) {
            (Value::Mapping(_), Value::Mapping(_)) => self.mappings(base, over, |_| Shape::Any, false),
            (Value::Sequence(_), Value::Sequence(_)) => self.lists(base, over),
            (Value::Scalar(_), Value::Scalar(_)) => over,
            _ => self.mismatch(base, &over),
        }
    }

    fn mismatch(&mut self, base: Node, over: &Node) -> Node {
        let message = format!("{}: {} can't be merged into {}", self.place, over.describe(), base.describe());
        self.diagnostics.push(
            Diagnostic::error(codes::MERGE_SHAPE, message)
                .at(over.span, over.describe())
                .at(base.span, base.describe())
                .help("write both in one shape, or replace the earlier one: put `!override` before the later value"),
        );
        base
    }
}

/// What an attribute looks like; extensions and unknown ones are merged by what they are.
fn attribute_shape(table: &'static [Attribute], key: &str) -> Shape {
    schema::find(table, key).map_or(Shape::Any, |attribute| attribute.shape)
}

/// Takes the tags off a tree that nothing more is merged into: what was to be reset goes.
pub fn settle(mut node: Node) -> Option<Node> {
    if node.tag.take() == Some(Tag::Reset) {
        return None;
    }
    node.value = match node.value {
        Value::Sequence(items) => Value::Sequence(items.into_iter().filter_map(settle).collect()),
        Value::Mapping(entries) => {
            let mut mapping = Mapping::default();
            for Entry { key, key_span, value } in entries {
                if let Some(value) = settle(value) {
                    mapping.push(key, key_span, value);
                }
            }
            Value::Mapping(mapping)
        }
        other => other,
    };
    Some(node)
}

/// Keeps the first of equal texts.
fn unique_texts(mut node: Node) -> Node {
    if let Value::Sequence(items) = &mut node.value {
        let mut seen = std::collections::HashSet::new();
        items.retain(|item| item.as_text().is_none_or(|text| seen.insert(text.to_owned())));
    }
    node
}
