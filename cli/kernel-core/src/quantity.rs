//! Quantities of Kubernetes: `250m`, `128Mi`.

/// The quantity in thousandths of its unit; `None` when the text is none.
/// Source: Kubernetes API reference, “Quantity”.
#[must_use]
pub fn thousandths(text: &str) -> Option<i128> {
    let digits =
        text.find(|c: char| !(c.is_ascii_digit() || c == '.' || c == '+' || c == '-')).unwrap_or(text.len());
    let (number, suffix) = text.split_at(digits);
    let (factor, divisor): (i128, i128) = match suffix {
        "n" => (1, 1_000_000),
        "u" => (1, 1_000),
        "m" => (1, 1),
        "" => (1_000, 1),
        "k" => (1_000_000, 1),
        "M" => (1_000_000_000, 1),
        "G" => (1_000_000_000_000, 1),
        "T" => (1_000_000_000_000_000, 1),
        "P" => (1_000_000_000_000_000_000, 1),
        "Ki" => (1_000 << 10, 1),
        "Mi" => (1_000 << 20, 1),
        "Gi" => (1_000 << 30, 1),
        "Ti" => (1_000 << 40, 1),
        "Pi" => (1_000 << 50, 1),
        _ => return None,
    };
    let (negative, number) = match number.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, number.strip_prefix('+').unwrap_or(number)),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.len() > 9 || whole.len() > 15 {
        return None;
    }
    let parsed =
        |digits: &str| if digits.is_empty() { Some(0) } else { digits.parse::<u64>().ok().map(i128::from) };
    let scale = 10_i128.pow(u32::try_from(fraction.len()).ok()?);
    let digits = parsed(whole)?.checked_mul(scale)?.checked_add(parsed(fraction)?)?;
    let value = digits.checked_mul(factor)? / (scale * divisor);
    Some(if negative { -value } else { value })
}

/// Processors as a quantity.
#[must_use]
pub fn processors(cpus: f64) -> String {
    #[expect(clippy::cast_possible_truncation, reason = "a number of processors has few digits")]
    let thousandths = (cpus * 1_000.0).round() as i64;
    if thousandths % 1_000 == 0 { (thousandths / 1_000).to_string() } else { format!("{thousandths}m") }
}

/// Bytes as a quantity.
#[must_use]
pub fn bytes(bytes: u64) -> String {
    for (unit, size) in [("Gi", 1 << 30), ("Mi", 1 << 20), ("Ki", 1 << 10)] {
        if bytes >= size && bytes.is_multiple_of(size) {
            return format!("{}{unit}", bytes / size);
        }
    }
    bytes.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read_and_written() {
        assert_eq!(thousandths("250m"), Some(250));
        assert_eq!(thousandths("1.5"), Some(1_500));
        assert_eq!(thousandths("0.5Gi"), Some(1_000 << 29));
        assert_eq!(thousandths("1k"), Some(1_000_000));
        // Nobody means it, and nothing breaks over it.
        assert_eq!(thousandths("999999999999999.999999999Pi"), None);
        for text in ["", "m", "1x", "1.2.3", "a1"] {
            assert_eq!(thousandths(text), None, "{text}");
        }
        assert_eq!((processors(0.05), processors(2.0)), ("50m".to_owned(), "2".to_owned()));
        assert_eq!(
            (bytes(64 << 20), bytes(1 << 30), bytes(1_000)),
            ("64Mi".into(), "1Gi".into(), "1000".into())
        );
    }
}
