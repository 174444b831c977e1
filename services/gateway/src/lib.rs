//! The only inbound door: REST to gRPC from the descriptors, tokens, permissions, tenancy.
//!
//! Owns what is decided at the door: which RPC a request means, who calls, whether they may, how often, and how errors
//! look. Left to others: what the services do, who may sign in (iam), process and probes (`svc-kit`).
//!
//! The pure half ([`routes`], [`transcode`], [`token`], [`breaker`], [`rate_limit`], [`refusal`]) knows
//! neither sockets nor time; [`pipeline`] puts it in order; [`service`] builds it.

pub mod annotations;
pub mod breaker;
pub mod codec;
pub mod config;
pub mod cors;
pub mod grants;
pub mod headers;
pub mod iam;
pub mod keys;
pub mod own;
pub mod pipeline;
pub mod proxy;
pub mod rate_limit;
pub mod refusal;
pub mod routes;
pub mod service;
pub mod tls;
pub mod token;
pub mod transcode;
pub mod upstream;

pub use service::GatewayProcess;
