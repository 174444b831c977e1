//! The gateway as its clients and neighbours see it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod door;
mod errors;
mod keys;
mod neighbours;
mod platform;
mod protos;
mod raw;
mod routing;
mod streaming;
mod tls;
mod transcoding;
mod world;
