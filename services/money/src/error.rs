//! Why a call fails, and what the caller learns of it.

use svc_kit::Problem;
use svc_stores::StoreError;
use svc_stores::relational::Transient;
use tonic::{Code, Status};
use uuid::Uuid;

use crate::domain::Refusal;

/// The result of every operation of the ledger.
pub type Result<T, E = MoneyError> = std::result::Result<T, E>;

/// Why an operation failed.
#[derive(Debug, thiserror::Error)]
pub enum MoneyError {
    /// A rule stands against it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// A field of the request cannot be read.
    #[error("{field} {problem}")]
    Field {
        /// The field's JSON name.
        field: &'static str,
        /// What is wrong and what would be right.
        problem: String,
    },
    /// There is no such thing in the tenant.
    #[error("there is no {what} {id}")]
    NotFound {
        /// `wallet`, `hold` or `transaction`.
        what: &'static str,
        /// Its id.
        id: Uuid,
    },
    /// A mutation without a key.
    #[error("a call that moves money needs an Idempotency-Key, so that a repetition is harmless")]
    KeyMissing,
    /// The key was used for another request.
    #[error("this Idempotency-Key was used for another request; a new request needs a new key")]
    KeyReused,
    /// Who calls is not known well enough.
    #[error(transparent)]
    Caller(#[from] Problem),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What was stored before cannot be read.
    #[error("a stored answer cannot be read")]
    Answer(#[from] prost::DecodeError),
}

impl Transient for MoneyError {
    fn is_transient(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_transient())
    }
}

impl From<MoneyError> for Problem {
    fn from(error: MoneyError) -> Self {
        let detail = error.to_string();
        match error {
            MoneyError::Refused(refusal) => refused(&refusal, detail),
            MoneyError::Field { field, problem } => {
                Self::invalid(detail).violation(field, "invalid", problem)
            }
            MoneyError::NotFound { .. } => Self::not_found(detail),
            MoneyError::KeyMissing => {
                Self::new(Code::InvalidArgument, "idempotency-key-required", "Idempotency-Key required")
                    .detail(detail)
                    .violation("Idempotency-Key", "required", "must be a UUID of version 4 or 7")
            }
            MoneyError::KeyReused => {
                Self::new(Code::AlreadyExists, "idempotency-key-reused", "Idempotency-Key used before")
                    .detail(detail)
            }
            MoneyError::Caller(problem) => problem,
            MoneyError::Store(error) if error.is_transient() => {
                Self::unavailable("The ledger is busy. Send the same request with the same key again.")
            }
            MoneyError::Store(error) => Self::internal(error),
            MoneyError::Answer(error) => Self::internal(error),
        }
    }
}

impl From<MoneyError> for Status {
    fn from(error: MoneyError) -> Self {
        Problem::from(error).into()
    }
}

fn refused(refusal: &Refusal, detail: String) -> Problem {
    let (code, slug, title, field) = match refusal {
        Refusal::InvalidAmount(_) => {
            (Code::InvalidArgument, "invalid-amount", "Invalid amount", Some("amount"))
        }
        Refusal::LimitExceeded { .. } | Refusal::Overflow(_) => {
            (Code::OutOfRange, "limit-exceeded", "Limit exceeded", Some("amount"))
        }
        Refusal::InsufficientFunds { .. } => {
            (Code::FailedPrecondition, "insufficient-funds", "Insufficient funds", None)
        }
        Refusal::UnknownWallet(_) => (Code::NotFound, "not-found", "Not found", None),
        Refusal::InvalidCurrency(_) => {
            (Code::InvalidArgument, "validation-error", "The request is not valid", Some("currency"))
        }
        Refusal::InvalidLifetime(_) => {
            (Code::InvalidArgument, "validation-error", "The request is not valid", Some("ttlSeconds"))
        }
        Refusal::SameWallet => {
            (Code::InvalidArgument, "validation-error", "The request is not valid", Some("toWalletId"))
        }
        Refusal::CurrencyMismatch { .. } => {
            (Code::FailedPrecondition, "currency-mismatch", "Different currencies", None)
        }
        Refusal::TooManyHolds => (Code::FailedPrecondition, "too-many-holds", "Too many open holds", None),
        Refusal::HoldSettled(_) => (Code::FailedPrecondition, "hold-settled", "Hold settled already", None),
        Refusal::HoldExpired => (Code::FailedPrecondition, "hold-expired", "Hold expired", None),
        Refusal::NotReversible(_) => (Code::FailedPrecondition, "not-reversible", "Not reversible", None),
        Refusal::AlreadyReversed(_) => {
            (Code::FailedPrecondition, "already-reversed", "Reversed already", None)
        }
    };
    let problem = Problem::new(code, slug, title).detail(detail.clone());
    match field {
        Some(field) => problem.violation(field, slug, detail),
        None => problem,
    }
}
