//! The REST face of the platform, read from the options of the protos.
//!
//! How a request is turned into a message is the gateway's; the rules it follows are in the crate's `README.md`.

use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, MethodDescriptor, ServiceDescriptor};

use crate::common::v1 as common;
use crate::descriptor_pool;
use crate::google::api::{HttpRule, http_rule::Pattern};

const HTTP: &str = "google.api.http";
const ACCESS: &str = "platform.common.v1.access";
const SUCCESS_STATUS: &str = "platform.common.v1.success_status";
const REMAINING_QUERY: &str = "platform.common.v1.remaining_query";
const RAW_ROUTES: &str = "platform.common.v1.raw_routes";

/// One REST route and the RPC that answers it.
#[derive(Clone, Debug)]
pub struct Route {
    /// The verb.
    pub http_method: http::Method,
    /// The path with one-segment variables, such as `/v1/wallets/{id}`. Each variable names a field of the request.
    pub path_template: String,
    /// The full name of the gRPC service, such as `platform.money.v1.MoneyService`.
    pub service: String,
    /// The name of the RPC, such as `Credit`.
    pub method: String,
    /// What the request's body fills.
    pub body: Body,
    /// The field of the reply that becomes the body; the whole reply without one.
    pub response_body: Option<String>,
    /// Who may call.
    pub access: Access,
    /// Whether the route still works while the tenant's subscription is suspended. Reading always does.
    pub while_suspended: bool,
    /// The HTTP status of success; 204 goes without a body.
    pub success_status: u16,
    /// The field that receives every query parameter that names no other field.
    pub remaining_query: Option<String>,
    /// The RPC with its request and reply types.
    pub descriptor: MethodDescriptor,
}

impl Route {
    /// The path of the gRPC call, such as `/platform.money.v1.MoneyService/Credit`.
    pub fn grpc_path(&self) -> String {
        format!("/{}/{}", self.service, self.method)
    }

    /// The area of the proto package, such as `money` or `module_registry`. Names the service to call.
    pub fn area(&self) -> &str {
        area_of(&self.service)
    }
}

/// A path that goes to a service as raw HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawRoute {
    /// The verb.
    pub http_method: http::Method,
    /// The path with one-segment variables.
    pub path_template: String,
    /// The full name of the gRPC service that declares it.
    pub service: String,
    /// Who may call.
    pub access: Access,
    /// Whether the route still works while the tenant's subscription is suspended. Reading always does.
    pub while_suspended: bool,
}

impl RawRoute {
    /// The area of the proto package, such as `files`. Names the service to pass on to.
    pub fn area(&self) -> &str {
        area_of(&self.service)
    }
}

/// What the body of a request fills.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// There is no body.
    None,
    /// The whole request; the path overwrites, the query is not read.
    Whole,
    /// This field; path and query fill the others.
    Field(String),
}

/// Who may call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// Anybody, without a token.
    Public,
    /// Everybody who is signed in.
    Authenticated,
    /// Whoever's roles grant this permission.
    Permission(String),
    /// Only services; there is no route.
    Internal,
}

impl From<&common::Access> for Access {
    fn from(access: &common::Access) -> Self {
        if access.internal {
            Self::Internal
        } else if !access.permission.is_empty() {
            Self::Permission(access.permission.clone())
        } else if access.public {
            Self::Public
        } else {
            Self::Authenticated
        }
    }
}

/// Every REST route of every service, sorted by path, then by verb.
pub fn routes() -> Vec<Route> {
    routes_of(descriptor_pool())
}

/// Every raw HTTP route of every service, sorted by path, then by verb.
pub fn raw_routes() -> Vec<RawRoute> {
    let pool = descriptor_pool();
    let mut routes: Vec<_> = pool.services().flat_map(|service| raw_routes_of(pool, &service)).collect();
    routes.sort_by(|a, b| {
        order(&a.path_template, &a.http_method).cmp(&order(&b.path_template, &b.http_method))
    });
    routes
}

/// The access option of an RPC; `None` when the proto gives none.
pub fn access_of(method: &MethodDescriptor) -> Option<common::Access> {
    extension(method.parent_pool(), &method.options(), ACCESS)
}

fn routes_of(pool: &DescriptorPool) -> Vec<Route> {
    let mut routes: Vec<_> = pool
        .services()
        .flat_map(|service| service.methods().collect::<Vec<_>>())
        .flat_map(|method| method_routes(pool, &method))
        .collect();
    routes.sort_by(|a, b| {
        order(&a.path_template, &a.http_method).cmp(&order(&b.path_template, &b.http_method))
    });
    routes
}

fn method_routes(pool: &DescriptorPool, method: &MethodDescriptor) -> Vec<Route> {
    let options = method.options();
    let Some(mut rule) = extension::<HttpRule>(pool, &options, HTTP) else { return Vec::new() };
    let access = access_of(method).unwrap_or_default();
    let further = std::mem::take(&mut rule.additional_bindings);
    let route = |rule: HttpRule| {
        let (http_method, path_template) = pattern(rule.pattern?)?;
        Some(Route {
            http_method,
            path_template,
            service: method.parent_service().full_name().to_owned(),
            method: method.name().to_owned(),
            body: match rule.body.as_str() {
                "" => Body::None,
                "*" => Body::Whole,
                field => Body::Field(field.to_owned()),
            },
            response_body: Some(rule.response_body).filter(|field| !field.is_empty()),
            access: Access::from(&access),
            while_suspended: access.while_suspended,
            success_status: success_status(pool, method, &options),
            remaining_query: remaining_query(pool, method),
            descriptor: method.clone(),
        })
    };
    std::iter::once(rule).chain(further).filter_map(route).collect()
}

fn pattern(pattern: Pattern) -> Option<(http::Method, String)> {
    Some(match pattern {
        Pattern::Get(path) => (http::Method::GET, path),
        Pattern::Put(path) => (http::Method::PUT, path),
        Pattern::Post(path) => (http::Method::POST, path),
        Pattern::Delete(path) => (http::Method::DELETE, path),
        Pattern::Patch(path) => (http::Method::PATCH, path),
        Pattern::Custom(custom) => (http::Method::from_bytes(custom.kind.as_bytes()).ok()?, custom.path),
    })
}

fn success_status(pool: &DescriptorPool, method: &MethodDescriptor, options: &DynamicMessage) -> u16 {
    let declared = pool
        .get_extension_by_name(SUCCESS_STATUS)
        .filter(|option| options.has_extension(option))
        .and_then(|option| options.get_extension(&option).as_i32())
        .and_then(|status| u16::try_from(status).ok());
    match declared {
        Some(status) => status,
        None if method.output().full_name() == "google.protobuf.Empty" => 204,
        None => 200,
    }
}

fn remaining_query(pool: &DescriptorPool, method: &MethodDescriptor) -> Option<String> {
    let option = pool.get_extension_by_name(REMAINING_QUERY)?;
    let field = method
        .input()
        .fields()
        .find(|field| field.options().get_extension(&option).as_bool() == Some(true))?;
    Some(field.name().to_owned())
}

fn raw_routes_of(pool: &DescriptorPool, service: &ServiceDescriptor) -> Vec<RawRoute> {
    let Some(option) = pool.get_extension_by_name(RAW_ROUTES) else { return Vec::new() };
    let options = service.options();
    let value = options.get_extension(&option);
    let declared = value.as_list().unwrap_or_default().iter();
    declared
        .filter_map(|value| value.as_message()?.transcode_to::<common::RawRoute>().ok())
        .filter_map(|route| {
            let access = route.access.unwrap_or_default();
            Some(RawRoute {
                http_method: http::Method::from_bytes(route.method.as_bytes()).ok()?,
                path_template: route.path,
                service: service.full_name().to_owned(),
                access: Access::from(&access),
                while_suspended: access.while_suspended,
            })
        })
        .collect()
}

fn extension<T: Message + Default>(pool: &DescriptorPool, options: &DynamicMessage, name: &str) -> Option<T> {
    let option = pool.get_extension_by_name(name)?;
    if !options.has_extension(&option) {
        return None;
    }
    options.get_extension(&option).as_message()?.transcode_to().ok()
}

fn area_of(service: &str) -> &str {
    service.split('.').nth(1).unwrap_or_default()
}

fn order<'a>(path: &'a str, method: &'a http::Method) -> (&'a str, &'a str) {
    (path, method.as_str())
}
