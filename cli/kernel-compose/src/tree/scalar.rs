//! One scalar: its text, whether it was quoted, and whether a secret went into it.

use std::fmt;

/// A text of a document.
#[derive(Clone, PartialEq, Eq)]
pub struct Scalar {
    text: String,
    plain: bool,
    secret: Option<Box<str>>,
}

/// What an unquoted scalar means by the rules of YAML 1.2 (with the older octal and the thousands sign that the
/// reference reads too).
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Plain {
    /// `~`, `null` or nothing.
    Null,
    /// `true` or `false`.
    Boolean(bool),
    /// A whole number that 64 bits hold, with or without a sign.
    Integer(i128),
    /// Any other number.
    Float(f64),
    /// A date, which Compose has no use for.
    Timestamp,
    /// Anything else.
    Text,
}

impl Scalar {
    /// An unquoted scalar.
    #[must_use]
    pub fn plain(text: impl Into<String>) -> Self {
        Self { text: text.into(), plain: true, secret: None }
    }

    /// A scalar that is a string whatever it looks like.
    #[must_use]
    pub fn quoted(text: impl Into<String>) -> Self {
        Self { text: text.into(), plain: false, secret: None }
    }

    /// The same scalar with a text that a secret went into. `template` is what stood there before interpolation: that
    /// is what may be shown.
    #[must_use]
    pub(crate) fn with_secret(text: String, template: &str) -> Self {
        Self { text, plain: false, secret: Some(template.into()) }
    }

    /// The text after interpolation.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What stood there before interpolation, when a secret went into the text. Such a text must not be shown.
    #[must_use]
    pub fn template(&self) -> Option<&str> {
        self.secret.as_deref()
    }

    /// Whether it was written without quotes, so that it may mean a number or a truth value.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.plain
    }

    /// Cuts a part out of the text and, when a secret went into it, the same part out of the template by `cut`.
    pub(crate) fn part<'a>(&'a self, cut: impl Fn(&'a str) -> &'a str) -> Self {
        Self {
            text: cut(&self.text).to_owned(),
            plain: false,
            secret: self.secret.as_deref().map(|template| cut(template).into()),
        }
    }

    /// What it means.
    #[must_use]
    pub fn meaning(&self) -> Plain {
        if self.plain { meaning(&self.text) } else { Plain::Text }
    }

    /// What it is, for a person.
    #[must_use]
    pub fn describe(&self) -> &'static str {
        match self.meaning() {
            Plain::Null => "nothing",
            Plain::Boolean(_) => "a truth value",
            Plain::Integer(_) | Plain::Float(_) => "a number",
            Plain::Timestamp => "a date",
            Plain::Text => "a text",
        }
    }

    /// The text that the reference gives to a container for it: numbers go through the YAML number first, so `0x1F`
    /// becomes `31` and `1.50` becomes `1.5`.
    #[must_use]
    pub fn canonical_text(&self) -> String {
        match self.meaning() {
            Plain::Integer(number) => number.to_string(),
            Plain::Float(number) if number.is_nan() => "NaN".to_owned(),
            Plain::Float(number) if number.is_infinite() => {
                if number > 0.0 { "+Inf" } else { "-Inf" }.to_owned()
            }
            Plain::Float(number) => go_float(number),
            Plain::Boolean(value) => value.to_string(),
            Plain::Null => String::new(),
            Plain::Text | Plain::Timestamp => self.text.clone(),
        }
    }
}

impl fmt::Debug for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.secret {
            Some(template) => write!(f, "<secret {template:?}>"),
            None => fmt::Debug::fmt(&self.text, f),
        }
    }
}

fn meaning(text: &str) -> Plain {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Plain::Null,
        "true" | "True" | "TRUE" => return Plain::Boolean(true),
        "false" | "False" | "FALSE" => return Plain::Boolean(false),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => return Plain::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => return Plain::Float(f64::NEG_INFINITY),
        ".nan" | ".NaN" | ".NAN" => return Plain::Float(f64::NAN),
        _ => {}
    }
    match text.as_bytes()[0] {
        b'.' => float(text),
        b'0'..=b'9' | b'+' | b'-' if is_timestamp(text) => Plain::Timestamp,
        b'0'..=b'9' | b'+' | b'-' => number(text),
        _ => Plain::Text,
    }
}

fn number(text: &str) -> Plain {
    let without: String;
    let text = if text.contains('_') {
        without = text.replace('_', "");
        &without
    } else {
        text
    };
    let (negative, digits) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    let whole = radix(digits).map(|number| if negative { -number } else { number });
    match whole.filter(|number| *number >= i128::from(i64::MIN)) {
        Some(number) => Plain::Integer(number),
        None => float(text),
    }
}

/// A number with a fraction or an exponent in base ten.
fn float(text: &str) -> Plain {
    let digits = text.trim_start_matches(['+', '-']);
    let shaped = digits.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && digits.bytes().all(|byte| byte.is_ascii_digit() || b".eE+-".contains(&byte));
    match text.parse::<f64>() {
        Ok(number) if shaped && number.is_finite() => Plain::Float(number),
        _ => Plain::Text,
    }
}

fn radix(digits: &str) -> Option<i128> {
    let (digits, radix) = match digits.get(..2) {
        Some("0x" | "0X") => (&digits[2..], 16),
        Some("0o" | "0O") => (&digits[2..], 8),
        Some("0b" | "0B") => (&digits[2..], 2),
        _ if digits.len() > 1 && digits.starts_with('0') => (&digits[1..], 8),
        _ => (digits, 10),
    };
    if digits.starts_with(['+', '-']) {
        None
    } else {
        u64::from_str_radix(digits, radix).ok().map(i128::from)
    }
}

/// `2026-11-27`, alone or with a time of the day.
fn is_timestamp(text: &str) -> bool {
    let bytes = text.as_bytes();
    if bytes.len() < 8 || bytes[4] != b'-' || !bytes[..4].iter().all(u8::is_ascii_digit) {
        return false;
    }
    let (date, time) = match text.find(['T', 't', ' ']) {
        Some(at) => (&text[..at], Some((bytes[at], &text[at + 1..]))),
        None => (text, None),
    };
    let mut parts = date.split('-').map(|part| part.parse::<u32>().ok().filter(|_| part.len() <= 4));
    let (Some(Some(year)), Some(Some(month)), Some(Some(day)), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return false;
    };
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return false,
    };
    let short = date.split('-').skip(1).all(|part| part.len() <= 2);
    short && (1..=days).contains(&day) && time.is_none_or(|(separator, time)| is_time(separator, time))
}

/// `10:20:30.5`, with a zone after `T` and without one after a space.
fn is_time(separator: u8, time: &str) -> bool {
    let zone = time.find(['Z', '+', '-']);
    let (clock, zone) = time.split_at(zone.unwrap_or(time.len()));
    let zoned = match zone.as_bytes() {
        b"Z" => true,
        [b'+' | b'-', hour @ .., b':', tens, ones] => {
            hour.len() == 2 && hour.iter().chain([tens, ones]).all(u8::is_ascii_digit)
        }
        _ => false,
    };
    if zoned == (separator == b' ') || (separator == b' ' && !zone.is_empty()) {
        return false;
    }
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
    let limits = [24, 60, 60];
    let parts: Vec<&str> = clock.split(':').collect();
    !fraction.is_empty()
        && fraction.bytes().all(|byte| byte.is_ascii_digit())
        && parts.len() == 3
        && parts.iter().zip(limits).all(|(part, limit)| {
            (1..=2).contains(&part.len())
                && part.bytes().all(|byte| byte.is_ascii_digit())
                && part.parse::<u32>().is_ok_and(|number| number < limit)
        })
}

/// The shortest text of a number as Go's `%g` writes it.
fn go_float(number: f64) -> String {
    let scientific = format!("{number:e}");
    let Some((digits, exponent)) = scientific.split_once('e') else { return scientific };
    match exponent.parse::<i32>() {
        Ok(power) if !(-4..6).contains(&power) => {
            let sign = if power < 0 { '-' } else { '+' };
            format!("{digits}e{sign}{:02}", power.abs())
        }
        _ => number.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unquoted_number_goes_through_the_number_first() {
        let cases = [
            ("010", "8"),
            ("0o17", "15"),
            ("0x1F", "31"),
            ("1.0", "1"),
            ("1.50", "1.5"),
            ("1e3", "1000"),
            ("1_000", "1000"),
            (".inf", "+Inf"),
            ("-5", "-5"),
            ("true", "true"),
            ("yes", "yes"),
            ("off", "off"),
            ("12:30:45", "12:30:45"),
            ("1.2.3", "1.2.3"),
            ("17-alpine", "17-alpine"),
            ("-", "-"),
            (".", "."),
            ("1_", "1"),
            ("_1", "_1"),
            ("0o8", "0o8"),
            ("1e400", "1e400"),
            ("-0x1f", "-31"),
            ("99999999999999999999", "1e+20"),
            ("18446744073709551615", "18446744073709551615"),
            ("1.5e-7", "1.5e-07"),
            ("123456789.125", "1.23456789125e+08"),
            ("-0.0001", "-0.0001"),
        ];
        for (written, given) in cases {
            assert_eq!(Scalar::plain(written).canonical_text(), given, "{written}");
        }
        assert_eq!(Scalar::quoted("010").canonical_text(), "010");
    }

    #[test]
    fn a_secret_shows_its_template() {
        let scalar = Scalar::with_secret("TOKEN=abc".into(), "TOKEN=${T}");
        assert_eq!(format!("{scalar:?}"), r#"<secret "TOKEN=${T}">"#);
        let value = scalar.part(|text| text.split_once('=').map_or("", |pair| pair.1));
        assert_eq!((value.text(), value.template()), ("abc", Some("${T}")));
    }
}
