//! Start any service in this process, on a free port, with a data folder of its own, and stop it again.
//!
//! ```no_run
//! # use svc_kit::Service;
//! # async fn example<Billing: Service>() {
//! use svc_api::billing::v1::{RetrieveSubscriptionRequest, billing_service_client::BillingServiceClient};
//! use svc_testkit::{TestCaller, TestService};
//!
//! let mut service = TestService::<Billing>::start().await;
//! let owner = TestCaller::owner();
//! let mut client = BillingServiceClient::new(service.channel(&owner));
//! let before = client.retrieve_subscription(RetrieveSubscriptionRequest {}).await;
//! service.restart().await; // the same data, another port: make a new client
//! # let _ = before;
//! # }
//! ```
//!
//! [`KilledService`] runs the built binary instead and kills it while it is written to.
//!
//! Everything here panics with a clear text when something is wrong: it is for tests only.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod caller;
pub mod documented;
mod event_bus;
mod fake;
mod kill;
mod process;
mod service;
mod wait;

pub use caller::{CallerChannel, TestCaller};
pub use event_bus::{FakeEventBus, PublishedEvent};
pub use fake::FakeNeighbour;
pub use kill::{KilledService, Kills, Target, Turn};
pub use process::ServiceProcess;
pub use service::{INTERNAL_TOKEN, TestService};
pub use wait::{PATIENCE, wait_for};
