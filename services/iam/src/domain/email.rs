//! Addresses of users.

use std::fmt;

use super::Broken;

/// An address in lower case, with one `@` and a dotted or local host. Whether it exists, only a letter to it can tell.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Email(String);

/// The longest address that SMTP can carry.
const LIMIT: usize = 254;

impl Email {
    /// Reads an address.
    ///
    /// # Errors
    ///
    /// When it cannot be one.
    pub fn parse(text: &str) -> Result<Email, Broken> {
        let text = text.trim().to_lowercase();
        let wrong = || Broken::new("email", "email", "must be an address such as ada@example.com");
        let (local, host) = text.rsplit_once('@').ok_or_else(wrong)?;
        let plain = |part: &str| {
            !part.is_empty() && !part.contains(|c: char| c.is_whitespace() || c.is_control() || c == '@')
        };
        let host_fits = host.split('.').all(|label| !label.is_empty() && !label.starts_with('-'));
        if text.len() > LIMIT || !plain(local) || !plain(host) || !host_fits {
            return Err(wrong());
        }
        Ok(Email(text))
    }

    /// An address that was checked before it was stored.
    pub fn from_store(text: String) -> Email {
        Email(text)
    }

    /// The address.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Email {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_kept_in_lower_case() {
        assert_eq!(Email::parse(" Ada@Example.COM ").unwrap().as_str(), "ada@example.com");
        assert!(Email::parse("owner@localhost").is_ok());
        for wrong in
            ["", "ada", "@example.com", "ada@", "a b@example.com", "a@b@c.de", "ada@example..com", "ada@.com"]
        {
            assert!(Email::parse(wrong).is_err(), "{wrong}");
        }
        assert!(Email::parse(&format!("{}@example.com", "x".repeat(250))).is_err());
    }
}
