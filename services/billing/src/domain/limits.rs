//! What a plan allows, and whether a tenant may use more.

use serde::{Deserialize, Serialize};

use super::{Access, BillingError};

/// What a plan allows or a tenant has used. As a limit, 0 is unlimited.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Limits {
    /// Users of the tenant.
    pub users: i64,
    /// Records in the data layer.
    pub records: i64,
    /// Bytes of files.
    pub storage_bytes: i64,
    /// Events per day, in UTC.
    pub events_per_day: i64,
    /// Installed modules.
    pub modules: i64,
}

/// Something that is limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Resource {
    /// Users of the tenant.
    Users,
    /// Records in the data layer.
    Records,
    /// Bytes of files.
    StorageBytes,
    /// Events per day.
    EventsPerDay,
    /// Installed modules.
    Modules,
}

impl Resource {
    /// Every resource.
    pub const ALL: [Resource; 5] = [
        Resource::Users,
        Resource::Records,
        Resource::StorageBytes,
        Resource::EventsPerDay,
        Resource::Modules,
    ];

    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Resource::Users => "users",
            Resource::Records => "records",
            Resource::StorageBytes => "storage_bytes",
            Resource::EventsPerDay => "events_per_day",
            Resource::Modules => "modules",
        }
    }

    /// From what was written.
    ///
    /// # Errors
    ///
    /// When there is none of this name.
    pub fn parse(text: &str) -> Result<Resource, BillingError> {
        let found = Resource::ALL.into_iter().find(|resource| resource.as_str() == text);
        found.ok_or_else(|| BillingError::NoSuchResource(text.to_owned()))
    }

    /// Whether its use is counted anew each day.
    pub fn is_daily(self) -> bool {
        self == Resource::EventsPerDay
    }
}

impl Limits {
    /// The amount of one resource.
    pub fn get(&self, resource: Resource) -> i64 {
        match resource {
            Resource::Users => self.users,
            Resource::Records => self.records,
            Resource::StorageBytes => self.storage_bytes,
            Resource::EventsPerDay => self.events_per_day,
            Resource::Modules => self.modules,
        }
    }

    /// The same with another amount of one resource.
    #[must_use]
    pub fn with(mut self, resource: Resource, amount: i64) -> Limits {
        let slot = match resource {
            Resource::Users => &mut self.users,
            Resource::Records => &mut self.records,
            Resource::StorageBytes => &mut self.storage_bytes,
            Resource::EventsPerDay => &mut self.events_per_day,
            Resource::Modules => &mut self.modules,
        };
        *slot = amount;
        self
    }
}

/// Whether a tenant may use more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It may.
    Allowed,
    /// The plan does not allow so much.
    LimitExceeded,
    /// The subscription is suspended.
    Suspended,
    /// The subscription has ended.
    Ended,
}

impl Verdict {
    /// The slug of the problem; empty when it may.
    pub fn reason(self) -> &'static str {
        match self {
            Verdict::Allowed => "",
            Verdict::LimitExceeded => "plan-limit-exceeded",
            Verdict::Suspended => "subscription-suspended",
            Verdict::Ended => "subscription-terminated",
        }
    }
}

/// Decides about `amount` more, where `used` of `limit` are used. 0 is unlimited.
pub fn decide(access: Access, used: i64, amount: i64, limit: i64) -> Verdict {
    match access {
        Access::ReadOnly => Verdict::Suspended,
        Access::None => Verdict::Ended,
        Access::Full if limit > 0 && used.saturating_add(amount) > limit => Verdict::LimitExceeded,
        Access::Full => Verdict::Allowed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_reached_exactly_and_zero_is_none() {
        for (used, amount, limit, expected) in [
            (4, 1, 5, Verdict::Allowed),
            (5, 1, 5, Verdict::LimitExceeded),
            (0, 6, 5, Verdict::LimitExceeded),
            (5, 0, 5, Verdict::Allowed),
            (1_000_000, 1, 0, Verdict::Allowed),
            (i64::MAX, 1, i64::MAX, Verdict::Allowed),
        ] {
            assert_eq!(decide(Access::Full, used, amount, limit), expected, "{used}+{amount} of {limit}");
        }
        assert_eq!(decide(Access::ReadOnly, 0, 1, 0), Verdict::Suspended);
        assert_eq!(decide(Access::None, 0, 1, 0), Verdict::Ended);
    }

    #[test]
    fn resources_are_read_as_they_are_written() {
        for (number, resource) in (1..).zip(Resource::ALL) {
            assert_eq!(Resource::parse(resource.as_str()), Ok(resource));
            assert_eq!(Limits::default().with(resource, number).get(resource), number);
        }
        assert!(Resource::parse("seats").is_err());
    }
}
