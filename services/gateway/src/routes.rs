//! Every route of the platform, compiled once from the descriptors.
//!
//! Owns which RPC or raw route answers a verb and a path, and what is known about it: who may call, which fields the path
//! fills, which status is success. Filling requests is for [`transcode`](crate::transcode).

mod build;
mod table;
mod template;

use std::fmt;

use http::{Method, StatusCode, uri::PathAndQuery};
use prost_reflect::{FieldDescriptor, MessageDescriptor};
use svc_api::common::v1::Access;

pub use build::{BuildError, Defect};
pub use table::{Lookup, RouteTable};
pub use template::{Template, TemplateError, percent_decode};

/// One route.
#[derive(Debug)]
pub struct Route {
    /// The verb.
    pub method: Method,
    /// The template as it stands in the proto, for logs and metrics.
    pub path: String,
    /// The part of the proto package that names the area, such as `module_registry`.
    pub area: String,
    /// Who may call it.
    pub policy: Policy,
    /// What answers it.
    pub target: Target,
    template: Template,
}

/// Who may call a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Policy {
    /// Anybody, without a token.
    Public,
    /// Whoever is signed in.
    SignedIn,
    /// Whoever's roles grant this permission.
    Permission(String),
}

impl Policy {
    /// The policy of an access option, or `None` for an internal one, which has no route.
    pub fn of(access: &Access) -> Option<Policy> {
        match access {
            Access { internal: true, .. } => None,
            Access { public: true, .. } => Some(Policy::Public),
            Access { permission, .. } if permission.is_empty() => Some(Policy::SignedIn),
            Access { permission, .. } => Some(Policy::Permission(permission.clone())),
        }
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Policy::Public => formatter.write_str("public"),
            Policy::SignedIn => formatter.write_str("signed in"),
            Policy::Permission(permission) => write!(formatter, "permission {permission}"),
        }
    }
}

/// What answers a route.
#[derive(Debug)]
pub enum Target {
    /// An RPC of the area's service, transcoded.
    Rpc(Box<Rpc>),
    /// The area's service itself, over HTTP.
    Raw,
}

/// An RPC with its REST binding.
#[derive(Debug)]
pub struct Rpc {
    /// `/package.Service/Method`.
    pub path: PathAndQuery,
    /// The request message.
    pub input: MessageDescriptor,
    /// The reply message.
    pub output: MessageDescriptor,
    /// What the body fills.
    pub body: Body,
    /// The reply field that becomes the body; without one the whole reply.
    pub response_body: Option<FieldDescriptor>,
    /// The field, as a path from the request, that each variable of the template fills.
    pub variables: Vec<Vec<FieldDescriptor>>,
    /// The field that takes every query parameter that names no other field.
    pub remaining_query: Option<FieldDescriptor>,
    /// On a PATCH route the field mask of the request.
    pub update_mask: Option<FieldDescriptor>,
    /// The status of success.
    pub success: StatusCode,
    /// How many messages go which way.
    pub streaming: Streaming,
}

/// What the body of a request fills.
#[derive(Debug, Clone, PartialEq)]
pub enum Body {
    /// There is none.
    None,
    /// The whole request, but for what the path gives.
    Whole,
    /// One field of the request.
    Field(FieldDescriptor),
}

/// How many messages go which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Streaming {
    /// One each.
    None,
    /// One request, many replies.
    Replies,
    /// Many requests. Not possible over REST.
    Requests,
}

impl Route {
    /// The template of the path.
    pub fn template(&self) -> &Template {
        &self.template
    }
}
