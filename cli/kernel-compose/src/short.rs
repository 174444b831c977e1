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

/// A list of `NAME=value` or `NAME` as a mapping. The last of several values for one name wins.
pub fn pairs(node: Node) -> Node {
    split(node, |scalar| {
        let value = scalar
            .text()
            .contains('=')
            .then(|| scalar.part(|text| text.split_once('=').map_or("", |pair| pair.1)));
        (name(scalar, "="), value)
    })
}

/// A list of keys as a mapping of keys to nothing.
pub fn keys(node: Node) -> Node {
    split(node, |scalar| (scalar.text().to_owned(), None))
}

/// A mapping of hosts to addresses as a list of `host=address`.
pub fn hosts(node: Node) -> Node {
    let Value::Mapping(mapping) = node.value else {
        return Node { value: with_equals(node.value), ..node };
    };
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

/// One text as the mapping that it stands for.
pub fn named(node: Node, kind: Short) -> Node {
    let key = match kind {
        Short::Build => "context",
        Short::EnvFile | Short::Include => "path",
        Short::Extends => "service",
        Short::Reference => "source",
        Short::Port | Short::Volume | Short::Device | Short::Ulimit => return node,
    };
    match node.value {
        Value::Scalar(_) => {
            let span = node.span;
            Node::mapping([(key, node)], span)
        }
        _ => node,
    }
}

fn split(node: Node, take: impl Fn(&Scalar) -> (String, Option<Scalar>)) -> Node {
    let Value::Sequence(items) = node.value else { return node };
    if !items.iter().all(|item| matches!(item.value, Value::Scalar(_))) {
        return Node::new(Value::Sequence(items), node.span);
    }
    let mut mapping = Mapping::default();
    for item in items {
        if let Value::Scalar(scalar) = &item.value {
            let (name, value) = take(scalar);
            mapping.set(name, item.span, Node::new(value.map_or(Value::Null, Value::Scalar), item.span));
        }
    }
    Node::new(Value::Mapping(mapping), node.span)
}

fn name(scalar: &Scalar, separator: &str) -> String {
    scalar.text().split(separator).next().unwrap_or_default().to_owned()
}

/// `host:address` and `host=address` are the same; an address may hold colons itself.
fn with_equals(value: Value) -> Value {
    let Value::Sequence(mut items) = value else { return value };
    for item in &mut items {
        let Some(text) = item.as_text().filter(|text| !text.contains('=')) else { continue };
        if let Some((host, address)) = text.split_once(':') {
            let address = address.trim_start_matches('[').trim_end_matches(']');
            *item = Node::text(format!("{host}={address}"), item.span);
        }
    }
    Value::Sequence(items)
}
