//! Puts one tree over another by the rules of the Compose Specification: mappings merge, lists append, scalars
//! replace, and the exceptions follow from the shape of the attribute.

use std::collections::HashSet;

use kernel_core::diagnostic::Diagnostic;

use crate::codes;
use crate::place::Place;
use crate::schema::{self, Attribute, Shape, Short, TEXT, Texts};
use crate::short;
use crate::tree::{Entry, Mapping, Node, Scalar, Tag, Value};

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
        // These are taken as they are, also when that is nothing.
        if matches!(shape, Shape::Command | Shape::HealthTest | Shape::Short(Short::Ulimit, _)) {
            return over;
        }
        if over.is_null() {
            return base;
        }
        if base.is_null() {
            return over;
        }
        match shape {
            Shape::Texts(Texts { merges: true, .. }) => {
                // A mapping is refused where it stands alone; over a list the reference takes it for one.
                self.lists(short::listed(base), short::unpaired(short::listed(over)))
            }
            Shape::EnvFiles(_) => self.lists(short::listed(base), short::listed(over)),
            Shape::Hosts => self.hosts(base, over),
            Shape::Pairs(pairs) if pairs.merges => {
                let (base, over) = (short::pairs(short::listed(base)), short::pairs(short::listed(over)));
                if pairs.once {
                    self.said_once(&base, &over);
                }
                self.pairs(base, over)
            }
            Shape::Keys(value @ Shape::Object(_), _) => {
                self.mappings(short::dependencies(base), short::dependencies(over), |_| *value, false)
            }
            Shape::Keys(value, _) => self.mappings(short::keys(base), short::keys(over), |_| *value, false),
            Shape::Map(value, _) => self.anything(base, over, |_| *value),
            Shape::Object(table) | Shape::Nullable(table) => {
                self.anything(base, over, |key| attribute_shape(table, key))
            }
            Shape::Short(kind, table) => {
                let (base, over) = (short::named(base, kind), short::named(over, kind));
                self.mappings(base, over, |key| attribute_shape(table, key), false)
            }
            Shape::Logging(table) => {
                let driver = |node: &Node| node.get("driver").and_then(Node::as_text).map(str::to_owned);
                match (driver(&base), driver(&over)) {
                    (Some(left), Some(right)) if left != right => over,
                    _ => self.anything(base, over, |key| attribute_shape(table, key)),
                }
            }
            Shape::Keyed(key, item) => self.keyed(base, over, key, *item),
            _ => self.anything(base, over, |_| Shape::Any),
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

    /// Merges names and values, which the reference does as lists: what was merged stands for one.
    fn pairs(&mut self, mut base: Node, mut over: Node) -> Node {
        if let (Value::Mapping(base), Value::Mapping(over)) = (&mut base.value, &mut over.value) {
            if base.is_listed() {
                // In a list there is no such name that could be reset.
                over.retain(|entry| entry.value.tag != Some(Tag::Reset));
            }
            for side in [&mut *base, over] {
                if !side.is_listed() {
                    side.sort();
                }
            }
            base.set_listed(true);
        }
        self.mappings(base, over, |_| TEXT, true)
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

    /// Tells names that have one value in both.
    fn said_once(&mut self, base: &Node, over: &Node) {
        let text = |node: &Node| node.as_scalar().map(Scalar::canonical_text);
        for entry in over.as_mapping().into_iter().flatten() {
            let earlier = base.as_mapping().and_then(|base| base.entry(&entry.key));
            let Some(earlier) = earlier.filter(|earlier| text(&earlier.value) == text(&entry.value)) else {
                continue;
            };
            let message = format!("{}: `{}` is said in two files with one value", self.place, entry.key);
            self.diagnostics.push(
                Diagnostic::error(codes::DUPLICATE, message)
                    .at(entry.key_span, "again here")
                    .at(earlier.key_span, "first here")
                    .help("keep one of them"),
            );
        }
    }

    /// Hosts of `over` that `base` has in the same words are left out.
    fn hosts(&mut self, base: Node, over: Node) -> Node {
        let (base, mut over) = (short::hosts(base), short::hosts(over));
        let known: HashSet<String> = base
            .as_sequence()
            .unwrap_or_default()
            .iter()
            .filter_map(Node::as_text)
            .map(str::to_owned)
            .collect();
        if let Value::Sequence(items) = &mut over.value {
            items.retain(|item| item.as_text().is_none_or(|text| !known.contains(text)));
        }
        self.lists(base, over)
    }

    /// Merges the address pools of a network by the rules of the reference: every pool of `base` meets every pool of
    /// `over`, and one of `base` stays only where both are about the same subnet.
    fn keyed(&mut self, base: Node, over: Node, key: &str, shape: Shape) -> Node {
        let span = base.span;
        let (Value::Sequence(items), Value::Sequence(more)) = (&base.value, &over.value) else {
            return self.mismatch(base, &over);
        };
        let name = |item: &Node| item.get(key).and_then(Node::as_text).map(str::to_owned);
        let mut kept: Vec<Node> = Vec::new();
        for item in items {
            let mut item = item.clone();
            for other in more {
                let known = kept.iter().any(|earlier| name(earlier) == name(other));
                if name(other) != name(&item) && !known {
                    kept.push(other.clone());
                    continue;
                }
                item = self.node(item, other.clone(), shape);
                match kept.iter_mut().find(|earlier| name(earlier) == name(&item)) {
                    Some(earlier) => *earlier = item.clone(),
                    None => kept.push(item.clone()),
                }
            }
        }
        Node::new(Value::Sequence(kept), span)
    }

    /// Merges by what is there: mappings key by key, lists one after the other; one value replaces another.
    fn anything(&mut self, base: Node, over: Node, shape: impl Fn(&str) -> Shape) -> Node {
        match (&base.value, &over.value) {
            (Value::Mapping(_), Value::Mapping(_)) => self.mappings(base, over, shape, false),
            (Value::Sequence(_), Value::Sequence(_)) => self.lists(base, over),
            (Value::Scalar(_), _) => over,
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
            mapping.set_listed(entries.is_listed());
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
