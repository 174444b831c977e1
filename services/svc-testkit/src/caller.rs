//! Who calls in a test.

use http::{HeaderMap, HeaderName, HeaderValue};
use svc_kit::{RequestContext, header};
use tonic::{
    Status,
    metadata::MetadataMap,
    service::{Interceptor, interceptor::InterceptedService},
    transport::Channel,
};
use uuid::Uuid;

use crate::INTERNAL_TOKEN;

/// A channel that calls in somebody's name.
pub type CallerChannel = InterceptedService<Channel, TestCaller>;

/// What a call carries. Start from [`TestCaller::owner`] or [`TestCaller::nobody`] and change what the test is about.
#[derive(Debug, Clone)]
pub struct TestCaller {
    /// The tenant, if the call names one.
    pub tenant: Option<Uuid>,
    /// The user, if somebody is signed in.
    pub user: Option<Uuid>,
    /// The user's roles.
    pub roles: Vec<String>,
    /// Whether the call carries the internal token.
    pub internal: bool,
    /// The key against repetition.
    pub idempotency_key: Option<String>,
    /// More headers.
    pub headers: Vec<(HeaderName, String)>,
}

impl TestCaller {
    /// A new user, the Owner of a new tenant.
    pub fn owner() -> TestCaller {
        TestCaller {
            tenant: Some(Uuid::now_v7()),
            user: Some(Uuid::now_v7()),
            roles: vec!["Owner".to_owned()],
            ..TestCaller::nobody()
        }
    }

    /// A part of the platform that calls in nobody's name.
    pub fn nobody() -> TestCaller {
        TestCaller {
            tenant: None,
            user: None,
            roles: Vec::new(),
            internal: true,
            idempotency_key: None,
            headers: Vec::new(),
        }
    }

    /// Another user of the same tenant, with these roles.
    #[must_use]
    pub fn colleague(&self, roles: &[&str]) -> TestCaller {
        let roles = roles.iter().map(ToString::to_string).collect();
        TestCaller { user: Some(Uuid::now_v7()), roles, ..self.clone() }
    }

    /// This user in this tenant, such as one that iam knows.
    #[must_use]
    pub fn as_user(mut self, tenant: &str, user: &str) -> TestCaller {
        self.tenant = Some(tenant.parse().expect("the tenant is a UUID"));
        self.user = Some(user.parse().expect("the user is a UUID"));
        self
    }

    /// The same call without the internal token.
    #[must_use]
    pub fn from_outside(mut self) -> TestCaller {
        self.internal = false;
        self
    }

    /// The same call with this key against repetition.
    #[must_use]
    pub fn with_idempotency_key(mut self, key: impl Into<String>) -> TestCaller {
        self.idempotency_key = Some(key.into());
        self
    }

    /// The same call with one more header.
    #[must_use]
    pub fn with_header(mut self, name: &'static str, value: impl Into<String>) -> TestCaller {
        self.headers.push((HeaderName::from_static(name), value.into()));
        self
    }

    /// The headers of a raw HTTP call.
    pub fn headers(&self) -> HeaderMap {
        let mut context = RequestContext::of_platform(self.tenant);
        if let Some(user) = self.user {
            context = context.with_user(user, self.roles.iter());
        }
        if let Some(key) = &self.idempotency_key {
            context = context.with_idempotency_key(key);
        }
        let mut headers = HeaderMap::new();
        context.write_to(&mut headers);
        if self.internal {
            headers.insert(header::INTERNAL_TOKEN, HeaderValue::from_static(INTERNAL_TOKEN));
        }
        for (name, value) in &self.headers {
            headers.insert(name.clone(), value.parse().expect("a header value"));
        }
        headers
    }
}

impl Interceptor for TestCaller {
    fn call(&mut self, mut request: tonic::Request<()>) -> Result<tonic::Request<()>, Status> {
        let mut headers = std::mem::take(request.metadata_mut()).into_headers();
        for (name, value) in &self.headers() {
            // What the test put on this one call wins.
            headers.entry(name.clone()).or_insert_with(|| value.clone());
        }
        *request.metadata_mut() = MetadataMap::from_headers(headers);
        Ok(request)
    }
}
