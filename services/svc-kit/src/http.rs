//! Problems over HTTP: the status of each kind and the body of RFC 9457.

use axum::response::{IntoResponse, Response};
use http::{StatusCode, header::CONTENT_TYPE};
use serde_json::{Value, json};
use tonic::Code;

use crate::{Problem, RequestContext};

/// Where the documentation of all kinds of problems stands; the slug follows.
const TYPE_BASE: &str = "https://api.septemcore.com/problems/";

/// Kinds whose HTTP status is not that of their gRPC code.
const STATUS_OF_SLUG: [(&str, StatusCode); 9] = [
    ("subscription-suspended", StatusCode::PAYMENT_REQUIRED),
    ("subscription-terminated", StatusCode::PAYMENT_REQUIRED),
    ("plan-limit-exceeded", StatusCode::PAYMENT_REQUIRED),
    ("payload-too-large", StatusCode::PAYLOAD_TOO_LARGE),
    ("limit-exceeded", StatusCode::UNPROCESSABLE_ENTITY),
    ("hook-rejected", StatusCode::UNPROCESSABLE_ENTITY),
    ("file-rejected", StatusCode::UNPROCESSABLE_ENTITY),
    ("provider-rejected", StatusCode::BAD_GATEWAY),
    ("provider-failed", StatusCode::BAD_GATEWAY),
];

impl Problem {
    /// The HTTP status of this kind of problem.
    pub fn http_status(&self) -> StatusCode {
        let of_slug = STATUS_OF_SLUG.into_iter().find(|(slug, _)| *slug == self.slug());
        of_slug.map_or_else(|| status_of_code(self.code()), |(_, status)| status)
    }

    /// The body of RFC 9457, with our extras `trace_id` and `errors`.
    pub fn to_json(&self, instance: Option<&str>, trace_id: Option<&str>) -> Value {
        let mut body = json!({
            "type": format!("{TYPE_BASE}{}", self.slug()),
            "title": self.title(),
            "status": self.http_status().as_u16(),
            "detail": self.detail_text(),
        });
        if let Some(instance) = instance {
            body["instance"] = instance.into();
        }
        if let Some(trace_id) = trace_id {
            body["trace_id"] = trace_id.into();
        }
        if !self.violation_list().is_empty() {
            let errors = self.violation_list().iter();
            let errors = errors.map(|violation| {
                json!({ "field": violation.field, "message": violation.message, "code": violation.code })
            });
            body["errors"] = errors.collect();
        }
        body
    }
}

/// The problem as an answer, with the trace id of the [current](RequestContext::current) request.
pub fn http_problem(problem: &Problem) -> Response {
    let trace_id = RequestContext::current().map(|context| context.trace.trace_id());
    let body = problem.to_json(None, trace_id.as_deref()).to_string();
    (problem.http_status(), [(CONTENT_TYPE, "application/problem+json")], body).into_response()
}

/// An axum handler may answer with a problem.
impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        http_problem(&self)
    }
}

fn status_of_code(code: Code) -> StatusCode {
    match code {
        Code::Ok => StatusCode::OK,
        Code::InvalidArgument | Code::FailedPrecondition | Code::OutOfRange => StatusCode::BAD_REQUEST,
        Code::Unauthenticated => StatusCode::UNAUTHORIZED,
        Code::PermissionDenied => StatusCode::FORBIDDEN,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::AlreadyExists | Code::Aborted => StatusCode::CONFLICT,
        Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
        // What nginx and the gRPC mapping of HTTP say when the client closed the request; it never reads it.
        Code::Cancelled => StatusCode::from_u16(499).unwrap_or(StatusCode::BAD_REQUEST),
        Code::Unimplemented => StatusCode::NOT_IMPLEMENTED,
        Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Code::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
        Code::Unknown | Code::Internal | Code::DataLoss => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_reads_as_rfc_9457() {
        let problem =
            Problem::invalid("The password is too short.").violation("password", "min", "at least 12");
        insta::assert_snapshot!(problem.to_json(Some("/v1/auth/register"), Some("4bf9")), @r#"{"type":"https://api.septemcore.com/problems/validation-error","title":"The request is not valid","status":400,"detail":"The password is too short.","instance":"/v1/auth/register","trace_id":"4bf9","errors":[{"field":"password","message":"at least 12","code":"min"}]}"#);
    }

    #[test]
    fn a_slug_may_have_a_status_of_its_own() {
        let problem = Problem::new(Code::ResourceExhausted, "plan-limit-exceeded", "Plan limit reached");
        assert_eq!(problem.http_status(), StatusCode::PAYMENT_REQUIRED);
        assert_eq!(Problem::rate_limited("").http_status(), StatusCode::TOO_MANY_REQUESTS);
    }
}
