//! Permissions: what a tenant may put into roles, and who may hand one on.

use svc_kit::permission::{belongs_to_the_operator, covers};

use super::{Broken, Role, Scope, Tier};

/// The union of what roles grant, sorted.
pub fn grants_of<'r>(roles: impl IntoIterator<Item = &'r Role>) -> Vec<String> {
    let mut granted: Vec<String> = roles.into_iter().flat_map(|role| role.permissions.clone()).collect();
    granted.sort_unstable();
    granted.dedup();
    granted
}

/// What roles grant in a tenant of this tier. Whoever may do everything in a partner also keeps the tenants below it.
pub fn grants_in<'r>(tier: Tier, roles: impl IntoIterator<Item = &'r Role>) -> Vec<String> {
    let mut granted = grants_of(roles);
    if tier == Tier::Partner && granted.iter().any(|grant| grant == "*") {
        granted.push("tenants.*".to_owned());
    }
    granted
}

/// Whether somebody with these roles may hand a permission on.
pub(super) fn may_hand_on(roles: &[Role], permission: &str) -> bool {
    let platform = roles.iter().any(|role| role.scope == Scope::Platform);
    platform || covers(grants_of(roles).iter().map(String::as_str), permission)
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
    if belongs_to_the_operator(permission) {
        return broken("reserved", "belongs to the platform's operator");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::{ADMIN, MEMBER, OWNER, PLATFORM_OWNER};
    use super::*;

    #[test]
    fn no_role_of_a_tenant_reaches_what_is_the_operators() {
        for role in [OWNER, ADMIN, MEMBER].map(|role| role()) {
            let granted = grants_of([&role]);
            for wanted in ["system.plans.create", "platform.anything", "users.impersonate", "tenants.block"] {
                assert!(
                    !covers(granted.iter().map(String::as_str), wanted),
                    "{} must not have {wanted}",
                    role.name
                );
            }
        }
        for (role, wanted, expected) in [
            (OWNER(), "money.wallets.credit", true),
            (ADMIN(), "crm.contacts.create", true),
            (MEMBER(), "money.wallets.credit", false),
            (MEMBER(), "money.wallets.read", true),
            (PLATFORM_OWNER(), "system.shutdown", true),
            (PLATFORM_OWNER(), "users.impersonate", true),
            (PLATFORM_OWNER(), "crm.contacts.create", true),
        ] {
            let granted = grants_of([&role]);
            assert_eq!(
                covers(granted.iter().map(String::as_str), wanted),
                expected,
                "{} {wanted}",
                role.name
            );
        }
    }

    #[test]
    fn a_partner_keeps_the_tenants_below_it() {
        for (tier, role, expected) in [
            (Tier::Partner, OWNER(), true),
            (Tier::Partner, ADMIN(), true),
            (Tier::Partner, MEMBER(), false),
            (Tier::Client, OWNER(), false),
            (Tier::Platform, PLATFORM_OWNER(), true),
        ] {
            let granted = grants_in(tier, [&role]);
            for wanted in ["tenants.create", "tenants.block", "tenants.delete"] {
                let covered = covers(granted.iter().map(String::as_str), wanted);
                assert_eq!(covered, expected, "{tier:?} {} {wanted}", role.name);
            }
            let impersonates = covers(granted.iter().map(String::as_str), "users.impersonate");
            assert_eq!(impersonates, tier == Tier::Platform);
        }
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
