//! `ports`: the short form written out, ranges expanded into single ports.

use std::net::IpAddr;

use super::{Normaliser, value};
use crate::schema::Attribute;
use crate::tree::{Node, Value};

const HELP: &str = "write `[[HOST_ADDRESS:]HOST:]CONTAINER[/tcp|udp|sctp]` with ports from 1 to 65535";

/// A first and a last port, both included.
type Ports = (u16, u16);

impl Normaliser<'_> {
    pub(super) fn ports(&mut self, node: Node, table: &'static [Attribute]) -> Option<Node> {
        let span = node.span;
        let Value::Sequence(items) = node.value else { return self.wrong_shape(&node, "a list") };
        let mut ports = Vec::with_capacity(items.len());
        for (index, item) in items.into_iter().enumerate() {
            self.place.index(index);
            if matches!(item.value, Value::Scalar(_)) {
                match short_form(&item) {
                    Ok(more) => ports.extend(more),
                    Err(reason) => {
                        let message = format!(
                            "`{}` is not a port mapping: {reason}",
                            item.as_text().unwrap_or_default()
                        );
                        self.bad_value(item.span, &message, &reason, HELP);
                    }
                }
            } else {
                let port = self.object(item, table);
                ports.extend(port.and_then(|port| self.long_form(port)));
            }
            self.place.up();
        }
        Some(value::unique_by(Node::new(Value::Sequence(ports), span), key))
    }

    fn long_form(&mut self, mut port: Node) -> Option<Node> {
        let span = port.span;
        let read = |name: &str| {
            port.get(name).map(|node| (node.as_text().unwrap_or_default().to_owned(), node.span))
        };
        let Some((target, at)) = read("target") else {
            return self.bad_value(
                span,
                "the port in the container is missing",
                "no `target`",
                "add `target: PORT`",
            );
        };
        if let Err(reason) = number(&target) {
            return self.bad_value(at, &reason, &reason, "write a port from 1 to 65535");
        }
        if let Some((published, at)) = read("published").filter(|(text, _)| !text.is_empty())
            && let Err(reason) = range(&published)
        {
            return self.bad_value(
                at,
                &reason,
                &reason,
                "write a port from 1 to 65535, or a range `FIRST-LAST`",
            );
        }
        if let Some((address, at)) = read("host_ip").filter(|(text, _)| !text.is_empty())
            && address.parse::<IpAddr>().is_err()
        {
            let message = format!("`{address}` is not an IP address");
            return self.bad_value(at, &message, "not an IP address", "write an address such as `127.0.0.1`");
        }
        if let Some((protocol, at)) = read("protocol")
            && !["tcp", "udp", "sctp"].contains(&protocol.as_str())
        {
            let message = format!("`{protocol}` is not a protocol");
            return self.bad_value(at, &message, "unknown", "write `tcp`, `udp` or `sctp`");
        }
        if let Value::Mapping(mapping) = &mut port.value {
            for (key, default) in [("protocol", "tcp"), ("mode", "ingress")] {
                if mapping.get(key).is_none() {
                    mapping.set(key, span, Node::text(default, span));
                }
            }
        }
        Some(port)
    }
}

fn key(port: &Node) -> Option<String> {
    let text = |key: &str| port.get(key).and_then(Node::as_text).unwrap_or_default();
    Some([text("host_ip"), text("published"), text("target"), text("protocol")].join("|"))
}

fn short_form(node: &Node) -> Result<Vec<Node>, String> {
    let text = node.as_text().unwrap_or_default();
    let (ports, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let protocol = protocol.to_ascii_lowercase();
    if !["tcp", "udp", "sctp"].contains(&protocol.as_str()) {
        return Err(format!("`{protocol}` is not a protocol"));
    }
    let (before, target) = ports.rsplit_once(':').unwrap_or(("", ports));
    let (address, published) = match before.rsplit_once(':') {
        Some((address, published)) => (address.trim_start_matches('[').trim_end_matches(']'), published),
        None => ("", before),
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
        entries.push(("target", Node::plain((targets.0 + index).to_string(), node.span)));
        entries.extend(published.map(|published| ("published", Node::text(published, node.span))));
        entries.push(("protocol", Node::text(protocol.clone(), node.span)));
        all.push(Node::mapping(entries, node.span));
    }
    Ok(all)
}

/// Reads `80` or `80-90`.
pub fn range(text: &str) -> Result<Ports, String> {
    match text.split_once('-') {
        None => number(text).map(|port| (port, port)),
        Some((first, last)) => {
            let (first, last) = (number(first)?, number(last)?);
            if last < first { Err(format!("{last} is before {first}")) } else { Ok((first, last)) }
        }
    }
}

fn number(text: &str) -> Result<u16, String> {
    if text.is_empty() {
        return Err("the port is missing".to_owned());
    }
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(format!("`{text}` is not a port"));
    }
    match text.parse::<u16>() {
        Ok(0) => Err("0 is not a port".to_owned()),
        Ok(port) => Ok(port),
        Err(_) => Err(format!("{text} is larger than 65535")),
    }
}
