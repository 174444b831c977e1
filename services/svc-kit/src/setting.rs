//! The types that a variable can have: how each is written, and how it is read.

use std::{net::IpAddr, path::PathBuf, time::Duration};

use http::Uri;

use crate::Secret;

/// A type that a variable can have.
pub trait Setting: Sized {
    /// What to write, for people.
    const EXPECTED: &'static str;
    /// Whether the value must not be repeated in a message.
    const SECRET: bool = false;

    /// Reads the value, or `None` when it has another shape.
    fn parse(value: &str) -> Option<Self>;
}

macro_rules! settings {
    ($($kind:ty: $expected:literal),* $(,)?) => {$(
        impl Setting for $kind {
            const EXPECTED: &'static str = $expected;

            fn parse(value: &str) -> Option<Self> {
                value.parse().ok()
            }
        }
    )*};
}

settings! {
    String: "text",
    PathBuf: "a path",
    IpAddr: "an IP address such as 0.0.0.0",
    u16: "a whole number from 0 to 65535",
    u32: "a whole number",
    u64: "a whole number",
    i64: "a whole number",
    usize: "a whole number",
    f64: "a number",
}

impl Setting for bool {
    const EXPECTED: &'static str = "true or false";

    fn parse(value: &str) -> Option<bool> {
        match value.to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" => Some(true),
            "false" | "0" | "no" | "off" => Some(false),
            _ => None,
        }
    }
}

impl Setting for Secret {
    const EXPECTED: &'static str = "a secret";
    const SECRET: bool = true;

    fn parse(value: &str) -> Option<Secret> {
        Some(Secret::new(value))
    }
}

/// The URL of a neighbour, such as `http://iam:8080`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NeighbourUrl(Uri);

impl NeighbourUrl {
    /// The URL as an [`Uri`].
    pub fn uri(&self) -> &Uri {
        &self.0
    }
}

impl Setting for NeighbourUrl {
    const EXPECTED: &'static str = "the URL of a service such as http://iam:8080";

    fn parse(value: &str) -> Option<NeighbourUrl> {
        let uri: Uri = value.parse().ok()?;
        // Encryption between services is the mesh's work: what is called here is plain h2c.
        let plain = uri.scheme_str() == Some("http");
        (plain && uri.authority().is_some()).then_some(NeighbourUrl(uri))
    }
}

impl Setting for Duration {
    const EXPECTED: &'static str = "a duration such as 500ms, 30s, 5m or 2h";

    fn parse(value: &str) -> Option<Duration> {
        let unit_start = value.find(|character: char| !character.is_ascii_digit())?;
        let (number, unit) = value.split_at(unit_start);
        let number: u64 = number.parse().ok()?;
        let seconds = match unit {
            "ms" => return Some(Duration::from_millis(number)),
            "s" => 1,
            "m" => 60,
            "h" => 3_600,
            "d" => 86_400,
            _ => return None,
        };
        number.checked_mul(seconds).map(Duration::from_secs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit() {
        let read = |text| <Duration as Setting>::parse(text);
        assert_eq!(read("30s"), Some(Duration::from_secs(30)));
        assert_eq!(read("2h"), Some(Duration::from_secs(7200)));
        for wrong in ["30", "s", "", "-1s", "1.5s", "3w", "99999999999999999999s"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
