//! Which media type a file has: what its first bytes say wins over what the uploader says, because browsers act on it.

/// How many first bytes [`media_type`] can use.
pub const SNIFF_BYTES: usize = 32;

/// For content that nobody may interpret.
pub const OPAQUE: &str = "application/octet-stream";

/// The media type of content that begins with `head`, declared as `declared` by its uploader.
#[must_use]
pub fn media_type(head: &[u8], declared: Option<&str>) -> String {
    if let Some(sniffed) = sniff(head) {
        return sniffed.to_owned();
    }
    let declared = declared.map(essence).unwrap_or_default();
    // Whoever declares one of these and sends other bytes is mistaken or lying.
    let contradicted = SNIFFED.iter().any(|(media_type, _)| *media_type == declared);
    if contradicted || !is_media_type(&declared) { OPAQUE.to_owned() } else { declared }
}

/// Whether a browser may show the content in place. Everything else is offered as a download, since a page of a
/// tenant's upload (HTML, SVG) would run with our origin.
#[must_use]
pub fn is_shown_inline(media_type: &str) -> bool {
    matches!(media_type, "image/png" | "image/jpeg" | "image/gif" | "image/webp" | "image/avif")
}

/// Whether the content is a picture by its bytes.
#[must_use]
pub fn is_sniffed_image(media_type: &str) -> bool {
    is_shown_inline(media_type)
}

type Test = fn(&[u8]) -> bool;

const SNIFFED: [(&str, Test); 6] = [
    ("image/png", |head| head.starts_with(b"\x89PNG\r\n\x1a\n")),
    ("image/jpeg", |head| head.starts_with(b"\xff\xd8\xff")),
    ("image/gif", |head| head.starts_with(b"GIF87a") || head.starts_with(b"GIF89a")),
    ("image/webp", |head| head.starts_with(b"RIFF") && head.get(8..12) == Some(b"WEBP")),
    ("image/avif", |head| head.get(4..12) == Some(b"ftypavif") || head.get(4..12) == Some(b"ftypavis")),
    ("application/pdf", |head| head.starts_with(b"%PDF-")),
];

fn sniff(head: &[u8]) -> Option<&'static str> {
    SNIFFED.iter().find(|(_, test)| test(head)).map(|(media_type, _)| *media_type)
}

fn essence(declared: &str) -> String {
    declared.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

fn is_media_type(text: &str) -> bool {
    let is_token = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte))
    };
    text.len() <= 127
        && text.split_once('/').is_some_and(|(kind, subtype)| is_token(kind) && is_token(subtype))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_win_over_words() {
        let png = b"\x89PNG\r\n\x1a\n....";
        for (head, declared, expected) in [
            (&png[..], Some("text/html"), "image/png"),
            (b"\xff\xd8\xff\xe0", None, "image/jpeg"),
            (b"GIF89a", Some("image/gif"), "image/gif"),
            (b"RIFF\0\0\0\0WEBPVP8 ", None, "image/webp"),
            (b"\0\0\0\x20ftypavif", None, "image/avif"),
            (b"%PDF-1.7", Some("application/octet-stream"), "application/pdf"),
            (b"<html>", Some("image/png"), OPAQUE),
            (b"a,b", Some("Text/CSV; charset=utf-8"), "text/csv"),
            (b"a,b", Some("not a type"), OPAQUE),
            (b"a,b", Some("text/x\r\nset-cookie: a"), OPAQUE),
            (b"", None, OPAQUE),
        ] {
            assert_eq!(media_type(head, declared), expected, "{head:?} {declared:?}");
        }
    }

    #[test]
    fn only_pictures_are_shown_in_place() {
        assert!(is_shown_inline("image/png"));
        for media_type in ["image/svg+xml", "text/html", "application/pdf", "text/plain", OPAQUE] {
            assert!(!is_shown_inline(media_type), "{media_type}");
        }
    }

    #[test]
    fn the_longest_signature_fits_into_the_head() {
        assert!(b"\0\0\0\x20ftypavif".len() <= SNIFF_BYTES);
    }
}
