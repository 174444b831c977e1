//! `volumes` of a service: the short form written out, one mount per target.

use super::{Normaliser, path, value};
use crate::schema::Attribute;
use crate::tree::{Mapping, Node, Value};

const HELP: &str = "write `[SOURCE:]TARGET[:ro]` with an absolute TARGET";

impl Normaliser<'_> {
    pub(super) fn mounts(&mut self, node: Node, table: &'static [Attribute]) -> Option<Node> {
        let span = node.span;
        let Value::Sequence(items) = node.value else { return self.wrong_shape(&node, "a list") };
        let mut mounts = Vec::with_capacity(items.len());
        for (index, item) in items.into_iter().enumerate() {
            self.place.index(index);
            let mount = if matches!(item.value, Value::Scalar(_)) {
                self.short_mount(&item)
            } else {
                self.object(item, table)
            };
            mounts.extend(mount.and_then(|mount| self.long_mount(mount)));
            self.place.up();
        }
        let target = |mount: &Node| mount.get("target").and_then(Node::as_text).map(str::to_owned);
        Some(value::unique_by(Node::new(Value::Sequence(mounts), span), target))
    }

    fn short_mount(&mut self, node: &Node) -> Option<Node> {
        let text = node.as_text().unwrap_or_default();
        let parts: Vec<&str> = text.split(':').collect();
        let (source, target, options) = match parts[..] {
            [target] => (None, target, ""),
            [source, target] => (Some(source), target, ""),
            [source, target, options] => (Some(source), target, options),
            _ => {
                let message = format!("`{text}` is not a mount: it has too many colons");
                return self.bad_value(node.span, &message, "too many colons", HELP);
            }
        };
        if target.is_empty() || source == Some("") {
            let message = format!("`{text}` is not a mount: a part of it is empty");
            return self.bad_value(node.span, &message, "a part is empty", HELP);
        }
        let bind = source.is_some_and(|source| source.starts_with(['.', '/', '~']));
        let mut entries = vec![("type", Node::text(if bind { "bind" } else { "volume" }, node.span))];
        entries.extend(source.map(|source| ("source", Node::text(source, node.span))));
        entries.push(("target", Node::text(target, node.span)));
        let mut more = Mapping::default();
        for option in options.split(',').filter(|option| !option.is_empty()) {
            match option {
                "ro" => entries.push(("read_only", Node::plain("true", node.span))),
                "rw" => {}
                "z" | "Z" if bind => more.set("selinux", node.span, Node::text(option, node.span)),
                "nocopy" if !bind => more.set("nocopy", node.span, Node::plain("true", node.span)),
                "cached" | "consistent" | "delegated" => {
                    entries.push(("consistency", Node::text(option, node.span)));
                }
                "shared" | "rshared" | "slave" | "rslave" | "private" | "rprivate" if bind => {
                    more.set("propagation", node.span, Node::text(option, node.span));
                }
                _ => {
                    let message = format!("`{option}` is not an option of a mount");
                    return self.bad_value(node.span, &message, "unknown option", "write `ro` or `rw`");
                }
            }
        }
        if bind && more.get("create_host_path").is_none() {
            more.set("create_host_path", node.span, Node::plain("true", node.span));
        }
        entries.push((if bind { "bind" } else { "volume" }, Node::new(Value::Mapping(more), node.span)));
        Some(Node::mapping(entries, node.span))
    }

    fn long_mount(&mut self, mut mount: Node) -> Option<Node> {
        let span = mount.span;
        let read = |mount: &Node, name: &str| mount.get(name).and_then(Node::as_text).map(str::to_owned);
        let Some(kind) = read(&mount, "type") else {
            let help = "add `type: bind`, `volume` or `tmpfs`";
            return self.bad_value(span, "the type of the mount is missing", "no `type`", help);
        };
        if !["bind", "volume", "tmpfs", "image", "npipe", "cluster"].contains(&kind.as_str()) {
            let message = format!("`{kind}` is not a type of mount");
            return self.bad_value(span, &message, "unknown type", "write `bind`, `volume` or `tmpfs`");
        }
        let Some(target) = read(&mount, "target").filter(|target| target.starts_with('/')) else {
            let message = "the target of the mount is not an absolute path";
            return self.bad_value(span, message, "where in the container?", HELP);
        };
        let source = read(&mount, "source");
        if kind == "bind" && source.is_none() {
            return self.bad_value(
                span,
                "the source of the bind mount is missing",
                "no `source`",
                "add `source: PATH`",
            );
        }
        if let Value::Mapping(mapping) = &mut mount.value {
            mapping.set("target", span, Node::text(path::clean(&target), span));
            if let Some(source) = source.filter(|_| kind == "bind") {
                mapping.set("source", span, Node::text(self.resolve(&source), span));
            }
        }
        Some(mount)
    }
}
