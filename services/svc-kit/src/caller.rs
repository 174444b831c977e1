//! Who calls, where a call makes sense only within a tenant.

use http::HeaderMap;
use uuid::Uuid;

use crate::{Problem, RequestContext, TraceContext};

/// Who calls, where a call makes sense only within a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The tenant. Every query is about it.
    pub tenant: Uuid,
    /// The signed-in user; absent when the platform itself calls. See [`Caller::user`].
    pub user: Option<Uuid>,
    /// The user's roles in the tenant.
    pub roles: Vec<String>,
    /// Names the request through all services.
    pub request_id: String,
    /// The place in the trace.
    pub trace: TraceContext,
    /// The key that makes a repetition harmless, if the client sent one.
    pub idempotency_key: Option<String>,
}

impl Caller {
    /// The caller of a gRPC request.
    ///
    /// # Errors
    ///
    /// When the call names no tenant, or names a tenant or a user that is no UUID.
    pub fn of<T>(request: &tonic::Request<T>) -> Result<Caller, Problem> {
        Caller::from_context(&RequestContext::of(request))
    }

    /// The caller of a raw HTTP request.
    ///
    /// # Errors
    ///
    /// As [`Caller::of`].
    pub fn from_headers(headers: &HeaderMap) -> Result<Caller, Problem> {
        Caller::from_context(&RequestContext::from_headers(headers))
    }

    /// The caller of a request whose context is known.
    ///
    /// # Errors
    ///
    /// As [`Caller::of`].
    pub fn from_context(context: &RequestContext) -> Result<Caller, Problem> {
        Ok(Caller {
            tenant: context.tenant()?,
            user: context.is_signed_in().then(|| context.user()).transpose()?,
            roles: context.roles().to_vec(),
            request_id: context.request_id.clone(),
            trace: context.trace.clone(),
            idempotency_key: context.idempotency_key.clone(),
        })
    }

    /// The signed-in user.
    ///
    /// # Errors
    ///
    /// `unauthenticated` when the platform itself calls.
    pub fn user(&self) -> Result<Uuid, Problem> {
        self.user.ok_or_else(|| Problem::unauthenticated("The call names no user. Sign in first."))
    }
}
