//! Sizes, times and the words of a command, as text and as value.

use std::time::Duration;

/// Reads a number of bytes: `64m`, `1.5gb`, `1024`.
pub fn bytes(text: &str) -> Option<u64> {
    let text = text.trim().to_ascii_lowercase();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor: u64 = match unit.trim() {
        "" | "b" => 1,
        "k" | "kb" | "kib" => 1 << 10,
        "m" | "mb" | "mib" => 1 << 20,
        "g" | "gb" | "gib" => 1 << 30,
        "t" | "tb" | "tib" => 1 << 40,
        "p" | "pb" | "pib" => 1 << 50,
        _ => return None,
    };
    if let Ok(whole) = number.parse::<u64>() {
        return whole.checked_mul(factor);
    }
    let value = number.parse::<f64>().ok()? * factor as f64;
    (value.is_finite() && value < 9e18).then_some(value as u64)
}

/// Reads a time: `1m30s`, `250ms`, `0`.
pub fn duration(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut rest = text;
    let mut nanoseconds: u128 = 0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').filter(|length| *length > 0)?;
        let (number, after) = rest.split_at(digits);
        let letters = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at(letters);
        let factor: u128 = match unit {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            "d" => 86_400_000_000_000,
            "w" => 604_800_000_000_000,
            _ => return None,
        };
        nanoseconds = nanoseconds.checked_add(decimal(number, factor)?)?;
        rest = after;
    }
    (!text.is_empty()).then_some(())?;
    let seconds = u64::try_from(nanoseconds / 1_000_000_000).ok().filter(|seconds| *seconds < 1 << 33)?;
    Some(Duration::new(seconds, u32::try_from(nanoseconds % 1_000_000_000).ok()?))
}

fn decimal(number: &str, factor: u128) -> Option<u128> {
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    if part.len() > 18 || part.contains('.') {
        return None;
    }
    let value = |digits: &str| if digits.is_empty() { Some(0) } else { digits.parse::<u128>().ok() };
    let fraction = value(part)?.checked_mul(factor)? / 10_u128.pow(u32::try_from(part.len()).ok()?);
    value(whole)?.checked_mul(factor)?.checked_add(fraction)
}

/// Writes a time the way Go does: `1m30s`, `250ms`, `0s`.
pub fn duration_text(duration: Duration) -> String {
    let nanoseconds = duration.as_nanos();
    let trimmed = |value: u128, unit: u128| {
        let fraction = format!("{:0width$}", value % unit, width = unit.ilog10() as usize);
        let fraction = fraction.trim_end_matches('0');
        if fraction.is_empty() { format!("{}", value / unit) } else { format!("{}.{fraction}", value / unit) }
    };
    match nanoseconds {
        0 => "0s".to_owned(),
        1..1_000 => format!("{nanoseconds}ns"),
        1_000..1_000_000 => format!("{}µs", trimmed(nanoseconds, 1_000)),
        1_000_000..1_000_000_000 => format!("{}ms", trimmed(nanoseconds, 1_000_000)),
        _ => {
            let minutes = nanoseconds / 60_000_000_000;
            let seconds = trimmed(nanoseconds % 60_000_000_000, 1_000_000_000);
            match (minutes / 60, minutes % 60) {
                (0, 0) => format!("{seconds}s"),
                (0, minutes) => format!("{minutes}m{seconds}s"),
                (hours, minutes) => format!("{hours}h{minutes}m{seconds}s"),
            }
        }
    }
}

/// Splits a line into words as a shell does, without expanding anything. Nothing when a quote is not closed.
pub fn words(line: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match character {
            ' ' | '\t' | '\n' | '\r' => words.extend(word.take()),
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match characters.next()? {
                        '\'' => break,
                        other => word.push(other),
                    }
                }
            }
            '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match characters.next()? {
                        '"' => break,
                        '\\' => match characters.next()? {
                            plain @ ('"' | '\\' | '$' | '`') => word.push(plain),
                            '\n' => {}
                            other => word.extend(['\\', other]),
                        },
                        other => word.push(other),
                    }
                }
            }
            '\\' => match characters.next()? {
                '\n' => {}
                other => word.get_or_insert_default().push(other),
            },
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    Some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        let cases = [
            ("1024", 1024),
            ("64m", 67_108_864),
            ("1.5g", 1_610_612_736),
            ("2GB", 2_147_483_648),
            ("10 kib", 10_240),
        ];
        for (text, expected) in cases {
            assert_eq!(bytes(text), Some(expected), "{text}");
        }
        for text in ["", "m", "1x", "-1", "1.2.3", "99999999999999999999", "9999999p"] {
            assert_eq!(bytes(text), None, "{text}");
        }
    }

    #[test]
    fn times_come_back_as_go_writes_them() {
        let cases = [
            ("90s", "1m30s"),
            ("250ms", "250ms"),
            ("1.5s", "1.5s"),
            ("0", "0s"),
            ("0s", "0s"),
            ("1h", "1h0m0s"),
            ("1d", "24h0m0s"),
            ("10us", "10µs"),
            ("1m0.5s", "1m0.5s"),
            ("1500us", "1.5ms"),
        ];
        for (text, expected) in cases {
            assert_eq!(duration(text).map(duration_text).as_deref(), Some(expected), "{text}");
        }
        for text in ["", "5", "s", "1x", "1s2", "-1s", "1..5s", "99999999999999999999h", "5 s"] {
            assert_eq!(duration(text), None, "{text}");
        }
    }

    #[test]
    fn commands_split_as_in_a_shell() {
        let split = |line| words(line).map(|words| words.join("|"));
        assert_eq!(
            split(r#"sh -c 'a b' "c \"d\" \x" e\ f ''"#).as_deref(),
            Some(r#"sh|-c|a b|c "d" \x|e f|"#)
        );
        assert_eq!(split(" ").as_deref(), Some(""));
        assert_eq!(split("a 'b"), None);
        assert_eq!(split("a \\"), None);
    }
}
