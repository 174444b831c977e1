//! File names that came from outside, made harmless, and the header that gives them back.

use std::fmt::Write as _;

/// The longest name that is kept, in bytes.
pub const MAX_BYTES: usize = 255;

/// The name without folders and without characters that break headers, terminals or file systems; `file` when
/// nothing is left.
#[must_use]
pub fn clean(given: &str) -> String {
    let last = given.rsplit(['/', '\\']).next().unwrap_or_default();
    let mut name = String::new();
    for character in last.chars().filter(|character| !is_harmful(*character)) {
        if name.len() + character.len_utf8() > MAX_BYTES {
            break;
        }
        name.push(character);
    }
    let name = name.trim().trim_start_matches('.').trim_end_matches('.');
    if name.is_empty() { "file".to_owned() } else { name.to_owned() }
}

/// The value of `Content-Disposition` (RFC 6266) for a clean name.
#[must_use]
pub fn content_disposition(inline: bool, name: &str) -> String {
    let kind = if inline { "inline" } else { "attachment" };
    let plain: String = name
        .chars()
        .map(|character| match character {
            '"' | '\\' | '%' => '_',
            ' '..='~' => character,
            _ => '_',
        })
        .collect();
    let mut header = format!("{kind}; filename=\"{plain}\"");
    if plain != name {
        header.push_str("; filename*=UTF-8''");
        for byte in name.bytes() {
            if byte.is_ascii_alphanumeric() || b"!#$&+-.^_`|~".contains(&byte) {
                header.push(char::from(byte));
            } else {
                // Writing to a string does not fail.
                let _ = write!(header, "%{byte:02X}");
            }
        }
    }
    header
}

/// Control characters, and those that turn the direction of writing (`gpj.exe` shown as `exe.jpg`).
fn is_harmful(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        || matches!(character, '\u{2028}' | '\u{2029}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lose_what_is_harmful() {
        for (given, expected) in [
            ("report.pdf", "report.pdf"),
            ("../../etc/passwd", "passwd"),
            ("C:\\Users\\me\\a.txt", "a.txt"),
            ("a\r\nb.txt", "ab.txt"),
            ("invoice\u{202e}fdp.exe", "invoicefdp.exe"),
            ("..", "file"),
            (".htaccess", "htaccess"),
            ("", "file"),
            ("  Bericht März.pdf ", "Bericht März.pdf"),
        ] {
            assert_eq!(clean(given), expected, "{given:?}");
        }
        assert!(clean(&"é".repeat(300)).len() <= MAX_BYTES);
    }

    #[test]
    fn the_header_carries_any_name() {
        assert_eq!(content_disposition(false, "a b.txt"), "attachment; filename=\"a b.txt\"");
        assert_eq!(
            content_disposition(true, "März \"x\".png"),
            "inline; filename=\"M_rz _x_.png\"; filename*=UTF-8''M%C3%A4rz%20%22x%22.png"
        );
    }
}
