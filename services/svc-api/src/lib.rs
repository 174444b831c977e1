//! The contract of every service: messages, clients and server traits generated from `proto/`, and the descriptors.
//!
//! Each area of the platform is a module, such as [`money::v1`]. The descriptors keep the options of
//! `platform/common/v1/annotations.proto`; [`routes()`] and [`raw_routes()`] read the REST face of the platform from them.
//!
//! Left to others: turning a request into a call (gateway), and what a call does (the services).

mod descriptors;
mod routes;

/// What the build script makes of `proto/`.
#[allow(missing_docs, unused_qualifications, clippy::all, rustdoc::all)]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/services.rs"));
}

pub use descriptors::{FILE_DESCRIPTOR_SET, descriptor_pool};
pub use generated::google;
pub use generated::platform::*;
pub use routes::{Access, Body, RawRoute, Route, access_of, raw_routes, routes};
