//! The rules of plans, subscriptions and limits. Nothing here knows a wire, a database or a clock.

mod limits;
mod plan;
mod status;
mod subscription;

pub use limits::{Limits, Resource, Verdict, decide};
pub use plan::{FIRST_PLAN, Interval, Plan, seed};
pub use status::{Access, Change, Impossible, Status};
pub use subscription::{Subscription, TRIAL};

/// Why something was not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BillingError {
    /// There is no such plan.
    #[error("there is no plan `{0}`")]
    NoSuchPlan(String),
    /// The tenant has no subscription by this id.
    #[error("there is no such subscription")]
    NoSuchSubscription,
    /// The tenant has one already.
    #[error("the tenant has a subscription already")]
    Subscribed,
    /// Somebody else changed it since it was read.
    #[error("version {read} was read, but {now} is the newest")]
    Outdated {
        /// What the caller had read.
        read: i64,
        /// What there is.
        now: i64,
    },
    /// Not in this state.
    #[error(transparent)]
    Impossible(#[from] Impossible),
    /// Nothing of that name is limited.
    #[error("`{0}` is no resource")]
    NoSuchResource(String),
    /// More makes no sense.
    #[error("the amount must be positive")]
    Amount,
}
