//! Domain ↔ messages.

use prost_types::FieldMask;
use svc_api::iam::v1 as wire;
use svc_kit::{
    Problem, Violation,
    message::{id, timestamp},
};
use uuid::Uuid;

use crate::{
    accounts::Granted,
    domain::{Role, Tenant, User},
    tokens::ACCESS_LIFETIME,
};

pub(super) fn ids(field: &'static str, texts: &[String]) -> Result<Vec<Uuid>, Problem> {
    texts.iter().map(|text| id(field, text)).collect()
}

/// Refuses a change of fields that cannot be changed. Without a mask, nothing is changed.
pub(super) fn only(mask: Option<&FieldMask>, changeable: &[&str]) -> Result<(), Problem> {
    let paths = mask.map(|mask| mask.paths.as_slice()).unwrap_or_default();
    if paths.is_empty() {
        let allowed = changeable.join("`, `");
        return Err(Problem::invalid("Nothing is to be changed.").violation(
            "updateMask",
            "required",
            format!("must name what changes: `{allowed}`"),
        ));
    }
    let fixed = paths.iter().filter(|path| !changeable.contains(&path.as_str()));
    let broken: Vec<_> = fixed
        .map(|path| Violation {
            field: path.clone(),
            code: "fixed".to_owned(),
            message: "cannot be changed here".to_owned(),
        })
        .collect();
    if broken.is_empty() {
        Ok(())
    } else {
        Err(Problem::invalid("Some fields stay as they are.").violations(broken))
    }
}

pub(super) fn expires_in() -> i32 {
    i32::try_from(ACCESS_LIFETIME.as_secs()).unwrap_or(i32::MAX)
}

pub(super) fn user(user: User) -> wire::User {
    wire::User {
        id: user.id.to_string(),
        email: user.email.to_string(),
        name: user.name,
        email_verified: user.email_verified,
        mfa_enabled: user.mfa_enabled,
        created_at: Some(timestamp(user.created_at)),
        updated_at: Some(timestamp(user.updated_at)),
    }
}

pub(super) fn tenant(tenant: Tenant) -> wire::Tenant {
    wire::Tenant {
        id: tenant.id.to_string(),
        name: tenant.name,
        tier: tenant.tier.as_str().to_owned(),
        status: tenant.status.as_str().to_owned(),
        parent_id: tenant.parent.map(|parent| parent.to_string()).unwrap_or_default(),
        created_at: Some(timestamp(tenant.created_at)),
        updated_at: Some(timestamp(tenant.updated_at)),
    }
}

pub(super) fn role(role: Role) -> wire::Role {
    let built_in = role.is_built_in();
    wire::Role {
        id: role.id.to_string(),
        name: role.name,
        description: role.description,
        permission_ids: role.permissions,
        scope: role.scope.as_str().to_owned(),
        tenant_id: role.tenant.map(|tenant| tenant.to_string()).unwrap_or_default(),
        created_by: role.created_by.map(|user| user.to_string()).unwrap_or_default(),
        created_at: (!built_in).then(|| timestamp(role.created_at)),
        built_in,
    }
}

pub(super) fn token_reply(granted: Granted) -> wire::TokenReply {
    wire::TokenReply {
        access_token: granted.access_token,
        refresh_token: granted.refresh_token,
        token_type: "Bearer".to_owned(),
        expires_in: expires_in(),
        user: Some(user(granted.user)),
        tenant: Some(tenant(granted.tenant)),
    }
}
