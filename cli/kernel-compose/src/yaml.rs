//! Writes a value as YAML that every reader understands alike.
//!
//! A text is written without quotes only where no reader, of YAML 1.1 or 1.2, takes it for anything else: `no`, `on`,
//! `1e3`, `12:30` and `2026-01-01` get quotes. The writers at hand know the words of 1.2 only, and Compose files are read
//! by both kinds.

use serde_json::{Map, Value};

/// The value as one document.
#[must_use]
pub fn write(value: &Value) -> String {
    let mut text = String::new();
    match value {
        Value::Object(entries) if !entries.is_empty() => mapping(entries, 0, &mut text),
        Value::Array(items) if !items.is_empty() => sequence(items, 0, &mut text),
        other => {
            scalar(other, 0, &mut text);
            text.push('\n');
        }
    }
    text
}

fn mapping(entries: &Map<String, Value>, depth: usize, text: &mut String) {
    for (index, (key, value)) in entries.iter().enumerate() {
        // The first entry of an item stands behind its dash.
        if index > 0 || !text.ends_with("- ") {
            indent(depth, text);
        }
        text.push_str(&one_line(key));
        text.push(':');
        match value {
            Value::Object(entries) if !entries.is_empty() => {
                text.push('\n');
                mapping(entries, depth + 1, text);
            }
            Value::Array(items) if !items.is_empty() => {
                text.push('\n');
                sequence(items, depth + 1, text);
            }
            other => {
                text.push(' ');
                scalar(other, depth, text);
                text.push('\n');
            }
        }
    }
}

fn sequence(items: &[Value], depth: usize, text: &mut String) {
    for (index, item) in items.iter().enumerate() {
        if index > 0 || !text.ends_with("- ") {
            indent(depth, text);
        }
        text.push_str("- ");
        match item {
            Value::Object(entries) if !entries.is_empty() => mapping(entries, depth + 1, text),
            Value::Array(items) if !items.is_empty() => sequence(items, depth + 1, text),
            other => {
                scalar(other, depth, text);
                text.push('\n');
            }
        }
    }
}

fn indent(depth: usize, text: &mut String) {
    text.extend(std::iter::repeat_n("  ", depth));
}

fn scalar(value: &Value, depth: usize, text: &mut String) {
    match value {
        Value::Object(_) => text.push_str("{}"),
        Value::Array(_) => text.push_str("[]"),
        Value::String(string) if is_block(string) => block(string, depth + 1, text),
        Value::String(string) => text.push_str(&one_line(string)),
        other => text.push_str(&other.to_string()),
    }
}

/// Whether a text of several lines can be written line by line.
fn is_block(string: &str) -> bool {
    let body = string.trim_end_matches('\n');
    body.contains('\n')
        && !string.starts_with([' ', '\t', '\n'])
        && string.chars().all(|character| character == '\n' || character == '\t' || is_printed(character))
}

fn block(string: &str, depth: usize, text: &mut String) {
    let body = string.trim_end_matches('\n');
    text.push_str(match string.len() - body.len() {
        0 => "|-",
        1 => "|",
        _ => "|+",
    });
    for line in body.split('\n') {
        text.push('\n');
        if !line.is_empty() {
            indent(depth, text);
            text.push_str(line);
        }
    }
    // The line's end that the caller writes is the first of those at the end.
    text.extend(std::iter::repeat_n('\n', (string.len() - body.len()).saturating_sub(1)));
}

fn one_line(string: &str) -> String {
    if is_plain(string) {
        return string.to_owned();
    }
    let mut quoted = String::with_capacity(string.len() + 2);
    quoted.push('"');
    for character in string.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\r' => quoted.push_str("\\r"),
            other if is_printed(other) => quoted.push(other),
            other if u32::from(other) <= 0xffff => quoted.push_str(&format!("\\u{:04x}", u32::from(other))),
            other => quoted.push_str(&format!("\\U{:08x}", u32::from(other))),
        }
    }
    quoted.push('"');
    quoted
}

/// Whether a character may stand in a document as it is.
fn is_printed(character: char) -> bool {
    matches!(character, ' '..='~' | '\u{a0}'..='\u{2027}' | '\u{202a}'..='\u{d7ff}' | '\u{e000}'..='\u{fefe}' | '\u{ff00}'..='\u{fffd}' | '\u{10000}'..='\u{10ffff}')
}

/// Whether a text means itself without quotes: it starts with a letter, `/`, `_` or `$`, has nothing in it that means something,
/// and is none of the words that mean something.
fn is_plain(string: &str) -> bool {
    let Some(first) = string.chars().next() else { return false };
    let inside = |character: char| {
        character.is_ascii_alphanumeric() || "_-./+@=,$()[]{}~^;<>?! %*&|:#'\"".contains(character)
    };
    let words = ["y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf"];
    (first.is_ascii_alphabetic() || "/_$".contains(first))
        && string.chars().all(inside)
        && !string.ends_with([' ', ':'])
        && !string.contains(": ")
        && !string.contains(" #")
        && !words.contains(&string.to_ascii_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_written_is_read_the_same() {
        let value = json!({
            "no": "no",
            "<<": "x",
            "a": ["yes", "12:30", "1e3", "0x1f", "2026-01-01", "", " x", "x ", "a: b", "a #b", "a:b#c", "é", "\u{7}", "~"],
            "b": { "c": [[1, [2, {}]], [{ "d": [] , "e": null }]], "f": 1.5, "g": true },
            "lines": ["a\nb", "a\nb\n", "a\nb\n\n\n", "a\n\n  b\n", " a\nb", "a\tb\nc", "\n", "a\r\nb", "a\n"],
            "bell\u{7}": "\"quoted\" \\ 'text'",
            "- a": "- b",
            "dollar": "$$HOME {x} [y], z",
        });
        let text = write(&value);
        let read: Value = serde_yaml::from_str(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        assert_eq!(read, value, "{text}");
        assert_eq!(serde_yaml::from_str::<Value>(&write(&json!([]))).ok(), Some(json!([])));
    }

    #[test]
    fn it_is_good_to_read() {
        let value = json!({
            "name": "shop",
            "services": { "web": { "command": ["sh", "-c", "echo hi\nexit 0\n"], "ports": [{ "target": 80 }], "restart": "no" } },
        });
        assert_eq!(
            write(&value),
            "name: shop\nservices:\n  web:\n    command:\n      - sh\n      - -c\n      - |\n        echo hi\n        exit 0\n    ports:\n      - target: 80\n    restart: \"no\"\n".replace("- -c", "- \"-c\"")
        );
    }
}
