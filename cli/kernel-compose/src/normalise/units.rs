//! Sizes, times and the words of a command, as text and as value.

use std::time::Duration;

/// Reads a number of bytes: `64m`, `1.5gb`, `1024`, `10 kib`.
pub fn bytes(text: &str) -> Option<u64> {
    let split = text.rfind(|c: char| c.is_ascii_digit() || c == '.' || c == ' ')?;
    let (number, unit) = match text.as_bytes()[split] {
        b' ' => (&text[..split], &text[split + 1..]),
        _ => text.split_at(split + 1),
    };
    let unit = unit.to_ascii_lowercase();
    let factor: u64 = match unit.as_str() {
        "" | "b" => 1,
        "k" | "kb" | "kib" => 1 << 10,
        "m" | "mb" | "mib" => 1 << 20,
        "g" | "gb" | "gib" => 1 << 30,
        "t" | "tb" | "tib" => 1 << 40,
        "p" | "pb" | "pib" => 1 << 50,
        _ => return None,
    };
    let number = number.strip_prefix('+').unwrap_or(number);
    // The reference takes `1_000` where it stands in quotes.
    let between_digits = |(at, _): (usize, _)| {
        let digit =
            |at: Option<usize>| at.and_then(|at| number.as_bytes().get(at)).is_some_and(u8::is_ascii_digit);
        digit(at.checked_sub(1)) && digit(Some(at + 1))
    };
    let number = if number.contains('_') && number.match_indices('_').all(between_digits) {
        number.replace('_', "")
    } else {
        number.to_owned()
    };
    if !number.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return None;
    }
    if let Ok(whole) = number.parse::<u64>()
        && whole < 1 << 53
    {
        return whole.checked_mul(factor).filter(|bytes| i64::try_from(*bytes).is_ok());
    }
    let value = number.parse::<f64>().ok()? * factor as f64;
    (value.is_finite() && value < 9e18).then_some(value as u64)
}

/// Reads a time: `1m30s`, `250ms`, `0`. A negative one is no [`Duration`].
pub fn duration(text: &str) -> Option<Duration> {
    u64::try_from(nanoseconds(text)?).ok().map(Duration::from_nanos)
}

/// Reads a time in nanoseconds: `1m30s`, `-250ms`, `0`.
pub fn nanoseconds(text: &str) -> Option<i64> {
    let (negative, unsigned) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    if unsigned == "0" {
        return Some(0);
    }
    let mut rest = unsigned;
    let mut sum: i128 = 0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').filter(|length| *length > 0)?;
        let (number, after) = rest.split_at(digits);
        let letters = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at(letters);
        let factor: i128 = match unit {
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
        sum = sum.checked_add(decimal(number, factor)?)?;
        rest = after;
    }
    let sum = i64::try_from(sum).ok()?;
    (!unsigned.is_empty()).then_some(if negative { -sum } else { sum })
}

fn decimal(number: &str, factor: i128) -> Option<i128> {
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    if part.contains('.') || (whole.is_empty() && part.is_empty()) {
        return None;
    }
    // More digits than these are below a nanosecond.
    let part = part.get(..18).unwrap_or(part);
    let value = |digits: &str| if digits.is_empty() { Some(0) } else { digits.parse::<i128>().ok() };
    let fraction = value(part)?.checked_mul(factor)? / 10_i128.pow(u32::try_from(part.len()).ok()?);
    value(whole)?.checked_mul(factor)?.checked_add(fraction)
}

/// Writes a time of so many nanoseconds the way Go does: `1m30s`, `250ms`, `0s`.
pub fn duration_text(nanoseconds: i64) -> String {
    let sign = if nanoseconds < 0 { "-" } else { "" };
    let nanoseconds = u128::from(nanoseconds.unsigned_abs());
    let trimmed = |value: u128, unit: u128| {
        let fraction = format!("{:0width$}", value % unit, width = unit.ilog10() as usize);
        let fraction = fraction.trim_end_matches('0');
        if fraction.is_empty() { format!("{}", value / unit) } else { format!("{}.{fraction}", value / unit) }
    };
    let text = match nanoseconds {
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
    };
    format!("{sign}{text}")
}

/// Splits a line into words the way the reference does, without expanding anything: quotes and backslashes as in a
/// shell (a backslash counts within double quotes too), and nothing after an operator such as `;` or `&&`.
///
/// # Errors
/// What is wrong with the line, in a few words.
pub fn words(line: &str) -> Result<Vec<String>, &'static str> {
    let mut splitter = Splitter::default();
    for character in line.chars() {
        match splitter.take(character) {
            Ok(true) => {}
            Ok(false) => break,
            Err(problem) => return Err(problem),
        }
    }
    splitter.finish()
}

#[derive(Default)]
struct Splitter {
    words: Vec<String>,
    word: String,
    /// Whether there is a word, which may be empty.
    got: bool,
    escaped: bool,
    double: bool,
    single: bool,
    back: bool,
    dollar: bool,
}

impl Splitter {
    /// Whether to go on.
    fn take(&mut self, character: char) -> Result<bool, &'static str> {
        if self.escaped {
            self.escaped = false;
            self.push(character);
            return Ok(true);
        }
        match character {
            '\\' if self.single => self.word.push(character),
            '\\' => self.escaped = true,
            ' ' | '\t' | '\r' | '\n' => {
                if self.single || self.double || self.back || self.dollar {
                    self.word.push(character);
                } else if self.got {
                    self.words.push(std::mem::take(&mut self.word));
                    self.got = false;
                }
            }
            '`' if !self.single && !self.double && !self.dollar => {
                self.back = !self.back;
                self.push(character);
            }
            ')' if !self.single && !self.double && !self.back => {
                self.dollar = !self.dollar;
                self.push(character);
            }
            '(' if !self.single && !self.double && !self.back => {
                if self.dollar || !self.word.ends_with('$') {
                    return Err("a parenthesis outside of quotes");
                }
                self.dollar = true;
                self.word.push(character);
            }
            '"' if !self.single && !self.dollar => {
                self.got |= self.double;
                self.double = !self.double;
            }
            '\'' if !self.double && !self.dollar => {
                self.got |= self.single;
                self.single = !self.single;
            }
            ';' | '&' | '|' | '<' | '>' if !(self.single || self.double || self.back || self.dollar) => {
                // A number before `>` names a stream and is no word.
                if character == '>' && self.word.starts_with(|c: char| c.is_ascii_digit()) {
                    self.got = false;
                }
                return Ok(false);
            }
            other => self.push(other),
        }
        Ok(true)
    }

    fn push(&mut self, character: char) {
        self.got = true;
        self.word.push(character);
    }

    fn finish(mut self) -> Result<Vec<String>, &'static str> {
        if self.got {
            self.words.push(self.word);
        }
        if self.escaped {
            Err("a backslash at the end")
        } else if self.single || self.double || self.back {
            Err("a quote that is not closed")
        } else if self.dollar {
            Err("a parenthesis that is not closed")
        } else {
            Ok(self.words)
        }
    }
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
            ("1e3", 1000),
        ];
        for (text, expected) in cases {
            assert_eq!(bytes(text), Some(expected), "{text}");
        }
        for text in ["", "m", "1x", "-1", "1.2.3", "99999999999999999999", "9999999p", "10  k", "1kbb"] {
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
            ("-1s", "-1s"),
            ("+1s", "1s"),
        ];
        for (text, expected) in cases {
            assert_eq!(nanoseconds(text).map(duration_text).as_deref(), Some(expected), "{text}");
        }
        for text in ["", "5", "s", "1x", "1s2", "1..5s", "99999999999999999999h", "5 s", "-", ".s"] {
            assert_eq!(nanoseconds(text), None, "{text}");
        }
        assert_eq!(duration("-1s"), None);
    }

    #[test]
    fn commands_split_as_in_the_reference() {
        let split = |line| words(line).map(|words| words.join("|"));
        let cases = [
            (r#"sh -c 'a b' "c \"d\" \x" e\ f ''"#, r#"sh|-c|a b|c "d" x|e f|"#),
            (" ", ""),
            ("a && b", "a"),
            ("a; b", "a"),
            ("a 2>x", "a"),
            ("a b>x", "a|b"),
            ("a $(b c) d", "a|$(b c)|d"),
            ("a `b c`", "a|`b c`"),
            ("--x=\"a b\"c", "--x=a bc"),
        ];
        for (line, expected) in cases {
            assert_eq!(split(line).as_deref(), Ok(expected), "{line}");
        }
        for line in ["a 'b", "a \\", "a (b)", "a )", "`"] {
            assert!(split(line).is_err(), "{line}");
        }
    }
}
