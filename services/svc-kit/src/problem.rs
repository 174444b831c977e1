//! The one table of errors: what went wrong ↔ a gRPC status with a typed detail.
//!
//! The gateway turns the detail into an RFC 9457 problem. A domain error becomes a [`Problem`] by a `From` beside
//! it; the handler needs only `?`.

use std::{borrow::Cow, fmt};

use prost::Message;
use svc_api::{common::v1 as wire, google::rpc};
use tonic::{Code, Status};

/// The type name of the detail inside `grpc-status-details-bin`.
const DETAIL_TYPE: &str = "type.googleapis.com/platform.common.v1.Problem";

/// What went wrong, for programs (code, slug) and for people (title, detail).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    code: Code,
    slug: Cow<'static, str>,
    title: Cow<'static, str>,
    detail: String,
    violations: Vec<Violation>,
}

/// One thing that is wrong with a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The field, as a path of JSON names such as `events.publishes[2]`.
    pub field: String,
    /// The stable name of the rule, such as `required`.
    pub code: String,
    /// What is wrong and what would be right.
    pub message: String,
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident: $code:ident, $slug:literal, $title:literal;)*) => {$(
        $(#[$doc])*
        pub fn $name(detail: impl Into<String>) -> Problem {
            Problem::new(Code::$code, $slug, $title).detail(detail)
        }
    )*};
}

impl Problem {
    /// A problem of its own kind. `slug` is what clients branch on and never changes; `title` says the same in words.
    pub fn new(
        code: Code,
        slug: impl Into<Cow<'static, str>>,
        title: impl Into<Cow<'static, str>>,
    ) -> Problem {
        Problem {
            code,
            slug: slug.into(),
            title: title.into(),
            detail: String::new(),
            violations: Vec::new(),
        }
    }

    kinds! {
        /// The thing does not exist, or not for this tenant.
        not_found: NotFound, "not-found", "Not found";
        /// The request breaks a rule. Say which with [`Problem::violation`].
        invalid: InvalidArgument, "validation-error", "The request is not valid";
        /// There is one by that name already.
        already_exists: AlreadyExists, "already-exists", "Already exists";
        /// Who calls is not known.
        unauthenticated: Unauthenticated, "unauthenticated", "Not signed in";
        /// Who calls may not do this.
        permission_denied: PermissionDenied, "permission-denied", "Permission denied";
        /// The thing is in a state in which this cannot be done.
        failed_precondition: FailedPrecondition, "failed-precondition", "Not possible in this state";
        /// Somebody else changed it first; read again and retry.
        conflict: Aborted, "conflict", "Changed by somebody else";
        /// Too much, too often.
        rate_limited: ResourceExhausted, "rate-limited", "Too many requests";
        /// A part is down or busy; the same request may succeed later.
        unavailable: Unavailable, "unavailable", "Temporarily unavailable";
        /// It took longer than the caller wanted to wait.
        deadline_exceeded: DeadlineExceeded, "deadline-exceeded", "Deadline exceeded";
        /// Documented, but not there yet.
        not_implemented: Unimplemented, "not-implemented", "Not implemented";
    }

    /// A fault of ours. The cause goes to the log with its whole chain; the caller learns only that it happened.
    pub fn internal(cause: impl IntoChain) -> Problem {
        tracing::error!(error = %cause.chain(), "internal error");
        Problem::new(Code::Internal, "internal", "Internal error")
            .detail("The service failed. The trace id of this request leads to the cause in its log.")
    }

    /// What happened this time and what to do about it.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Problem {
        self.detail = detail.into();
        self
    }

    /// Adds one thing that is wrong with the request.
    #[must_use]
    pub fn violation(
        mut self,
        field: impl Into<String>,
        code: impl Into<String>,
        message: impl Into<String>,
    ) -> Problem {
        self.violations.push(Violation { field: field.into(), code: code.into(), message: message.into() });
        self
    }

    /// Adds several.
    #[must_use]
    pub fn violations(mut self, violations: impl IntoIterator<Item = Violation>) -> Problem {
        self.violations.extend(violations);
        self
    }

    /// The gRPC code.
    pub fn code(&self) -> Code {
        self.code
    }

    /// The stable name.
    pub fn slug(&self) -> &str {
        &self.slug
    }

    /// The kind in words.
    pub fn title(&self) -> &str {
        &self.title
    }

    /// What happened this time.
    pub fn detail_text(&self) -> &str {
        &self.detail
    }

    /// What is wrong with the request.
    pub fn violation_list(&self) -> &[Violation] {
        &self.violations
    }

    /// The problem inside a status. One without our detail gets the slug of its code, so that every status has one.
    pub fn from_status(status: &Status) -> Problem {
        let (slug, title) = generic(status.code());
        let found = rpc::Status::decode(status.details()).ok().and_then(|outer| {
            let detail = outer.details.into_iter().find(|detail| detail.type_url == DETAIL_TYPE)?;
            wire::Problem::decode(detail.value.as_slice()).ok()
        });
        let Some(found) = found else {
            return Problem::new(status.code(), slug, title).detail(status.message());
        };
        let violations = found.violations.into_iter();
        Problem {
            code: status.code(),
            slug: found.slug.into(),
            title: found.title.into(),
            detail: found.detail,
            violations: violations
                .map(|wire::Violation { field, message, code }| Violation { field, code, message })
                .collect(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.title)?;
        if !self.detail.is_empty() {
            write!(formatter, ": {}", self.detail)?;
        }
        for Violation { field, message, .. } in &self.violations {
            write!(formatter, "; {field} {message}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problem {}

impl From<Problem> for Status {
    fn from(problem: Problem) -> Status {
        let Problem { code, slug, title, detail, violations } = problem;
        let message = if detail.is_empty() { title.to_string() } else { detail.clone() };
        let violations = violations.into_iter();
        let inner = wire::Problem {
            slug: slug.into_owned(),
            title: title.into_owned(),
            detail,
            violations: violations
                .map(|Violation { field, code, message }| wire::Violation { field, message, code })
                .collect(),
        };
        let any = prost_types::Any { type_url: DETAIL_TYPE.to_owned(), value: inner.encode_to_vec() };
        let outer = rpc::Status { code: code as i32, message: message.clone(), details: vec![any] };
        Status::with_details(code, message, outer.encode_to_vec().into())
    }
}

/// The slug and title of a status that says no more than its code.
fn generic(code: Code) -> (&'static str, &'static str) {
    match code {
        Code::Ok => ("ok", "OK"),
        Code::Cancelled => ("cancelled", "Cancelled by the caller"),
        Code::InvalidArgument | Code::OutOfRange => ("validation-error", "The request is not valid"),
        Code::DeadlineExceeded => ("deadline-exceeded", "Deadline exceeded"),
        Code::NotFound => ("not-found", "Not found"),
        Code::AlreadyExists => ("already-exists", "Already exists"),
        Code::PermissionDenied => ("permission-denied", "Permission denied"),
        Code::ResourceExhausted => ("rate-limited", "Too many requests"),
        Code::FailedPrecondition => ("failed-precondition", "Not possible in this state"),
        Code::Aborted => ("conflict", "Changed by somebody else"),
        Code::Unimplemented => ("not-implemented", "Not implemented"),
        Code::Unavailable => ("unavailable", "Temporarily unavailable"),
        Code::Unauthenticated => ("unauthenticated", "Not signed in"),
        Code::Unknown | Code::Internal | Code::DataLoss => ("internal", "Internal error"),
    }
}

/// Something that can be told with all of its causes: an error, or a text.
pub trait IntoChain {
    /// The causes, outermost first, joined by `: `.
    fn chain(&self) -> String;
}

impl<E: std::error::Error> IntoChain for E {
    fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut source = self.source();
        while let Some(cause) = source {
            let cause_text = cause.to_string();
            // Some errors repeat their source in their own text.
            if !text.contains(&cause_text) {
                text = format!("{text}: {cause_text}");
            }
            source = cause.source();
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_survives_the_wire() {
        let problem = Problem::new(Code::FailedPrecondition, "insufficient-funds", "Insufficient funds")
            .detail("The wallet holds 5.00 EUR; 7.00 EUR are needed.")
            .violation("amount", "maximum", "must be at most 500");
        let status = Status::from(problem.clone());
        assert_eq!(status.code(), Code::FailedPrecondition);
        assert_eq!(status.message(), "The wallet holds 5.00 EUR; 7.00 EUR are needed.");
        let mut headers = http::HeaderMap::new();
        status.add_header(&mut headers).unwrap();
        let arrived = Status::from_header_map(&headers).unwrap();
        assert_eq!(Problem::from_status(&arrived), problem);
    }

    #[test]
    fn a_foreign_status_gets_the_slug_of_its_code() {
        let problem = Problem::from_status(&Status::unavailable("tcp connect error"));
        assert_eq!((problem.slug(), problem.detail_text()), ("unavailable", "tcp connect error"));
        let garbage = Status::with_details(Code::NotFound, "gone", vec![0xff, 0xff].into());
        assert_eq!(Problem::from_status(&garbage).slug(), "not-found");
    }

    #[test]
    fn an_internal_error_keeps_its_cause_to_itself() {
        let problem = Problem::internal(std::io::Error::other("password of the database is wrong"));
        assert!(!problem.to_string().contains("password"));
        assert_eq!(problem.code(), Code::Internal);
    }
}
