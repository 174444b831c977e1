//! What stands in the URL, as text, into the fields of a message.

use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, Value};
use serde_json::Value as Json;

use crate::routes::{Body, Rpc};

use super::json::{Reader, join, unknown_field};

/// Sets the fields that the variables of the path name.
pub fn path(reader: &mut Reader, message: &mut DynamicMessage, rpc: &Rpc, values: &[String]) {
    for (fields, text) in rpc.variables.iter().zip(values) {
        let name = json_path(fields);
        if let Some(value) = text_value(reader, fields.last(), text, &name) {
            assign(message, fields, value, false);
        }
    }
}

/// Sets the fields that the query parameters name.
pub fn query(reader: &mut Reader, message: &mut DynamicMessage, rpc: &Rpc, query: &str) {
    let mut rest = Vec::new();
    for (name, text) in url::form_urlencoded::parse(query.as_bytes()) {
        let known = fields(&rpc.input, &name);
        match (known, &rpc.remaining_query) {
            (Some(fields), _) if is_free(rpc, &fields) => set(reader, message, &fields, &text, &name),
            (_, Some(field)) => rest.extend(pair(field, &name, &text)),
            (Some(_), None) => {
                reader.complain(name, "misplaced", "is not for the query: the path or the body gives it");
            }
            (None, None) => reader.complain(name.clone(), "unknown-field", unknown_field(&rpc.input, &name)),
        }
    }
    if let (Some(field), false) = (&rpc.remaining_query, rest.is_empty()) {
        message.set_field(field, Value::List(rest));
    }
}

/// Whether the query may fill a field: what the path or the body fills, it may not.
fn is_free(rpc: &Rpc, fields: &[FieldDescriptor]) -> bool {
    let in_body = match &rpc.body {
        Body::None => false,
        // The mask of a change may always stand in the query.
        Body::Whole => fields.first() != rpc.update_mask.as_ref(),
        Body::Field(field) => fields.first() == Some(field),
    };
    let is_rest = rpc.remaining_query.as_ref().is_some_and(|rest| fields.first() == Some(rest));
    !in_body && !is_rest && !rpc.variables.iter().any(|variable| fields.starts_with(variable))
}

/// The fields along `a.b`, by JSON or proto name.
fn fields(input: &MessageDescriptor, path: &str) -> Option<Vec<FieldDescriptor>> {
    let mut message = Some(input.clone());
    path.split('.')
        .map(|name| {
            let parent = message.take()?;
            let field = parent.get_field_by_json_name(name).or_else(|| parent.get_field_by_name(name))?;
            if !field.is_list() && !field.is_map() {
                message = field.kind().as_message().cloned();
            }
            Some(field)
        })
        .collect()
}

fn set(
    reader: &mut Reader,
    message: &mut DynamicMessage,
    fields: &[FieldDescriptor],
    text: &str,
    name: &str,
) {
    let Some(last) = fields.last() else { return };
    if last.is_map() {
        return reader.complain(name, "wrong-type", "is a map, which a query parameter cannot fill");
    }
    if !last.is_list() && is_set(message, fields) {
        return reader.complain(name, "duplicate", "is given twice");
    }
    if let Some(value) = text_value(reader, Some(last), text, name) {
        assign(message, fields, value, last.is_list());
    }
}

fn is_set(message: &DynamicMessage, fields: &[FieldDescriptor]) -> bool {
    match fields {
        [] => false,
        [last] => message.has_field(last),
        [first, rest @ ..] => {
            message.has_field(first)
                && message.get_field(first).as_message().is_some_and(|nested| is_set(nested, rest))
        }
    }
}

fn assign(message: &mut DynamicMessage, fields: &[FieldDescriptor], value: Value, append: bool) {
    match fields {
        [] => {}
        [last] if append => {
            if let Some(list) = message.get_field_mut(last).as_list_mut() {
                list.push(value);
            }
        }
        [last] => message.set_field(last, value),
        [first, rest @ ..] => {
            if let Some(nested) = message.get_field_mut(first).as_message_mut() {
                assign(nested, rest, value, append);
            }
        }
    }
}

fn text_value(reader: &mut Reader, field: Option<&FieldDescriptor>, text: &str, name: &str) -> Option<Value> {
    let kind = field?.kind();
    if let Kind::Message(message) = &kind {
        // `google.protobuf.BoolValue` and its like stand for what they hold.
        let json = match message.get_field_by_name("value").map(|inner| inner.kind()) {
            Some(Kind::Bool) if is_well_known(message) => as_json(&Kind::Bool, text),
            _ if is_well_known(message) => Json::String(text.to_owned()),
            _ => {
                reader.complain(name, "wrong-type", "is an object; name one of its fields, as in `a.b`");
                return None;
            }
        };
        return reader.value(&kind, &json, name);
    }
    reader.value(&kind, &as_json(&kind, text), name)
}

fn is_well_known(message: &MessageDescriptor) -> bool {
    let name = message.full_name().strip_prefix("google.protobuf.");
    name.is_some_and(|name| name.ends_with("Value") || ["Timestamp", "Duration", "FieldMask"].contains(&name))
}

/// The JSON value that a text stands for. Numbers may stay strings: the mapping reads both.
fn as_json(kind: &Kind, text: &str) -> Json {
    match (kind, text) {
        (Kind::Bool, "true") => Json::Bool(true),
        (Kind::Bool, "false") => Json::Bool(false),
        (Kind::Enum(_), number) => {
            number.parse::<i32>().map_or_else(|_| Json::String(number.to_owned()), Json::from)
        }
        (_, text) => Json::String(text.to_owned()),
    }
}

fn pair(field: &FieldDescriptor, name: &str, text: &str) -> Option<Value> {
    let mut pair = DynamicMessage::new(field.kind().as_message()?.clone());
    pair.set_field_by_name("name", Value::String(name.to_owned()));
    pair.set_field_by_name("value", Value::String(text.to_owned()));
    Some(Value::Message(pair))
}

fn json_path(fields: &[FieldDescriptor]) -> String {
    fields.iter().fold(String::new(), |path, field| join(&path, field.json_name()))
}
