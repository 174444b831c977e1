//! Reads the options of our protos (`google.api.http` and `platform.common.v1`) from descriptors.
//!
//! Owns knowing how an option is encoded. What the options mean is for [`routes`](crate::routes).

use prost::Message;
use prost_reflect::{
    DescriptorPool, DynamicMessage, ExtensionDescriptor, FieldDescriptor, MethodDescriptor,
    ServiceDescriptor, Value,
};
use svc_api::{
    common::v1::{Access, RawRoute},
    google::api::HttpRule,
};

/// The extensions of one pool. An extension that the pool does not know is never set.
pub struct Annotations {
    http: Option<ExtensionDescriptor>,
    access: Option<ExtensionDescriptor>,
    success_status: Option<ExtensionDescriptor>,
    remaining_query: Option<ExtensionDescriptor>,
    raw_routes: Option<ExtensionDescriptor>,
}

impl Annotations {
    /// Finds the extensions in a pool.
    pub fn of(pool: &DescriptorPool) -> Annotations {
        let ours = |name: &str| pool.get_extension_by_name(&format!("platform.common.v1.{name}"));
        Annotations {
            http: pool.get_extension_by_name("google.api.http"),
            access: ours("access"),
            success_status: ours("success_status"),
            remaining_query: ours("remaining_query"),
            raw_routes: ours("raw_routes"),
        }
    }

    /// The REST binding of an RPC, with its additional bindings inside.
    pub fn http(&self, method: &MethodDescriptor) -> Option<HttpRule> {
        typed(&set(&method.options(), self.http.as_ref())?)
    }

    /// Who may call an RPC; the default when nothing is stated.
    pub fn access(&self, method: &MethodDescriptor) -> Access {
        set(&method.options(), self.access.as_ref()).and_then(|value| typed(&value)).unwrap_or_default()
    }

    /// The HTTP status of success, when one is stated.
    pub fn success_status(&self, method: &MethodDescriptor) -> Option<i32> {
        set(&method.options(), self.success_status.as_ref())?.as_i32()
    }

    /// Whether a field takes every query parameter that names no other field.
    pub fn remaining_query(&self, field: &FieldDescriptor) -> bool {
        set(&field.options(), self.remaining_query.as_ref())
            .and_then(|value| value.as_bool())
            .unwrap_or(false)
    }

    /// The raw HTTP routes of a service.
    pub fn raw_routes(&self, service: &ServiceDescriptor) -> Vec<RawRoute> {
        let value = set(&service.options(), self.raw_routes.as_ref());
        value.as_ref().and_then(Value::as_list).unwrap_or_default().iter().filter_map(typed).collect()
    }
}

fn set(options: &DynamicMessage, extension: Option<&ExtensionDescriptor>) -> Option<Value> {
    let extension = extension?;
    options.has_extension(extension).then(|| options.get_extension(extension).into_owned())
}

fn typed<M: Message + Default>(value: &Value) -> Option<M> {
    value.as_message()?.transcode_to().ok()
}
