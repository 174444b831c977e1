//! The chassis of a service: a service crate holds only what is special about it.
//!
//! Owns the life of the process (configuration → build → bind → serve → ready → drain), the one port with gRPC,
//! health, reflection and metrics, the log, the trace, the caller's identity, and the table of errors. Left to others:
//! stores (`svc-stores`), calls to neighbours (`svc-clients`), and what a service does.
//!
//! ```no_run
//! use svc_api::billing::v1::billing_service_server::{BillingService, BillingServiceServer};
//! use svc_kit::{BuildError, Caller, Configure, Context, Invalid, Reader, Routes, Secret, Service};
//! use svc_stores::{Database, Store};
//!
//! /// Everything that a handler needs.
//! struct Billing;
//!
//! struct Config {
//!     database_url: Secret,
//! }
//!
//! impl Configure for Config {
//!     fn configure(reader: &mut Reader<'_>) -> Result<Config, Invalid> {
//!         let database_url = reader.store(Store::Database);
//!         Ok(Config { database_url: database_url? })
//!     }
//! }
//!
//! #[tonic::async_trait]
//! impl BillingService for Billing {
//!     // A handler begins with `let caller = Caller::of(&request)?;` and ends with `?` on a domain error that has
//!     // a `From<…> for Problem`, or on a `Problem`: it becomes a status with a typed detail.
//! }
//!
//! impl Service for Billing {
//!     const NAME: &'static str = "billing";
//!     type Config = Config;
//!
//!     async fn build(config: Config, context: Context) -> Result<Routes, BuildError> {
//!         let warm = context.latch("plans");
//!         let database = Database::connect(config.database_url.expose()).await?;
//!         // … database.migrate("billing", MIGRATIONS).await?, then:
//!         warm.release();
//!         context.spawn("sweeper", |shutdown| async move { shutdown.requested().await });
//!         Ok(Routes::new().grpc(BillingServiceServer::new(Billing)))
//!     }
//! }
//!
//! fn main() -> std::process::ExitCode {
//!     svc_kit::run::<Billing>()
//! }
//! ```

mod caller;
mod context;
mod environment;
mod health;
mod healthcheck;
mod http;
mod in_flight;
pub mod json;
mod layer;
mod log;
pub mod message;
pub mod metrics;
pub mod permission;
mod problem;
mod readiness;
mod routes;
mod run;
mod secret;
mod serve;
mod service;
mod setting;
mod settings;
mod store_errors;
mod tasks;
pub mod trace;

pub use self::http::http_problem;
pub use caller::Caller;
pub use context::{RequestContext, header};
pub use environment::{Complaint, ConfigurationError, Configure, Environment, Invalid, Reader};
pub use layer::Answered;
pub use metrics::Metrics;
pub use problem::{IntoChain, Problem, Violation};
pub use readiness::{Latch, Readiness};
pub use routes::Routes;
pub use run::{install_crypto, run};
pub use secret::Secret;
pub use serve::{Running, start};
pub use service::{BuildError, Context, Service, StartError};
pub use setting::{NeighbourUrl, Setting};
pub use tasks::Shutdown;
pub use trace::TraceContext;
