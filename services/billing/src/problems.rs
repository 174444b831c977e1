//! What each error of the domain is to a caller: one table.

use svc_kit::Problem;

use crate::domain::BillingError;

impl From<BillingError> for Problem {
    fn from(error: BillingError) -> Problem {
        let detail = error.to_string();
        match error {
            BillingError::NoSuchPlan(_) => {
                Problem::not_found(format!("{detail}; list the plans to see all of them"))
            }
            BillingError::NoSuchSubscription => Problem::not_found("The tenant has no such subscription."),
            BillingError::Subscribed => Problem::already_exists(
                "The tenant has a subscription. Move it to another plan, or cancel it.",
            ),
            BillingError::Outdated { .. } => {
                Problem::conflict(format!("{detail}. Read it again and repeat the change."))
            }
            BillingError::Impossible(_) => Problem::failed_precondition(detail),
            BillingError::NoSuchResource(_) => Problem::invalid("There is no such resource.").violation(
                "resource",
                "enum",
                "must be users, records, storage_bytes, events_per_day or modules",
            ),
            BillingError::Amount => Problem::invalid("The amount cannot be used.").violation(
                "amount",
                "minimum",
                "must not be negative",
            ),
        }
    }
}
