//! One scalar: whether it may stand there, and what is read from it.

use kernel_core::diagnostic::Diagnostic;

use super::{Normaliser, path, units};
use crate::codes;
use crate::schema::{Accepts, Reads};
use crate::suggest;
use crate::tree::{Node, Plain, Scalar, Value};

impl Normaliser<'_> {
    pub(super) fn scalar(&mut self, node: Node, accepts: Accepts, reads: Reads) -> Option<Node> {
        let Value::Scalar(scalar) = &node.value else { return self.wrong_shape(&node, accepts.describe()) };
        if !accepts.allows(scalar) {
            return self.wrong_shape(&node, accepts.describe());
        }
        match reads {
            Reads::Text if self.complete() || accepts == Accepts::BOOLEAN_OR_TEXT => Some(as_text(node)),
            Reads::Text => Some(node),
            Reads::Word(words) => self.word(node, words),
            Reads::Containing(words) => self.containing(node, words),
            Reads::ContainerName => self.container_name(node),
            Reads::Boolean => self.boolean(node),
            Reads::Integer => self.integer(node, i64::MIN, i64::MAX, true),
            Reads::Within(least, most) => self.integer(node, least, most, true),
            Reads::Unsigned => self.integer(node, 0, i64::MAX, true),
            Reads::UpTo(most, text) => self.integer(node, 0, i64::try_from(most).unwrap_or(i64::MAX), text),
            Reads::Percent => self.percent(node),
            Reads::Path | Reads::HostPath | Reads::Context => Some(self.path(node, reads)),
            Reads::Single if self.complete() => self.single(node),
            Reads::Bytes if self.complete() => self.bytes(node),
            Reads::Duration if self.complete() => self.duration(node),
            Reads::Mode if self.complete() => self.mode(node),
            Reads::Count if self.complete() => self.count(node),
            Reads::Single | Reads::Bytes | Reads::Duration | Reads::Mode | Reads::Count => Some(node),
        }
    }

    fn path(&self, node: Node, reads: Reads) -> Node {
        if !self.paths() {
            return node;
        }
        let Some(text) = node.as_text() else { return node };
        let resolved = match reads {
            Reads::Context if path::is_remote(text) => return node,
            Reads::Context | Reads::Path => path::resolve(text, self.base),
            _ => path::resolve_on_host(text, self.base),
        };
        if resolved == text { as_text(node) } else { Node::text(resolved, node.span) }
    }

    fn word(&mut self, node: Node, words: &[&'static str]) -> Option<Node> {
        let text = node.as_text().unwrap_or_default();
        if words.contains(&text) {
            return Some(node);
        }
        let help = match suggest::nearest(text, words.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("write {}", listed(words)),
        };
        let message = format!("`{}` is none of {}", shown_node(&node), listed(words));
        self.bad_value(node.span, &message, "none of them", &help)
    }

    fn containing(&mut self, node: Node, words: &[&'static str]) -> Option<Node> {
        let text = node.as_text().unwrap_or_default();
        let every = |rest: &str| {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            digits > 0 && rest[digits..].starts_with(['w', 'd', 'h', 'm', 's'])
        };
        let found = words.iter().any(|word| match *word {
            "every_" => text.match_indices("every_").any(|(at, word)| every(&text[at + word.len()..])),
            word => text.contains(word),
        });
        if found {
            return Some(node);
        }
        let message = format!("`{}` is none of {}", shown_node(&node), listed(words));
        let help = suggest::nearest(text, words.iter().copied())
            .map_or_else(|| format!("write {}", listed(words)), |near| format!("did you mean `{near}`?"));
        self.bad_value(node.span, &message, "none of them", &help)
    }

    fn container_name(&mut self, node: Node) -> Option<Node> {
        let text = node.as_text().unwrap_or_default().as_bytes();
        let fits = text.windows(2).any(|pair| {
            pair[0].is_ascii_alphanumeric() && (pair[1].is_ascii_alphanumeric() || b"_.-".contains(&pair[1]))
        });
        if fits {
            return Some(node);
        }
        let message = format!("`{}` can't be the name of a container", shown_node(&node));
        let help = "a name has two characters or more: letters, digits, `_`, `.` and `-`";
        self.bad_value(node.span, &message, "not a name", help)
    }

    pub(super) fn boolean(&mut self, node: Node) -> Option<Node> {
        let Value::Scalar(scalar) = &node.value else { return self.wrong_shape(&node, "`true` or `false`") };
        let word = scalar.text().to_ascii_lowercase();
        let value = match word.as_str() {
            "true" | "yes" | "on" | "y" => true,
            "false" | "no" | "off" | "n" => false,
            _ => return self.wrong_shape(&node, "`true` or `false`"),
        };
        if word != value.to_string() {
            let message = format!("{}: `{}` is an old way to write `{value}`", self.place, scalar.text());
            self.diagnostics.push(
                Diagnostic::warning(codes::OBSOLETE, message)
                    .at(node.span, "old")
                    .help(format!("write `{value}`")),
            );
        }
        Some(if self.templates { node } else { Node::plain(value.to_string(), node.span) })
    }

    /// A whole number within limits. A fraction is cut off.
    fn integer(&mut self, node: Node, least: i64, most: i64, text: bool) -> Option<Node> {
        let Value::Scalar(scalar) = &node.value else { return self.wrong_shape(&node, "a whole number") };
        let number = match scalar.meaning() {
            Plain::Integer(number) => i64::try_from(number).ok(),
            Plain::Float(number) if number.abs() < 9e18 => Some(number.trunc() as i64),
            Plain::Text if text => decimal(scalar.text()),
            _ => None,
        };
        let Some(number) = number else { return self.wrong_shape(&node, "a whole number") };
        if number < least || number > most {
            let message = format!("{number} is not allowed here");
            let help = match (least, most) {
                (_, i64::MAX) => format!("write {least} or more"),
                _ => format!("write a number from {least} to {most}"),
            };
            return self.bad_value(node.span, &message, "out of range", &help);
        }
        Some(if self.templates { node } else { Node::plain(number.to_string(), node.span) })
    }

    fn percent(&mut self, node: Node) -> Option<Node> {
        let Value::Scalar(scalar) = &node.value else { return self.wrong_shape(&node, "a whole number") };
        let number = match scalar.meaning() {
            Plain::Integer(number) => Some(number as f64),
            Plain::Float(number) => Some(number),
            Plain::Text => scalar.text().parse::<f64>().ok(),
            _ => None,
        };
        match number {
            Some(number) if number.fract() == 0.0 && (0.0..=100.0).contains(&number) => {
                Some(if self.templates { node } else { Node::plain(number.to_string(), node.span) })
            }
            _ => self.bad_value(
                node.span,
                "this is not a percentage",
                "not a percentage",
                "write a whole number from 0 to 100",
            ),
        }
    }

    fn single(&mut self, node: Node) -> Option<Node> {
        let Value::Scalar(scalar) = &node.value else { return self.wrong_shape(&node, "a number") };
        let number = match scalar.meaning() {
            Plain::Integer(number) => Some(number as f32),
            Plain::Float(number) => Some(number as f32),
            Plain::Text => scalar.text().parse::<f32>().ok(),
            _ => None,
        };
        match number.filter(|number| number.is_finite()) {
            Some(number) => Some(Node::plain(number.to_string(), node.span)),
            None => self.wrong_shape(&node, "a number"),
        }
    }

    fn bytes(&mut self, node: Node) -> Option<Node> {
        let Value::Scalar(scalar) = &node.value else { return self.wrong_shape(&node, "a size") };
        let bytes = match scalar.meaning() {
            Plain::Integer(number) => Some(number),
            Plain::Float(_) => {
                let message =
                    format!("{}: a number with a fraction and without a unit says nothing", self.place);
                self.diagnostics.push(
                    Diagnostic::warning(codes::OBSOLETE, message)
                        .at(node.span, "ignored")
                        .help("write a unit: `512k`, `64m`, `1.5g`"),
                );
                Some(0)
            }
            _ => units::bytes(scalar.text()).map(i128::from),
        };
        match bytes {
            Some(bytes) => Some(Node::text(bytes.to_string(), node.span)),
            None => {
                let message = format!("`{}` is not a size", shown(scalar));
                let help = "write a number with a unit: `512k`, `64m`, `2g`";
                self.bad_value(node.span, &message, "not a size", help)
            }
        }
    }

    fn duration(&mut self, node: Node) -> Option<Node> {
        let Value::Scalar(scalar) = &node.value else { return self.wrong_shape(&node, "a time") };
        match units::nanoseconds(scalar.text()) {
            Some(nanoseconds) => Some(Node::text(units::duration_text(nanoseconds), node.span)),
            None => {
                let message = format!("`{}` is not a time", shown(scalar));
                let help = "write numbers with units: `250ms`, `10s`, `1m30s`";
                self.bad_value(node.span, &message, "not a time", help)
            }
        }
    }

    /// The mode of a file, given back as octal text.
    fn mode(&mut self, node: Node) -> Option<Node> {
        let mode = node.as_scalar().and_then(|scalar| match scalar.meaning() {
            Plain::Integer(number) => i64::try_from(number).ok(),
            // The canonical form starts with a zero, which is read the same way.
            Plain::Text => i64::from_str_radix(scalar.text(), 8).ok(),
            _ => None,
        });
        match mode.filter(|mode| *mode >= 0) {
            Some(mode) => Some(Node::text(format!("0{mode:o}"), node.span)),
            None => self.bad_value(
                node.span,
                "this is not the mode of a file",
                "not a mode",
                "write an octal number: `0440`",
            ),
        }
    }

    fn count(&mut self, node: Node) -> Option<Node> {
        let text = node.as_text().unwrap_or_default();
        if text.eq_ignore_ascii_case("all") {
            return Some(Node::plain("-1", node.span));
        }
        self.integer(node, i64::MIN, i64::MAX, true)
    }
}

/// A number in base ten, with or without a sign.
fn decimal(text: &str) -> Option<i64> {
    text.parse().ok()
}

/// The value as a text; a number by its value.
pub fn as_text(mut node: Node) -> Node {
    if let Value::Scalar(scalar) = &mut node.value
        && scalar.is_plain()
    {
        *scalar = Scalar::quoted(scalar.canonical_text());
    }
    node
}

/// A value as it may be shown in a message.
pub fn shown(scalar: &Scalar) -> &str {
    scalar.template().unwrap_or(scalar.text())
}

fn shown_node(node: &Node) -> &str {
    node.as_scalar().map_or("", shown)
}

fn listed(words: &[&str]) -> String {
    words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}
