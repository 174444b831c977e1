//! A host name that a tenant may claim: lower-case ASCII (IDNA), fully qualified, not one of the platform's own.

use std::fmt;

use thiserror::Error;
use url::Host;

/// The zone that the platform itself lives in. Nobody may claim a name in it.
const PLATFORM_ZONE: &str = "platform.io";

/// The longest name that DNS carries, in bytes, without the final dot.
const MAX_LENGTH: usize = 253;

/// A valid host name in its one canonical form. Two spellings of the same name are equal.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Hostname(String);

/// Why a text is no host name that a tenant can claim.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum HostnameError {
    /// Nothing was given.
    #[error("a host name is needed, such as shop.example.com")]
    Empty,
    /// More bytes than DNS carries.
    #[error("a host name has at most 253 characters; this one has {0} after conversion to ASCII")]
    TooLong(usize),
    /// An address is reached without DNS, so nothing can prove who owns it.
    #[error("`{0}` is an address; give the host name that your users will open")]
    Address(String),
    /// A single label has no owner in public DNS.
    #[error("`{0}` is not fully qualified; give the whole name, such as shop.example.com")]
    NotQualified(String),
    /// Wildcards are not served.
    #[error("wildcards are not supported; add each host name by itself")]
    Wildcard,
    /// A label breaks the letter-digit-hyphen rule.
    #[error("`{0}` is not a valid part of a host name: 1 to 63 letters, digits or inner hyphens")]
    Label(String),
    /// Not representable in ASCII by the rules of internationalised names.
    #[error("`{0}` is not a host name (no scheme, port or path, and only letters that names may have)")]
    Unrepresentable(String),
    /// In the platform's own zone.
    #[error("`{0}` belongs to the platform itself; add a name of a zone that you own")]
    Platform(String),
}

impl Hostname {
    /// Reads what a person typed: surrounding space and one final dot are dropped, letters become lower case, and
    /// names beyond ASCII take their `xn--` form.
    pub fn parse(text: &str) -> Result<Self, HostnameError> {
        let typed = text.trim();
        let typed = typed.strip_suffix('.').unwrap_or(typed);
        if typed.is_empty() {
            return Err(HostnameError::Empty);
        }
        if typed.starts_with("*.") || typed == "*" {
            return Err(HostnameError::Wildcard);
        }
        // `url` accepts percent-encoding in a host; a person who types it means something else.
        if typed.contains('%') {
            return Err(HostnameError::Unrepresentable(typed.to_owned()));
        }
        let ascii = match Host::parse(typed) {
            Ok(Host::Domain(name)) => name,
            Ok(Host::Ipv4(_) | Host::Ipv6(_)) => return Err(HostnameError::Address(typed.to_owned())),
            Err(_) if typed.parse::<std::net::Ipv6Addr>().is_ok() => {
                return Err(HostnameError::Address(typed.to_owned()));
            }
            // A name that ends in a number is read as a broken IPv4 address by browsers too.
            Err(_) => return Err(HostnameError::Unrepresentable(typed.to_owned())),
        };
        if ascii.len() > MAX_LENGTH {
            return Err(HostnameError::TooLong(ascii.len()));
        }
        if let Some(label) = ascii.split('.').find(|label| !is_label(label)) {
            return Err(HostnameError::Label(label.to_owned()));
        }
        if !ascii.contains('.') {
            return Err(HostnameError::NotQualified(ascii));
        }
        let name = Self(ascii);
        if name.is_within(PLATFORM_ZONE) {
            return Err(HostnameError::Platform(name.0));
        }
        Ok(name)
    }

    /// The canonical text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the name is `zone` or lies below it.
    #[must_use]
    pub fn is_within(&self, zone: &str) -> bool {
        self.0.strip_suffix(zone).is_some_and(|before| before.is_empty() || before.ends_with('.'))
    }

    /// Whether the name can never exist in public DNS: the development names of RFC 2606 and RFC 6761.
    #[must_use]
    pub fn is_reserved_for_development(&self) -> bool {
        ["test", "localhost", "example"].iter().any(|zone| self.is_within(zone))
    }
}

fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

impl fmt::Display for Hostname {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Result<String, HostnameError> {
        Hostname::parse(text).map(|name| name.to_string())
    }

    #[test]
    fn spellings_of_one_name_become_one() {
        for text in ["Shop.Example.COM", " shop.example.com. ", "shop.example.com"] {
            assert_eq!(check(text).as_deref(), Ok("shop.example.com"), "{text}");
        }
        assert_eq!(check("Bücher.example").as_deref(), Ok("xn--bcher-kva.example"));
        assert_eq!(check("xn--bcher-kva.example").as_deref(), Ok("xn--bcher-kva.example"));
    }

    #[test]
    fn what_is_no_name_is_refused_with_its_reason() {
        use HostnameError as E;
        assert_eq!(check("  "), Err(E::Empty));
        assert_eq!(check("."), Err(E::Empty));
        assert_eq!(check("*.example.com"), Err(E::Wildcard));
        assert_eq!(check("192.0.2.1"), Err(E::Address("192.0.2.1".into())));
        assert_eq!(check("2001:db8::1"), Err(E::Address("2001:db8::1".into())));
        assert_eq!(check("shop"), Err(E::NotQualified("shop".into())));
        assert_eq!(check("a_b.example"), Err(E::Label("a_b".into())));
        assert_eq!(check("-a.example"), Err(E::Label("-a".into())));
        assert_eq!(check("a..example"), Err(E::Label(String::new())));
        for text in
            ["https://shop.example", "shop.example:443", "shop.example/x", "a b.example", "%61.example"]
        {
            assert!(matches!(check(text), Err(E::Unrepresentable(_))), "{text}: {:?}", check(text));
        }
        let label = "a".repeat(64);
        assert_eq!(check(&format!("{label}.example")), Err(E::Label(label)));
        let long = format!("{}example", "abcdefg.".repeat(32));
        assert_eq!(check(&long), Err(E::TooLong(263)));
    }

    #[test]
    fn the_platforms_own_zone_is_refused() {
        assert_eq!(check("custom.platform.io"), Err(HostnameError::Platform("custom.platform.io".into())));
        assert_eq!(check("PLATFORM.IO"), Err(HostnameError::Platform("platform.io".into())));
        assert_eq!(check("notplatform.io").as_deref(), Ok("notplatform.io"));
    }

    #[test]
    fn development_names_are_those_of_the_standards() {
        for (name, expected) in [
            ("shop.test", true),
            ("shop.localhost", true),
            ("shop.example", true),
            ("shop.example.com", false),
            ("shop.contest", false),
            ("test.shop.org", false),
        ] {
            let parsed = Hostname::parse(name).expect("a valid name");
            assert_eq!(parsed.is_reserved_for_development(), expected, "{name}");
        }
    }
}
