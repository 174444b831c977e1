//! Which world a change may touch: everything that this workspace made for one project carries the scope's id.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::name::ProjectName;

/// Stands on every process and object that was made for one project of one workspace. Two checkouts of the same
/// repository have different ones, so neither touches what the other started.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ScopeId(String);

impl ScopeId {
    /// The scope of `project` in the workspace at `root`, an absolute path with symbolic links resolved.
    #[must_use]
    pub fn new(root: &str, project: &ProjectName) -> Self {
        let mut hash = Sha256::new();
        hash.update(root.as_bytes());
        hash.update([0]);
        hash.update(project.as_str().as_bytes());
        Self(hex::encode(hash.finalize()).chars().take(16).collect())
    }

    /// Takes the id as it stands on a process, when it is one: sixteen hexadecimal digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let fits = text.len() == 16 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        fits.then(|| Self(text.to_owned()))
    }

    /// Sixteen hexadecimal digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ScopeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ScopeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_checkouts_and_two_projects_never_share_a_scope() {
        let kernel = ProjectName::new("kernel").unwrap();
        let acme = ProjectName::new("acme").unwrap();
        let scope = ScopeId::new("/src/a", &kernel);
        assert_eq!(scope, ScopeId::new("/src/a", &kernel));
        assert_ne!(scope, ScopeId::new("/src/b", &kernel));
        assert_ne!(scope, ScopeId::new("/src/a", &acme));
        assert_eq!(ScopeId::parse(scope.as_str()), Some(scope));
        assert_eq!(ScopeId::parse("../../../../etc"), None);
    }
}
