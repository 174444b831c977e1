//! Nobody speaks for another tenant by naming it in a body or a query.

use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, Value};

use crate::routes::Rpc;

/// Replaces the tenant in a request by the caller's: in every message that names one, and always in the request itself.
///
/// What the path names stays: there the tenant is the thing that is asked for, and the service decides whether it may be.
pub fn own_tenant(message: &mut DynamicMessage, rpc: &Rpc, tenant: &str) {
    let by_path =
        |field: &FieldDescriptor| rpc.variables.iter().any(|variable| variable.as_slice() == [field.clone()]);
    if let Some(field) = rpc.input.get_field_by_name("tenant_id").filter(is_text)
        && !by_path(&field)
    {
        message.set_field(&field, Value::String(tenant.to_owned()));
    }
    for (_, value) in message.fields_mut() {
        replace_in(value, tenant);
    }
}

fn replace(message: &mut DynamicMessage, tenant: &str) {
    for (field, value) in message.fields_mut() {
        if field.name() == "tenant_id" && is_text(&field) {
            *value = Value::String(tenant.to_owned());
        } else {
            replace_in(value, tenant);
        }
    }
}

fn replace_in(value: &mut Value, tenant: &str) {
    match value {
        Value::Message(message) => replace(message, tenant),
        Value::List(items) => items.iter_mut().for_each(|item| replace_in(item, tenant)),
        Value::Map(entries) => entries.values_mut().for_each(|item| replace_in(item, tenant)),
        _ => {}
    }
}

fn is_text(field: &FieldDescriptor) -> bool {
    field.kind() == Kind::String && !field.is_list()
}
