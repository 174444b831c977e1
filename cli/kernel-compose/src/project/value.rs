//! Values that may hold a secret, and so do not print themselves.

use std::fmt;

use kernel_core::source::Span;

/// The text of an environment variable. It knows whether a generated variable went into it; if so, it never shows in
/// `{:?}` output.
#[derive(Clone, PartialEq, Eq)]
pub struct EnvironmentValue {
    text: String,
    sensitive: bool,
}

impl EnvironmentValue {
    /// A value that may be shown.
    #[must_use]
    pub fn plain(text: impl Into<String>) -> Self {
        Self { text: text.into(), sensitive: false }
    }

    /// A value that must not be shown.
    #[must_use]
    pub fn sensitive(text: impl Into<String>) -> Self {
        Self { text: text.into(), sensitive: true }
    }

    /// The text itself, to hand to a process or container. Never log or print it when [`Self::is_sensitive`].
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// Whether a variable listed under `x-kernel.generate` went into it.
    #[must_use]
    pub fn is_sensitive(&self) -> bool {
        self.sensitive
    }

    /// The same value with another text, such as one with host names rewritten; stays as sensitive as it was.
    #[must_use]
    pub fn with_text(&self, text: impl Into<String>) -> Self {
        Self { text: text.into(), sensitive: self.sensitive }
    }
}

impl fmt::Debug for EnvironmentValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.sensitive { f.write_str("<secret>") } else { fmt::Debug::fmt(&self.text, f) }
    }
}

/// One variable of an environment, with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Its value after interpolation.
    pub value: EnvironmentValue,
    /// Where the value stands: in a Compose file or in an env file.
    pub span: Span,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_does_not_print_itself() {
        assert_eq!(format!("{:?}", EnvironmentValue::sensitive("hunter2").with_text("hunter3")), "<secret>");
        assert_eq!(format!("{:?}", EnvironmentValue::plain("a")), "\"a\"");
    }
}
