//! `volumes` of a service: the short form written out, one mount per target.

use super::list::{text, unique_by};
use super::{Normaliser, path};
use crate::schema::{Accepts, Attribute};
use crate::tree::{Mapping, Node, Value};

const HELP: &str = "write `[SOURCE:]TARGET[:ro]`";

impl Normaliser<'_> {
    pub(super) fn mounts(&mut self, node: Node, table: &'static [Attribute]) -> Option<Node> {
        let span = node.span;
        // Once by the targets as they are written, and once more when they are written out.
        let node = unique_by(node, written_target);
        let Value::Sequence(items) = node.value else { return self.wrong_shape(&node, "a list") };
        let mut mounts = Vec::with_capacity(items.len());
        for (index, item) in items.into_iter().enumerate() {
            self.place.index(index);
            let before = self.lenient.then(|| item.clone());
            let mount = match &item.value {
                Value::Scalar(scalar) if Accepts::TEXT.allows(scalar) => self.short_mount(&item),
                Value::Mapping(_) => self.object(item, table),
                _ => self.wrong_shape(&item, "a text or a mapping"),
            };
            mounts.extend(mount.and_then(|mount| self.long_mount(mount)).or(before));
            self.place.up();
        }
        Some(unique_by(Node::new(Value::Sequence(mounts), span), |mount| text(mount, "target")))
    }

    fn short_mount(&mut self, node: &Node) -> Option<Node> {
        let written = node.as_text().unwrap_or_default();
        let parts = sections(written);
        if written.is_empty() || (written.len() > 2 && parts.iter().any(String::is_empty)) {
            let message = format!("`{written}` is not a mount: a part of it is empty");
            return self.bad_value(node.span, &message, "a part is empty", HELP);
        }
        let (source, target, options) = match parts.as_slice() {
            // Too short for anything but a target.
            _ if written.len() <= 2 => (None, written, ""),
            [target] => (None, target.as_str(), ""),
            [source, target] => (Some(source.as_str()), target.as_str(), ""),
            [source, target, options] => (Some(source.as_str()), target.as_str(), options.as_str()),
            _ => {
                let message = format!("`{written}` is not a mount: it has too many colons");
                return self.bad_value(node.span, &message, "too many colons", HELP);
            }
        };
        let bind = source.is_some_and(is_path);
        let (mut on_bind, mut on_volume) = (Mapping::default(), Mapping::default());
        let mut read_only = false;
        let mut has_bind = bind;
        let mut has_volume = !bind && written.len() > 2;
        for option in options.split(',') {
            match option {
                "ro" => read_only = true,
                "rw" => read_only = false,
                "nocopy" => {
                    has_volume = true;
                    on_volume.set("nocopy", node.span, Node::plain("true", node.span));
                }
                "z" | "Z" => {
                    has_bind = true;
                    on_bind.set("selinux", node.span, Node::text(option, node.span));
                }
                "shared" | "rshared" | "slave" | "rslave" | "private" | "rprivate" => {
                    has_bind = true;
                    on_bind.set("propagation", node.span, Node::text(option, node.span));
                }
                // The reference takes any word here and makes nothing of it.
                _ => {}
            }
        }
        if bind {
            on_bind.set("create_host_path", node.span, Node::plain("true", node.span));
        }
        let mut entries = vec![("type", Node::text(if bind { "bind" } else { "volume" }, node.span))];
        entries.extend(source.map(|source| ("source", Node::text(source, node.span))));
        entries.push(("target", Node::text(path::clean(target), node.span)));
        if read_only {
            entries.push(("read_only", Node::plain("true", node.span)));
        }
        if has_bind {
            entries.push(("bind", Node::new(Value::Mapping(on_bind), node.span)));
        }
        if has_volume {
            entries.push(("volume", Node::new(Value::Mapping(on_volume), node.span)));
        }
        Some(Node::mapping(entries, node.span))
    }

    fn long_mount(&mut self, mut mount: Node) -> Option<Node> {
        let span = mount.span;
        let bind = mount.get("type").and_then(Node::as_text) == Some("bind");
        let Some(target) = text(&mount, "target") else {
            let help = "add `target: PATH`";
            return self.bad_value(span, "the target of the mount is missing", "no `target`", help);
        };
        let source = text(&mount, "source").filter(|_| self.paths());
        if bind && source.is_none() && self.paths() {
            let help = "add `source: PATH`";
            return self.bad_value(span, "the source of the bind mount is missing", "no `source`", help);
        }
        let complete = self.complete() || self.templates;
        if let Value::Mapping(mapping) = &mut mount.value {
            if complete {
                replace(mapping, "target", path::clean(&target));
            }
            if let Some(source) = source.filter(|_| bind) {
                replace(mapping, "source", path::resolve_on_host(&source, self.base));
            }
        }
        Some(mount)
    }
}

/// Changes a text; one that stays the same keeps its template.
fn replace(mapping: &mut Mapping, key: &str, text: String) {
    if let Some(node) = mapping.get_mut(key).filter(|node| node.as_text() != Some(&text)) {
        *node = Node::text(text, node.span);
    }
}

fn written_target(mount: &Node) -> Option<String> {
    let Some(written) = mount.as_text() else { return text(mount, "target") };
    let mut sections = sections(written);
    match sections.len() {
        1 => sections.pop(),
        _ => Some(sections.swap_remove(1)),
    }
}

/// The parts between colons. The colon of a drive letter and those inside `${…}` are part of their text.
fn sections(written: &str) -> Vec<String> {
    let mut sections = vec![String::new()];
    let mut open = 0;
    let mut characters = written.chars().peekable();
    while let Some(character) = characters.next() {
        let Some(section) = sections.last_mut() else { break };
        match character {
            '$' if characters.peek() == Some(&'{') => {
                open += 1;
                section.push(character);
            }
            '}' if open > 0 => {
                open -= 1;
                section.push(character);
            }
            ':' if is_drive(section) => section.push(character),
            ':' if open == 0 => sections.push(String::new()),
            other => section.push(other),
        }
    }
    sections
}

fn is_drive(section: &str) -> bool {
    let mut characters = section.chars();
    characters.next().is_some_and(char::is_alphabetic) && characters.next().is_none()
}

/// Whether a source is a path and not the name of a volume.
fn is_path(source: &str) -> bool {
    let mut characters = source.chars();
    source.starts_with(['.', '/', '~'])
        || source.starts_with("\\\\")
        || (characters.next().is_some_and(char::is_alphabetic) && characters.next() == Some(':'))
}
