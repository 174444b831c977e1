//! The shapes of single values of a manifest.

/// Permissions under these belong to the platform.
pub(super) const RESERVED_PERMISSIONS: [&str; 2] = ["system", "platform"];

/// Events of these domains are published by the platform only.
pub(super) const RESERVED_DOMAINS: [&str; 10] =
    ["audit", "auth", "billing", "data", "files", "module", "money", "notify", "platform", "system"];

/// `@scope/name`, at most 214 characters.
pub(super) fn is_module_name(text: &str) -> bool {
    let Some((scope, name)) = text.strip_prefix('@').and_then(|rest| rest.split_once('/')) else {
        return false;
    };
    text.len() <= 214 && is_slug(scope) && is_slug(name)
}

/// Three parts of lower-case letters, digits, `_` and `-`.
pub(super) fn is_dotted_triple(text: &str) -> bool {
    let parts: Vec<_> = text.split('.').collect();
    parts.len() == 3 && parts.into_iter().all(is_word)
}

/// A dotted triple in which a part may be `*`, or a shorter one that ends with `*`.
pub(super) fn is_event_pattern(text: &str) -> bool {
    let parts: Vec<_> = text.split('.').collect();
    let long_enough = parts.len() == 3 || (parts.len() < 3 && parts.last() == Some(&"*"));
    long_enough && parts.into_iter().all(|part| part == "*" || is_word(part))
}

/// `{create,update,delete}.{before,after}`.
pub(super) fn is_hook_event(text: &str) -> bool {
    let known = |(verb, moment): (&str, &str)| {
        ["create", "update", "delete"].contains(&verb) && ["before", "after"].contains(&moment)
    };
    text.split_once('.').is_some_and(known)
}

/// A path below the module's folder, or an `https://` address.
pub(super) fn is_entry(text: &str) -> bool {
    if let Some(rest) = text.strip_prefix("https://") {
        return !rest.is_empty() && !rest.starts_with('/') && !text.contains(char::is_whitespace);
    }
    let path = text.strip_prefix("./").unwrap_or(text);
    let inside = path.split('/').all(|part| !part.is_empty() && part != "..");
    inside && !text.contains(':') && !text.contains(char::is_whitespace)
}

/// A path from the root, such as `/crm/contacts`.
pub(super) fn is_path(text: &str) -> bool {
    let segments = text.strip_prefix('/');
    segments.is_some_and(|rest| !rest.starts_with('/'))
        && !text.contains("..")
        && !text.contains(char::is_whitespace)
}

/// `./Component`.
pub(super) fn is_component(text: &str) -> bool {
    text.strip_prefix("./").is_some_and(|name| {
        !name.is_empty()
            && name.bytes().all(|letter| letter.is_ascii_alphanumeric() || b"_-/".contains(&letter))
    })
}

/// A name of a model: a lower-case letter, then letters, digits and `_`.
pub(super) fn is_model(text: &str) -> bool {
    text.starts_with(|letter: char| letter.is_ascii_lowercase())
        && text.len() <= 63
        && text.bytes().all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == b'_')
}

fn is_slug(text: &str) -> bool {
    text.starts_with(|letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit())
        && text.bytes().all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == b'-')
}

fn is_word(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|letter| {
            letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == b'_' || letter == b'-'
        })
}
