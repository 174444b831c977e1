//! Calls to neighbours: lazy connection, deadline, retry by status, and everything that travels along.
//!
//! One helper for all twelve services, because a generated client is typed already:
//!
//! ```no_run
//! # use svc_api::billing::v1::{CheckLimitRequest, billing_service_client::BillingServiceClient};
//! # async fn example(context: svc_kit::Context, url: svc_kit::NeighbourUrl) -> Result<(), tonic::Status> {
//! let billing = svc_clients::Neighbour::new("billing", &url, &context);
//! let reply = billing
//!     .idempotent(|channel| async move {
//!         BillingServiceClient::new(channel).check_limit(CheckLimitRequest::default()).await
//!     })
//!     .await?;
//! # let _ = reply; Ok(()) }
//! ```
//!
//! Within a request the caller's tenant, user, roles, request id, trace and deadline go along by themselves. Outside,
//! wrap the call: `RequestContext::of_platform(Some(tenant)).scope(async { … }).await`.

pub mod events;
mod neighbour;
mod outgoing;

pub use neighbour::{Neighbour, Policy};
pub use outgoing::Outgoing;
