//! Versions of modules, strictly `X.Y.Z`, and the ranges that npm users write.

use std::fmt;

/// A version: three numbers without leading zeros, nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// Breaking changes.
    pub major: u64,
    /// Additions.
    pub minor: u64,
    /// Corrections.
    pub patch: u64,
}

impl Version {
    /// Reads `X.Y.Z`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.').map(number);
        let (major, minor, patch) = (parts.next()??, parts.next()??, parts.next()??);
        parts.next().is_none().then_some(Self { major, minor, patch })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

/// Which versions will do: `^1.2.0`, `~1.2`, `>=1.0.0 <2.0.0`, `1.x`, `*`, joined by `||`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Range(Vec<Vec<Interval>>);

/// From the first version, up to but not including the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Interval(Version, Option<Version>);

impl Range {
    /// Reads a range.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let alternative = |alternative: &str| {
            let parts: Vec<_> = alternative.split_whitespace().collect();
            if parts.is_empty() {
                None
            } else {
                parts.into_iter().map(Interval::parse).collect::<Option<Vec<_>>>()
            }
        };
        text.split("||").map(alternative).collect::<Option<Vec<_>>>().map(Self)
    }

    /// Whether this version will do.
    #[must_use]
    pub fn contains(&self, version: Version) -> bool {
        self.0.iter().any(|all| all.iter().all(|interval| interval.contains(version)))
    }
}

impl Interval {
    fn parse(text: &str) -> Option<Self> {
        let digits = text.find(|letter: char| !"^~<>=".contains(letter)).unwrap_or(text.len());
        let (operator, version) = text.split_at(digits);
        let mut parts = version.split('.');
        let major = wildcard(parts.next()?)?;
        let (minor, patch) =
            (parts.next().map_or(Some(None), wildcard)?, parts.next().map_or(Some(None), wildcard)?);
        if parts.next().is_some() || (minor.is_none() && patch.is_some()) {
            return None;
        }
        let zero = Version { major: 0, minor: 0, patch: 0 };
        let Some(major) = major else {
            // `*` alone; an operator before it means nothing.
            return (operator.is_empty() && minor.is_none() && patch.is_none()).then_some(Self(zero, None));
        };
        let first = Version { major, minor: minor.unwrap_or(0), patch: patch.unwrap_or(0) };
        let after_major = Version { major: major.checked_add(1)?, ..zero };
        let after_minor = Version { minor: first.minor.checked_add(1)?, patch: 0, ..first };
        let after_patch = Version { patch: first.patch.checked_add(1)?, ..first };
        // The first version after all those that the text itself names: `1` names 1.x.x, `1.2` names 1.2.x.
        let after = match (minor, patch) {
            (None, _) => after_major,
            (Some(_), None) => after_minor,
            (Some(_), Some(_)) => after_patch,
        };
        Some(match operator {
            "" | "=" => Self(first, Some(after)),
            "~" => Self(first, Some(if minor.is_none() { after_major } else { after_minor })),
            // The leftmost number that is not zero must stay.
            "^" if major > 0 || minor.is_none() => Self(first, Some(after_major)),
            "^" if first.minor > 0 || patch.is_none() => Self(first, Some(after_minor)),
            "^" => Self(first, Some(after_patch)),
            ">=" => Self(first, None),
            ">" => Self(after, None),
            "<" => Self(zero, Some(first)),
            "<=" => Self(zero, Some(after)),
            _ => return None,
        })
    }

    fn contains(&self, version: Version) -> bool {
        version >= self.0 && self.1.is_none_or(|end| version < end)
    }
}

/// A number, or `None` inside for `x` and `*`.
fn wildcard(text: &str) -> Option<Option<u64>> {
    if ["x", "X", "*"].contains(&text) { Some(None) } else { number(text).map(Some) }
}

fn number(text: &str) -> Option<u64> {
    let plain = text.bytes().all(|digit| digit.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if plain { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn versions_are_strict() {
        assert_eq!(Version::parse("1.20.3"), Some(Version { major: 1, minor: 20, patch: 3 }));
        for bad in ["", "1", "1.2", "1.2.3.4", "01.2.3", "1.2.3-beta", "v1.2.3", "1.2.x", "1.+2.3", " 1.2.3"]
        {
            assert_eq!(Version::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn ranges_hold_what_npm_says() {
        for (range, inside, outside) in [
            ("^1.2.3", "1.2.3 1.9.0", "1.2.2 2.0.0"),
            ("^0.2.3", "0.2.3 0.2.9", "0.3.0 1.0.0"),
            ("^0.0.3", "0.0.3", "0.0.4 0.0.2"),
            ("^0", "0.0.0 0.9.9", "1.0.0"),
            ("^1", "1.0.0 1.9.9", "0.9.9 2.0.0"),
            ("~1.2.3", "1.2.3 1.2.9", "1.3.0"),
            ("~1", "1.0.0 1.9.9", "2.0.0"),
            (">=1.2.0 <2.0.0", "1.2.0 1.99.0", "1.1.9 2.0.0"),
            (">1.2", "1.3.0", "1.2.9"),
            ("<=1.2", "1.2.9 0.0.1", "1.3.0"),
            ("1.x", "1.0.0 1.9.9", "2.0.0"),
            ("1.2.3", "1.2.3", "1.2.4"),
            ("*", "0.0.0 9.9.9", ""),
            ("1.x || ^3.0.0", "1.5.0 3.1.0", "2.0.0 4.0.0"),
        ] {
            let parsed = Range::parse(range).unwrap_or_else(|| panic!("{range}"));
            for version in inside.split_whitespace() {
                assert!(parsed.contains(Version::parse(version).unwrap()), "{range} has {version}");
            }
            for version in outside.split_whitespace() {
                assert!(!parsed.contains(Version::parse(version).unwrap()), "{range} has no {version}");
            }
        }
    }

    #[test]
    fn other_texts_are_no_ranges() {
        for bad in
            ["", "latest", "^", "1.2.3.4", ">=1.0.0 ||", "=>1.0.0", "1.x.3", "^*", "01.0.0", "1.0.0-rc"]
        {
            assert_eq!(Range::parse(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn a_version_is_read_back_and_is_in_its_own_ranges(major in 0..99u64, minor in 0..99u64, patch in 0..99u64) {
            let version = Version { major, minor, patch };
            prop_assert_eq!(Version::parse(&version.to_string()), Some(version));
            for operator in ["", "=", "^", "~", ">=", "<="] {
                let range = Range::parse(&format!("{operator}{version}"));
                prop_assert!(range.unwrap().contains(version));
            }
            for operator in ["<", ">"] {
                let range = Range::parse(&format!("{operator}{version}"));
                prop_assert!(!range.unwrap().contains(version));
            }
        }
    }
}
