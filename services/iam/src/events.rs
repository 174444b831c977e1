//! What others may want to know, as the outbox takes it.

use serde_json::json;
use svc_kit::RequestContext;
use svc_stores::outbox::Event;
use uuid::Uuid;

use crate::domain::{Tenant, User};

const TOPIC: &str = "platform.auth.events";

/// Events about one user stay in order.
fn event(event_type: &str, user: Uuid, tenant: Uuid, context: &RequestContext) -> Event {
    Event::new(TOPIC, event_type, "iam", &user.to_string())
        .tenant(tenant)
        .trace(Some(context.trace.trace_id()))
}

/// A user came to a tenant.
pub(crate) fn user_created(user: &User, tenant: Uuid, roles: &[String], context: &RequestContext) -> Event {
    event("auth.user.created", user.id, tenant, context).data(json!({
        "userId": user.id,
        "email": user.email.as_str(),
        "tenantId": tenant,
        "roles": roles,
    }))
}

/// A user signed in.
pub(crate) fn user_logged_in(user: Uuid, tenant: Uuid, context: &RequestContext) -> Event {
    event("auth.user.logged_in", user, tenant, context).data(json!({
        "userId": user,
        "tenantId": tenant,
        "ip": context.client_address,
        "userAgent": context.client_agent,
    }))
}

/// A user has another name.
pub(crate) fn user_updated(user: &User, tenant: Uuid, context: &RequestContext) -> Event {
    event("auth.user.updated", user.id, tenant, context).data(json!({
        "userId": user.id,
        "name": user.name,
    }))
}

/// A user left a tenant.
pub(crate) fn user_deleted(user: Uuid, tenant: Uuid, roles: &[String], context: &RequestContext) -> Event {
    event("auth.user.deleted", user, tenant, context).data(json!({
        "userId": user,
        "tenantId": tenant,
        "roles": roles,
    }))
}

/// Somebody acts in a user's name.
pub(crate) fn user_impersonated(
    user: Uuid,
    tenant: Uuid,
    impersonator: Uuid,
    reason: &str,
    context: &RequestContext,
) -> Event {
    event("auth.user.impersonated", user, tenant, context).data(json!({
        "userId": user,
        "tenantId": tenant,
        "impersonatorId": impersonator,
        "reason": reason,
        "ip": context.client_address,
        "userAgent": context.client_agent,
    }))
}

/// A user switched the second factor on or off.
pub(crate) fn mfa_changed(user: Uuid, tenant: Uuid, on: bool, context: &RequestContext) -> Event {
    let event_type = if on { "auth.mfa.enabled" } else { "auth.mfa.disabled" };
    event(event_type, user, tenant, context).data(json!({ "userId": user }))
}

/// Something happened to a tenant: `created`, `updated`, `blocked`, `unblocked` or `deleted`. Those inside hear of it,
/// and `by` says who did it.
pub(crate) fn tenant_changed(
    what: &str,
    tenant: &Tenant,
    by: Uuid,
    reason: &str,
    context: &RequestContext,
) -> Event {
    let mut data = json!({
        "tenantId": tenant.id,
        "name": tenant.name,
        "tier": tenant.tier.as_str(),
        "status": tenant.status.as_str(),
        "parentId": tenant.parent,
        "by": by,
    });
    if !reason.is_empty() {
        data["reason"] = json!(reason);
    }
    Event::new(TOPIC, &format!("auth.tenant.{what}"), "iam", &tenant.id.to_string())
        .tenant(tenant.id)
        .trace(Some(context.trace.trace_id()))
        .data(data)
}

/// A user has other roles than before.
pub(crate) fn role_changed(
    user: Uuid,
    tenant: Uuid,
    old: &[String],
    new: &[String],
    context: &RequestContext,
) -> Event {
    event("auth.role.changed", user, tenant, context).data(json!({
        "userId": user,
        "oldRoles": old,
        "newRoles": new,
    }))
}
