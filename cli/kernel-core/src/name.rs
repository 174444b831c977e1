//! Names that people give to projects and services. A value of these types is always a name that the Compose
//! Specification allows and that is safe as one folder name.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Longest name that is taken. Two of them and a suffix fit into a Docker object name and a file name.
const LONGEST: usize = 63;

/// Why a text is not a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a {what}: {rule}")]
pub struct NameError {
    text: String,
    what: &'static str,
    rule: &'static str,
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal, $check:path, $rule:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// Takes a text when it is such a name.
            ///
            /// # Errors
            /// Says the rule when it is not.
            pub fn new(text: impl Into<String>) -> Result<Self, NameError> {
                let text = text.into();
                if $check(&text) {
                    Ok(Self(text.into()))
                } else {
                    Err(NameError { text, what: $what, rule: $rule })
                }
            }

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;
            fn try_from(text: String) -> Result<Self, NameError> {
                Self::new(text)
            }
        }

        impl std::str::FromStr for $name {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0.to_string()
            }
        }
    };
}

name!(
    /// The name of a Compose project: what everything that belongs together carries.
    ProjectName,
    "project name",
    is_project_name,
    "use lower-case letters, digits, `-` and `_`, the first a letter or digit, at most 63"
);

name!(
    /// The name of one service of a project. With it goes one unit on the local engine.
    ServiceName,
    "service name",
    is_service_name,
    "use letters, digits, `.`, `-` and `_`, the first a letter or digit, at most 63"
);

fn is_project_name(text: &str) -> bool {
    is_name(text, |c| c.is_ascii_lowercase() || c.is_ascii_digit(), "-_")
}

fn is_service_name(text: &str) -> bool {
    is_name(text, |c| c.is_ascii_alphanumeric(), "-_.")
}

fn is_name(text: &str, plain: impl Fn(char) -> bool, marks: &str) -> bool {
    text.len() <= LONGEST
        && text.chars().next().is_some_and(&plain)
        && text.chars().all(|c| plain(c) || marks.contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_always_safe_as_a_folder() {
        for bad in ["", ".", "..", "a/b", "-a", "_a", "a b", "é", "a\0", &"a".repeat(64)] {
            assert!(ServiceName::new(bad).is_err(), "{bad:?}");
            assert!(ProjectName::new(bad).is_err(), "{bad:?}");
        }
        assert!(ProjectName::new("Kernel").is_err());
        assert_eq!(ServiceName::new("data-layer.v2").unwrap().as_str(), "data-layer.v2");
    }

    #[test]
    fn a_bad_name_is_told_with_its_rule() {
        let error = ProjectName::new("My Project").unwrap_err();
        assert!(error.to_string().starts_with("`My Project` is not a project name: use lower-case"));
    }

    #[test]
    fn what_is_read_back_is_checked() {
        assert!(serde_json::from_str::<ServiceName>("\"../x\"").is_err());
        assert_eq!(serde_json::to_string(&ServiceName::new("iam").unwrap()).unwrap(), "\"iam\"");
    }
}
