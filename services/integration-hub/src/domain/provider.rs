//! An external interface that a tenant has connected.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use url::{Host, Url};

use super::Invalid;
use super::attempt::MAX_RETRIES;
use super::credentials::AuthType;
use super::request;

/// The longest that one attempt may take, and the default.
pub const MAX_TIMEOUT: Duration = Duration::from_secs(10);

/// The longest name of a provider, in characters.
pub const MAX_NAME: usize = 100;

macro_rules! stored_enum {
    ($(#[$meta:meta])* $name:ident { $($(#[$variant_meta:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $($(#[$variant_meta])* $variant,)+ }

        impl $name {
            /// Every value, in the order of declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The stored form.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }

            /// Reads the stored form.
            #[must_use]
            pub fn from_stored(text: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|value| value.as_str() == text)
            }
        }
    };
}

stored_enum! {
    /// What a provider is for.
    ProviderType {
        /// Takes or makes payments.
        Payment = "payment",
        /// Sends text messages.
        Sms = "sms",
        /// Sends mail.
        Email = "email",
        /// Collects or answers about usage.
        Analytics = "analytics",
        /// Buys or shows advertising.
        Advertising = "advertising",
        /// Anything else.
        Custom = "custom",
    }
}

stored_enum! {
    /// Whether a provider may be called.
    ProviderStatus {
        /// It may.
        Active = "active",
        /// It may, but some calls fail.
        Degraded = "degraded",
        /// It may, but calls fail now; the breaker is open.
        Down = "down",
        /// Its tenant has switched it off.
        Disabled = "disabled",
    }
}

/// How a provider is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderConfig {
    /// The longest that one attempt may take.
    pub timeout: Duration,
    /// Further attempts after the first, at most five.
    pub retries: u32,
    /// Headers that every request carries.
    pub headers: BTreeMap<String, String>,
}

impl Default for ProviderConfig {
    fn default() -> Self {
        Self { timeout: MAX_TIMEOUT, retries: MAX_RETRIES, headers: BTreeMap::new() }
    }
}

impl ProviderConfig {
    /// Every problem of the configuration.
    #[must_use]
    pub fn problems(&self) -> Vec<Invalid> {
        let mut problems = Vec::new();
        if self.timeout.is_zero() || self.timeout > MAX_TIMEOUT {
            problems.push(Invalid::new("config.timeoutMs", "a timeout is 1 to 10000 milliseconds"));
        }
        if self.retries > MAX_RETRIES {
            problems.push(Invalid::new("config.retries", "at most 5 retries"));
        }
        problems.extend(request::headers("config.headers", &self.headers).err());
        problems
    }
}

/// One provider of one tenant, without its credentials: those live in the secret store alone.
#[derive(Clone, Debug, PartialEq)]
pub struct Provider {
    /// UUID v7.
    pub id: uuid::Uuid,
    /// Unique in its tenant.
    pub name: String,
    /// What it is for.
    pub provider_type: ProviderType,
    /// Where it is; http or https, no credentials, no fragment.
    pub base_url: Url,
    /// How it wants to be authenticated with.
    pub auth_type: AuthType,
    /// How it is called.
    pub config: ProviderConfig,
    /// Whether its tenant lets it be called. [`ProviderStatus::Degraded`] and [`ProviderStatus::Down`] are shown, not
    /// stored: they follow from the breaker.
    pub enabled: bool,
    /// When it was made.
    pub created: Timestamp,
    /// When it was last changed.
    pub updated: Timestamp,
}

/// Reads a provider's name.
pub fn name(text: &str) -> Result<String, Invalid> {
    let text = text.trim();
    if text.is_empty() || text.chars().count() > MAX_NAME || text.chars().any(char::is_control) {
        return Err(Invalid::new("name", "a name has 1 to 100 characters, none of them control characters"));
    }
    Ok(text.to_owned())
}

/// Reads a provider's base URL. Where it leads is judged at every call, because names can move.
pub fn base_url(text: &str) -> Result<Url, Invalid> {
    let invalid = |message: &str| Invalid::new("baseUrl", message);
    let url = Url::parse(text.trim())
        .map_err(|error| invalid(&format!("not a URL ({error}); give https://host[:port][/path]")))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(invalid("only http and https can be called"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(invalid("a URL may not hold a user or password; give them as credentials"));
    }
    if url.fragment().is_some() {
        return Err(invalid("a base URL has no fragment"));
    }
    match url.host() {
        None => Err(invalid("the URL names no host")),
        Some(Host::Domain("")) => Err(invalid("the URL names no host")),
        Some(_) => Ok(url),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_urls_are_http_without_secrets() {
        for text in ["https://api.example.com/v2", "http://127.0.0.1:9000", "http://[::1]:80/x?k=1"] {
            assert!(base_url(text).is_ok(), "{text}");
        }
        for text in [
            "",
            "api.example.com",
            "ftp://a.example",
            "https://u:p@a.example",
            "https://a.example/#x",
            "file:///x",
        ] {
            assert!(base_url(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_configuration_tells_every_problem() {
        assert_eq!(ProviderConfig::default().problems(), []);
        let config = ProviderConfig {
            timeout: Duration::from_secs(11),
            retries: 6,
            headers: BTreeMap::from([("Host".to_owned(), "x".to_owned())]),
        };
        let fields: Vec<_> = config.problems().iter().map(|problem| problem.field).collect();
        assert_eq!(fields, ["config.timeoutMs", "config.retries", "config.headers"]);
    }

    #[test]
    fn names_are_trimmed_and_bounded() {
        assert_eq!(name(" Stripe ").as_deref(), Ok("Stripe"));
        assert!(name("").is_err());
        assert!(name("a\nb").is_err());
        assert!(name(&"é".repeat(100)).is_ok());
        assert!(name(&"é".repeat(101)).is_err());
    }

    #[test]
    fn types_survive_being_stored() {
        for value in ProviderType::ALL {
            assert_eq!(ProviderType::from_stored(value.as_str()), Some(*value));
        }
        assert_eq!(ProviderStatus::from_stored("gone"), None);
    }
}
