//! Which headers cross the gateway, and which never do.

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{CONNECTION, HOST, UPGRADE},
};
use svc_kit::header;

/// Only between two neighbours (RFC 9110, 7.6.1). `connection` names further ones.
const HOP_BY_HOP: [&str; 9] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// What only the gateway says. From a client it is a lie.
const IDENTITY: [HeaderName; 8] = [
    header::USER,
    header::TENANT,
    header::ROLES,
    header::INTERNAL_TOKEN,
    header::FORWARDED_FOR,
    header::CLIENT_AGENT,
    header::TIMEOUT,
    HeaderName::from_static("x-permissions"),
];

/// Removes what the client may not say.
pub fn strip_identity(headers: &mut HeaderMap) {
    for name in IDENTITY {
        headers.remove(name);
    }
}

/// Removes what is only for the connection that the message came on.
pub fn strip_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named {
        headers.remove(name);
    }
    for name in HOP_BY_HOP {
        headers.remove(name);
    }
}

/// What a client's request may be upgraded to, if it asks. Only a WebSocket: an upgrade to `h2c`, passed on, would let a
/// client speak to the service behind our back.
pub fn wanted_upgrade(headers: &HeaderMap) -> Option<HeaderValue> {
    let asks = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|token| token.trim().eq_ignore_ascii_case("upgrade"));
    headers
        .get(UPGRADE)
        .filter(|protocol| asks && protocol.as_bytes().eq_ignore_ascii_case(b"websocket"))
        .cloned()
}

/// Makes a client's headers fit for a service: no identity, nothing of the connection, no `host` of ours.
pub fn for_upstream(headers: &mut HeaderMap) {
    strip_identity(headers);
    strip_hop_by_hop(headers);
    if let Some(host) = headers.remove(HOST) {
        headers.insert(HeaderName::from_static("x-forwarded-host"), host);
    }
}

/// Says to browsers what an API's answers are not for. What a service said itself stays. That only TLS is spoken here is
/// for whoever ends the public TLS to say: on a developer's machine it would lock the browser out of the plain port.
pub fn secure(headers: &mut HeaderMap) {
    let fixed = [
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "no-referrer"),
        ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
        ("cross-origin-resource-policy", "same-site"),
    ];
    for (name, value) in fixed {
        headers.entry(HeaderName::from_static(name)).or_insert(HeaderValue::from_static(value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pairs = pairs.iter();
        pairs.map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn what_a_client_may_not_say_does_not_cross() {
        let mut given = headers(&[
            ("x-user-id", "u"),
            ("x-tenant-id", "t"),
            ("x-roles", "Owner"),
            ("x-internal-token", "guess"),
            ("x-forwarded-for", "10.0.0.1"),
            ("x-user-agent", "me"),
            ("grpc-timeout", "1n"),
            ("host", "api.example"),
            ("connection", "close, X-Secret"),
            ("x-secret", "only for you"),
            ("keep-alive", "timeout=5"),
            ("transfer-encoding", "chunked"),
            ("te", "trailers"),
            ("upgrade", "h2c"),
            ("content-type", "image/png"),
            ("authorization", "Bearer t"),
        ]);
        for_upstream(&mut given);
        let mut left: Vec<&str> = given.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["authorization", "content-type", "x-forwarded-host"]);
    }

    #[test]
    fn an_upgrade_must_be_asked_for_in_both_headers() {
        assert_eq!(
            wanted_upgrade(&headers(&[("connection", "keep-alive, Upgrade"), ("upgrade", "websocket")]))
                .unwrap(),
            "websocket"
        );
        assert!(wanted_upgrade(&headers(&[("upgrade", "websocket")])).is_none());
        assert!(wanted_upgrade(&headers(&[("connection", "upgrade"), ("upgrade", "h2c")])).is_none());
        assert!(wanted_upgrade(&headers(&[("connection", "upgrade")])).is_none());
    }

    #[test]
    fn a_service_may_say_more_precisely_what_browsers_should_do() {
        let mut given = headers(&[("content-security-policy", "sandbox")]);
        secure(&mut given);
        assert_eq!(given["content-security-policy"], "sandbox");
        assert_eq!(given["x-content-type-options"], "nosniff");
    }
}
