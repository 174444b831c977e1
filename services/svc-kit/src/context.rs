//! Who calls, for which tenant, as part of which request: read once from the metadata that the gateway sets.
//!
//! A service takes the tenant from here only, never from a body.

use std::{future::Future, sync::Arc};

use http::{HeaderMap, HeaderName, HeaderValue};
use uuid::Uuid;

use crate::{
    Problem, TraceContext,
    trace::{TRACEPARENT, TRACESTATE},
};

/// The names of the headers (in gRPC: metadata) that travel between services.
pub mod header {
    use http::HeaderName;

    /// The signed-in user, a UUID.
    pub const USER: HeaderName = HeaderName::from_static("x-user-id");
    /// The tenant that the call is about, a UUID.
    pub const TENANT: HeaderName = HeaderName::from_static("x-tenant-id");
    /// The user's roles in that tenant, separated by commas.
    pub const ROLES: HeaderName = HeaderName::from_static("x-roles");
    /// Names one request of a client through all services.
    pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
    /// Makes a repeated request harmless.
    pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
    /// Proves that the caller is a part of the platform.
    pub const INTERNAL_TOKEN: HeaderName = HeaderName::from_static("x-internal-token");
    /// The address of the client, set by the gateway; the first one counts.
    pub const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
    /// The client's own `user-agent`, which on an inner call would be that of our client.
    pub const CLIENT_AGENT: HeaderName = HeaderName::from_static("x-user-agent");
    /// What only a part of the platform may say.
    pub(crate) const IDENTITY: [HeaderName; 3] = [USER, TENANT, ROLES];
    /// What the caller is willing to wait, in gRPC's notation.
    pub const TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
}

/// Longer request ids are replaced: they would only fill the logs.
const REQUEST_ID_LIMIT: usize = 128;

/// What is known of a request before anybody asks whether it may be made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RequestContext {
    /// Names the request through all services.
    pub request_id: String,
    /// The place in the trace.
    pub trace: TraceContext,
    /// The key that makes a repetition harmless, if the client sent one.
    pub idempotency_key: Option<String>,
    /// The client's address as the gateway saw it.
    pub client_address: Option<String>,
    /// The client's user agent as the gateway saw it.
    pub client_agent: Option<String>,
    /// When the caller stops waiting.
    pub deadline: Option<tokio::time::Instant>,
    tenant: Option<String>,
    user: Option<String>,
    roles: Vec<String>,
}

tokio::task_local! {
    static CURRENT: Arc<RequestContext>;
}

impl RequestContext {
    /// Reads it from the headers of a request.
    pub fn from_headers(headers: &HeaderMap) -> RequestContext {
        let text = |name: HeaderName| {
            let value = headers.get(name)?.to_str().ok()?.trim();
            (!value.is_empty()).then(|| value.to_owned())
        };
        let request_id = text(header::REQUEST_ID).filter(|id| id.len() <= REQUEST_ID_LIMIT);
        let roles = text(header::ROLES).unwrap_or_default();
        let timeout = headers.get(header::TIMEOUT).and_then(|value| parse_timeout(value.to_str().ok()?));
        RequestContext {
            request_id: request_id.unwrap_or_else(|| Uuid::now_v7().to_string()),
            trace: TraceContext::continue_from(headers),
            idempotency_key: text(header::IDEMPOTENCY_KEY),
            client_address: text(header::FORWARDED_FOR)
                .and_then(|chain| Some(chain.split(',').next()?.trim().to_owned())),
            client_agent: text(header::CLIENT_AGENT),
            deadline: timeout.and_then(|timeout| tokio::time::Instant::now().checked_add(timeout)),
            tenant: text(header::TENANT),
            user: text(header::USER),
            roles: roles
                .split(',')
                .map(str::trim)
                .filter(|role| !role.is_empty())
                .map(str::to_owned)
                .collect(),
        }
    }

    /// The context of work that the platform does by itself, for this tenant if there is one. Begins a trace.
    pub fn of_platform(tenant: Option<Uuid>) -> RequestContext {
        RequestContext {
            request_id: Uuid::now_v7().to_string(),
            tenant: tenant.map(|tenant| tenant.to_string()),
            ..RequestContext::default()
        }
    }

    /// The same, for a user with these roles. For tests and for a service that acts in a user's name.
    #[must_use]
    pub fn with_user(
        mut self,
        user: Uuid,
        roles: impl IntoIterator<Item = impl Into<String>>,
    ) -> RequestContext {
        self.user = Some(user.to_string());
        self.roles = roles.into_iter().map(Into::into).collect();
        self
    }

    /// The same, with this key against repetition.
    #[must_use]
    pub fn with_idempotency_key(mut self, key: impl Into<String>) -> RequestContext {
        self.idempotency_key = Some(key.into());
        self
    }

    /// The context of the request that the current task works for.
    pub fn current() -> Option<Arc<RequestContext>> {
        CURRENT.try_with(Arc::clone).ok()
    }

    /// Runs the future with this as the [current](RequestContext::current) context: calls to neighbours carry it on.
    pub async fn scope<F: Future>(self, future: F) -> F::Output {
        Self::scope_shared(Arc::new(self), future).await
    }

    pub(crate) async fn scope_shared<F: Future>(context: Arc<RequestContext>, future: F) -> F::Output {
        CURRENT.scope(context, future).await
    }

    /// The context of a gRPC request.
    pub fn of<T>(request: &tonic::Request<T>) -> Arc<RequestContext> {
        let known = request.extensions().get::<Arc<RequestContext>>().cloned();
        known.unwrap_or_else(|| Arc::new(Self::from_headers(&request.metadata().clone().into_headers())))
    }

    /// The tenant.
    ///
    /// # Errors
    ///
    /// `tenant-missing` when there is none, a validation error when it is no UUID.
    pub fn tenant(&self) -> Result<Uuid, Problem> {
        let Some(tenant) = &self.tenant else {
            return Err(Problem::new(tonic::Code::Unauthenticated, "tenant-missing", "No tenant")
                .detail("The call names no tenant. Sign in to a tenant and call through the gateway."));
        };
        parse_id("x-tenant-id", tenant)
    }

    /// The signed-in user.
    ///
    /// # Errors
    ///
    /// `unauthenticated` when there is none, a validation error when it is no UUID.
    pub fn user(&self) -> Result<Uuid, Problem> {
        let Some(user) = &self.user else {
            return Err(Problem::unauthenticated("The call names no user. Sign in first."));
        };
        parse_id("x-user-id", user)
    }

    /// Whether the call names a user.
    pub fn is_signed_in(&self) -> bool {
        self.user.is_some()
    }

    /// The user's roles in the tenant.
    pub fn roles(&self) -> &[String] {
        &self.roles
    }

    /// Writes everything that travels on to a neighbour, in a span of its own. The internal token is the client's.
    pub fn write_to(&self, headers: &mut HeaderMap) {
        let trace = self.trace.child();
        let roles = (!self.roles.is_empty()).then(|| self.roles.join(","));
        let values = [
            (TRACEPARENT, Some(trace.to_string())),
            (TRACESTATE, trace.state().map(str::to_owned)),
            (header::REQUEST_ID, Some(self.request_id.clone())),
            (header::TENANT, self.tenant.clone()),
            (header::USER, self.user.clone()),
            (header::ROLES, roles),
            (header::IDEMPOTENCY_KEY, self.idempotency_key.clone()),
            (header::FORWARDED_FOR, self.client_address.clone()),
            (header::CLIENT_AGENT, self.client_agent.clone()),
        ];
        for (name, value) in values {
            if let Some(value) = value.and_then(|value| HeaderValue::try_from(value).ok()) {
                headers.insert(name, value);
            }
        }
    }
}

fn parse_id(field: &str, text: &str) -> Result<Uuid, Problem> {
    text.parse().map_err(|_| {
        Problem::invalid("An identifier in the metadata cannot be read.").violation(
            field,
            "uuid",
            "must be a UUID",
        )
    })
}

/// gRPC's notation: at most eight digits and a unit.
fn parse_timeout(text: &str) -> Option<std::time::Duration> {
    use std::time::Duration;

    let digits = text.len().checked_sub(1).filter(|digits| (1..=8).contains(digits))?;
    let (number, unit) = (text.get(..digits)?, text.get(digits..)?);
    if !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number: u64 = number.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(number * 3600),
        "M" => Duration::from_secs(number * 60),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::Caller;

    const TENANT: &str = "0199a000-0000-7000-8000-000000000001";
    const USER: &str = "0199a000-0000-7000-8000-000000000002";

    fn headers(pairs: &[(HeaderName, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect()
    }

    #[test]
    fn a_caller_is_read_from_metadata() {
        let headers =
            headers(&[(header::TENANT, TENANT), (header::USER, USER), (header::ROLES, "Owner, Admin,")]);
        let caller = Caller::from_headers(&headers).unwrap();
        assert_eq!(caller.tenant.to_string(), TENANT);
        assert_eq!(caller.user().unwrap().to_string(), USER);
        assert_eq!(caller.roles, ["Owner", "Admin"]);
        assert!(!caller.request_id.is_empty());
    }

    #[test]
    fn no_tenant_is_a_problem_of_its_own() {
        let missing = Caller::from_headers(&headers(&[(header::USER, USER)])).unwrap_err();
        assert_eq!((missing.code(), missing.slug()), (tonic::Code::Unauthenticated, "tenant-missing"));
        let garbage = Caller::from_headers(&headers(&[(header::TENANT, "acme")])).unwrap_err();
        assert_eq!(garbage.violation_list()[0].field, "x-tenant-id");
    }

    #[test]
    fn what_travels_on_is_what_came_in_a_span_further() {
        let incoming = headers(&[
            (header::TENANT, TENANT),
            (header::USER, USER),
            (header::ROLES, "Owner"),
            (header::REQUEST_ID, "request-1"),
            (header::FORWARDED_FOR, "203.0.113.9, 10.0.0.1"),
            (TRACEPARENT, "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
        ]);
        let context = RequestContext::from_headers(&incoming);
        let mut outgoing = HeaderMap::new();
        context.write_to(&mut outgoing);
        for name in [header::TENANT, header::USER, header::ROLES, header::REQUEST_ID] {
            assert_eq!(outgoing.get(&name), incoming.get(&name), "{name}");
        }
        assert_eq!(outgoing.get(header::FORWARDED_FOR).unwrap(), "203.0.113.9");
        assert_ne!(outgoing.get(TRACEPARENT), incoming.get(TRACEPARENT));
        assert_eq!(RequestContext::from_headers(&outgoing).trace.trace_id(), context.trace.trace_id());
    }

    #[test]
    fn request_ids_are_bounded() {
        let long = "x".repeat(REQUEST_ID_LIMIT + 1);
        let context = RequestContext::from_headers(&headers(&[(header::REQUEST_ID, &long)]));
        assert_eq!(context.request_id.len(), 36);
    }

    #[test]
    fn timeouts_follow_the_grpc_notation() {
        assert_eq!(parse_timeout("250m"), Some(Duration::from_millis(250)));
        assert_eq!(parse_timeout("5S"), Some(Duration::from_secs(5)));
        for wrong in ["", "S", "5", "5s", "+5S", "123456789S", "é"] {
            assert_eq!(parse_timeout(wrong), None, "{wrong}");
        }
    }

    #[tokio::test]
    async fn the_current_context_is_that_of_the_scope() {
        assert!(RequestContext::current().is_none());
        let tenant = Uuid::now_v7();
        let seen = RequestContext::of_platform(Some(tenant))
            .scope(async { RequestContext::current().map(|context| context.tenant()) })
            .await;
        assert_eq!(seen, Some(Ok(tenant)));
    }
}
