//! What others may want to know, as the outbox takes it.

use serde_json::json;
use svc_kit::RequestContext;
use svc_stores::outbox::Event;
use uuid::Uuid;

use crate::domain::User;

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
