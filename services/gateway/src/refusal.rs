//! Every error that leaves the gateway: an RFC 9457 problem with its HTTP status.
//!
//! Owns the words and statuses of the gateway's own refusals. Errors of the services keep their own words; the table
//! gRPC code → HTTP status is `svc-kit`'s.

use std::time::Duration;

use axum::body::Body;
use http::{
    HeaderMap, HeaderValue, Method, Response, StatusCode,
    header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE},
};
use svc_kit::Problem;
use tonic::{Code, Status};

/// A refused or failed request.
#[derive(Debug, Clone)]
pub struct Refusal(Box<Inner>);

#[derive(Debug, Clone)]
struct Inner {
    status: StatusCode,
    problem: Problem,
    headers: HeaderMap,
}

impl Refusal {
    /// A refusal that no gRPC code has the HTTP status of. `slug` is what clients branch on.
    pub fn new(
        status: StatusCode,
        slug: &'static str,
        title: &'static str,
        detail: impl Into<String>,
    ) -> Refusal {
        let problem = Problem::new(Code::Unknown, slug, title).detail(detail);
        Refusal(Box::new(Inner { status, problem, headers: HeaderMap::new() }))
    }

    /// The path is not known.
    pub fn unknown_route() -> Refusal {
        let detail = "There is nothing at this path. `GET /v1/gateway/routes` lists every route.";
        Refusal::new(StatusCode::NOT_FOUND, "not-found", "No such route", detail)
    }

    /// A variable of the path cannot be decoded.
    pub fn malformed_path() -> Refusal {
        let detail = "The path has a broken percent escape, or one that is not UTF-8.";
        Refusal::new(StatusCode::BAD_REQUEST, "malformed-path", "The path cannot be decoded", detail)
    }

    /// The RPC takes a stream of requests.
    pub fn not_over_rest() -> Refusal {
        Problem::not_implemented(
            "This operation takes a stream of requests, which REST cannot carry. Use gRPC.",
        )
        .into()
    }

    /// The path is known, the verb is not.
    pub fn wrong_method(method: &Method, allow: HeaderValue) -> Refusal {
        let allowed = allow.to_str().unwrap_or_default();
        let detail = format!("This path does not answer {method}, but {allowed}.");
        Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "Method not allowed", detail)
            .header(ALLOW, allow)
    }

    /// The body has the wrong type.
    pub fn unsupported_media_type(given: Option<&str>) -> Refusal {
        let given = given.map_or_else(
            || "The body has no `Content-Type`".to_owned(),
            |given| format!("The body is `{given}`"),
        );
        let detail = format!("{given}; send `application/json` in UTF-8.");
        Refusal::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported-media-type",
            "Unsupported content type",
            detail,
        )
    }

    /// The body is too large. `limit` is in bytes.
    pub fn too_large(limit: usize) -> Refusal {
        let detail = format!("The body may have at most {limit} bytes.");
        Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "payload-too-large", "The body is too large", detail)
    }

    /// Who calls is not known. `reason` says why.
    pub fn unauthenticated(slug: &'static str, reason: &str) -> Refusal {
        let challenge = match slug {
            "unauthenticated" => "Bearer".to_owned(),
            _ => format!("Bearer error=\"invalid_token\", error_description=\"{reason}\""),
        };
        let title = match slug {
            "token-expired" => "The token has expired",
            "token-invalid" => "The token is not valid",
            _ => "Not signed in",
        };
        let refusal = Refusal::new(StatusCode::UNAUTHORIZED, slug, title, format!("{reason}."));
        match HeaderValue::try_from(challenge) {
            Ok(challenge) => refusal.header(WWW_AUTHENTICATE, challenge),
            Err(_) => refusal,
        }
    }

    /// Too many requests. `wait` is how long until the next one is allowed.
    pub fn rate_limited(limit: u32, wait: Duration) -> Refusal {
        let detail = format!("This tenant may send {limit} requests per minute.");
        Refusal::new(StatusCode::TOO_MANY_REQUESTS, "rate-limited", "Too many requests", detail)
            .retry_after(wait)
    }

    /// The service behind a route is down or not to be asked now.
    pub fn upstream_unavailable(service: &str, wait: Duration) -> Refusal {
        let detail = format!("The service `{service}` does not answer at the moment. Try again later.");
        Refusal::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "upstream-unavailable",
            "Temporarily unavailable",
            detail,
        )
        .retry_after(wait)
    }

    /// The service behind a route took too long.
    pub fn upstream_timeout(service: &str, limit: Duration) -> Refusal {
        let detail = format!(
            "The service `{service}` did not answer within {limit:?}. What was asked for may still happen: repeat \
             the request with the same `Idempotency-Key`."
        );
        Refusal::new(StatusCode::GATEWAY_TIMEOUT, "deadline-exceeded", "Deadline exceeded", detail)
    }

    /// A fault of ours. The cause is in the log.
    pub fn internal() -> Refusal {
        let detail = "The request failed. Its trace id leads to the cause in the log.";
        Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "Internal error", detail)
    }

    /// The same with one more header.
    #[must_use]
    pub fn header(mut self, name: http::HeaderName, value: HeaderValue) -> Refusal {
        self.0.headers.insert(name, value);
        self
    }

    /// The same with `Retry-After`, in whole seconds, at least one.
    #[must_use]
    pub fn retry_after(self, wait: Duration) -> Refusal {
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        self.header(RETRY_AFTER, HeaderValue::from(seconds.max(1)))
    }

    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    /// What went wrong.
    pub fn problem(&self) -> &Problem {
        &self.0.problem
    }

    /// The problem document. `instance` is the path that was asked for.
    pub fn document(&self, instance: &str, trace_id: &str) -> serde_json::Value {
        let mut document = self.0.problem.to_json(Some(instance), Some(trace_id));
        document["status"] = self.0.status.as_u16().into();
        document
    }

    /// The response.
    pub fn into_response(self, instance: &str, trace_id: &str) -> Response<Body> {
        let mut response = Response::new(Body::from(self.document(instance, trace_id).to_string()));
        *response.status_mut() = self.0.status;
        let headers = response.headers_mut();
        headers.extend(self.0.headers);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }
}

/// A problem of ours or of a service.
impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Refusal {
        let (status, code) = (problem.http_status(), problem.code());
        let refusal = Refusal(Box::new(Inner { status, problem, headers: HeaderMap::new() }));
        match code {
            Code::Unauthenticated => refusal.header(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")),
            Code::Unavailable => refusal.retry_after(Duration::from_secs(1)),
            _ => refusal,
        }
    }
}

/// The answer of a service. Faults without a typed detail are not repeated to clients: they may tell too much.
impl From<&Status> for Refusal {
    fn from(status: &Status) -> Refusal {
        if matches!(status.code(), Code::Unknown | Code::Internal | Code::DataLoss)
            && status.details().is_empty()
        {
            return Refusal::internal();
        }
        Problem::from_status(status).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typed_problem_becomes_a_document() {
        let status = Status::from(
            Problem::new(Code::FailedPrecondition, "insufficient-funds", "Insufficient funds")
                .detail("The wallet holds 5.00 EUR.")
                .violation("amount", "maximum", "must be at most 500"),
        );
        let document =
            Refusal::from(&status).document("/v1/wallets/w/debit", "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(
            document,
            serde_json::json!({
                "type": "https://api.septemcore.com/problems/insufficient-funds",
                "title": "Insufficient funds",
                "status": 400,
                "detail": "The wallet holds 5.00 EUR.",
                "instance": "/v1/wallets/w/debit",
                "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
                "errors": [{"field": "amount", "message": "must be at most 500", "code": "maximum"}],
            })
        );
    }

    #[test]
    fn an_untyped_fault_tells_nothing() {
        for code in [Code::Internal, Code::Unknown, Code::DataLoss] {
            let refusal = Refusal::from(&Status::new(code, "password of the database is wrong"));
            assert_eq!(refusal.problem().slug(), "internal");
            assert!(!refusal.document("/", "").to_string().contains("password"));
        }
    }

    #[test]
    fn what_can_be_retried_says_when() {
        let wait = |refusal: Refusal| {
            refusal.into_response("/", "").headers()[RETRY_AFTER].to_str().unwrap().to_owned()
        };
        assert_eq!(wait(Refusal::rate_limited(1_000, Duration::from_millis(1_500))), "2");
        assert_eq!(wait(Refusal::upstream_unavailable("money", Duration::ZERO)), "1");
        assert_eq!(wait(Refusal::from(&Status::unavailable("database"))), "1");
    }

    #[test]
    fn a_wrong_method_names_the_right_ones() {
        let response =
            Refusal::wrong_method(&Method::PUT, HeaderValue::from_static("GET, HEAD")).into_response("/", "");
        assert_eq!(
            (response.status().as_u16(), &response.headers()[ALLOW]),
            (405, &HeaderValue::from_static("GET, HEAD"))
        );
    }
}
