//! The one error type of every store: what was attempted, what is wrong, what a caller can do about it.

use std::fmt;

/// The result of every operation on a store.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

/// Why an operation on a store failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A variable of the environment is unusable. Never holds the value itself.
    #[error("{variable}: {problem}")]
    Configuration {
        /// The environment variable, like `DATABASE_URL`.
        variable: &'static str,
        /// What is wrong and what to write instead.
        problem: String,
    },
    /// A statement was refused before it reached the store: it does not hold to its tenant, or is malformed.
    #[error("statement refused: {problem} (in `{statement}`)")]
    Refused {
        /// The rule that was broken and how to keep it.
        problem: String,
        /// The beginning of the statement; values are never part of it.
        statement: String,
    },
    /// One row was asked for and there is none.
    #[error("no such {what}")]
    NotFound {
        /// What was looked for.
        what: String,
    },
    /// A unique value exists already, a check or a reference would be broken, or a version moved on.
    #[error("{attempted}: {kind}: {problem}")]
    Conflict {
        /// What was being done.
        attempted: String,
        /// Which rule stood against it.
        kind: ConflictKind,
        /// The store's own words.
        problem: String,
    },
    /// An argument is out of the range that the port allows.
    #[error("{what}: {problem}")]
    Invalid {
        /// The argument.
        what: &'static str,
        /// Why it was refused and what is allowed.
        problem: String,
    },
    /// The store is busy or away; the same call may succeed later.
    #[error("{attempted}: the store is not available: {problem}")]
    Unavailable {
        /// What was being done.
        attempted: String,
        /// The store's own words.
        problem: String,
    },
    /// What is stored cannot be read as what it should be.
    #[error("{what} cannot be read: {problem}")]
    Corrupt {
        /// Which item.
        what: String,
        /// Why.
        problem: String,
    },
    /// Stored migrations do not fit those of this program.
    #[error("migrations of {service}: {problem}")]
    Migration {
        /// Whose migrations.
        service: String,
        /// What does not fit and what to do.
        problem: String,
    },
    /// Anything else that the store or the file system reported.
    #[error("{attempted}: {source}")]
    Failed {
        /// What was being done.
        attempted: String,
        /// The cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// The rule that a [`StoreError::Conflict`] is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConflictKind {
    /// A value that must be unique exists already.
    Unique,
    /// A row that is referred to does not exist, or one that refers would be left behind.
    Reference,
    /// A `CHECK`, `NOT NULL` or trigger of the schema.
    Check,
    /// The item changed since it was read.
    Version,
}

impl fmt::Display for ConflictKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Unique => "exists already",
            Self::Reference => "reference broken",
            Self::Check => "rule broken",
            Self::Version => "changed meanwhile",
        })
    }
}

impl StoreError {
    /// Wraps a cause with what was being done.
    pub fn failed(
        attempted: impl Into<String>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self::Failed { attempted: attempted.into(), source: source.into() }
    }

    /// An argument that the port does not allow.
    pub fn invalid(what: &'static str, problem: impl Into<String>) -> Self {
        Self::Invalid { what, problem: problem.into() }
    }

    /// True when a unique value existed already, the usual way to notice a second attempt.
    #[must_use]
    pub const fn is_unique_conflict(&self) -> bool {
        matches!(self, Self::Conflict { kind: ConflictKind::Unique, .. })
    }

    /// True when one row was asked for and there is none.
    #[must_use]
    pub const fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound { .. })
    }

    /// True when the same call may succeed if it is made again.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }
}
