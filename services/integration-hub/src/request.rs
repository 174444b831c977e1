//! A caller's request as it comes in and as a dead letter keeps it, and the request that goes out.

use std::collections::BTreeMap;

use http::HeaderValue;
use http::header::{ACCEPT, CONTENT_TYPE};
use serde::{Deserialize, Serialize};

use crate::domain::{Credentials, Invalid, OutboundRequest, Provider, request};

/// What a caller wants a provider to be asked.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct CallRequest {
    /// The HTTP method; POST when empty.
    pub method: String,
    /// Below the provider's base URL.
    pub path: String,
    /// Query parameters.
    pub query: BTreeMap<String, String>,
    /// Headers beside those of the provider's configuration.
    pub headers: BTreeMap<String, String>,
    /// The JSON body, if there is one.
    pub body: Option<serde_json::Value>,
    /// The same over all attempts.
    pub idempotency_key: String,
}

/// The request that goes out, or everything that is wrong with what came in.
pub fn outbound(
    provider: &Provider,
    credentials: &Credentials,
    call: &CallRequest,
) -> Result<OutboundRequest, Vec<Invalid>> {
    let mut problems = Vec::new();
    let mut keep = |problem: Invalid| problems.push(problem);
    let method =
        request::method(if call.method.is_empty() { "POST" } else { &call.method }).map_err(&mut keep).ok();
    let query: Vec<_> = call.query.clone().into_iter().collect();
    let url = request::join(&provider.base_url, &call.path, &query).map_err(&mut keep).ok();
    let configured = request::headers("config.headers", &provider.config.headers).map_err(&mut keep).ok();
    let given = request::headers("headers", &call.headers).map_err(&mut keep).ok();
    let key = HeaderValue::from_str(&call.idempotency_key)
        .map_err(|_| keep(Invalid::new("idempotencyKey", "an idempotency key is visible ASCII")))
        .ok();
    let body = match &call.body {
        Some(body) => serde_json::to_vec(body)
            .map_err(|error| {
                keep(Invalid::new("body", format!("the body can't be written as JSON: {error}")))
            })
            .ok(),
        None => Some(Vec::new()),
    };
    if body.as_ref().is_some_and(|body| body.len() > request::MAX_REQUEST_BODY) {
        keep(Invalid::new("body", "a body has at most 1048576 bytes of JSON"));
    }
    let (Some(method), Some(url), Some(mut headers), Some(given), Some(key), Some(body)) =
        (method, url, configured, given, key, body)
    else {
        return Err(problems);
    };
    if !problems.is_empty() {
        return Err(problems);
    }
    for (name, value) in &given {
        headers.insert(name.clone(), value.clone());
    }
    headers.entry(ACCEPT).or_insert(HeaderValue::from_static("application/json"));
    if call.body.is_some() {
        headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static("application/json"));
    }
    headers.insert("idempotency-key", key);
    if let Some((name, value)) = credentials.header() {
        headers.insert(name.clone(), value.clone());
    }
    Ok(OutboundRequest { method, url, headers, body })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::Timestamp;
    use serde_json::json;

    use super::*;
    use crate::domain::{AuthType, ProviderConfig, ProviderType};

    fn provider() -> Provider {
        Provider {
            id: uuid::Uuid::nil(),
            name: "Stripe".into(),
            provider_type: ProviderType::Payment,
            base_url: "https://api.example.com/v1".parse().expect("a URL"),
            auth_type: AuthType::Bearer,
            config: ProviderConfig {
                timeout: Duration::from_secs(1),
                retries: 0,
                headers: BTreeMap::from([
                    ("x-version".into(), "1".into()),
                    ("accept".into(), "text/plain".into()),
                ]),
            },
            enabled: true,
            created: Timestamp::UNIX_EPOCH,
            updated: Timestamp::UNIX_EPOCH,
        }
    }

    fn credentials() -> Credentials {
        Credentials::new(AuthType::Bearer, BTreeMap::from([("token".into(), "t".into())])).expect("valid")
    }

    #[test]
    fn the_callers_headers_win_over_the_configuration_and_credentials_over_both() {
        let call = CallRequest {
            path: "/charges".into(),
            headers: BTreeMap::from([("X-Version".into(), "2".into())]),
            body: Some(json!({"amount": 5})),
            idempotency_key: "k".into(),
            ..CallRequest::default()
        };
        let request = outbound(&provider(), &credentials(), &call).expect("valid");
        assert_eq!(
            (request.method.as_str(), request.url.as_str()),
            ("POST", "https://api.example.com/v1/charges")
        );
        assert_eq!(request.body, br#"{"amount":5}"#);
        for (name, value) in [
            ("x-version", "2"),
            ("accept", "text/plain"),
            ("content-type", "application/json"),
            ("idempotency-key", "k"),
            ("authorization", "Bearer t"),
        ] {
            assert_eq!(request.headers[name], value, "{name}");
        }
    }

    #[test]
    fn every_problem_is_told_at_once() {
        let call = CallRequest {
            method: "TRACE".into(),
            path: "x".into(),
            headers: BTreeMap::from([("host".into(), "evil".into())]),
            idempotency_key: "\n".into(),
            body: Some(json!("x".repeat(request::MAX_REQUEST_BODY))),
            ..CallRequest::default()
        };
        let problems = outbound(&provider(), &credentials(), &call).expect_err("all wrong");
        let fields: Vec<_> = problems.iter().map(|problem| problem.field).collect();
        assert_eq!(fields, ["method", "path", "headers", "idempotencyKey", "body"]);
    }
}
