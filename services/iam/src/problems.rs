//! What each error of the domain is to a caller: one table.

use svc_kit::{Problem, Violation};
use tonic::Code;

use crate::{domain::IamError, passwords::PasswordError};

impl From<IamError> for Problem {
    fn from(error: IamError) -> Problem {
        let detail = error.to_string();
        match error {
            IamError::Invalid(broken) => {
                let violations = broken.into_iter().map(|broken| Violation {
                    field: broken.field.to_owned(),
                    code: broken.rule.to_owned(),
                    message: broken.message,
                });
                Problem::invalid("Some values break a rule.").violations(violations)
            }
            IamError::EmailTaken => Problem::new(Code::AlreadyExists, "email-taken", "Address taken")
                .detail("There is an account with this address. Sign in, or use another address."),
            IamError::WrongCredentials => {
                Problem::new(Code::Unauthenticated, "invalid-credentials", "Wrong address or password")
                    .detail("The address or the password is wrong.")
            }
            IamError::TokenDead(reason) => {
                Problem::new(Code::Unauthenticated, "token-expired", "Token not valid")
                    .detail(format!("The token is not valid: {reason}. Sign in again."))
            }
            IamError::TooManyLogins => {
                Problem::rate_limited("Too many failed logins. Wait a quarter of an hour and try again.")
            }
            IamError::TenantBlocked => {
                Problem::new(Code::PermissionDenied, "tenant-blocked", "Tenant blocked")
                    .detail("The tenant is blocked. Ask whoever runs the platform.")
            }
            IamError::NotAMember => Problem::new(Code::PermissionDenied, "not-a-member", "Not a member")
                .detail("You do not belong to this tenant."),
            IamError::NotFound(what) => {
                Problem::not_found(format!("There is no such {what} in this tenant."))
            }
            IamError::Exists(what) => {
                Problem::already_exists(format!("There is such a {what} in this tenant already."))
            }
            IamError::Escalation(_) => {
                Problem::new(Code::PermissionDenied, "privilege-escalation", "More than you have")
                    .detail(detail)
            }
            IamError::OneOwner => {
                Problem::new(Code::FailedPrecondition, "one-owner", "One Owner per tenant").detail(detail)
            }
            IamError::AlreadySetUp => Problem::new(Code::AlreadyExists, "already-set-up", "Set up already")
                .detail("The platform has its Platform Owner. There is only one."),
        }
    }
}

impl From<PasswordError> for Problem {
    fn from(error: PasswordError) -> Problem {
        Problem::internal(error)
    }
}
