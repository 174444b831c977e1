//! The states of a subscription and what leads from one to another.

use std::fmt;

/// Where a subscription stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Status {
    /// Free of charge for a while.
    Trialing,
    /// Paid.
    Active,
    /// A payment failed; everything still works.
    PastDue,
    /// Unpaid for more than a week: reading only.
    Suspended,
    /// Unpaid for 38 days: nothing works, deletion follows.
    Terminated,
    /// Ended by the tenant; works until its period ends.
    Canceled,
}

/// Something that happened to a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// A payment arrived, or none was due.
    Paid,
    /// A payment that was due did not arrive.
    PaymentFailed,
    /// So many whole days passed since a payment failed.
    Overdue(i64),
    /// The tenant ends it.
    Cancel,
    /// The Platform Owner takes a termination back.
    Restore,
}

/// A change that cannot happen in this state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{change:?} is not possible while the subscription is {status}")]
pub struct Impossible {
    /// The state.
    pub status: Status,
    /// The change.
    pub change: Change,
}

/// What a tenant may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Everything.
    Full,
    /// Reading, and moving money.
    ReadOnly,
    /// Nothing.
    None,
}

/// Up to and including this day everything works.
const GRACE_DAYS: i64 = 7;

/// Up to and including this day reading works.
const SUSPENDED_DAYS: i64 = 37;

impl Status {
    /// Every state.
    pub const ALL: [Status; 6] = [
        Status::Trialing,
        Status::Active,
        Status::PastDue,
        Status::Suspended,
        Status::Terminated,
        Status::Canceled,
    ];

    /// The state after a change.
    ///
    /// # Errors
    ///
    /// When the change cannot happen in this state.
    pub fn after(self, change: Change) -> Result<Status, Impossible> {
        use Status::{Active, Canceled, PastDue, Suspended, Terminated, Trialing};
        match (self, change) {
            (Trialing | Active | PastDue | Suspended, Change::Paid) | (Terminated, Change::Restore) => {
                Ok(Active)
            }
            (Trialing | Active, Change::PaymentFailed) => Ok(PastDue),
            (PastDue | Suspended, Change::Overdue(days)) => Ok(match days {
                days if days <= GRACE_DAYS => PastDue,
                days if days <= SUSPENDED_DAYS => Suspended,
                _ => Terminated,
            }),
            (Trialing | Active | PastDue | Suspended, Change::Cancel) => Ok(Canceled),
            (status, change) => Err(Impossible { status, change }),
        }
    }

    /// What a tenant may do in this state. `period_over` matters only after a cancellation.
    pub fn access(self, period_over: bool) -> Access {
        match self {
            Status::Trialing | Status::Active | Status::PastDue => Access::Full,
            Status::Canceled if !period_over => Access::Full,
            Status::Suspended => Access::ReadOnly,
            Status::Terminated | Status::Canceled => Access::None,
        }
    }

    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Trialing => "trialing",
            Status::Active => "active",
            Status::PastDue => "past_due",
            Status::Suspended => "suspended",
            Status::Terminated => "terminated",
            Status::Canceled => "canceled",
        }
    }

    /// From what was written.
    pub fn parse(text: &str) -> Option<Status> {
        Status::ALL.into_iter().find(|status| status.as_str() == text)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_knows_every_change() {
        use Status::{Active, Canceled, PastDue, Suspended};
        let changes =
            [Change::Paid, Change::PaymentFailed, Change::Overdue(8), Change::Cancel, Change::Restore];
        let table = [
            (Status::Trialing, [Some(Active), Some(PastDue), None, Some(Canceled), None]),
            (Active, [Some(Active), Some(PastDue), None, Some(Canceled), None]),
            (PastDue, [Some(Active), None, Some(Suspended), Some(Canceled), None]),
            (Suspended, [Some(Active), None, Some(Suspended), Some(Canceled), None]),
            (Status::Terminated, [None, None, None, None, Some(Active)]),
            (Canceled, [None, None, None, None, None]),
        ];
        for (status, expected) in table {
            for (change, expected) in changes.into_iter().zip(expected) {
                assert_eq!(status.after(change).ok(), expected, "{status} after {change:?}");
            }
        }
    }

    #[test]
    fn days_decide_between_grace_suspension_and_the_end() {
        for (days, expected) in [
            (0, Status::PastDue),
            (7, Status::PastDue),
            (8, Status::Suspended),
            (37, Status::Suspended),
            (38, Status::Terminated),
            (400, Status::Terminated),
        ] {
            assert_eq!(Status::PastDue.after(Change::Overdue(days)), Ok(expected), "day {days}");
        }
    }

    #[test]
    fn states_are_read_as_they_are_written() {
        for status in Status::ALL {
            assert_eq!(Status::parse(status.as_str()), Some(status));
        }
        assert_eq!(Status::parse("paused"), None);
    }

    #[test]
    fn a_canceled_subscription_works_until_its_period_ends() {
        assert_eq!(Status::Canceled.access(false), Access::Full);
        assert_eq!(Status::Canceled.access(true), Access::None);
        assert_eq!(Status::PastDue.access(true), Access::Full);
        assert_eq!(Status::Suspended.access(false), Access::ReadOnly);
    }
}
