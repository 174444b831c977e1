//! The `Range` header (RFC 9110): one range of bytes, or the whole.

/// What to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ByteRange {
    /// Everything.
    Whole,
    /// From the first to the last byte, both included, both inside the content.
    Part {
        /// The first byte.
        first: u64,
        /// The last byte.
        last: u64,
    },
    /// Nothing of what was asked for exists: 416.
    Unsatisfiable,
}

/// Reads the header for content of `size` bytes. What we do not understand (other units, several ranges, bad syntax)
/// means the whole, as the standard allows.
#[must_use]
pub fn parse_range(header: Option<&str>, size: u64) -> ByteRange {
    let Some(range) = header.and_then(|header| header.trim().strip_prefix("bytes=")) else {
        return ByteRange::Whole;
    };
    let Some((first, last)) = range.split_once('-') else { return ByteRange::Whole };
    let number = |text: &str| -> Option<Option<u64>> {
        let text = text.trim();
        if text.is_empty() {
            return Some(None);
        }
        // `parse` would take a sign.
        text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok().or(Some(u64::MAX)))
    };
    match (number(first), number(last)) {
        (Some(Some(first)), Some(last)) if last.is_none_or(|last| first <= last) => {
            if first >= size {
                return ByteRange::Unsatisfiable;
            }
            ByteRange::Part { first, last: last.unwrap_or(u64::MAX).min(size - 1) }
        }
        (Some(None), Some(Some(suffix))) => {
            if suffix == 0 || size == 0 {
                return ByteRange::Unsatisfiable;
            }
            ByteRange::Part { first: size.saturating_sub(suffix), last: size - 1 }
        }
        _ => ByteRange::Whole,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_cut_to_the_content() {
        let part = |first, last| ByteRange::Part { first, last };
        for (header, expected) in [
            ("bytes=0-4", part(0, 4)),
            ("bytes=5-", part(5, 9)),
            ("bytes=8-99", part(8, 9)),
            ("bytes=-3", part(7, 9)),
            ("bytes=-99", part(0, 9)),
            ("bytes=9-9", part(9, 9)),
            ("bytes=0-99999999999999999999999", part(0, 9)),
            ("bytes=10-", ByteRange::Unsatisfiable),
            ("bytes=-0", ByteRange::Unsatisfiable),
            ("bytes=4-2", ByteRange::Whole),
            ("bytes=0-1,3-4", ByteRange::Whole),
            ("bytes=-", ByteRange::Whole),
            ("bytes=+1-2", ByteRange::Whole),
            ("lines=1-2", ByteRange::Whole),
        ] {
            assert_eq!(parse_range(Some(header), 10), expected, "{header}");
        }
        assert_eq!(parse_range(None, 10), ByteRange::Whole);
        assert_eq!(parse_range(Some("bytes=0-"), 0), ByteRange::Unsatisfiable);
    }
}
