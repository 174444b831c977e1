//! Why a call fails, and what the caller learns of it.

use svc_kit::{Problem, Violation};
use svc_stores::StoreError;
use tonic::{Code, Status as GrpcStatus};

use crate::domain::{Fault, MODULES_PER_TENANT, Status};

/// The result of every operation of this service.
pub type Result<T, E = RegistryError> = std::result::Result<T, E>;

/// Why an operation failed.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The manifest or another field is wrong.
    #[error("the request breaks rules, {} times", .0.len())]
    Faults(Vec<Fault>),
    /// There is no such module in the tenant.
    #[error("there is no module {0}")]
    NotFound(String),
    /// The tenant has a module of this name.
    #[error("a module `{0}` is registered already; a newer version is an update of it")]
    Taken(String),
    /// The tenant has as many modules as it may have.
    #[error("{MODULES_PER_TENANT} modules are registered; disable one first")]
    TooMany,
    /// The module is in another state.
    #[error("the module is {from} and cannot become {to}")]
    WrongState {
        /// Where it stands.
        from: Status,
        /// Where it was to go.
        to: Status,
    },
    /// Who calls is not known well enough.
    #[error(transparent)]
    Caller(#[from] Problem),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl RegistryError {
    /// One thing that is wrong.
    pub(crate) fn field(field: &str, code: &'static str, message: impl Into<String>) -> Self {
        Self::Faults(vec![Fault { field: field.to_owned(), code, message: message.into() }])
    }
}

impl From<RegistryError> for Problem {
    fn from(error: RegistryError) -> Self {
        let detail = error.to_string();
        match error {
            RegistryError::Faults(faults) => {
                let violations = faults.into_iter().map(|fault| Violation {
                    field: fault.field,
                    code: fault.code.to_owned(),
                    message: fault.message,
                });
                Self::invalid("Every fault is listed; correct them and send it again.").violations(violations)
            }
            RegistryError::NotFound(_) => Self::not_found(detail),
            RegistryError::Taken(_) => {
                Self::new(Code::AlreadyExists, "module-taken", "Module registered already").detail(detail)
            }
            RegistryError::TooMany => {
                Self::new(Code::FailedPrecondition, "too-many-modules", "Too many modules").detail(detail)
            }
            RegistryError::WrongState { .. } => Self::failed_precondition(detail),
            RegistryError::Caller(problem) => problem,
            RegistryError::Store(error) => error.into(),
        }
    }
}

impl From<RegistryError> for GrpcStatus {
    fn from(error: RegistryError) -> Self {
        Problem::from(error).into()
    }
}
