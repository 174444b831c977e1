//! Names of images: `[registry/]repository[:tag]`, by the grammar of the distribution specification.

use std::fmt;
use std::str::FromStr;

/// The tag when none is said.
const LATEST: &str = "latest";

/// The name of an image, with its tag.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reference {
    registry: Option<String>,
    repository: String,
    tag: String,
}

/// Why a text can't be the name of an image.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` can't be the name of an image: {reason}")]
pub struct ReferenceError {
    text: String,
    reason: &'static str,
}

impl Reference {
    /// The registry with its port, when one is named: `ghcr.io`, `localhost:5000`.
    #[must_use]
    pub fn registry(&self) -> Option<&str> {
        self.registry.as_deref()
    }

    /// What comes between registry and tag: `owner/platform-kernel/iam`.
    #[must_use]
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag.
    #[must_use]
    pub fn tag(&self) -> &str {
        &self.tag
    }

    /// The same image under another tag.
    ///
    /// # Errors
    /// When it can't be a tag.
    pub fn with_tag(&self, tag: &str) -> Result<Self, ReferenceError> {
        let repository = self.to_string();
        let repository = repository.strip_suffix(&format!(":{}", self.tag)).unwrap_or(&repository);
        if tag.is_empty() {
            let text = format!("{repository}:");
            return Err(ReferenceError { text, reason: "its tag is empty" });
        }
        format!("{repository}:{tag}").parse()
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(registry) = &self.registry {
            write!(f, "{registry}/")?;
        }
        write!(f, "{}:{}", self.repository, self.tag)
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        let wrong = |reason| ReferenceError { text: text.to_owned(), reason };
        if text.contains('@') {
            return Err(wrong("a digest names what is there, and nothing can be built to be it"));
        }
        let (registry, rest) = match text.split_once('/') {
            Some((first, rest)) if is_registry(first) => (Some(first), rest),
            _ => (None, text),
        };
        let (repository, tag) = rest.rsplit_once(':').unwrap_or((rest, LATEST));
        if registry.is_some_and(|registry| !is_host(registry)) {
            return Err(wrong("its registry is no host name with an optional port"));
        }
        if !repository.split('/').all(is_component) {
            return Err(wrong(
                "its parts are lower-case letters and digits, separated by one `.`, one or two `_`, or any `-`",
            ));
        }
        if !is_tag(tag) {
            return Err(wrong(
                "its tag has other characters than letters, digits, `_`, `.`, `-`, or is too long",
            ));
        }
        let registry = registry.map(str::to_owned);
        Ok(Self { registry, repository: repository.to_owned(), tag: tag.to_owned() })
    }
}

/// The first part is a registry when it could not be part of a repository's name, as Docker has it.
fn is_registry(part: &str) -> bool {
    part == "localhost" || part.contains(['.', ':']) || part.bytes().any(|byte| byte.is_ascii_uppercase())
}

fn is_host(text: &str) -> bool {
    let (host, port) = text.rsplit_once(':').map_or((text, None), |(host, port)| (host, Some(port)));
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'[' | b']' | b':');
    let is_port = |port: &str| port.parse::<u16>().is_ok();
    !host.is_empty() && host.bytes().all(letter) && port.is_none_or(is_port)
}

fn is_component(part: &str) -> bool {
    let letter = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = part.as_bytes();
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else { return false };
    let mut separators = bytes.split(letter).filter(|run| !run.is_empty());
    letter(first)
        && letter(last)
        && separators.all(|run| matches!(run, b"." | b"_" | b"__") || run.iter().all(|byte| *byte == b'-'))
}

fn is_tag(tag: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let first = tag.bytes().next().is_some_and(word);
    first && tag.len() <= 128 && tag.bytes().all(|byte| word(byte) || matches!(byte, b'.' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_falls_into_its_parts() {
        let cases = [
            ("platform-kernel/iam:dev", None, "platform-kernel/iam", "dev"),
            ("ghcr.io/acme/platform-kernel/iam", Some("ghcr.io"), "acme/platform-kernel/iam", "latest"),
            ("localhost:5000/iam:1", Some("localhost:5000"), "iam", "1"),
            ("localhost/iam", Some("localhost"), "iam", "latest"),
            ("127.0.0.1:5000/a__b/c-d:V1.2_x", Some("127.0.0.1:5000"), "a__b/c-d", "V1.2_x"),
            ("iam", None, "iam", "latest"),
        ];
        for (text, registry, repository, tag) in cases {
            let reference: Reference = text.parse().unwrap();
            assert_eq!(
                (reference.registry(), reference.repository(), reference.tag()),
                (registry, repository, tag),
                "{text}"
            );
            assert_eq!(reference.to_string().parse(), Ok(reference), "{text}");
        }
    }

    #[test]
    fn what_can_be_no_name_is_refused() {
        let digest = format!("iam@sha256:{}", "0".repeat(64));
        let long = format!("iam:{}", "t".repeat(129));
        let texts = [
            "",
            ":dev",
            "iam:",
            "a//b",
            "-iam",
            "iam-",
            "i..am",
            "i___am",
            "iam:-x",
            "iam:a b",
            "host.io:x/iam",
            "Bad_Host/iam",
            "platform kernel/iam",
            &digest,
            &long,
        ];
        for text in texts {
            assert!(text.parse::<Reference>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_tag_is_exchanged_and_nothing_else() {
        let reference: Reference = "localhost:5000/iam:1".parse().unwrap();
        assert_eq!(reference.with_tag("2").unwrap().to_string(), "localhost:5000/iam:2");
        assert!(reference.with_tag("").is_err());
        assert!(reference.with_tag("a/b").is_err());
    }
}
