//! The version that the name of an image states.

/// What stands behind the name of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version<'a> {
    /// Nothing: the registry's `latest`.
    None,
    /// A variable or placeholder, without a version of its own.
    Variable,
    /// A version, stated there. The text is a part of the reference.
    Stated(&'a str),
}

/// Finds the version of an image reference such as `${REGISTRY:-}postgres:${POSTGRES_VERSION}`.
pub(super) fn version(reference: &str) -> Version<'_> {
    let tag = tag(reference);
    let Some(tag) = tag else { return Version::None };
    let default = tag.strip_prefix("${").and_then(|inside| inside.strip_suffix('}')).map(|inside| {
        let operator = inside.find([':', '-', '?', '+']).unwrap_or(inside.len());
        inside[operator..].trim_start_matches([':', '-', '+'])
    });
    match default {
        // A default without a digit, such as `dev`, is a name and no version.
        Some(default)
            if !default.starts_with('?')
                && default.contains(|c: char| c.is_ascii_digit())
                && !default.contains('$') =>
        {
            Version::Stated(default)
        }
        Some(_) => Version::Variable,
        None if tag.contains(['$', '{', '<']) => mixed(tag),
        None => Version::Stated(tag),
    }
}

/// `1.2-${X}` states a version; `${X}-alpine` only a flavour of one.
fn mixed(tag: &str) -> Version<'_> {
    let before = tag.split(['$', '{', '<']).next().unwrap_or_default();
    if before.contains(|c: char| c.is_ascii_digit()) { Version::Stated(before) } else { Version::Variable }
}

/// What stands behind the last `:` (or `@`) outside of braces that is no port of a registry.
fn tag(reference: &str) -> Option<&str> {
    let mut depth = 0_usize;
    let mut found = None;
    for (index, byte) in reference.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' => depth = depth.saturating_sub(1),
            b'/' if depth == 0 => found = None,
            b':' | b'@' if depth == 0 && found.is_none() => found = Some(index + 1),
            _ => {}
        }
    }
    found.map(|index| &reference[index..]).filter(|tag| !tag.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_what_is_not_a_variable() {
        let cases = [
            ("postgres", Version::None),
            ("host:5000/postgres", Version::None),
            ("postgres:17", Version::Stated("17")),
            ("host:5000/a/postgres:17-alpine", Version::Stated("17-alpine")),
            ("postgres@sha256:abc", Version::Stated("sha256:abc")),
            ("postgres:latest", Version::Stated("latest")),
            ("${REGISTRY:-}postgres:${POSTGRES_VERSION}", Version::Variable),
            ("${REGISTRY:-docker.io/}postgres:$POSTGRES_VERSION", Version::Variable),
            ("rust:${RUST_VERSION}-alpine", Version::Variable),
            ("rust:1.95-${FLAVOUR}", Version::Stated("1.95-")),
            ("postgres:${POSTGRES_VERSION:-17}", Version::Stated("17")),
            ("platform/iam:${KERNEL_TAG:-dev}", Version::Variable),
            ("a:${A_VERSION:?set A_VERSION2}", Version::Variable),
            ("a:{{ tag }}", Version::Variable),
        ];
        for (reference, expected) in cases {
            assert_eq!(version(reference), expected, "{reference}");
        }
    }
}
