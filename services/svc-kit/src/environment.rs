//! Typed configuration from an injected map of variables: every problem is reported at once, with names.
//!
//! Only [`run`](crate::run()) looks at the process environment; everything below it gets an [`Environment`].

use std::{collections::BTreeMap, fmt};

use svc_stores::{Store, StoreError};

use crate::{Secret, setting::Setting};

/// The variables that a service is configured by.
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// The variables of this process. Names and values that are not UTF-8 are left out: no setting of ours has such.
    pub(crate) fn of_process() -> Environment {
        std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect()
    }

    /// The same with one more variable, replacing one of the same name.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<String>) -> Environment {
        self.0.insert(name.into(), value.into());
        self
    }

    /// The value of a variable. An empty one counts as absent, as Compose writes `X: ${X:-}` for "not given".
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|value| value.trim()).filter(|value| !value.is_empty())
    }

    /// Reads a whole configuration, or every problem that it has.
    ///
    /// # Errors
    ///
    /// When a variable is missing or unreadable; all of them are listed.
    pub fn read<C: Configure>(&self) -> Result<C, ConfigurationError> {
        let mut reader = Reader { environment: self, problems: Vec::new() };
        let config = C::configure(&mut reader);
        match config {
            Ok(config) if reader.problems.is_empty() => Ok(config),
            _ => Err(ConfigurationError { problems: reader.problems }),
        }
    }
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(variables: I) -> Environment {
        Environment(variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

/// Values may be secrets: only names are shown.
impl fmt::Debug for Environment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.0.keys()).finish()
    }
}

/// A configuration that can be read from variables.
///
/// First ask the reader for everything, then unwrap with `?`: that way every problem is found in one go.
///
/// ```
/// use std::time::Duration;
/// use svc_kit::{Configure, Invalid, Reader, Secret};
/// use svc_stores::Store;
///
/// struct Config { database_url: Secret, sweep: Duration }
///
/// impl Configure for Config {
///     fn configure(reader: &mut Reader<'_>) -> Result<Config, Invalid> {
///         let database_url = reader.store(Store::Database);
///         let sweep = reader.or("SWEEP_INTERVAL", Duration::from_secs(60));
///         Ok(Config { database_url: database_url?, sweep: sweep? })
///     }
/// }
/// ```
pub trait Configure: Sized {
    /// Reads the configuration. Problems are collected by the reader.
    ///
    /// # Errors
    ///
    /// [`Invalid`] when a value could not be read; the reader knows why.
    fn configure(reader: &mut Reader<'_>) -> Result<Self, Invalid>;
}

/// A service without settings of its own.
impl Configure for () {
    fn configure(_: &mut Reader<'_>) -> Result<(), Invalid> {
        Ok(())
    }
}

/// A value could not be read. What is wrong with it stands in the reader already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Invalid;

/// Hands out typed values and collects what is wrong with the others.
pub struct Reader<'a> {
    environment: &'a Environment,
    problems: Vec<Complaint>,
}

impl Reader<'_> {
    /// A variable that must be given. `expected` tells people what to write, such as `sqlite://<absolute path>`.
    ///
    /// # Errors
    ///
    /// When it is missing or unreadable.
    pub fn required<T: Setting>(&mut self, name: &str, expected: &str) -> Result<T, Invalid> {
        match self.environment.get(name) {
            Some(value) => self.parse(name, value, expected),
            None => {
                self.complain(name, format!("is not set; expected {expected}"));
                Err(Invalid)
            }
        }
    }

    /// A variable with a default.
    ///
    /// # Errors
    ///
    /// When it is given and unreadable.
    pub fn or<T: Setting>(&mut self, name: &str, default: T) -> Result<T, Invalid> {
        self.optional(name).map(|value| value.unwrap_or(default))
    }

    /// A variable that may be absent.
    ///
    /// # Errors
    ///
    /// When it is given and unreadable.
    pub fn optional<T: Setting>(&mut self, name: &str) -> Result<Option<T>, Invalid> {
        self.environment.get(name).map(|value| self.parse(name, value, T::EXPECTED)).transpose()
    }

    /// The URL of a backing store, checked by the rules of that store. It may hold a password, hence the type.
    ///
    /// # Errors
    ///
    /// When it is missing, or no adapter takes it.
    pub fn store(&mut self, store: Store) -> Result<Secret, Invalid> {
        let name = store.variable();
        let Some(url) = self.environment.get(name) else {
            self.complain(name, format!("is not set; expected {}", store.embedded_form()));
            return Err(Invalid);
        };
        match svc_stores::check(store, url) {
            Ok(()) => Ok(Secret::new(url)),
            Err(StoreError::Configuration { problem, .. }) => {
                self.complain(name, problem);
                Err(Invalid)
            }
            Err(error) => {
                self.complain(name, format!("cannot be used: {error}"));
                Err(Invalid)
            }
        }
    }

    /// Reads a part of the configuration that has a type of its own.
    ///
    /// # Errors
    ///
    /// When that part is invalid.
    pub fn part<C: Configure>(&mut self) -> Result<C, Invalid> {
        C::configure(self)
    }

    /// States a problem that only shows when values are looked at together.
    pub fn complain(&mut self, name: &str, problem: impl Into<String>) {
        self.problems.push(Complaint { name: name.to_owned(), problem: problem.into() });
    }

    fn parse<T: Setting>(&mut self, name: &str, value: &str, expected: &str) -> Result<T, Invalid> {
        T::parse(value).ok_or_else(|| {
            let expected = if expected.is_empty() { T::EXPECTED } else { expected };
            let shown = if T::SECRET { String::new() } else { format!(" is `{value}`;") };
            self.complain(name, format!("cannot be read:{shown} expected {expected}"));
            Invalid
        })
    }
}

/// One thing that is wrong with the environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complaint {
    /// The variable.
    pub name: String,
    /// What is wrong with it and what would be right.
    pub problem: String,
}

/// Everything that is wrong with the environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigurationError {
    /// In the order in which the variables were read.
    pub problems: Vec<Complaint>,
}

impl ConfigurationError {
    /// One error out of two, in this order.
    pub(crate) fn join(mut self, other: ConfigurationError) -> ConfigurationError {
        self.problems.extend(other.problems);
        self
    }
}

impl fmt::Display for ConfigurationError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "the environment does not configure this service")?;
        for Complaint { name, problem } in &self.problems {
            write!(formatter, "\n  {name} {problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigurationError {}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::NeighbourUrl;

    #[derive(Debug)]
    struct Config {
        url: String,
        port: u16,
        wait: Duration,
        token: Secret,
        neighbour: Option<NeighbourUrl>,
        verbose: bool,
    }

    impl Configure for Config {
        fn configure(reader: &mut Reader<'_>) -> Result<Config, Invalid> {
            let url = reader.required("DATABASE_URL", "sqlite://<absolute path>");
            let port = reader.or("PORT", 8080);
            let wait = reader.or("WAIT", Duration::from_secs(30));
            let token = reader.required("TOKEN", "the token shared by all services");
            let neighbour = reader.optional("IAM_URL");
            let verbose = reader.or("VERBOSE", false);
            Ok(Config {
                url: url?,
                port: port?,
                wait: wait?,
                token: token?,
                neighbour: neighbour?,
                verbose: verbose?,
            })
        }
    }

    #[test]
    fn defaults_fill_what_is_absent_or_empty() {
        let environment = Environment::from_iter([
            ("DATABASE_URL", "sqlite:///x"),
            ("TOKEN", "t"),
            ("PORT", ""),
            ("WAIT", "250ms"),
            ("IAM_URL", "http://iam:8080"),
            ("VERBOSE", "on"),
        ]);
        let config: Config = environment.read().unwrap();
        assert_eq!((config.url.as_str(), config.port, config.verbose), ("sqlite:///x", 8080, true));
        assert_eq!(config.wait, Duration::from_millis(250));
        assert!(config.token.matches(b"t"));
        assert_eq!(config.neighbour.unwrap().uri().host(), Some("iam"));
    }

    #[test]
    fn every_problem_is_reported_at_once_and_no_secret_is_repeated() {
        let environment =
            Environment::from_iter([("PORT", "http"), ("WAIT", "soon"), ("IAM_URL", "iam:8080")]);
        let error = environment.read::<Config>().unwrap_err();
        insta::assert_snapshot!(error, @r"
        the environment does not configure this service
          DATABASE_URL is not set; expected sqlite://<absolute path>
          PORT cannot be read: is `http`; expected a whole number from 0 to 65535
          WAIT cannot be read: is `soon`; expected a duration such as 500ms, 30s, 5m or 2h
          TOKEN is not set; expected the token shared by all services
          IAM_URL cannot be read: is `iam:8080`; expected the URL of a service such as http://iam:8080
        ");
    }

    #[test]
    fn an_environment_shows_names_only() {
        let environment = Environment::default().with("INTERNAL_TOKEN", "hunter2");
        assert_eq!(format!("{environment:?}"), r#"{"INTERNAL_TOKEN"}"#);
    }
}
