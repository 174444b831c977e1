//! What can be done with subscriptions and usage. Handlers of the wire call these; rules stand in
//! [`domain`](crate::domain).

use std::sync::Arc;

use jiff::{Timestamp, tz::TimeZone};
use serde_json::json;
use svc_kit::{Problem, RequestContext};
use svc_stores::outbox::{self, Event};
use uuid::Uuid;

use crate::{
    domain::{BillingError, FIRST_PLAN, Limits, Plan, Resource, Subscription, Verdict, decide},
    store::{self, BillingStore},
};

/// The time, as a parameter.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Subscriptions and usage. Cheap to clone.
#[derive(Clone)]
pub struct Ledger {
    /// The database.
    pub store: BillingStore,
    /// The time.
    pub clock: Clock,
}

/// Whether a tenant may use more, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Whether it may.
    pub verdict: Verdict,
    /// What is used.
    pub used: i64,
    /// What is allowed; 0 is unlimited.
    pub limit: i64,
    /// The subscription.
    pub subscription: Subscription,
}

impl Ledger {
    /// The tenant's subscription. A tenant that is seen for the first time gets a trial, whether or not iam has asked
    /// for one yet: nobody is without.
    ///
    /// # Errors
    ///
    /// When the database is away.
    pub async fn current(&self, tenant: Uuid) -> Result<Subscription, Problem> {
        if let Some(found) = self.store.subscription(tenant).await? {
            return Ok(found);
        }
        let mut transaction = self.store.begin(tenant).await?;
        // Somebody may have been faster since we looked.
        if let Some(found) = store::subscription_within(&mut transaction).await? {
            return Ok(found);
        }
        let trial = Subscription::trial(tenant, FIRST_PLAN, self.now());
        store::save(&mut transaction, &trial).await?;
        outbox::append(&mut transaction, &changed(&trial, None)).await?;
        transaction.commit().await?;
        Ok(trial)
    }

    /// Subscribes a tenant that has no subscription, or whose last one has ended.
    ///
    /// # Errors
    ///
    /// When there is no such plan, or the tenant is subscribed.
    pub async fn subscribe(&self, tenant: Uuid, plan: &str) -> Result<Subscription, Problem> {
        let plan = self.plan(plan).await?;
        let now = self.now();
        let mut transaction = self.store.begin(tenant).await?;
        let before = store::subscription_within(&mut transaction).await?;
        if before.as_ref().is_some_and(|before| !before.has_ended(now)) {
            return Err(BillingError::Subscribed.into());
        }
        let new = Subscription::trial(tenant, &plan.id, now);
        store::save(&mut transaction, &new).await?;
        outbox::append(&mut transaction, &changed(&new, before.as_ref())).await?;
        transaction.commit().await?;
        Ok(new)
    }

    /// Moves a tenant to another plan. `version` is what the tenant had read.
    ///
    /// # Errors
    ///
    /// When the subscription or the plan is unknown, somebody else changed it, or it has ended.
    pub async fn move_to(
        &self,
        tenant: Uuid,
        id: Uuid,
        plan: &str,
        version: i64,
    ) -> Result<Subscription, Problem> {
        let to = self.plan(plan).await?;
        let from = self.current(tenant).await?.plan;
        let from = self.plan(&from).await?;
        self.change(tenant, id, |before, now| {
            // The plan cannot have changed since it was read without the version telling.
            before.moved_to(&from, &to, version, now)
        })
        .await
    }

    /// Ends a subscription with its period.
    ///
    /// # Errors
    ///
    /// When the subscription is unknown, or has ended already.
    pub async fn cancel(&self, tenant: Uuid, id: Uuid) -> Result<Subscription, Problem> {
        self.change(tenant, id, Subscription::canceled).await
    }

    /// Takes back a downgrade that waits for the end of the period.
    ///
    /// # Errors
    ///
    /// When the subscription is unknown.
    pub async fn stay(&self, tenant: Uuid, id: Uuid) -> Result<Subscription, Problem> {
        self.change(tenant, id, |before, now| Ok(before.staying(now))).await
    }

    /// What the tenant has used of what its plan allows.
    ///
    /// # Errors
    ///
    /// When the database is away.
    pub async fn usage(&self, tenant: Uuid) -> Result<(Plan, Limits), Problem> {
        let plan = self.current(tenant).await?.plan;
        Ok((self.plan(&plan).await?, self.store.usage(tenant, &self.today()).await?))
    }

    /// Whether the tenant may use `amount` more; without a resource, whether it may do anything at all.
    ///
    /// # Errors
    ///
    /// When the amount is negative.
    pub async fn check(
        &self,
        tenant: Uuid,
        resource: Option<Resource>,
        amount: i64,
    ) -> Result<Answer, Problem> {
        if amount < 0 {
            return Err(BillingError::Amount.into());
        }
        let subscription = self.current(tenant).await?;
        let access = subscription.access(self.now());
        let (used, limit) = match resource {
            Some(resource) => {
                let plan = self.plan(&subscription.plan).await?;
                (self.store.usage(tenant, &self.today()).await?.get(resource), plan.limits.get(resource))
            }
            None => (0, 0),
        };
        Ok(Answer { verdict: decide(access, used, amount, limit), used, limit, subscription })
    }

    /// Counts what a tenant used, or gave back. A report by the same id counts once.
    ///
    /// # Errors
    ///
    /// When the database is away.
    pub async fn record(
        &self,
        tenant: Uuid,
        resource: Resource,
        amount: i64,
        report: Uuid,
    ) -> Result<(), Problem> {
        let counted =
            self.store.add_usage(tenant, resource, amount, report, self.now(), &self.today()).await?;
        if !counted {
            tracing::debug!(%report, "a report of usage came again");
        }
        Ok(())
    }

    /// Moves subscriptions that time has moved. Gives how many.
    ///
    /// # Errors
    ///
    /// When the database is away.
    pub async fn advance(&self) -> Result<usize, Problem> {
        const BATCH: u32 = 500;

        let now = self.now();
        let mut moved = 0;
        let mut last = Uuid::nil();
        loop {
            let due = self.store.due(now, last, BATCH).await?;
            for subscription in &due {
                last = subscription.tenant;
                moved += usize::from(self.advance_one(subscription, now).await?);
            }
            if due.len() < BATCH as usize {
                return Ok(moved);
            }
        }
    }

    async fn advance_one(&self, due: &Subscription, now: Timestamp) -> Result<bool, Problem> {
        let plan = self.plan(due.pending_plan.as_ref().unwrap_or(&due.plan)).await?;
        let mut transaction = self.store.begin(due.tenant).await?;
        // When it changed since it was found, the next round sees to it.
        let before = store::subscription_within(&mut transaction).await?;
        let Some(before) = before.filter(|before| before.version == due.version) else { return Ok(false) };
        let Some(after) = before.advanced(&plan, now) else { return Ok(false) };
        store::save(&mut transaction, &after).await?;
        outbox::append(&mut transaction, &changed(&after, Some(&before))).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// A plan by its name.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub async fn plan(&self, id: &str) -> Result<Plan, Problem> {
        Ok(self.store.plan(id).await?.ok_or_else(|| BillingError::NoSuchPlan(id.to_owned()))?)
    }

    /// The day, in UTC.
    pub fn today(&self) -> String {
        self.now().to_zoned(TimeZone::UTC).date().to_string()
    }

    /// The time, as exactly as the database keeps it.
    pub fn now(&self) -> Timestamp {
        let now = (self.clock)();
        Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now)
    }

    async fn change(
        &self,
        tenant: Uuid,
        id: Uuid,
        change: impl FnOnce(&Subscription, Timestamp) -> Result<Subscription, BillingError>,
    ) -> Result<Subscription, Problem> {
        let mut transaction = self.store.begin(tenant).await?;
        let before = store::subscription_within(&mut transaction).await?;
        let before = before.filter(|before| before.id == id).ok_or(BillingError::NoSuchSubscription)?;
        let after = change(&before, self.now())?;
        store::save(&mut transaction, &after).await?;
        outbox::append(&mut transaction, &changed(&after, Some(&before))).await?;
        transaction.commit().await?;
        Ok(after)
    }
}

/// Tells others: the gateway forgets what it knew of the tenant's plan.
fn changed(after: &Subscription, before: Option<&Subscription>) -> Event {
    let tenant = after.tenant.to_string();
    let trace = RequestContext::current().map(|context| context.trace.trace_id());
    Event::new("platform.billing.events", "billing.subscription.changed", "billing", &tenant)
        .tenant(after.tenant)
        .trace(trace)
        .data(json!({
            "subscriptionId": after.id,
            "tenantId": after.tenant,
            "planId": after.plan,
            "status": after.status.as_str(),
            "previousPlanId": before.map(|before| before.plan.clone()),
            "previousStatus": before.map(|before| before.status.as_str()),
            "version": after.version,
        }))
}
