//! Makes routes of descriptors.

use std::fmt;

use http::{Method, StatusCode};
use prost_reflect::{DescriptorPool, FieldDescriptor, Kind, MessageDescriptor, MethodDescriptor};
use svc_api::{
    common::v1::{Access, RawRoute},
    google::api::{HttpRule, http_rule::Pattern},
};

use crate::annotations::Annotations;

use super::{Body, Policy, Route, Rpc, Streaming, Target, Template};

/// Everything that is wrong with the annotations.
#[derive(Debug, thiserror::Error)]
#[error("the protos do not make a route table:{}", defects.iter().map(|defect| format!("\n  {defect}")).collect::<String>())]
pub struct BuildError {
    /// What is wrong, in the order of the files.
    pub defects: Vec<Defect>,
}

/// One wrong annotation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Defect {
    /// The RPC, service or route.
    pub place: String,
    /// What is wrong.
    pub problem: String,
}

impl fmt::Display for Defect {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.place, self.problem)
    }
}

/// Every route that a pool describes, and every annotation that makes none.
pub(super) fn routes(pool: &DescriptorPool) -> (Vec<Route>, Vec<Defect>) {
    let annotations = Annotations::of(pool);
    let (mut routes, mut defects) = (Vec::new(), Vec::new());
    for service in pool.services() {
        let Some(area) = area(service.package_name()) else { continue };
        for raw in annotations.raw_routes(&service) {
            match raw_route(area, &raw) {
                Ok(route) => routes.extend(route),
                Err(problem) => defects.push(Defect { place: service.full_name().to_owned(), problem }),
            }
        }
        for method in service.methods() {
            let Some(rule) = annotations.http(&method) else { continue };
            let access = annotations.access(&method);
            for binding in bindings(rule) {
                match rpc_route(&annotations, area, &method, &access, &binding) {
                    Ok(route) => routes.push(route),
                    Err(problem) => defects.push(Defect { place: method.full_name().to_owned(), problem }),
                }
            }
        }
    }
    (routes, defects)
}

/// `money` of `platform.money.v1`. Other packages have no service behind them.
fn area(package: &str) -> Option<&str> {
    package.strip_prefix("platform.")?.split('.').next()
}

fn bindings(mut rule: HttpRule) -> Vec<HttpRule> {
    let additional = std::mem::take(&mut rule.additional_bindings);
    std::iter::once(rule).chain(additional).collect()
}

fn raw_route(area: &str, raw: &RawRoute) -> Result<Option<Route>, String> {
    let Some(policy) = Policy::of(raw.access.as_ref().unwrap_or(&Access::default())) else { return Ok(None) };
    let method =
        Method::from_bytes(raw.method.as_bytes()).map_err(|_| format!("`{}` is no verb", raw.method))?;
    let template = Template::parse(&raw.path).map_err(|error| error.to_string())?;
    Ok(Some(Route {
        method,
        path: raw.path.clone(),
        area: area.to_owned(),
        policy,
        target: Target::Raw,
        template,
    }))
}

fn rpc_route(
    annotations: &Annotations,
    area: &str,
    method: &MethodDescriptor,
    access: &Access,
    rule: &HttpRule,
) -> Result<Route, String> {
    let policy = Policy::of(access).ok_or("an internal RPC must have no REST binding")?;
    let (verb, path) = verb_and_path(rule)?;
    let template = Template::parse(path).map_err(|error| error.to_string())?;
    let (input, output) = (method.input(), method.output());
    let variables = template.fields().map(|field| path_field(&input, field)).collect::<Result<_, _>>()?;
    let body = match rule.body.as_str() {
        "" => Body::None,
        "*" => Body::Whole,
        name => Body::Field(field(&input, name)?),
    };
    if body != Body::None && (verb == Method::GET || verb == Method::DELETE) {
        return Err(format!("a {verb} route takes no body"));
    }
    let response_body = match rule.response_body.as_str() {
        "" => None,
        name => Some(field(&output, name)?),
    };
    let streaming = match (method.is_client_streaming(), method.is_server_streaming()) {
        (true, _) => Streaming::Requests,
        (false, true) => Streaming::Replies,
        (false, false) => Streaming::None,
    };
    let update_mask =
        input.fields().find(|field| verb == Method::PATCH && is_message(field, "google.protobuf.FieldMask"));
    let service = method.parent_service();
    let rpc = Rpc {
        path: format!("/{}/{}", service.full_name(), method.name())
            .parse()
            .map_err(|_| "its name makes no path".to_owned())?,
        success: success(annotations, method, &output)?,
        remaining_query: remaining_query(annotations, &input)?,
        input,
        output,
        body,
        response_body,
        variables,
        update_mask,
        streaming,
    };
    let target = Target::Rpc(Box::new(rpc));
    Ok(Route { method: verb, path: path.to_owned(), area: area.to_owned(), policy, target, template })
}

fn verb_and_path(rule: &HttpRule) -> Result<(Method, &str), String> {
    match &rule.pattern {
        Some(Pattern::Get(path)) => Ok((Method::GET, path)),
        Some(Pattern::Post(path)) => Ok((Method::POST, path)),
        Some(Pattern::Delete(path)) => Ok((Method::DELETE, path)),
        Some(Pattern::Patch(path)) => Ok((Method::PATCH, path)),
        Some(Pattern::Put(_)) => Err("PUT is banned on this platform; use PATCH or a POST action".to_owned()),
        Some(Pattern::Custom(custom)) => Method::from_bytes(custom.kind.as_bytes())
            .map(|verb| (verb, custom.path.as_str()))
            .map_err(|_| format!("`{}` is no verb", custom.kind)),
        None => Err("the binding has no verb and path".to_owned()),
    }
}

fn field(message: &MessageDescriptor, name: &str) -> Result<FieldDescriptor, String> {
    message.get_field_by_name(name).ok_or_else(|| format!("`{}` has no field `{name}`", message.full_name()))
}

/// The fields along `a.b.c`: messages, and a single scalar at the end.
fn path_field(input: &MessageDescriptor, path: &str) -> Result<Vec<FieldDescriptor>, String> {
    let mut message = Some(input.clone());
    let mut fields = Vec::new();
    for name in path.split('.') {
        let parent = message.ok_or_else(|| format!("`{path}` goes through a field that is no message"))?;
        let next = field(&parent, name)?;
        if next.is_list() || next.is_map() {
            return Err(format!("`{path}`: a variable cannot fill a repeated field"));
        }
        message = next.kind().as_message().cloned();
        fields.push(next);
    }
    match message {
        Some(_) => Err(format!("`{path}` names a message; a variable fills a scalar")),
        None => Ok(fields),
    }
}

fn is_message(field: &FieldDescriptor, name: &str) -> bool {
    !field.is_list() && matches!(field.kind(), Kind::Message(message) if message.full_name() == name)
}

/// As stated, else 204 for an empty reply and 200 for all others.
fn success(
    annotations: &Annotations,
    method: &MethodDescriptor,
    output: &MessageDescriptor,
) -> Result<StatusCode, String> {
    match annotations.success_status(method) {
        Some(stated) => u16::try_from(stated)
            .ok()
            .and_then(|status| StatusCode::from_u16(status).ok())
            .filter(StatusCode::is_success)
            .ok_or_else(|| format!("`success_status` {stated} is no status of success")),
        None if output.full_name() == "google.protobuf.Empty" => Ok(StatusCode::NO_CONTENT),
        None => Ok(StatusCode::OK),
    }
}

fn remaining_query(
    annotations: &Annotations,
    input: &MessageDescriptor,
) -> Result<Option<FieldDescriptor>, String> {
    let Some(field) = input.fields().find(|field| annotations.remaining_query(field)) else {
        return Ok(None);
    };
    let is_pair = |message: &MessageDescriptor| {
        ["name", "value"]
            .iter()
            .all(|name| message.get_field_by_name(name).is_some_and(|f| f.kind() == Kind::String))
    };
    match field.kind() {
        Kind::Message(message) if field.is_list() && is_pair(&message) => Ok(Some(field)),
        _ => Err(format!("`{}` must be `repeated QueryParameter` to have `remaining_query`", field.name())),
    }
}
