//! Which labels a selector takes.

use std::collections::BTreeMap;

use kernel_compose::tree::Node;

use crate::document::items;

/// A mapping of texts.
pub(super) fn labels(node: &Node) -> BTreeMap<&str, &str> {
    let entries = node.as_mapping().into_iter().flatten();
    entries.filter_map(|entry| Some((entry.key.as_str(), entry.value.as_text()?))).collect()
}

/// Whether a label selector takes these labels. An empty one takes all.
/// Source: Kubernetes API reference, “LabelSelector”.
pub(super) fn matches(selector: &Node, has: &BTreeMap<&str, &str>) -> bool {
    let wanted = selector.get("matchLabels").map(labels).unwrap_or_default();
    let expressions = items(selector, "matchExpressions").iter().all(|expression| {
        let text = |key: &str| expression.get(key).and_then(Node::as_text).unwrap_or_default();
        let value = has.get(text("key"));
        let listed = items(expression, "values").iter().any(|listed| listed.as_text() == value.copied());
        match text("operator") {
            "In" => value.is_some() && listed,
            "NotIn" => value.is_none() || !listed,
            "Exists" => value.is_some(),
            "DoesNotExist" => value.is_none(),
            _ => false,
        }
    });
    expressions && wanted.iter().all(|(key, value)| has.get(key) == Some(value))
}
