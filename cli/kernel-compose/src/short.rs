//! Short forms that can be written out without knowing what the words in them mean. What does not have the short form
//! stays as it is: whether it is right at all is judged when the tree is checked.

use crate::schema::Short;
use crate::tree::{Entry, Mapping, Node, Scalar, Value};

/// One value as a list of itself.
pub fn listed(node: Node) -> Node {
    match node.value {
        Value::Scalar(_) => {
            let span = node.span;
            Node::new(Value::Sequence(vec![node]), span)
        }
        _ => node,
    }
}

/// A list of `NAME=value` or `NAME` as a mapping that knows of it. The last of several values for one name wins.
pub fn pairs(node: Node) -> Node {
    let listed = matches!(node.value, Value::Sequence(_));
    let mut node = split(node, |scalar, span| {
        let value = scalar
            .text()
            .contains('=')
            .then(|| scalar.part(|text| text.split_once('=').map_or("", |pair| pair.1)));
        let value = value.map_or(Value::Null, Value::Scalar);
        (scalar.text().split('=').next().unwrap_or_default().to_owned(), Node::new(value, span))
    });
    if let (true, Value::Mapping(mapping)) = (listed, &mut node.value) {
        mapping.set_listed(true);
    }
    node
}

/// A mapping of names to scalars as a sorted list of `NAME=value`, or of `NAME` where there is no value.
pub fn unpaired(node: Node) -> Node {
    let Value::Mapping(mapping) = &node.value else { return node };
    if mapping.iter().any(|entry| matches!(entry.value.value, Value::Sequence(_) | Value::Mapping(_))) {
        return node;
    }
    let mut items: Vec<Node> = mapping
        .iter()
        .map(|Entry { key, key_span, value }| {
            let item = match value.as_scalar() {
                None => Scalar::quoted(key.as_str()),
                Some(scalar) => {
                    let text = format!("{key}={}", scalar.canonical_text());
                    match scalar.template() {
                        Some(template) => Scalar::with_secret(text, &format!("{key}={template}")),
                        None => Scalar::quoted(text),
                    }
                }
            };
            Node::new(Value::Scalar(item), *key_span)
        })
        .collect();
    items.sort_by(|left, right| left.as_text().cmp(&right.as_text()));
    Node::new(Value::Sequence(items), node.span)
}

/// A list of keys as a mapping of keys to nothing.
pub fn keys(node: Node) -> Node {
    split(node, |scalar, span| (scalar.text().to_owned(), Node::new(Value::Null, span)))
}

/// A list of services as a mapping to what a dependency means that says no more.
pub fn dependencies(node: Node) -> Node {
    split(node, |scalar, span| {
        let entries =
            [("condition", Node::text("service_started", span)), ("required", Node::plain("true", span))];
        (scalar.text().to_owned(), Node::mapping(entries, span))
    })
}

/// A mapping of hosts to addresses as a list of `host=address`.
pub fn hosts(node: Node) -> Node {
    let Value::Mapping(mapping) = node.value else { return node };
    let mut items = Vec::new();
    for Entry { key, value, .. } in mapping {
        let addresses = match value.value {
            Value::Sequence(addresses) => addresses,
            _ => vec![value],
        };
        for address in addresses {
            let text = match address.as_text() {
                Some(text) => format!("{key}={text}"),
                None => key.clone(),
            };
            items.push(Node::text(text, address.span));
        }
    }
    Node::new(Value::Sequence(items), node.span)
}

/// Takes `host=address` or `host:address` apart.
pub fn host(text: &str) -> Option<(&str, &str)> {
    text.split_once('=').or_else(|| text.split_once(':'))
}

/// Hosts and addresses as a sorted list of `host=address`. Several addresses of an item stand apart, brackets go.
pub fn sorted_hosts(node: Node) -> Node {
    let span = node.span;
    let from_list = matches!(node.value, Value::Sequence(_));
    let mut items: Vec<Node> = Vec::new();
    for item in hosts(node).as_sequence().unwrap_or_default() {
        let Some((host, addresses)) = item.as_text().and_then(host) else { continue };
        let addresses: Vec<&str> = if from_list { addresses.split(',').collect() } else { vec![addresses] };
        for address in addresses {
            let bare = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
            let address = bare.filter(|bare| !bare.is_empty()).unwrap_or(address);
            items.push(Node::text(format!("{host}={address}"), item.span));
        }
    }
    items.sort_by(|left, right| left.as_text().cmp(&right.as_text()));
    Node::new(Value::Sequence(items), span)
}

/// One text as the mapping that it stands for.
pub fn named(node: Node, kind: Short) -> Node {
    let key = match kind {
        Short::Build => "context",
        Short::Include => "path",
        Short::Ulimit => return node,
    };
    match node.value {
        Value::Scalar(_) => {
            let span = node.span;
            Node::mapping([(key, node)], span)
        }
        _ => node,
    }
}

fn split(node: Node, take: impl Fn(&Scalar, kernel_core::source::Span) -> (String, Node)) -> Node {
    let Value::Sequence(items) = node.value else { return node };
    if !items.iter().all(|item| matches!(item.value, Value::Scalar(_))) {
        return Node::new(Value::Sequence(items), node.span);
    }
    let mut mapping = Mapping::with_capacity(items.len());
    for item in items {
        if let Value::Scalar(scalar) = &item.value {
            let (name, value) = take(scalar, item.span);
            mapping.set(name, item.span, value);
        }
    }
    Node::new(Value::Mapping(mapping), node.span)
}
