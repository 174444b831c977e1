//! The field mask of a PATCH request that gives none: what stands in the body is what changes.

use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, Value};
use serde_json::{Map, Value as Json};

use crate::routes::{Body, Rpc};

use super::json::join;

/// Sets the mask from the keys of the body, unless the client gave one.
pub fn fill(message: &mut DynamicMessage, rpc: &Rpc, body: Option<&Json>) {
    let Some(mask) = &rpc.update_mask else { return };
    let Some(Json::Object(object)) = body else { return };
    if message.has_field(mask) {
        return;
    }
    let mut paths = Vec::new();
    match &rpc.body {
        Body::None => return,
        Body::Whole => collect(&rpc.input, object, "", &mut paths),
        Body::Field(field) => match field.kind() {
            Kind::Message(descriptor) if !is_opaque(&descriptor) => {
                collect(&descriptor, object, "", &mut paths)
            }
            // The keys of a struct are the client's own.
            _ => paths.extend(object.keys().cloned()),
        },
    }
    if rpc.body == Body::Whole {
        paths.retain(|path| !rpc.variables.iter().any(|fields| proto_path(fields) == *path));
    }
    let Kind::Message(descriptor) = mask.kind() else { return };
    let mut value = DynamicMessage::new(descriptor);
    value.set_field_by_name("paths", Value::List(paths.into_iter().map(Value::String).collect()));
    message.set_field(mask, Value::Message(value));
}

/// The paths in proto names, down to what is no message.
fn collect(
    descriptor: &MessageDescriptor,
    object: &Map<String, Json>,
    prefix: &str,
    paths: &mut Vec<String>,
) {
    for (key, value) in object {
        let field = descriptor.get_field_by_json_name(key).or_else(|| descriptor.get_field_by_name(key));
        let Some(field) = field else { continue };
        let path = join(prefix, field.name());
        match (value, field.kind()) {
            (Json::Object(nested), Kind::Message(descriptor))
                if !field.is_map() && !is_opaque(&descriptor) && !nested.is_empty() =>
            {
                collect(&descriptor, nested, &path, paths);
            }
            _ => paths.push(path),
        }
    }
}

/// Whether the inside of a message is no matter of fields.
fn is_opaque(descriptor: &MessageDescriptor) -> bool {
    descriptor.full_name().starts_with("google.protobuf.")
}

fn proto_path(fields: &[FieldDescriptor]) -> String {
    fields.iter().fold(String::new(), |path, field| join(&path, field.name()))
}
