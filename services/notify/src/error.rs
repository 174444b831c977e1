//! Why a call fails, and what the caller learns of it.

use svc_kit::{Problem, Violation};
use svc_stores::StoreError;
use tonic::Status;

use crate::domain::{Channel, Fault};

/// The result of every operation of this service.
pub type Result<T, E = NotifyError> = std::result::Result<T, E>;

/// Why an operation failed.
#[derive(Debug, thiserror::Error)]
pub enum NotifyError {
    /// The request breaks rules.
    #[error("the request breaks {} rules", .0.len())]
    Faults(Vec<Fault>),
    /// There is no such thing in the tenant.
    #[error("there is no {what} `{name}`")]
    NotFound {
        /// `notification` or `template`.
        what: &'static str,
        /// Its id or name.
        name: String,
    },
    /// Nothing sends through this channel.
    #[error("nothing is set up that sends through `{0}`; see GET /v1/notify/channels for what can")]
    NoAdapter(Channel),
    /// More requests a minute than are allowed.
    #[error("{who} may ask for notifications {limit} times a minute; try again in {seconds} s")]
    TooOften {
        /// `the tenant` or `the module`.
        who: &'static str,
        /// How many requests a minute are allowed.
        limit: u32,
        /// When the next one fits.
        seconds: i64,
    },
    /// Only a failed notification is tried again.
    #[error("the notification is {0}; only a failed one is tried again")]
    NotFailed(&'static str),
    /// Who calls is not known well enough.
    #[error(transparent)]
    Caller(#[from] Problem),
    /// A store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<Fault> for NotifyError {
    fn from(fault: Fault) -> Self {
        Self::Faults(vec![fault])
    }
}

impl From<NotifyError> for Problem {
    fn from(error: NotifyError) -> Self {
        let detail = error.to_string();
        match error {
            NotifyError::Faults(faults) => {
                let violations = faults.into_iter().map(|fault| Violation {
                    field: fault.field.to_owned(),
                    code: fault.code.to_owned(),
                    message: fault.message,
                });
                Self::invalid("The notification cannot be taken as it is.").violations(violations)
            }
            NotifyError::NotFound { .. } => Self::not_found(detail),
            NotifyError::NoAdapter(_) => {
                Self::new(tonic::Code::FailedPrecondition, "channel-not-configured", "Channel not configured")
                    .detail(detail)
            }
            NotifyError::TooOften { .. } => Self::rate_limited(detail),
            NotifyError::NotFailed(_) => Self::failed_precondition(detail),
            NotifyError::Caller(problem) => problem,
            NotifyError::Store(error) => error.into(),
        }
    }
}

impl From<NotifyError> for Status {
    fn from(error: NotifyError) -> Self {
        Problem::from(error).into()
    }
}
