//! The name of a sandbox's tenant.

use std::fmt;
use std::str::FromStr;

use kernel_core::exit::ExitCode;
use kernel_core::name::ProjectName;
use serde::{Deserialize, Serialize};

use crate::codes;
use crate::failure::{Failure, problem};
use crate::load::project_name;

/// What stands before a tenant's name in its project's.
const PREFIX: &str = "sandbox-";

/// Longest name: with [`PREFIX`] it is still the name of a project.
const LONGEST: usize = 63 - PREFIX.len();

/// A tenant's slug: lower-case letters, digits and single dashes, beginning with a letter, at most 55 characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TenantName(String);

impl TenantName {
    /// Takes a text when it is such a name.
    ///
    /// # Errors
    /// When it is not: `K-SANDBOX-001`, exit code 2.
    pub fn new(text: &str) -> Result<Self, Failure> {
        match rule_broken(text) {
            None => Ok(Self(text.to_owned())),
            Some(rule) => {
                let message = format!("{text:?} can't be the tenant of a sandbox: {rule}");
                let help = "lower-case letters, digits and dashes, such as `acme` or `acme-2`";
                Err(Failure::new(ExitCode::Usage, problem(codes::SANDBOX_TENANT, message, help)))
            }
        }
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The tenant whose sandbox a project may be, by its name.
    #[must_use]
    pub fn of_project(project: &ProjectName) -> Option<Self> {
        Self::new(project.as_str().strip_prefix(PREFIX)?).ok()
    }

    /// The name of the sandbox's project.
    ///
    /// # Errors
    /// None: every tenant's name gives the name of a project.
    pub fn project(&self) -> Result<ProjectName, Failure> {
        project_name(&format!("{PREFIX}{}", self.0))
    }
}

impl fmt::Display for TenantName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for TenantName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::new(text)
            .map_err(|failure| failure.problems.into_iter().map(|problem| problem.message).collect())
    }
}

impl TryFrom<String> for TenantName {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        rule_broken(&text).map_or(Ok(Self(text)), Err)
    }
}

impl From<TenantName> for String {
    fn from(name: TenantName) -> Self {
        name.0
    }
}

/// The first rule that a text breaks.
fn rule_broken(text: &str) -> Option<&'static str> {
    let allowed = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-';
    if text.is_empty() {
        Some("it is empty")
    } else if !text.chars().all(allowed) {
        Some("it has other characters than lower-case letters, digits and dashes")
    } else if !text.starts_with(|letter: char| letter.is_ascii_lowercase()) {
        Some("it does not begin with a letter")
    } else if text.ends_with('-') || text.contains("--") {
        Some("a dash stands between two letters or digits")
    } else if text.len() > LONGEST {
        Some("it is longer than 55 characters")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs_are_taken_and_give_a_project() {
        for text in ["a", "acme", "tenant", "acme-2", &"a".repeat(55)] {
            let name = TenantName::new(text).unwrap();
            let project = name.project().unwrap();
            assert_eq!(project.as_str(), format!("sandbox-{text}"));
            assert_eq!(TenantName::of_project(&project), Some(name));
        }
    }

    #[test]
    fn everything_else_is_refused_with_its_reason() {
        let long = "a".repeat(56);
        let cases = [
            ("", "empty"),
            ("Acme", "other characters"),
            ("acme_2", "other characters"),
            ("../acme", "other characters"),
            ("ac me", "other characters"),
            ("ümlaut", "other characters"),
            ("2acme", "begin with a letter"),
            ("-acme", "begin with a letter"),
            ("acme-", "a dash stands"),
            ("ac--me", "a dash stands"),
            (&long, "longer than 55"),
        ];
        for (text, reason) in cases {
            let failure = TenantName::new(text).unwrap_err();
            assert_eq!(failure.exit, ExitCode::Usage);
            assert_eq!(failure.problems[0].code, "K-SANDBOX-001");
            assert!(failure.problems[0].message.contains(reason), "{text}: {}", failure.problems[0].message);
        }
    }
}
