//! Plans.

use jiff::{Span, Timestamp, ToSpan as _, tz::TimeZone};

use super::Limits;

/// The plan that a tenant starts with.
pub const FIRST_PLAN: &str = "free";

/// What a tenant subscribes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// A short name such as `pro`.
    pub id: String,
    /// The name for people.
    pub name: String,
    /// How often it is paid.
    pub interval: Interval,
    /// Minor units of the currency per interval.
    pub price: i64,
    /// ISO 4217.
    pub currency: String,
    /// What it allows.
    pub limits: Limits,
    /// Names of features that it switches on.
    pub features: Vec<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// How often a plan is paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interval {
    /// Every month.
    Month,
    /// Every year.
    Year,
}

impl Interval {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Interval::Month => "month",
            Interval::Year => "year",
        }
    }

    /// From what was written.
    pub fn parse(text: &str) -> Option<Interval> {
        [Interval::Month, Interval::Year].into_iter().find(|interval| interval.as_str() == text)
    }

    /// The end of a period that begins at `start`, by the calendar in UTC.
    pub fn after(self, start: Timestamp) -> Timestamp {
        let length: Span = match self {
            Interval::Month => 1.month(),
            Interval::Year => 1.year(),
        };
        let end = start.to_zoned(TimeZone::UTC).checked_add(length);
        end.map_or(Timestamp::MAX, |end| end.timestamp())
    }
}

/// The plans that every platform begins with.
pub fn seed(now: Timestamp) -> [Plan; 3] {
    const GIB: i64 = 1024 * 1024 * 1024;
    let plan = |id: &str, name: &str, price, limits, features: &[&str]| Plan {
        id: id.to_owned(),
        name: name.to_owned(),
        interval: Interval::Month,
        price,
        currency: "USD".to_owned(),
        limits,
        features: features.iter().map(ToString::to_string).collect(),
        created_at: now,
        updated_at: now,
    };
    let small = Limits { users: 5, records: 10_000, storage_bytes: GIB, events_per_day: 10_000, modules: 3 };
    let large = Limits {
        users: 50,
        records: 1_000_000,
        storage_bytes: 100 * GIB,
        events_per_day: 1_000_000,
        modules: 25,
    };
    [
        plan(FIRST_PLAN, "Free", 0, small, &[]),
        plan("pro", "Pro", 4_900, large, &["custom-domains", "webhooks"]),
        plan(
            "enterprise",
            "Enterprise",
            49_900,
            Limits::default(),
            &["custom-domains", "webhooks", "single-sign-on", "audit-export"],
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_ends_by_the_calendar() {
        let start: Timestamp = "2027-01-31T10:00:00Z".parse().unwrap();
        assert_eq!(Interval::Month.after(start).to_string(), "2027-02-28T10:00:00Z");
        assert_eq!(Interval::Year.after(start).to_string(), "2028-01-31T10:00:00Z");
    }

    #[test]
    fn the_first_plan_is_free_and_the_last_unlimited() {
        let plans = seed(Timestamp::UNIX_EPOCH);
        assert_eq!((plans[0].id.as_str(), plans[0].price), (FIRST_PLAN, 0));
        assert_eq!(plans[2].limits, Limits::default());
    }
}
