//! Commands, lists of `NAME=value`, hosts, and what is external.

use std::collections::HashMap;

use kernel_core::diagnostic::Diagnostic;

use super::scalar::{as_text, shown};
use super::{Normaliser, path, units};
use crate::codes;
use crate::schema::{Accepts, Attribute, Bare, Pairs, Reads, Shape};
use crate::short;
use crate::tree::{Entry, Mapping, Node, Scalar, Value};

impl Normaliser<'_> {
    pub(super) fn command(&mut self, node: Node) -> Option<Node> {
        let Value::Scalar(scalar) = &node.value else { return self.only_texts(node) };
        if !Accepts::TEXT.allows(scalar) {
            return self.wrong_shape(&node, "a text or a list of texts");
        }
        if !self.complete() {
            return Some(node);
        }
        let words = match units::words(scalar.text()) {
            Ok(words) => words,
            Err(problem) => {
                let message = format!("the command can't be split into words: {problem}");
                let help = "close the quote, or write the command as a list";
                return self.bad_value(node.span, &message, problem, help);
            }
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
        match &node.value {
            Value::Scalar(scalar) if !Accepts::TEXT.allows(scalar) => {
                self.wrong_shape(&node, "a text or a list of texts")
            }
            Value::Scalar(_) if self.complete() => {
                Some(Node::new(Value::Sequence(vec![Node::text("CMD-SHELL", span), node]), span))
            }
            Value::Scalar(_) => Some(node),
            _ => self.only_texts(node),
        }
    }

    /// A list of nothing but texts.
    fn only_texts(&mut self, node: Node) -> Option<Node> {
        self.list(node, Shape::Scalar(Accepts::TEXT, Reads::Text))
    }

    /// A mapping of names to texts.
    pub(super) fn pairs(&mut self, node: Node, pairs: Pairs) -> Option<Node> {
        let node = match &node.value {
            Value::Sequence(items) if pairs.list => {
                if !self.items_are_pairs(items, pairs) {
                    return None;
                }
                // What can't merge with a mapping has to stay a list until nothing more is merged.
                if !pairs.merges && !self.complete() {
                    return Some(node);
                }
                short::pairs(node)
            }
            Value::Mapping(_) => node,
            _ if pairs.list => return self.wrong_shape(&node, "a mapping or a list of `NAME=value`"),
            _ => return self.wrong_shape(&node, "a mapping"),
        };
        let (span, was_list) = (node.span, pairs.list);
        let Value::Mapping(entries) = node.value else { return None };
        let listed = entries.is_listed();
        let mut mapping = Mapping::with_capacity(entries.len());
        // The reference writes contexts out as a mapping.
        mapping.set_listed(listed && pairs.reads != Reads::Context);
        for Entry { key, key_span, value } in entries {
            // In a mapping that was never merged such a name is one like any other.
            if listed && pairs.bare == Bare::Variable && key.ends_with(char::is_whitespace) {
                self.space_in_name(&key, key_span);
                if !self.lenient {
                    continue;
                }
            }
            self.place.key(&key);
            let from_list = value.span == key_span;
            if key.is_empty() && was_list && !from_list {
                self.bad_value(key_span, "the name is missing", "no name", "write `NAME: value`");
            } else if let Some(value) = self.pair(value, pairs) {
                mapping.push(key, key_span, value);
            }
            self.place.up();
        }
        Some(Node::new(Value::Mapping(mapping), span))
    }

    fn pair(&mut self, value: Node, pairs: Pairs) -> Option<Node> {
        if value.is_null() {
            return match pairs.bare {
                Bare::Variable => Some(value),
                Bare::Empty if !self.complete() => Some(value),
                Bare::Empty => Some(Node::text("", value.span)),
                Bare::Refused => self.wrong_shape(&value, pairs.values.describe()),
            };
        }
        match &value.value {
            Value::Scalar(scalar) if pairs.values.allows(scalar) => {}
            _ => return self.wrong_shape(&value, pairs.values.describe()),
        }
        // A number stays one until nothing more is merged: what is printed before shows it as it was written.
        let value = if self.complete() { as_text(value) } else { value };
        match pairs.reads {
            Reads::Context => self.scalar(value, Accepts::TEXT, Reads::Context),
            _ => Some(value),
        }
    }

    fn items_are_pairs(&mut self, items: &[Node], pairs: Pairs) -> bool {
        let before = self.diagnostics.len();
        let mut seen: HashMap<&str, _> = HashMap::new();
        for (index, item) in items.iter().enumerate() {
            self.place.index(index);
            match item.as_scalar().filter(|scalar| Accepts::TEXT.allows(scalar)) {
                None => {
                    self.wrong_shape(item, "a text");
                }
                Some(scalar) => {
                    let text = scalar.text();
                    if pairs.bare == Bare::Refused && !text.contains('=') {
                        self.bad_value(item.span, "the value is missing", "no `=`", "write `NAME=value`");
                    }
                    match seen.insert(text, item.span) {
                        Some(first) if pairs.once => {
                            self.repeated(shown(scalar), item.span, first);
                        }
                        _ => {}
                    }
                }
            }
            self.place.up();
        }
        self.lenient || self.diagnostics.len() == before
    }

    fn space_in_name(&mut self, name: &str, span: kernel_core::source::Span) {
        let message = format!("the name `{name}` ends with a space");
        let help = format!("take the space out: `{}=…`", name.trim_end());
        self.bad_value(span, &message, "a space before `=`", &help);
    }

    /// `extra_hosts`, in the end a sorted list of `host=address`.
    pub(super) fn hosts(&mut self, node: Node) -> Option<Node> {
        let before = self.diagnostics.len();
        match &node.value {
            Value::Mapping(mapping) => {
                for entry in mapping {
                    self.place.key(&entry.key);
                    let addresses = match &entry.value.value {
                        Value::Sequence(addresses) => addresses.as_slice(),
                        _ => std::slice::from_ref(&entry.value),
                    };
                    for address in addresses {
                        if address.as_scalar().is_none_or(|scalar| !Accepts::TEXT.allows(scalar)) {
                            self.wrong_shape(address, "a text");
                        }
                    }
                    if entry.key.is_empty() || entry.key.contains([':', '=']) {
                        self.bad_host(&entry.key, entry.key_span);
                    }
                    self.place.up();
                }
            }
            Value::Sequence(items) => {
                let mut seen: HashMap<&str, _> = HashMap::new();
                for item in items {
                    let Some(scalar) = item.as_scalar().filter(|scalar| Accepts::TEXT.allows(scalar)) else {
                        self.wrong_shape(item, "a text");
                        continue;
                    };
                    if let Some(first) = seen.insert(scalar.text(), item.span) {
                        self.repeated(shown(scalar), item.span, first);
                    }
                    match short::host(scalar.text()) {
                        None => {
                            let message = format!("`{}` has no address", shown(scalar));
                            self.bad_value(item.span, &message, "no address", "write `HOST=ADDRESS`");
                        }
                        Some((host, _)) if host.is_empty() || host.contains([':', '=']) => {
                            self.bad_host(host, item.span);
                        }
                        Some(_) => {}
                    }
                }
            }
            _ => return self.wrong_shape(&node, "a mapping or a list of `host=address`"),
        }
        if self.diagnostics.len() != before && !self.lenient {
            return None;
        }
        if !self.complete() {
            return Some(node);
        }
        // Hosts without addresses are printed as an empty list, no hosts are not.
        let some = match &node.value {
            Value::Mapping(hosts) => !hosts.is_empty(),
            _ => node.as_sequence().is_some_and(|hosts| !hosts.is_empty()),
        };
        some.then(|| short::sorted_hosts(node))
    }

    fn bad_host(&mut self, host: &str, span: kernel_core::source::Span) {
        let message = format!("`{host}` can't be the name of a host");
        self.bad_value(span, &message, "not a name", "write `HOST=ADDRESS`");
    }

    /// `build.ssh`, in the end a list of `NAME` or `NAME=PATH`.
    pub(super) fn ssh(&mut self, node: Node) -> Option<Node> {
        const SSH: Pairs = Pairs {
            list: true,
            values: Accepts::ANY,
            bare: Bare::Variable,
            merges: false,
            once: true,
            reads: Reads::Text,
        };
        let node = match &node.value {
            Value::Sequence(items) => {
                if !self.items_are_pairs(items, SSH) {
                    return None;
                }
                for item in items {
                    let text = item.as_text().unwrap_or_default();
                    if !text.contains('=') && text != "default" {
                        let message = format!("`{text}` names no socket and no key");
                        let help = "write `default`, or `NAME=PATH`";
                        return self.bad_value(item.span, &message, "where is it?", help);
                    }
                }
                short::pairs(node)
            }
            Value::Mapping(_) => self.pairs(node, SSH)?,
            _ => return self.wrong_shape(&node, "a mapping or a list of `NAME=PATH`"),
        };
        let Value::Mapping(mut entries) = node.value else { return Some(node) };
        entries.set_listed(false);
        for entry in entries.iter_mut().filter(|_| self.paths()) {
            if let Some(text) = entry.value.as_text() {
                entry.value = Node::text(path::resolve_on_host(text, self.base), entry.value.span);
            }
        }
        Some(Node::new(Value::Mapping(entries), node.span))
    }

    /// `external`: a truth value, or the old mapping with a name.
    pub(super) fn external(&mut self, node: Node, table: &'static [Attribute]) -> Option<Node> {
        match &node.value {
            Value::Mapping(_) => {
                let message = format!("{}: a mapping is an old way to name an external resource", self.place);
                self.diagnostics.push(
                    Diagnostic::warning(codes::OBSOLETE, message)
                        .at(node.span, "old")
                        .help("write `external: true`, and `name: …` beside it"),
                );
                // For these two the reference looks at nothing but the name.
                if self.place.as_str().starts_with("secrets.") || self.place.as_str().starts_with("configs.")
                {
                    if let Some(name) = node.get("name").cloned() {
                        self.scalar(name, Accepts::TEXT, Reads::Text)?;
                    }
                    return Some(node);
                }
                self.object(node, table)
            }
            _ => self.scalar(node, Accepts::BOOLEAN_OR_TEXT, Reads::Boolean),
        }
    }

    /// Takes the name out of the old form of `external`.
    pub(super) fn old_external(&mut self, mapping: &mut Mapping, table: &'static [Attribute]) {
        if !table.iter().any(|attribute| matches!(attribute.shape, Shape::External(_))) {
            return;
        }
        let Some(external) = mapping.get("external").filter(|external| external.as_mapping().is_some())
        else {
            return;
        };
        let span = external.span;
        let old = external.get("name").cloned();
        mapping.set("external", span, Node::plain("true", span));
        match (old, mapping.get("name")) {
            (Some(old), Some(name)) if old.as_text() != name.as_text() => {
                let message = format!("{}: `name` and `external.name` differ", self.place);
                self.diagnostics.push(
                    Diagnostic::error(codes::CONFLICT, message)
                        .at(name.span, "this")
                        .at(old.span, "or this")
                        .help("keep `name`, and write `external: true`"),
                );
            }
            (Some(old), None) => mapping.push("name".into(), span, old),
            _ => {}
        }
    }

    /// Options of a provider: each one value or a list, in the end always a list.
    pub(super) fn provider_options(&mut self, node: Node) -> Option<Node> {
        let span = node.span;
        let complete = self.complete();
        let Value::Mapping(entries) = node.value else { return self.wrong_shape(&node, "a mapping") };
        let mut mapping = Mapping::with_capacity(entries.len());
        for Entry { key, key_span, value } in entries {
            self.place.key(&key);
            let at = value.span;
            let (values, alone) = match value.value {
                Value::Sequence(values) => (values, false),
                _ => (vec![value], true),
            };
            let mut kept = Vec::with_capacity(values.len());
            for value in values {
                match &value.value {
                    Value::Scalar(scalar) if Accepts::SOMETHING.allows(scalar) => {
                        kept.push(if complete { as_text(value) } else { value });
                    }
                    _ => {
                        self.wrong_shape(&value, "a text, a number or a truth value");
                    }
                }
            }
            let value = match kept.pop() {
                Some(value) if alone && !complete => value,
                last => {
                    kept.extend(last);
                    Node::new(Value::Sequence(kept), at)
                }
            };
            if !complete || value.as_sequence().is_none_or(|values| !values.is_empty()) {
                mapping.push(key, key_span, value);
            }
            self.place.up();
        }
        Some(Node::new(Value::Mapping(mapping), span))
    }

    pub(super) fn ulimit(&mut self, node: Node, table: &'static [Attribute]) -> Option<Node> {
        if matches!(node.value, Value::Mapping(_)) {
            return self.object(node, table);
        }
        self.scalar(node, Accepts::INTEGER_OR_TEXT, Reads::Integer)
    }
}
