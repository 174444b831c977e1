//! Lists: of texts, of one shape, and those whose items have a short form.

use std::collections::HashMap;

use super::Normaliser;
use super::scalar::shown;
use crate::schema::{Accepts, Attribute, Default, Reads, Repeated, Shape, Texts};
use crate::short;
use crate::tree::{Node, Value};

impl Normaliser<'_> {
    pub(super) fn list(&mut self, node: Node, shape: Shape) -> Option<Node> {
        let span = node.span;
        let Value::Sequence(items) = node.value else { return self.wrong_shape(&node, "a list") };
        let mut list = Vec::with_capacity(items.len());
        for (index, item) in items.into_iter().enumerate() {
            self.place.index(index);
            let before = self.lenient.then(|| item.clone());
            list.extend(self.node(item, shape).or(before));
            self.place.up();
        }
        Some(Node::new(Value::Sequence(list), span))
    }

    pub(super) fn texts(&mut self, node: Node, texts: Texts) -> Option<Node> {
        let node = match &node.value {
            Value::Scalar(scalar) if texts.alone && Accepts::TEXT.allows(scalar) => {
                // These two alone are no list in the reference until something is merged over them.
                if self.templates && texts.merges && texts.blank && texts.reads == Reads::Text {
                    return Some(node);
                }
                short::listed(node)
            }
            Value::Sequence(_) => node,
            _ if texts.alone => return self.wrong_shape(&node, "a text or a list of texts"),
            _ => return self.wrong_shape(&node, "a list"),
        };
        let mut node = match texts.repeated {
            Repeated::Replaced => {
                let key = |item: &Node| {
                    let text = item.as_text()?;
                    Some(text.split('=').next().unwrap_or(text).to_owned())
                };
                unique_by(node, key)
            }
            _ => node,
        };
        if let (false, Value::Sequence(items)) = (texts.blank, &mut node.value) {
            items.retain(|item| !item.is_null() && item.as_text() != Some(""));
        }
        if texts.repeated == Repeated::Refused {
            self.each_once(&node)?;
        }
        self.list(node, Shape::Scalar(texts.items, texts.reads))
    }

    /// Tells scalars that stand twice. A number and the text of it are not the same.
    fn each_once(&mut self, node: &Node) -> Option<()> {
        let mut seen = HashMap::new();
        for item in node.as_sequence().unwrap_or_default() {
            let Some(scalar) = item.as_scalar() else { continue };
            let number = !Accepts::TEXT.allows(scalar);
            // A number is also refused where its own text came before it.
            let earlier = if number { seen.get(&(scalar.text(), false)).copied() } else { None };
            if let Some(first) = seen.insert((scalar.text(), number), item.span).or(earlier) {
                self.repeated(shown(scalar), item.span, first);
                return self.lenient.then_some(());
            }
        }
        Some(())
    }

    pub(super) fn env_files(&mut self, node: Node, table: &'static [Attribute]) -> Option<Node> {
        // One file may be named by several paths.
        let node = unique_by(short::listed(node), |file| {
            file.as_text().map(str::to_owned).or_else(|| text(file, "path"))
        });
        let span = node.span;
        let Value::Sequence(items) = node.value else {
            return self.wrong_shape(&node, "a text or a list");
        };
        let mut files = Vec::with_capacity(items.len());
        for (index, item) in items.into_iter().enumerate() {
            self.place.index(index);
            let at = item.span;
            let item = match &item.value {
                Value::Scalar(scalar) if Accepts::TEXT.allows(scalar) => Node::mapping([("path", item)], at),
                _ => item,
            };
            if let Some(mut file) = self.object_or(item, "a text or a mapping", table) {
                if let Value::Mapping(file) = &mut file.value
                    && file.get("required").is_none()
                {
                    file.push("required".into(), at, Node::plain("true", at));
                }
                files.push(file);
            }
            self.place.up();
        }
        Some(Node::new(Value::Sequence(files), span))
    }

    fn object_or(&mut self, node: Node, wanted: &str, table: &'static [Attribute]) -> Option<Node> {
        if matches!(node.value, Value::Mapping(_)) {
            self.object(node, table)
        } else {
            self.wrong_shape(&node, wanted)
        }
    }

    pub(super) fn references(
        &mut self,
        node: Node,
        table: &'static [Attribute],
        default: Default,
    ) -> Option<Node> {
        let span = node.span;
        let Value::Sequence(items) = node.value else { return self.wrong_shape(&node, "a list") };
        let mut references = Vec::with_capacity(items.len());
        for (index, item) in items.into_iter().enumerate() {
            self.place.index(index);
            let at = item.span;
            let item = match &item.value {
                Value::Scalar(scalar) if Accepts::TEXT.allows(scalar) => {
                    Node::mapping([("source", item)], at)
                }
                _ => item,
            };
            references.extend(self.object_or(item, "a text or a mapping", table));
            self.place.up();
        }
        let node = Node::new(Value::Sequence(references), span);
        // Those of a build are told apart by nothing.
        if !self.place.as_str().contains(".build.") {
            let folder = if default == Default::RunSecrets { "/run/secrets" } else { "" };
            let key = |item: &Node| {
                let target = text(item, "target");
                target.or_else(|| Some(format!("{folder}/{}", text(item, "source").unwrap_or_default())))
            };
            return Some(unique_by(node, key));
        }
        Some(node)
    }

    pub(super) fn devices(&mut self, node: Node, table: &'static [Attribute]) -> Option<Node> {
        let span = node.span;
        let Value::Sequence(items) = node.value else { return self.wrong_shape(&node, "a list") };
        let mut devices = Vec::with_capacity(items.len());
        for (index, item) in items.into_iter().enumerate() {
            self.place.index(index);
            devices.extend(self.device(item, table));
            self.place.up();
        }
        Some(unique_by(Node::new(Value::Sequence(devices), span), |device| text(device, "target")))
    }

    fn device(&mut self, node: Node, table: &'static [Attribute]) -> Option<Node> {
        let written = match &node.value {
            Value::Scalar(scalar) if Accepts::TEXT.allows(scalar) => scalar.text(),
            Value::Mapping(_) => {
                let span = node.span;
                let device = self.object(node, table)?;
                if device.get("target").is_none() {
                    let help = "add `target: PATH`";
                    return self.bad_value(
                        span,
                        "the place of the device in the container is missing",
                        "no `target`",
                        help,
                    );
                }
                return Some(device);
            }
            _ => return self.wrong_shape(&node, "a text or a mapping"),
        };
        let parts: Vec<&str> = written.split(':').collect();
        let (source, target, permissions) = match parts[..] {
            [source] => (source, "", "rwm"),
            [source, target] => (source, target, "rwm"),
            [source, target, permissions] => (source, target, permissions),
            _ => {
                let message = format!("`{written}` has too many parts");
                let help = "write `SOURCE[:TARGET[:PERMISSIONS]]`, or a mapping";
                return self.bad_value(node.span, &message, "too many colons", help);
            }
        };
        let target = if target.is_empty() { source } else { target };
        let entries = [("source", source), ("target", target), ("permissions", permissions)];
        Some(Node::mapping(entries.map(|(key, text)| (key, Node::text(text, node.span))), node.span))
    }

    pub(super) fn gpus(&mut self, node: Node, table: &'static [Attribute]) -> Option<Node> {
        let span = node.span;
        match &node.value {
            Value::Scalar(scalar) if scalar.text() == "all" => {
                let all = Node::mapping([("count", Node::text("all", span))], span);
                self.list(Node::new(Value::Sequence(vec![all]), span), Shape::Object(table))
            }
            Value::Sequence(_) => self.list(node, Shape::Object(table)),
            _ => self.wrong_shape(&node, "`all` or a list"),
        }
    }
}

/// A text of a mapping.
pub fn text(node: &Node, key: &str) -> Option<String> {
    node.get(key).and_then(Node::as_text).map(str::to_owned)
}

/// Keeps one of the items with equal keys: the later one, at the place of the first.
pub fn unique_by(mut node: Node, key: impl Fn(&Node) -> Option<String>) -> Node {
    if let Value::Sequence(items) = &mut node.value
        && items.len() > 1
    {
        let mut places = HashMap::with_capacity(items.len());
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
