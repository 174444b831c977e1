//! Texts of manifests as objects that know their places.

use kernel_compose::tree::{Node, Plain, Scalar, Value};
use kernel_core::diagnostic::Diagnostic;
use kernel_core::source::{SourceId, Span};
use serde_json::{Map, Number, Value as Json};

use crate::codes;

/// One object of a manifest.
#[derive(Clone, Debug)]
pub struct Document {
    /// The whole of it.
    pub node: Node,
}

/// The objects of a text, those of lists each by itself. A text with a problem may lack the part that has it.
pub fn parse(source: SourceId, text: &str, diagnostics: &mut Vec<Diagnostic>) -> Vec<Document> {
    trees(source, text, diagnostics)
        .into_iter()
        .flat_map(members)
        .filter(|node| !node.is_null())
        .map(|node| Document { node: without_nothing(node) })
        .collect()
}

/// A field that holds nothing is as good as one that is not there: so the API server reads it.
fn without_nothing(mut node: Node) -> Node {
    match &mut node.value {
        Value::Mapping(mapping) => {
            mapping.retain(|entry| !entry.value.is_null());
            for entry in mapping.iter_mut() {
                let value = Node::new(Value::Null, entry.value.span);
                entry.value = without_nothing(std::mem::replace(&mut entry.value, value));
            }
        }
        Value::Sequence(items) => {
            *items = std::mem::take(items).into_iter().map(without_nothing).collect();
        }
        Value::Null | Value::Scalar(_) => {}
    }
    node
}

/// The documents of a text, whatever they say.
pub(crate) fn trees(source: SourceId, text: &str, diagnostics: &mut Vec<Diagnostic>) -> Vec<Node> {
    let mut problems = Vec::new();
    let trees = kernel_compose::documents(source, text, &mut problems);
    // The reader is that of Compose files; a manifest's reader looks for the page of manifests.
    diagnostics.extend(problems.into_iter().map(|problem| Diagnostic { code: codes::SYNTAX, ..problem }));
    trees
}

fn members(node: Node) -> Vec<Node> {
    let list = node.get("kind").and_then(Node::as_text).is_some_and(|kind| kind.ends_with("List"));
    match node.get("items").and_then(Node::as_sequence) {
        Some(items) if list => items.to_vec(),
        _ => vec![node],
    }
}

impl Document {
    /// `apiVersion`, or nothing.
    #[must_use]
    pub fn api_version(&self) -> &str {
        self.text("apiVersion")
    }

    /// `kind`, or nothing.
    #[must_use]
    pub fn kind(&self) -> &str {
        self.text("kind")
    }

    /// `metadata.name`, or nothing.
    #[must_use]
    pub fn name(&self) -> &str {
        self.text("metadata.name")
    }

    /// `metadata.namespace`, or nothing.
    #[must_use]
    pub fn namespace(&self) -> &str {
        self.text("metadata.namespace")
    }

    /// The text at a path, or nothing.
    #[must_use]
    pub fn text(&self, path: &str) -> &str {
        at(&self.node, path).and_then(Node::as_text).unwrap_or_default()
    }

    /// The value at a path of keys with dots between them.
    #[must_use]
    pub fn at(&self, path: &str) -> Option<&Node> {
        at(&self.node, path)
    }

    /// Where its name stands, else where it begins.
    #[must_use]
    pub fn place(&self) -> Span {
        self.at("metadata.name").unwrap_or(&self.node).span
    }

    /// `Deployment web`, for people.
    #[must_use]
    pub fn title(&self) -> String {
        let name = Some(self.name()).filter(|name| !name.is_empty());
        format!("{} `{}`", self.kind(), name.unwrap_or(self.text("metadata.generateName")))
    }
}

/// The value at a path of keys with dots between them.
#[must_use]
pub fn at<'a>(node: &'a Node, path: &str) -> Option<&'a Node> {
    path.split('.').try_fold(node, |node, key| node.get(key))
}

/// The items of the list at a path; none when there is no list.
pub(crate) fn items<'a>(node: &'a Node, path: &str) -> &'a [Node] {
    at(node, path).and_then(Node::as_sequence).unwrap_or_default()
}

/// A whole number that stands there.
pub(crate) fn integer(node: &Node) -> Option<i64> {
    match node.as_scalar()?.meaning() {
        Plain::Integer(number) => i64::try_from(number).ok(),
        _ => None,
    }
}

/// Whether `true` stands there.
pub(crate) fn is_true(node: Option<&Node>) -> bool {
    boolean(node) == Some(true)
}

/// The truth value that stands there.
pub(crate) fn boolean(node: Option<&Node>) -> Option<bool> {
    truth(node?.as_scalar()?)
}

/// The truth value that a scalar is. Kubernetes' tools read the words of YAML 1.1 too.
/// Source: YAML 1.1, "Boolean Language-Independent Type"; kubectl reads `y` and `n` alone as such as well.
fn truth(scalar: &Scalar) -> Option<bool> {
    match scalar.meaning() {
        Plain::Boolean(value) => Some(value),
        Plain::Text if scalar.is_plain() => match scalar.text() {
            "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => Some(true),
            "n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

/// The value as JSON, as the API server reads it.
#[must_use]
pub fn to_json(node: &Node) -> Json {
    match &node.value {
        Value::Null => Json::Null,
        Value::Sequence(items) => items.iter().map(to_json).collect(),
        Value::Mapping(mapping) => mapping
            .iter()
            .map(|entry| (entry.key.clone(), to_json(&entry.value)))
            .collect::<Map<_, _>>()
            .into(),
        Value::Scalar(scalar) if truth(scalar).is_some() => truth(scalar).into(),
        Value::Scalar(scalar) => match scalar.meaning() {
            Plain::Null => Json::Null,
            Plain::Boolean(value) => value.into(),
            Plain::Integer(number) => i64::try_from(number)
                .map(Json::from)
                .or_else(|_| u64::try_from(number).map(Json::from))
                .unwrap_or_else(|_| scalar.text().into()),
            Plain::Float(number) => {
                Number::from_f64(number).map_or_else(|| scalar.text().into(), Json::Number)
            }
            Plain::Timestamp | Plain::Text => scalar.text().into(),
        },
    }
}

#[cfg(test)]
mod tests {
    use kernel_core::source::Sources;
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_read_as_kubernetes_tools_read_them() {
        let text = "a: &a {mode: 0644, octal: 0o17, hex: 0x1F, yes: yes, off: Off, text: 'yes', word: yesterday}\n\
                    b: {<<: *a, mode: \"0644\", nothing: ~, float: 1.5, big: 18446744073709551615}\n";
        let mut sources = Sources::default();
        let source = sources.add("a.yaml", text);
        let mut problems = Vec::new();
        let documents = parse(source, text, &mut problems);
        assert_eq!(problems, []);
        let a = json!({"mode": 420, "octal": 15, "hex": 31, "yes": true, "off": false, "text": "yes", "word": "yesterday"});
        let mut b = a.clone();
        b["mode"] = json!("0644");
        b["float"] = json!(1.5);
        b["big"] = json!(u64::MAX);
        assert_eq!(to_json(&documents[0].node), json!({"a": a, "b": b}));
    }
}
