//! Roles: named sets of permissions.

use jiff::Timestamp;
use uuid::Uuid;

use super::{Broken, IamError, grants_of, permission};

/// A named set of permissions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    /// Fixed for built-in roles, else UUID v7.
    pub id: Uuid,
    /// Unique in its tenant.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// Permissions and patterns.
    pub permissions: Vec<String>,
    /// Where it counts.
    pub scope: Scope,
    /// The tenant; none for built-in ones.
    pub tenant: Option<Uuid>,
    /// Who made it.
    pub created_by: Option<Uuid>,
    /// When.
    pub created_at: Timestamp,
}

/// Where a role counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// In its tenant.
    Tenant,
    /// On the whole platform.
    Platform,
}

impl Scope {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Scope::Tenant => "tenant",
            Scope::Platform => "platform",
        }
    }
}

impl Role {
    /// Whether it stands in the code and cannot be changed.
    pub fn is_built_in(&self) -> bool {
        self.tenant.is_none()
    }
}

/// Makes a built-in role.
pub type BuiltIn = fn() -> Role;

/// Everything in its tenant. Exactly one user per tenant has it.
pub const OWNER: BuiltIn =
    || built_in(1, "Owner", "Everything in this tenant; exactly one user has it.", &["*"]);

/// Everything in its tenant, for as many users as needed.
pub const ADMIN: BuiltIn = || built_in(2, "Admin", "Everything in this tenant.", &["*"]);

/// Reads and changes nothing.
pub const MEMBER: BuiltIn = || built_in(3, "Member", "Reads everything that is not secret.", READ_ONLY);

/// The operator. Made only by `kernel setup`.
pub const PLATFORM_OWNER: BuiltIn = || Role {
    scope: Scope::Platform,
    ..built_in(
        4,
        "PlatformOwner",
        "Operates the platform.",
        &["*", "platform.*", "system.*", "tenants.*", "users.*"],
    )
};

/// No role, but among the names of roles in a token: somebody else acts in the user's name. It reaches every service
/// with the names of the roles.
pub const IMPERSONATED: &str = "Impersonated";

/// The roles that every tenant has.
pub const BUILT_IN: [BuiltIn; 3] = [OWNER, ADMIN, MEMBER];

const READ_ONLY: &[&str] = &[
    "audit.read",
    "billing.view",
    "data.models.read",
    "data.records.read",
    "domains.hostnames.read",
    "events.subscriptions.list",
    "events.topics.list",
    "files.objects.read",
    "integrations.providers.read",
    "modules.list",
    "money.transactions.read",
    "money.wallets.read",
    "notify.channels.read",
    "notify.notifications.read",
    "notify.templates.read",
    "roles.list",
    "settings.read",
    "tenants.list",
    "users.list",
];

fn built_in(number: u128, name: &str, description: &str, permissions: &[&str]) -> Role {
    Role {
        // A fixed UUID of version 7 and variant 10, so that it looks like any other.
        id: Uuid::from_u128(0x0000_0000_0000_7000_8000_0000_0000_0000 | number),
        name: name.to_owned(),
        description: description.to_owned(),
        permissions: permissions.iter().map(ToString::to_string).collect(),
        scope: Scope::Tenant,
        tenant: None,
        created_by: None,
        created_at: Timestamp::UNIX_EPOCH,
    }
}

/// Checks a role that somebody with the roles `maker` wants to make.
///
/// # Errors
///
/// When a value breaks a rule, or the role would grant more than its maker has.
pub fn check_new_role(name: &str, permissions: &[String], maker: &[Role]) -> Result<(), IamError> {
    let mut broken = Vec::new();
    // Roles travel in a header as a list with commas.
    let printable = name.bytes().all(|byte| (b' '..=b'~').contains(&byte) && byte != b',');
    if name.trim().is_empty() || name.len() > 64 || !printable {
        broken.push(Broken::new("name", "name", "must have 1 to 64 printable ASCII characters and no comma"));
    }
    let known = BUILT_IN.iter().chain([&PLATFORM_OWNER]);
    let mut reserved = known.map(|role| role().name).chain([IMPERSONATED.to_owned()]);
    if reserved.any(|known| known.eq_ignore_ascii_case(name)) {
        broken.push(Broken::new("name", "reserved", "is the name of a built-in role"));
    }
    if permissions.is_empty() {
        broken.push(Broken::new("permissionIds", "required", "must name at least one permission"));
    }
    broken.extend(permissions.iter().filter_map(|permission| permission::check(permission).err()));
    if !broken.is_empty() {
        return Err(IamError::Invalid(broken));
    }
    match permissions.iter().find(|permission| !permission::may_hand_on(maker, permission)) {
        Some(beyond) => Err(IamError::Escalation(beyond.clone())),
        None => Ok(()),
    }
}

/// Checks that somebody with the roles `giver` may replace the roles `old` of a user by `new`.
///
/// # Errors
///
/// When the Owner would change, the Platform Owner would cease to be it, or a role that is given or taken away grants
/// more than its giver has.
pub fn check_assignment(old: &[Role], new: &[Role], giver: &[Role]) -> Result<(), IamError> {
    let has = |roles: &[Role], id: Uuid| roles.iter().any(|role| role.id == id);
    let (owner, platform_owner) = (OWNER().id, PLATFORM_OWNER().id);
    // Nobody could make the Platform Owner again: setup does it once.
    if has(old, owner) != has(new, owner) || (has(old, platform_owner) && !has(new, platform_owner)) {
        return Err(IamError::OneOwner);
    }
    let changed = new.iter().filter(|role| !old.contains(role));
    let changed = changed.chain(old.iter().filter(|role| !new.contains(role)));
    match grants_of(changed).into_iter().find(|permission| !permission::may_hand_on(giver, permission)) {
        Some(beyond) => Err(IamError::Escalation(beyond)),
        None => Ok(()),
    }
}

/// Checks that somebody with the roles `remover` may take a user with the roles `old` out of the tenant.
///
/// # Errors
///
/// When it is the Owner or the Platform Owner, or the user could do more than the remover.
pub fn check_removal(old: &[Role], remover: &[Role]) -> Result<(), IamError> {
    check_assignment(old, &[], remover)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owned(permissions: &[&str]) -> Vec<String> {
        permissions.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_role_grants_no_more_than_its_maker_has() {
        let owner = [OWNER()];
        assert_eq!(check_new_role("Cashier", &owned(&["money.wallets.credit"]), &owner), Ok(()));
        assert_eq!(check_new_role("Seller", &owned(&["crm.*"]), &owner), Ok(()), "what a module brought");
        let member = [MEMBER()];
        let beyond = check_new_role("Cashier", &owned(&["money.wallets.credit"]), &member);
        assert_eq!(beyond, Err(IamError::Escalation("money.wallets.credit".to_owned())));
    }

    #[test]
    fn names_and_permissions_are_checked_all_at_once() {
        let owner = [OWNER()];
        let Err(IamError::Invalid(broken)) = check_new_role("owner", &owned(&["system.x.y", "?"]), &owner)
        else {
            panic!("must be invalid")
        };
        assert_eq!(
            broken.iter().map(|broken| broken.rule).collect::<Vec<_>>(),
            ["reserved", "reserved", "permission"]
        );
        for name in ["a,b", "impersonated", "", "ü"] {
            let made = check_new_role(name, &owned(&["crm.*"]), &owner);
            assert!(matches!(made, Err(IamError::Invalid(_))), "{name}");
        }
    }

    #[test]
    fn the_owner_stays_the_owner() {
        let owner = [OWNER()];
        let check = |old: &[Role], new: &[Role]| check_assignment(old, new, &owner);
        assert_eq!(check(&[MEMBER()], &[ADMIN()]), Ok(()));
        assert_eq!(check(&[MEMBER()], &[OWNER()]), Err(IamError::OneOwner));
        assert_eq!(check(&[OWNER()], &[ADMIN()]), Err(IamError::OneOwner));
        assert_eq!(check(&[OWNER()], &[OWNER(), MEMBER()]), Ok(()));
        assert!(matches!(
            check_assignment(&[MEMBER()], &[ADMIN()], &[MEMBER()]),
            Err(IamError::Escalation(_))
        ));
        assert!(matches!(check(&[], &[PLATFORM_OWNER()]), Err(IamError::Escalation(_))));
    }

    #[test]
    fn nobody_takes_away_what_they_could_not_give() {
        let helper = Role { permissions: owned(&["roles.assign"]), ..MEMBER() };
        let taken = check_assignment(&[ADMIN()], &[], std::slice::from_ref(&helper));
        assert_eq!(taken, Err(IamError::Escalation("*".to_owned())), "an Admin is not demoted by a helper");
        assert_eq!(check_assignment(std::slice::from_ref(&helper), &[], &[ADMIN()]), Ok(()));
        let lockout = check_assignment(&[PLATFORM_OWNER()], &[MEMBER()], &[ADMIN()]);
        assert!(lockout.is_err(), "nobody could ever give it back: setup makes one only");
        let lockout = check_assignment(&[PLATFORM_OWNER()], &[MEMBER()], &[PLATFORM_OWNER()]);
        assert!(lockout.is_err(), "not even by mistake");
    }
}
