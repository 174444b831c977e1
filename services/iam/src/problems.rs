//! What each error of the domain is to a caller: one table.

use svc_kit::{Problem, Violation};
use tonic::Code;

use crate::{domain::IamError, passwords::PasswordError, sealing::SealError};

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
            IamError::CodeMissing => Problem::new(Code::Unauthenticated, "mfa-required", "Code needed")
                .detail(
                    "The password is right. Send it again with the code of your authenticator in `mfaCode`.",
                ),
            IamError::WrongCode => Problem::new(Code::Unauthenticated, "invalid-mfa-code", "Wrong code")
                .detail("The code is wrong, has ended, or was used before. Use the one that is shown now."),
            IamError::MfaEnabled => {
                Problem::new(Code::FailedPrecondition, "mfa-enabled", "Second factor is on")
                    .detail("There is a second factor. Switch it off first.")
            }
            IamError::MfaMissing => {
                Problem::new(Code::FailedPrecondition, "mfa-not-enabled", "No second factor")
                    .detail("There is no second factor. Enable it, then prove it with a code.")
            }
            IamError::TooMany { what, minutes } => {
                Problem::rate_limited(format!("Too many {what}. Wait {minutes} minutes and try again."))
            }
            IamError::Impersonated => {
                Problem::new(Code::PermissionDenied, "impersonated", "Only for the user").detail(detail)
            }
            IamError::NoImpersonation => {
                Problem::permission_denied("Only the Platform Owner impersonates, and only users of tenants.")
            }
            IamError::TierNotAllowed(_) => {
                Problem::new(Code::PermissionDenied, "tier-not-allowed", "Not below this tenant").detail(
                    "Partners stand below the platform, clients below the platform or a partner, and nothing \
                     below a client.",
                )
            }
            IamError::OwnTenant => Problem::new(Code::FailedPrecondition, "own-tenant", "Your own tenant")
                .detail("A tenant is blocked and deleted by those above it."),
            IamError::NoTenant => Problem::not_found("There is no such tenant, or it is not yours."),
            IamError::TenantNotEmpty => {
                Problem::new(Code::FailedPrecondition, "tenant-not-empty", "Tenants below")
                    .detail("There are tenants below this one. Delete them first.")
            }
            IamError::BuiltInRole => Problem::new(Code::FailedPrecondition, "built-in-role", "Built in")
                .detail("Built-in roles cannot be changed or deleted. Make a role of your own."),
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

impl From<SealError> for Problem {
    fn from(error: SealError) -> Problem {
        Problem::internal(error)
    }
}

impl From<PasswordError> for Problem {
    fn from(error: PasswordError) -> Problem {
        Problem::internal(error)
    }
}
