//! One request to a provider, joined with the provider's base URL so that it can't leave it.

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use url::Url;

use super::Invalid;

/// The largest body that we send, in bytes.
pub const MAX_REQUEST_BODY: usize = 1024 * 1024;

/// A checked request, without the provider's own headers and credentials.
#[derive(Clone, Debug)]
pub struct OutboundRequest {
    /// The HTTP method.
    pub method: Method,
    /// The whole URL.
    pub url: Url,
    /// The caller's headers.
    pub headers: HeaderMap,
    /// The body; empty when there is none.
    pub body: Vec<u8>,
}

/// Joins a caller's path and query with a provider's base URL. The result has the same origin and lies under the
/// same path, whatever the caller wrote.
pub fn join(base: &Url, path: &str, query: &[(String, String)]) -> Result<Url, Invalid> {
    let (path, inline_query) = match path.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (path, None),
    };
    if !path.is_empty() && !path.starts_with('/') {
        return Err(Invalid::new("path", "a path starts with `/`; host and scheme come from the provider"));
    }
    if path.contains(['\\', '#']) || path.chars().any(char::is_control) {
        return Err(Invalid::new("path", "a path may not hold `\\`, `#` or control characters"));
    }
    let is_dots = |segment: &str| {
        let plain = segment.to_ascii_lowercase().replace("%2e", ".");
        plain == "." || plain == ".."
    };
    if path.split('/').any(is_dots) {
        return Err(Invalid::new("path", "a path may not hold `.` or `..` segments"));
    }
    let mut url = base.clone();
    url.set_path(&format!("{}{path}", base.path().trim_end_matches('/')));
    if inline_query.is_some() || !query.is_empty() {
        url.set_query(inline_query.filter(|query| !query.is_empty()));
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
    }
    url.set_fragment(None);
    Ok(url)
}

/// Reads a method. Only those that carry a request to an interface.
pub fn method(text: &str) -> Result<Method, Invalid> {
    match text.to_ascii_uppercase().as_str() {
        "GET" => Ok(Method::GET),
        "HEAD" => Ok(Method::HEAD),
        "POST" => Ok(Method::POST),
        "PUT" => Ok(Method::PUT),
        "PATCH" => Ok(Method::PATCH),
        "DELETE" => Ok(Method::DELETE),
        _ => Err(Invalid::new("method", "a method is one of GET, HEAD, POST, PUT, PATCH, DELETE")),
    }
}

/// Reads headers of a caller or of a provider's configuration.
pub fn headers<'a>(
    field: &'static str,
    pairs: impl IntoIterator<Item = (&'a String, &'a String)>,
) -> Result<HeaderMap, Invalid> {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        let parsed = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| Invalid::new(field, format!("`{name}` is not a header name")))?;
        if is_reserved_header(&parsed) {
            return Err(Invalid::new(field, format!("the header `{parsed}` is set by the hub itself")));
        }
        let value = HeaderValue::from_str(value)
            .map_err(|_| Invalid::new(field, format!("the value of header `{parsed}` can't be sent")))?;
        headers.append(parsed, value);
    }
    Ok(headers)
}

/// Headers that the hub or its HTTP client sets, and those that mean something inside the platform.
pub(crate) fn is_reserved_header(name: &HeaderName) -> bool {
    const RESERVED: [&str; 17] = [
        "authorization",
        "connection",
        "content-length",
        "cookie",
        "expect",
        "forwarded",
        "host",
        "http2-settings",
        "idempotency-key",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "x-internal-token",
        "x-tenant-id",
        "x-user-id",
    ];
    RESERVED.contains(&name.as_str()) || name.as_str().starts_with("proxy-")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn check(base: &str, path: &str, query: &[(&str, &str)]) -> Result<String, String> {
        let base = Url::parse(base).expect("a base URL");
        let query: Vec<_> = query.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        join(&base, path, &query).map(String::from).map_err(|invalid| invalid.message)
    }

    #[test]
    fn paths_are_joined_under_the_base() {
        for (base, path, expected) in [
            ("https://api.example.com", "/charges", "https://api.example.com/charges"),
            ("https://api.example.com/v2/", "/charges", "https://api.example.com/v2/charges"),
            ("https://api.example.com/v2", "", "https://api.example.com/v2"),
            ("https://api.example.com/v2", "//evil.example", "https://api.example.com/v2//evil.example"),
            ("https://api.example.com", "//evil.example/x", "https://api.example.com//evil.example/x"),
            ("https://api.example.com/v2", "/a b/%41", "https://api.example.com/v2/a%20b/%41"),
            ("https://api.example.com/v2", "/@evil.example", "https://api.example.com/v2/@evil.example"),
        ] {
            assert_eq!(check(base, path, &[]).as_deref(), Ok(expected), "{base} + {path}");
        }
    }

    #[test]
    fn queries_come_from_the_path_and_the_list() {
        assert_eq!(
            check("https://a.example", "/x?y=1", &[("z", "a&b")]).as_deref(),
            Ok("https://a.example/x?y=1&z=a%26b")
        );
        assert_eq!(check("https://a.example/?k=1", "/x", &[]).as_deref(), Ok("https://a.example/x?k=1"));
    }

    #[test]
    fn paths_that_try_to_leave_are_refused() {
        for path in
            ["https://evil.example", "charges", "/../x", "/a/./b", "/%2e%2E/x", "/a\\b", "/a#b", "/a\nb"]
        {
            assert!(check("https://a.example/v2", path, &[]).is_err(), "{path:?}");
        }
    }

    #[test]
    fn headers_of_the_hub_are_not_the_callers() {
        let check = |name: &str, value: &str| {
            headers("headers", &BTreeMap::from([(name.to_owned(), value.to_owned())])).map(|map| map.len())
        };
        assert_eq!(check("X-Trace", "1"), Ok(1));
        for name in ["Host", "Authorization", "Proxy-Authorization", "X-Internal-Token", "Transfer-Encoding"]
        {
            assert!(check(name, "1").is_err(), "{name}");
        }
        assert!(check("a b", "1").is_err());
        assert!(check("x-a", "1\r\nx-b: 2").is_err());
    }

    #[test]
    fn methods_are_a_closed_set() {
        assert_eq!(method("post"), Ok(Method::POST));
        assert!(method("CONNECT").is_err());
        assert!(method("").is_err());
    }
}
