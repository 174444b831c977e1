//! A value that cannot be printed.

use std::fmt;

/// Text that must never reach a log, an error or a screen. It has no `Display`, and its `Debug` shows nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes the text.
    pub fn new(text: impl Into<String>) -> Secret {
        Secret(text.into())
    }

    /// The text itself. Call this only where the secret is used, never to show it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Compares in a time that does not depend on where the two differ.
    pub fn matches(&self, candidate: &[u8]) -> bool {
        let own = self.0.as_bytes();
        // The length is not secret, the bytes are.
        own.len() == candidate.len()
            && std::hint::black_box(own.iter().zip(candidate).fold(0_u8, |seen, (a, b)| seen | (a ^ b))) == 0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_compared_but_never_shown() {
        let secret = Secret::new("hunter2");
        assert!(secret.matches(b"hunter2"));
        assert!(!secret.matches(b"hunter3"));
        assert!(!secret.matches(b"hunter22"));
        assert!(!secret.matches(b""));
        assert!(!format!("{secret:?}").contains("hunter"));
    }
}
