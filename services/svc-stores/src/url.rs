//! Which store a URL is for, which schemes it may have, and what to say when it has another one.
//!
//! A URL may carry a password, so no error and no `Debug` here repeats more of it than its scheme.

use std::fmt;
use std::path::PathBuf;

use url::Url;

use crate::error::{Result, StoreError};

/// A backing store of the platform, each configured by one environment variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Store {
    /// Rows with transactions: `DATABASE_URL`.
    Database,
    /// The durable partitioned log: `EVENTS_URL`.
    Events,
    /// Work to do later, with leases and retries: `TASKS_URL`.
    Tasks,
    /// What may be forgotten: `CACHE_URL`.
    Cache,
    /// Facts to count and sum: `ANALYTICS_URL`.
    Analytics,
    /// Files: `OBJECTS_URL`.
    Objects,
    /// Keys and passwords: `SECRETS_URL`.
    Secrets,
    /// Feature flags: `FLAGS_URL`.
    Flags,
}

impl Store {
    /// Every store, in the order of the documentation.
    pub const ALL: [Self; 8] = [
        Self::Database,
        Self::Events,
        Self::Tasks,
        Self::Cache,
        Self::Analytics,
        Self::Objects,
        Self::Secrets,
        Self::Flags,
    ];

    /// The environment variable that configures this store.
    #[must_use]
    pub const fn variable(self) -> &'static str {
        match self {
            Self::Database => "DATABASE_URL",
            Self::Events => "EVENTS_URL",
            Self::Tasks => "TASKS_URL",
            Self::Cache => "CACHE_URL",
            Self::Analytics => "ANALYTICS_URL",
            Self::Objects => "OBJECTS_URL",
            Self::Secrets => "SECRETS_URL",
            Self::Flags => "FLAGS_URL",
        }
    }

    /// The form of the URL of the embedded adapter.
    #[must_use]
    pub const fn embedded_form(self) -> &'static str {
        match self {
            Self::Database | Self::Events | Self::Tasks | Self::Analytics => "sqlite://<absolute path>",
            Self::Cache => "memory://",
            Self::Objects => "file://<absolute folder>",
            Self::Secrets => "sealed://<absolute path>",
            Self::Flags => "file://<absolute path of flags.yaml>",
        }
    }

    const fn embedded_scheme(self) -> &'static str {
        match self {
            Self::Database | Self::Events | Self::Tasks | Self::Analytics => "sqlite",
            Self::Cache => "memory",
            Self::Objects | Self::Flags => "file",
            Self::Secrets => "sealed",
        }
    }

    /// The schemes of the real part that has an adapter, and the form of its URL.
    const fn real(self) -> Option<(&'static [&'static str], &'static str)> {
        match self {
            Self::Cache => Some((&["valkey", "redis"], "valkey://:<password>@<host>:<port>")),
            Self::Flags => Some((&["http"], "http://<host>:<port>")),
            Self::Secrets => Some((&["vault+http"], "vault+http://token:<token>@<host>:<port>/<mount>")),
            Self::Objects => Some((&["s3"], "s3://<access key>:<secret key>@<host>:<port>/<bucket>")),
            Self::Analytics => Some((&["http"], "http://<user>:<password>@<host>:<port>/<database>")),
            Self::Tasks => Some((&["amqp"], "amqp://<user>:<password>@<host>:<port>")),
            Self::Database | Self::Events => None,
        }
    }

    /// Schemes of the real parts whose adapters are still to come.
    const fn planned_schemes(self) -> &'static [&'static str] {
        match self {
            // With its feature, the adapter takes these before they come here.
            Self::Database => &["postgres", "postgresql"],
            Self::Events => &["kafka"],
            Self::Tasks => &["amqps"],
            Self::Cache => &["valkeys", "rediss"],
            Self::Analytics | Self::Flags => &["https"],
            Self::Objects => &["s3+https"],
            Self::Secrets => &["vault+https"],
        }
    }

    /// Every form of the URL that has an adapter, for people.
    fn forms(self) -> String {
        let embedded = self.embedded_form();
        self.real().map_or(embedded.to_owned(), |(_, real)| format!("{embedded} or {real}"))
    }
}

/// The URL of one store, checked: its scheme has an adapter, and its path is absolute or its host is there.
#[derive(Clone, PartialEq, Eq)]
pub struct StoreUrl {
    store: Store,
    path: PathBuf,
    remote: Option<Remote>,
}

/// Where a real part is, and who we are there.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Remote {
    store: Store,
    url: Url,
    host: String,
}

impl Remote {
    fn parse(store: Store, text: &str, form: &str) -> Result<Self, String> {
        // The parser's own words say what is wrong and repeat nothing of the value.
        let url = Url::parse(text.trim()).map_err(|error| format!("is not a URL ({error}); use {form}"))?;
        let name = url.host_str().filter(|name| !name.is_empty());
        let name = name.ok_or_else(|| format!("names no host; use {form}"))?;
        let host = url.port().map_or(name.to_owned(), |port| format!("{name}:{port}"));
        Ok(Self { store, host, url })
    }

    /// The store that is there.
    pub(crate) const fn store(&self) -> Store {
        self.store
    }

    /// `host:port` as it was written, for people.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// Who we are there.
    pub(crate) fn username(&self) -> Option<String> {
        Some(self.url.username()).filter(|name| !name.is_empty()).map(decoded)
    }

    /// And how we prove it.
    pub(crate) fn password(&self) -> Option<String> {
        self.url.password().filter(|password| !password.is_empty()).map(decoded)
    }

    /// What follows the host, without slashes at either end.
    pub(crate) fn path(&self) -> &str {
        self.url.path().trim_matches('/')
    }

    /// All of it: holds the password.
    pub(crate) const fn secret_url(&self) -> &Url {
        &self.url
    }
}

/// Reads `%40` and the like: a password may hold what a URL may not.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let escaped = match (first, after) {
            (b'%', [high, low, ..]) => hex::decode([*high, *low]).ok(),
            _ => None,
        };
        match escaped {
            Some(byte) => {
                bytes.extend(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

impl fmt::Debug for Remote {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}={}://…@{}", self.store.variable(), self.url.scheme(), self.host)
    }
}

impl StoreUrl {
    /// Reads the value of `store`'s variable.
    ///
    /// # Errors
    /// [`StoreError::Configuration`] names the variable, what is wrong and what to write instead.
    pub fn parse(store: Store, text: &str) -> Result<Self> {
        let problem = |problem: String| StoreError::Configuration { variable: store.variable(), problem };
        let form = store.forms();
        if text.trim().is_empty() {
            return Err(problem(format!("is empty; use {form}")));
        }
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(problem(format!("is not a URL; use {form}")));
        };
        let scheme = scheme.to_ascii_lowercase();
        if store.planned_schemes().contains(&scheme.as_str()) {
            return Err(problem(format!("{scheme}:// is not implemented yet; use {form}")));
        }
        if let Some((_, form)) = store.real().filter(|(schemes, _)| schemes.contains(&scheme.as_str())) {
            let remote = Remote::parse(store, text, form).map_err(problem)?;
            return Ok(Self { store, path: PathBuf::new(), remote: Some(remote) });
        }
        if scheme != store.embedded_scheme() {
            let known = scheme.chars().all(|letter| letter.is_ascii_alphanumeric() || "+-.".contains(letter));
            let shown = if known && scheme.len() <= 20 { scheme.as_str() } else { "this scheme" };
            return Err(problem(format!("{shown}:// is unknown here; use {form}")));
        }
        if store == Store::Cache {
            return Ok(Self { store, path: PathBuf::new(), remote: None });
        }
        // The path is taken as it stands: a data directory may hold spaces, `%` or `#`.
        if !rest.starts_with('/') || rest.len() == 1 {
            return Err(problem(format!("needs an absolute path after {scheme}://; use {form}")));
        }
        Ok(Self { store, path: PathBuf::from(rest), remote: None })
    }

    /// The real part, when it is one.
    pub(crate) const fn remote(&self) -> Option<&Remote> {
        self.remote.as_ref()
    }

    /// The file or folder of an embedded store; empty for any other.
    #[must_use]
    pub fn path(&self) -> &std::path::Path {
        &self.path
    }

    /// The store that this URL is for.
    #[must_use]
    pub const fn store(&self) -> Store {
        self.store
    }
}

impl fmt::Debug for StoreUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.remote {
            Some(remote) => remote.fmt(formatter),
            None => write!(formatter, "{}={}://…", self.store.variable(), self.store.embedded_scheme()),
        }
    }
}

/// Checks the value of a store's variable without opening anything, so that a service can report every
/// problem of its configuration at once before it binds a port.
///
/// # Errors
/// As [`StoreUrl::parse`].
pub fn check(store: Store, text: &str) -> Result<()> {
    #[cfg(feature = "postgres")]
    if store == Store::Database && crate::relational::postgres::is_for(text) {
        return crate::relational::postgres::check(text);
    }
    StoreUrl::parse(store, text).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(store: Store, text: &str) -> String {
        check(store, text).unwrap_err().to_string()
    }

    #[test]
    fn a_scheme_without_an_adapter_is_named_and_its_secret_is_not() {
        let said = message(Store::Events, "kafka://admin:hunter2@db:9092");
        assert_eq!(said, "EVENTS_URL: kafka:// is not implemented yet; use sqlite://<absolute path>");
        for store in Store::ALL {
            if cfg!(feature = "postgres") && store == Store::Database {
                continue;
            }
            for scheme in store.planned_schemes() {
                let said = message(store, &format!("{scheme}://user:hunter2@host/x"));
                assert!(said.starts_with(store.variable()), "{said}");
                assert!(said.contains("not implemented yet"), "{said}");
                assert!(!said.contains("hunter2"), "{said}");
            }
        }
    }

    #[test]
    fn what_is_wrong_is_said_without_repeating_the_value() {
        assert_eq!(message(Store::Events, ""), "EVENTS_URL: is empty; use sqlite://<absolute path>");
        assert_eq!(
            message(Store::Cache, "hunter2"),
            "CACHE_URL: is not a URL; use memory:// or valkey://:<password>@<host>:<port>"
        );
        assert_eq!(
            message(Store::Objects, "ftp://x:hunter2@y"),
            "OBJECTS_URL: ftp:// is unknown here; use file://<absolute folder> or \
             s3://<access key>:<secret key>@<host>:<port>/<bucket>"
        );
        assert_eq!(
            message(Store::Secrets, "sealed://relative"),
            "SECRETS_URL: needs an absolute path after sealed://; use sealed://<absolute path> or \
             vault+http://token:<token>@<host>:<port>/<mount>"
        );
        assert!(!message(Store::Tasks, "user:hunter2 secret://x").contains("hunter2"));
    }

    #[test]
    fn a_real_part_is_shown_by_its_host_and_never_with_its_password() {
        let url = StoreUrl::parse(Store::Cache, "valkey://:hunter2@valkey:6379/3").unwrap();
        assert_eq!(url.remote().unwrap().host(), "valkey:6379");
        assert_eq!(format!("{url:?}"), "CACHE_URL=valkey://…@valkey:6379");
        let url =
            StoreUrl::parse(Store::Secrets, "vault+http://role:a%40b%2Fc%25@vault:8200/secret/").unwrap();
        let remote = url.remote().unwrap();
        assert_eq!(
            (remote.username().unwrap(), remote.password().unwrap()),
            ("role".to_owned(), "a@b/c%".to_owned())
        );
        assert_eq!(remote.path(), "secret");
        for text in
            ["valkey://", "valkey://:hunter2@", "valkey://:hunter2@valkey:port", "valkey://:hunter2@[::1"]
        {
            let said = message(Store::Cache, text);
            assert!(said.ends_with("use valkey://:<password>@<host>:<port>"), "{said}");
            assert!(!said.contains("hunter2"), "{said}");
        }
    }

    #[test]
    fn the_embedded_forms_are_taken_with_their_path_as_it_stands() {
        let url = StoreUrl::parse(Store::Database, "sqlite:///tmp/a b#c%20d.db").unwrap();
        assert_eq!(url.path(), std::path::Path::new("/tmp/a b#c%20d.db"));
        assert!(check(Store::Cache, "memory://").is_ok());
        assert!(check(Store::Flags, "file:///flags.yaml").is_ok());
        assert_eq!(format!("{url:?}"), "DATABASE_URL=sqlite://…");
    }
}
