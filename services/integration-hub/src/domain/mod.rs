//! The rules of calling the outside world: what a provider is, which addresses may be reached, when to try again and
//! when to stop trying. Knows neither tonic nor a database nor a network; time and chance are parameters.

pub mod attempt;
pub mod breaker;
pub mod credentials;
pub mod provider;
pub mod request;
pub mod target;

pub use attempt::{Decision, Failure, decide};
pub use breaker::{Breaker, BreakerState, Permit};
pub use credentials::{AuthType, Credentials, CredentialsError};
pub use provider::{Provider, ProviderConfig, ProviderStatus, ProviderType};
pub use request::OutboundRequest;
pub use target::{AddressPolicy, Refusal};

/// One thing that is wrong with what a caller sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// The field, as the caller spells it.
    pub field: &'static str,
    /// What is wrong and what to do.
    pub message: String,
}

impl Invalid {
    /// A problem of `field`.
    pub fn new(field: &'static str, message: impl Into<String>) -> Self {
        Self { field, message: message.into() }
    }
}
