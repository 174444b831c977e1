//! A text that can't be printed by accident, and values of an environment that may be such a text.

use std::fmt;

use serde::{Serialize, Serializer};
use sha2::{Digest, Sha256};

/// What stands where a secret would.
pub const HIDDEN: &str = "[secret]";

/// A text that nobody may see. It has no `Display`; `Debug` and serialisation give [`HIDDEN`]. Whoever really needs
/// the text says [`Secret::expose`], which is easy to find in a review.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Hides a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself: only for handing it to the process or store that it was made for.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(HIDDEN)
    }
}

/// One value of a process's environment.
#[derive(Clone, PartialEq, Eq)]
pub enum Value {
    /// May be shown.
    Plain(String),
    /// May not.
    Secret(Secret),
}

impl Value {
    /// The text itself, secret or not: only for the process that it is for.
    #[must_use]
    pub fn expose(&self) -> &str {
        match self {
            Self::Plain(text) => text,
            Self::Secret(secret) => secret.expose(),
        }
    }

    /// What people may see.
    #[must_use]
    pub fn shown(&self) -> &str {
        match self {
            Self::Plain(text) => text,
            Self::Secret(_) => HIDDEN,
        }
    }

    /// Feeds the value into a fingerprint; a secret leaves only its hash there.
    pub fn digest(&self, hash: &mut Sha256) {
        let text = self.expose().as_bytes();
        hash.update(text.len().to_le_bytes());
        hash.update(text);
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.shown(), f)
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.shown())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_shows_itself_nowhere() {
        let secret = Secret::new("hunter2");
        let value = Value::Secret(Secret::new("postgres://u:hunter2@h/d"));
        let shown =
            format!("{secret:?} {value:?} {}", serde_json::to_string(&(&secret, &value)).unwrap_or_default());
        assert!(!shown.contains("hunter2"), "{shown}");
        assert_eq!(value.expose(), "postgres://u:hunter2@h/d");
    }
}
