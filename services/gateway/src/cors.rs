//! Cross-origin requests of browsers, only for the origins that are configured.

use axum::body::Body;
use http::{
    HeaderMap, HeaderValue, Method, Response, StatusCode,
    header::{
        ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
        ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
    },
};

const METHODS: &str = "GET, HEAD, POST, PATCH, DELETE";
const HEADERS: &str = "authorization, content-type, idempotency-key, x-request-id, traceparent, tracestate";
const EXPOSED: &str = "x-request-id, retry-after, x-ratelimit-limit, x-ratelimit-remaining, content-disposition, location, etag";

/// Who may call from where.
#[derive(Debug, Clone, Default)]
pub struct Cors {
    origins: Vec<HeaderValue>,
}

impl Cors {
    /// For these origins; `*` is any. Tokens travel in a header, so credentials are never allowed.
    pub fn new(origins: Vec<HeaderValue>) -> Cors {
        Cors { origins }
    }

    /// The answer to a browser's question beforehand, if this is one that may be answered.
    pub fn preflight(&self, method: &Method, headers: &HeaderMap) -> Option<Response<Body>> {
        if method != Method::OPTIONS || !headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD) {
            return None;
        }
        self.allowed(headers)?;
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        let answer = response.headers_mut();
        answer.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(METHODS));
        answer.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(HEADERS));
        answer.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
        Some(response)
    }

    /// Lets the browser read the answer, if the origin of the request is allowed.
    pub fn allow(&self, origin: Option<HeaderValue>, answer: &mut HeaderMap) {
        if self.origins.is_empty() {
            return;
        }
        answer.append(VARY, HeaderValue::from_static("origin"));
        if let Some(origin) = origin {
            answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            answer.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
        }
    }

    /// The origin of a request, if it is allowed.
    pub fn allowed(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let origin = headers.get(ORIGIN)?;
        self.origins.iter().any(|allowed| allowed == origin || allowed == "*").then(|| origin.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(origin: &'static str) -> HeaderMap {
        let pairs = [(ORIGIN, origin), (ACCESS_CONTROL_REQUEST_METHOD, "POST")];
        pairs.into_iter().map(|(name, value)| (name, HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn only_configured_origins_are_answered() {
        let cors = Cors::new(vec![HeaderValue::from_static("https://app.example")]);
        assert!(cors.preflight(&Method::OPTIONS, &asked("https://app.example")).is_some());
        assert!(cors.preflight(&Method::OPTIONS, &asked("https://evil.example")).is_none());
        assert!(cors.preflight(&Method::POST, &asked("https://app.example")).is_none());
        assert!(Cors::default().preflight(&Method::OPTIONS, &asked("https://app.example")).is_none());
    }

    #[test]
    fn an_answer_is_readable_only_for_an_allowed_origin() {
        let cors = Cors::new(vec![HeaderValue::from_static("https://app.example")]);
        let mut answer = HeaderMap::new();
        cors.allow(cors.allowed(&asked("https://evil.example")), &mut answer);
        assert!(!answer.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN));
        assert_eq!(answer[VARY], "origin");
        cors.allow(cors.allowed(&asked("https://app.example")), &mut answer);
        assert_eq!(answer[ACCESS_CONTROL_ALLOW_ORIGIN], "https://app.example");
        let mut silent = HeaderMap::new();
        Cors::default().allow(None, &mut silent);
        assert!(silent.is_empty());
    }
}
