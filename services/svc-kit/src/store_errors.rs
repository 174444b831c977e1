//! What a store's error means to a caller.

use svc_stores::{ConflictKind, StoreError};
use tonic::Status;

use crate::Problem;

impl From<StoreError> for Problem {
    /// Only what a caller can act on is told; the rest is an internal error and goes to the log.
    fn from(error: StoreError) -> Problem {
        match error {
            StoreError::NotFound { what } => Problem::not_found(format!("There is no such {what}.")),
            StoreError::Conflict { kind: ConflictKind::Unique, .. } => {
                Problem::already_exists("Something with this value exists already.")
            }
            StoreError::Conflict { kind: ConflictKind::Version, .. } => {
                Problem::conflict("It changed since it was read. Read it again and repeat the change.")
            }
            StoreError::Invalid { what, problem } => {
                Problem::invalid("A value is out of its range.").violation(what, "range", problem)
            }
            error @ StoreError::Unavailable { .. } => {
                tracing::warn!(%error, "a store is not available");
                Problem::unavailable("A backing store is busy or away. Retry in a moment.")
            }
            error => Problem::internal(error),
        }
    }
}

impl Problem {
    /// A store's error as a status, for handlers that speak to a store directly: `.map_err(Problem::status)?`.
    pub fn status(error: impl Into<Problem>) -> Status {
        error.into().into()
    }
}

#[cfg(test)]
mod tests {
    use tonic::Code;

    use super::*;

    #[test]
    fn only_what_a_caller_can_act_on_is_told() {
        let conflict = |kind| StoreError::Conflict {
            attempted: "insert".into(),
            kind,
            problem: "UNIQUE users.email".into(),
        };
        let cases = [
            (StoreError::NotFound { what: "wallet".into() }, Code::NotFound),
            (conflict(ConflictKind::Unique), Code::AlreadyExists),
            (conflict(ConflictKind::Version), Code::Aborted),
            (conflict(ConflictKind::Check), Code::Internal),
            (StoreError::invalid("page_size", "at most 100"), Code::InvalidArgument),
            (
                StoreError::Unavailable { attempted: "begin".into(), problem: "locked".into() },
                Code::Unavailable,
            ),
            (StoreError::failed("select", "disk is gone"), Code::Internal),
        ];
        for (error, code) in cases {
            let text = error.to_string();
            let problem = Problem::from(error);
            assert_eq!(problem.code(), code, "{text}");
            assert!(
                !problem.to_string().contains("UNIQUE") && !problem.to_string().contains("disk"),
                "{problem}"
            );
        }
    }
}
