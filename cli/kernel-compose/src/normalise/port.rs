//! `ports`: the short form written out, ranges expanded into single ports.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};

use super::Normaliser;
use super::list::unique_by;
use crate::schema::{Accepts, Attribute};
use crate::tree::{Node, Plain, Value};

const HELP: &str = "write `[[HOST_ADDRESS:]HOST:]CONTAINER[/tcp|udp|sctp]` with ports from 0 to 65535";

/// A first and a last port, both included.
type Ports = (u16, u16);

impl Normaliser<'_> {
    pub(super) fn ports(&mut self, node: Node, table: &'static [Attribute]) -> Option<Node> {
        let span = node.span;
        // Once by what is written, and once more when it is written out.
        let written = |port: &Node| port.as_text().map(str::to_owned).or_else(|| key(port));
        let node = if self.complete() { node } else { unique_by(node, written) };
        if !self.complete() {
            self.numbers_like_texts(&node);
        }
        let Value::Sequence(items) = node.value else { return self.wrong_shape(&node, "a list") };
        let mut ports = Vec::with_capacity(items.len());
        for (index, item) in items.into_iter().enumerate() {
            self.place.index(index);
            match &item.value {
                Value::Scalar(scalar) if Accepts::INTEGER_OR_TEXT.allows(scalar) => match short_form(&item) {
                    Ok(more) => ports.extend(more),
                    Err(reason) => {
                        let message = format!(
                            "`{}` is not a port mapping: {reason}",
                            scalar.template().unwrap_or(scalar.text())
                        );
                        self.bad_value(item.span, &message, &reason, HELP);
                        ports.extend(self.lenient.then_some(item));
                    }
                },
                Value::Mapping(_) => {
                    let port = self.object(item, table);
                    ports.extend(port.and_then(|port| self.long_form(port)));
                }
                _ => {
                    self.wrong_shape(&item, "a number, a text or a mapping");
                }
            }
            self.place.up();
        }
        let ports = Node::new(Value::Sequence(ports), span);
        // In a complete tree every published port is a text, so it no longer tells what was a number.
        Some(if self.complete() { ports } else { unique_by(ports, key) })
    }

    /// A published port that is written as a number is refused where the same port stands before it with a text.
    fn numbers_like_texts(&mut self, ports: &Node) {
        let mut texts = HashMap::new();
        for port in ports.as_sequence().unwrap_or_default() {
            let Some(published) = port.get("published").and_then(Node::as_scalar) else { continue };
            let mut entries: Vec<_> = port
                .as_mapping()
                .into_iter()
                .flatten()
                .map(|entry| (entry.key.as_str(), entry.value.as_text().unwrap_or_default()))
                .collect();
            entries.sort_unstable();
            if matches!(published.meaning(), Plain::Integer(_)) {
                if let Some(first) = texts.get(&entries).copied() {
                    self.repeated(published.text(), port.span, first);
                }
            } else {
                texts.insert(entries, port.span);
            }
        }
    }

    fn long_form(&mut self, mut port: Node) -> Option<Node> {
        let span = port.span;
        if port.get("target").is_none() {
            let help = "add `target: PORT`";
            return self.bad_value(span, "the port in the container is missing", "no `target`", help);
        }
        if !self.complete() && !self.templates {
            return Some(port);
        }
        if let Some(node) = port.get("host_ip")
            && let Some(address) = node.as_text()
            && address.parse::<IpAddr>().is_err()
        {
            let (message, at) = (format!("`{address}` is not an IP address"), node.span);
            return self.bad_value(at, &message, "not an IP address", "write an address such as `127.0.0.1`");
        }
        if let Value::Mapping(mapping) = &mut port.value {
            for (key, default) in [("protocol", "tcp"), ("mode", "ingress")] {
                if mapping.get(key).is_none() {
                    mapping.push(key.to_owned(), span, Node::text(default, span));
                }
            }
        }
        Some(port)
    }
}

/// Two ports with one key are one. A published port that is written as a number differs from one that is a text.
fn key(port: &Node) -> Option<String> {
    let text = |key: &str, default: &'static str| {
        port.get(key).and_then(Node::as_text).unwrap_or(default).to_owned()
    };
    let published = match port.get("published").and_then(Node::as_scalar) {
        Some(scalar) if matches!(scalar.meaning(), Plain::Integer(_)) => {
            format!("int={}", scalar.canonical_text())
        }
        Some(scalar) => scalar.text().to_owned(),
        None => "-".to_owned(),
    };
    port.get("target")?;
    Some([text("host_ip", "0.0.0.0"), published, text("target", ""), text("protocol", "tcp")].join("|"))
}

/// The long forms of one short form; several where it says a range.
pub(crate) fn short_form(node: &Node) -> Result<Vec<Node>, String> {
    let canonical = node.as_scalar().map(|scalar| match scalar.meaning() {
        Plain::Text => scalar.text().to_owned(),
        _ => scalar.canonical_text(),
    });
    let text = canonical.unwrap_or_default();
    let (before, container) = text.rsplit_once(':').unwrap_or(("", &text));
    let (target, protocol) = match container.split_once('/') {
        Some((target, "")) => (target, "tcp"),
        Some(pair) => pair,
        None => (container, "tcp"),
    };
    if target.is_empty() {
        return Err("the port in the container is missing".to_owned());
    }
    let protocol = protocol.to_lowercase();
    if !["tcp", "udp", "sctp"].contains(&protocol.as_str()) {
        return Err(format!("`{protocol}` is not a protocol"));
    }
    let (address, published) = match before.rsplit_once(':') {
        Some((address, published)) => (address, published),
        None => ("", before),
    };
    let address = match address.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']').ok_or_else(|| format!("`{address}` is not an IP address"))?,
        None if address.parse::<Ipv6Addr>().is_ok() => {
            return Err(format!("an IPv6 address stands in brackets: `[{address}]`"));
        }
        None => address,
    };
    if !address.is_empty() && address.parse::<IpAddr>().is_err() {
        return Err(format!("`{address}` is not an IP address"));
    }
    let targets = range(target)?;
    let published = if published.is_empty() { None } else { Some(range(published)?) };
    let count = targets.1 - targets.0;
    let mut all = Vec::new();
    for index in 0..=count {
        let published = match published {
            None => None,
            Some((first, last)) if last - first == count => Some((first + index).to_string()),
            Some((first, last)) if count == 0 => Some(format!("{first}-{last}")),
            Some(_) => return Err("the two ranges differ in length".to_owned()),
        };
        let mut entries = vec![("mode", Node::text("ingress", node.span))];
        if !address.is_empty() {
            entries.push(("host_ip", Node::text(address, node.span)));
        }
        let target = (targets.0 + index).to_string();
        entries.push(("target", Node::plain(target.clone(), node.span)));
        entries.extend(published.map(|published| ("published", Node::text(published, node.span))));
        entries.push(("protocol", Node::text(protocol.clone(), node.span)));
        all.push((target, Node::mapping(entries, node.span)));
    }
    // The reference puts them into the order of their texts.
    all.sort_by(|(left, _), (right, _)| left.cmp(right));
    Ok(all.into_iter().map(|(_, port)| port).collect())
}

/// Reads `80` or `80-90`.
pub fn range(text: &str) -> Result<Ports, String> {
    let mut parts = text.split('-');
    let first = number(parts.next().unwrap_or_default())?;
    let last = parts.next().map_or(Ok(first), number)?;
    if last < first { Err(format!("{last} is before {first}")) } else { Ok((first, last)) }
}

fn number(text: &str) -> Result<u16, String> {
    if text.is_empty() {
        return Err("the port is missing".to_owned());
    }
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(format!("`{text}` is not a port"));
    }
    text.parse::<u16>().map_err(|_| format!("{text} is larger than 65535"))
}
