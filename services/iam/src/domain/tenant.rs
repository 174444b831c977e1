//! Tenants, and which one a login is for.

use jiff::Timestamp;
use uuid::Uuid;

use super::IamError;

/// An organization on the platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tenant {
    /// UUID v7.
    pub id: Uuid,
    /// The name for people.
    pub name: String,
    /// Its place in the hierarchy.
    pub tier: Tier,
    /// Whether its users may sign in.
    pub status: TenantStatus,
    /// The tenant above it.
    pub parent: Option<Uuid>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// A place in the hierarchy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tier {
    /// The operator. There is one.
    Platform,
    /// A reseller.
    Partner,
    /// A customer.
    Client,
}

impl Tier {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Tier::Platform => "platform",
            Tier::Partner => "partner",
            Tier::Client => "client",
        }
    }

    /// From what was written.
    pub fn parse(text: &str) -> Option<Tier> {
        [Tier::Platform, Tier::Partner, Tier::Client].into_iter().find(|tier| tier.as_str() == text)
    }
}

/// Partners stand below the platform, clients below both. There is one platform, and nothing below a client.
///
/// # Errors
///
/// When a tenant of this tier cannot stand below one of the tier `above`.
pub fn check_new_tier(above: Tier, new: Tier) -> Result<(), IamError> {
    match (above, new) {
        (Tier::Platform, Tier::Partner | Tier::Client) | (Tier::Partner, Tier::Client) => Ok(()),
        _ => Err(IamError::TierNotAllowed(new.as_str())),
    }
}

/// Whether a tenant's users may sign in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TenantStatus {
    /// They may.
    Active,
    /// They may not, nor may those below it.
    Blocked,
}

impl TenantStatus {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            TenantStatus::Active => "active",
            TenantStatus::Blocked => "blocked",
        }
    }

    /// From what was written.
    pub fn parse(text: &str) -> Option<TenantStatus> {
        [TenantStatus::Active, TenantStatus::Blocked].into_iter().find(|status| status.as_str() == text)
    }
}

/// Which tenant a login is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// The user has none: one is made.
    Create,
    /// This one.
    Enter(Uuid),
    /// The user must say.
    Ask,
}

/// None → make one; one → that; several → the last one used, if it is still among them, else ask.
pub fn choose(tenants: &[Uuid], last: Option<Uuid>) -> Choice {
    match tenants {
        [] => Choice::Create,
        [only] => Choice::Enter(*only),
        several => match last.filter(|last| several.contains(last)) {
            Some(last) => Choice::Enter(last),
            None => Choice::Ask,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_tiers_stand_above_each_other() {
        use Tier::{Client, Partner, Platform};
        for above in [Platform, Partner, Client] {
            for new in [Platform, Partner, Client] {
                let allowed = [(Platform, Partner), (Platform, Client), (Partner, Client)];
                assert_eq!(check_new_tier(above, new).is_ok(), allowed.contains(&(above, new)));
            }
        }
    }

    #[test]
    fn the_number_of_tenants_decides() {
        let [a, b, c] = [1, 2, 3].map(Uuid::from_u128);
        assert_eq!(choose(&[], None), Choice::Create);
        assert_eq!(choose(&[], Some(a)), Choice::Create, "left the last one");
        assert_eq!(choose(&[a], None), Choice::Enter(a));
        assert_eq!(choose(&[a], Some(b)), Choice::Enter(a));
        assert_eq!(choose(&[a, b], None), Choice::Ask);
        assert_eq!(choose(&[a, b], Some(b)), Choice::Enter(b));
        assert_eq!(choose(&[a, b], Some(c)), Choice::Ask, "no member there any more");
    }
}
