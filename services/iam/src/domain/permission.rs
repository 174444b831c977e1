//! Permissions: what they look like and what covers what.

use super::{Broken, Role, Scope};

/// What a tenant can be granted of the kernel itself. The star of a tenant's Owner means exactly this: what belongs to
/// the operator alone (`system.*`, `platform.*`, impersonation, making and blocking tenants) is not in it.
const OF_A_TENANT: &[&str] = &[
    "audit.*",
    "billing.*",
    "data.*",
    "domains.*",
    "events.*",
    "files.*",
    "integrations.*",
    "modules.*",
    "money.*",
    "notify.*",
    "roles.*",
    "settings.*",
    "tenants.list",
    "tenants.update",
    "users.create",
    "users.delete",
    "users.list",
    "users.update",
];

/// Prefixes that no tenant's role may have.
const RESERVED: [&str; 2] = ["system.", "platform."];

/// What the operator alone may do, though it stands among what tenants may.
const OF_THE_OPERATOR: [&str; 4] = ["tenants.block", "tenants.create", "tenants.delete", "users.impersonate"];

/// Whether what was granted covers a permission, which may itself be a pattern such as `money.*`.
pub fn covers(granted: &[String], wanted: &str) -> bool {
    granted.iter().any(|grant| match grant.strip_suffix('*') {
        Some("") => true,
        Some(prefix) => prefix.ends_with('.') && wanted.len() > prefix.len() && wanted.starts_with(prefix),
        None => grant == wanted,
    })
}

/// The union of what roles grant, sorted. The star of a tenant's role is spelled out, so that nobody who reads it can
/// take it for the operator's.
pub fn grants_of<'r>(roles: impl IntoIterator<Item = &'r Role>) -> Vec<String> {
    let mut granted = Vec::new();
    for role in roles {
        for permission in &role.permissions {
            if permission == "*" && role.scope == Scope::Tenant {
                granted.extend(OF_A_TENANT.iter().map(ToString::to_string));
            } else {
                granted.push(permission.clone());
            }
        }
    }
    granted.sort_unstable();
    granted.dedup();
    granted
}

/// Whether somebody with these roles may hand a permission on. Whoever has everything in the tenant may also hand on
/// what modules brought, of which this service knows nothing.
pub(super) fn may_hand_on(roles: &[Role], permission: &str) -> bool {
    let everything = roles.iter().any(|role| role.permissions.iter().any(|own| own == "*"));
    let platform = roles.iter().any(|role| role.scope == Scope::Platform);
    platform || (everything && check(permission).is_ok()) || covers(&grants_of(roles), permission)
}

/// A permission that a tenant may put into a role of its own.
pub(super) fn check(permission: &str) -> Result<(), Broken> {
    let broken =
        |rule, message: &str| Err(Broken::new("permissionIds", rule, format!("`{permission}` {message}")));
    let parts: Vec<&str> = permission.split('.').collect();
    let word = |part: &&str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte))
    };
    let well_formed = match parts.as_slice() {
        [module, "*"] => word(module),
        [module, resource, "*"] => word(module) && word(resource),
        parts => (2..=3).contains(&parts.len()) && parts.iter().all(word),
    };
    if !well_formed {
        return broken("permission", "must look like module.resource.action or module.*");
    }
    let covered = |operators: &&str| covers(&[permission.to_owned()], operators);
    if RESERVED.iter().any(|prefix| permission.starts_with(prefix)) || OF_THE_OPERATOR.iter().any(covered) {
        return broken("reserved", "belongs to the platform's operator");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::{ADMIN, MEMBER, OWNER, PLATFORM_OWNER};
    use super::*;

    #[test]
    fn patterns_cover_what_they_say_and_nothing_beside() {
        let granted = |permissions: &[&str]| permissions.iter().map(ToString::to_string).collect::<Vec<_>>();
        for (grant, wanted, expected) in [
            ("money.*", "money.wallets.credit", true),
            ("money.*", "money.*", true),
            ("money.*", "moneybox.open", false),
            ("money.wallets.*", "money.*", false),
            ("users.list", "users.list", true),
            ("users.list", "users.listing", false),
            ("*", "system.shutdown", true),
        ] {
            assert_eq!(covers(&granted(&[grant]), wanted), expected, "{grant} {wanted}");
        }
    }

    #[test]
    fn no_role_of_a_tenant_reaches_what_is_the_operators() {
        for role in [OWNER, ADMIN, MEMBER].map(|role| role()) {
            let granted = grants_of([&role]);
            for wanted in
                ["system.plans.create", "platform.anything", "users.impersonate", "tenants.block", "*"]
            {
                assert!(!covers(&granted, wanted), "{} must not have {wanted}", role.name);
            }
        }
        assert!(covers(&grants_of([&OWNER()]), "money.wallets.credit"));
        assert!(!covers(&grants_of([&MEMBER()]), "money.wallets.credit"));
        assert!(covers(&grants_of([&MEMBER()]), "money.wallets.read"));
        assert!(covers(&grants_of([&PLATFORM_OWNER()]), "system.shutdown"));
    }

    #[test]
    fn a_tenant_cannot_make_up_every_permission() {
        for good in ["crm.contacts.create", "crm.*", "crm.contacts.*", "users.list"] {
            assert!(check(good).is_ok(), "{good}");
        }
        for (bad, rule) in [
            ("*", "permission"),
            ("system.shutdown", "reserved"),
            ("platform.x.y", "reserved"),
            ("users.impersonate", "reserved"),
            ("users.*", "reserved"),
            ("tenants.*", "reserved"),
            ("crm", "permission"),
            ("crm.contacts.create.now", "permission"),
            ("CRM.contacts.create", "permission"),
            ("crm..create", "permission"),
            ("crm.*.create", "permission"),
            ("", "permission"),
        ] {
            assert_eq!(check(bad).unwrap_err().rule, rule, "{bad}");
        }
    }
}
