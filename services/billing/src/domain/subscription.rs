//! A tenant's subscription and how time moves it.

use std::time::Duration;

use jiff::Timestamp;
use uuid::Uuid;

use super::{Access, BillingError, Change, Plan, Status};

/// How long a new subscription is free of charge.
pub const TRIAL: Duration = Duration::from_secs(14 * 24 * 3600);

const DAY: i64 = 24 * 3600;

/// A tenant's subscription to a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    /// UUID v7.
    pub id: Uuid,
    /// Whose.
    pub tenant: Uuid,
    /// To what.
    pub plan: String,
    /// Where it stands.
    pub status: Status,
    /// The plan it moves to when the period ends.
    pub pending_plan: Option<String>,
    /// When the period ends; of a trial, the trial.
    pub period_end: Timestamp,
    /// When payment first failed.
    pub past_due_since: Option<Timestamp>,
    /// Counts changes.
    pub version: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

impl Subscription {
    /// A trial of a plan that begins now.
    pub fn trial(tenant: Uuid, plan: &str, now: Timestamp) -> Subscription {
        Subscription {
            id: Uuid::now_v7(),
            tenant,
            plan: plan.to_owned(),
            status: Status::Trialing,
            pending_plan: None,
            period_end: now.checked_add(TRIAL).unwrap_or(Timestamp::MAX),
            past_due_since: None,
            version: 1,
            created_at: now,
            updated_at: now,
        }
    }

    /// What the tenant may do.
    pub fn access(&self, now: Timestamp) -> Access {
        self.status.access(now >= self.period_end)
    }

    /// Whether the tenant may subscribe anew.
    pub fn has_ended(&self, now: Timestamp) -> bool {
        matches!(self.status, Status::Canceled | Status::Terminated) && self.access(now) == Access::None
    }

    /// The same on another plan: at once to one that costs at least as much, at the end of the period to a cheaper
    /// one. `read` is the version that the tenant had seen.
    ///
    /// # Errors
    ///
    /// When somebody else changed it meanwhile, or it has ended.
    pub fn moved_to(
        &self,
        from: &Plan,
        to: &Plan,
        read: i64,
        now: Timestamp,
    ) -> Result<Subscription, BillingError> {
        self.expect_version(read)?;
        if matches!(self.status, Status::Terminated | Status::Canceled) {
            // Asking the table gives the words for it.
            self.status.after(Change::Cancel)?;
        }
        let mut next = self.clone();
        if to.id == self.plan {
            next.pending_plan = None;
        } else if to.price >= from.price || self.status == Status::Trialing {
            next.plan.clone_from(&to.id);
            next.pending_plan = None;
        } else {
            next.pending_plan = Some(to.id.clone());
        }
        Ok(next.touched(now))
    }

    /// The same without a downgrade that waits.
    pub fn staying(&self, now: Timestamp) -> Subscription {
        Subscription { pending_plan: None, ..self.clone() }.touched(now)
    }

    /// The same, ended by the tenant; it works until its period ends.
    ///
    /// # Errors
    ///
    /// When it has ended already.
    pub fn canceled(&self, now: Timestamp) -> Result<Subscription, BillingError> {
        let status = self.status.after(Change::Cancel)?;
        Ok(Subscription { status, pending_plan: None, ..self.clone() }.touched(now))
    }

    /// What time has made of it, or `None` when nothing. `plan_after` is the plan of the next period.
    ///
    /// There is no payment provider yet: a plan that costs something is past due when its period ends.
    pub fn advanced(&self, plan_after: &Plan, now: Timestamp) -> Option<Subscription> {
        let mut next = self.clone();
        if matches!(next.status, Status::Trialing | Status::Active) && now >= next.period_end {
            next.plan.clone_from(&plan_after.id);
            next.pending_plan = None;
            let change = if plan_after.price == 0 { Change::Paid } else { Change::PaymentFailed };
            next.status = next.status.after(change).ok()?;
            if change == Change::Paid {
                // A period that was slept through begins where the last one ended.
                while now >= next.period_end {
                    next.period_end = plan_after.interval.after(next.period_end);
                }
            } else {
                next.past_due_since = Some(next.period_end);
            }
        }
        if let (Status::PastDue | Status::Suspended, Some(since)) = (next.status, next.past_due_since) {
            let days = (now.as_second() - since.as_second()) / DAY;
            next.status = next.status.after(Change::Overdue(days)).ok()?;
        }
        (next != *self).then(|| next.touched(now))
    }

    fn expect_version(&self, read: i64) -> Result<(), BillingError> {
        if read == self.version { Ok(()) } else { Err(BillingError::Outdated { read, now: self.version }) }
    }

    fn touched(mut self, now: Timestamp) -> Subscription {
        self.version += 1;
        self.updated_at = now;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::super::seed;
    use super::*;

    fn at(day: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + day * DAY).unwrap()
    }

    fn plans() -> [Plan; 3] {
        seed(at(0))
    }

    #[test]
    fn a_free_trial_becomes_active_and_renews() {
        let [free, ..] = plans();
        let trial = Subscription::trial(Uuid::now_v7(), "free", at(0));
        assert_eq!(trial.advanced(&free, at(13)), None);
        let active = trial.advanced(&free, at(14)).unwrap();
        assert_eq!((active.status, active.version), (Status::Active, 2));
        assert!(active.period_end > at(40) && active.period_end < at(46));
        let slept = active.advanced(&free, at(300)).unwrap();
        assert!(slept.period_end > at(300) && slept.period_end < at(332));
    }

    #[test]
    fn an_unpaid_plan_goes_all_the_way_even_after_a_long_sleep() {
        let [_, pro, _] = plans();
        let trial = Subscription::trial(Uuid::now_v7(), "pro", at(0));
        for (day, expected) in
            [(14, Status::PastDue), (21, Status::PastDue), (22, Status::Suspended), (52, Status::Terminated)]
        {
            assert_eq!(trial.advanced(&pro, at(day)).unwrap().status, expected, "day {day}");
        }
        let past_due = trial.advanced(&pro, at(14)).unwrap();
        assert_eq!(past_due.advanced(&pro, at(15)), None);
        assert_eq!(past_due.advanced(&pro, at(22)).unwrap().status, Status::Suspended);
    }

    #[test]
    fn a_dearer_plan_counts_at_once_and_a_cheaper_one_later() {
        let [free, pro, enterprise] = plans();
        let active =
            Subscription { status: Status::Active, ..Subscription::trial(Uuid::now_v7(), "pro", at(0)) };
        let up = active.moved_to(&pro, &enterprise, 1, at(1)).unwrap();
        assert_eq!((up.plan.as_str(), up.pending_plan.as_deref(), up.version), ("enterprise", None, 2));
        let down = active.moved_to(&pro, &free, 1, at(1)).unwrap();
        assert_eq!((down.plan.as_str(), down.pending_plan.as_deref()), ("pro", Some("free")));
        let later = down.advanced(&free, at(14)).unwrap();
        assert_eq!((later.plan.as_str(), later.pending_plan, later.status), ("free", None, Status::Active));
        assert_eq!(down.staying(at(2)).pending_plan, None);
    }

    #[test]
    fn of_two_changes_at_once_the_second_fails() {
        let [free, pro, _] = plans();
        let trial = Subscription::trial(Uuid::now_v7(), "free", at(0));
        let first = trial.moved_to(&free, &pro, 1, at(1)).unwrap();
        let second = first.moved_to(&pro, &free, 1, at(1));
        assert_eq!(second, Err(BillingError::Outdated { read: 1, now: 2 }));
    }

    #[test]
    fn what_ended_stays_ended() {
        let [free, pro, _] = plans();
        let canceled = Subscription::trial(Uuid::now_v7(), "free", at(0)).canceled(at(1)).unwrap();
        assert!(!canceled.has_ended(at(1)) && canceled.has_ended(at(14)));
        assert!(matches!(canceled.canceled(at(2)), Err(BillingError::Impossible(_))));
        assert!(matches!(canceled.moved_to(&free, &pro, 2, at(2)), Err(BillingError::Impossible(_))));
        assert_eq!(canceled.advanced(&free, at(100)), None);
    }
}
