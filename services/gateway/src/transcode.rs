//! REST requests to messages and messages to JSON, by the protobuf JSON mapping.
//!
//! Pure: text and descriptors in, messages or problems out. Calling anybody is for [`upstream`](crate::upstream).

mod json;
mod mask;
mod query;
mod tenancy;

use std::io;

use http::{HeaderMap, header::CONTENT_TYPE};
use prost_reflect::{DynamicMessage, SerializeOptions, Value};
use serde_json::{
    Value as Json,
    ser::{CompactFormatter, Formatter},
};
use svc_kit::Problem;

use crate::{
    refusal::Refusal,
    routes::{Body, Rpc},
};

use json::Reader;

pub use tenancy::own_tenant;

/// The parts of a REST request that fill a message.
#[derive(Debug, Clone, Copy)]
pub struct Parts<'r> {
    /// The decoded variables of the path, in the order of the template.
    pub variables: &'r [String],
    /// The query, without the question mark.
    pub query: &'r str,
    /// The headers.
    pub headers: &'r HeaderMap,
    /// The whole body.
    pub body: &'r [u8],
}

/// Makes the request message of an RPC.
///
/// # Errors
///
/// When the body is no JSON or of another type, and when fields are unknown or wrong: all of them are listed.
pub fn request(rpc: &Rpc, parts: Parts<'_>) -> Result<DynamicMessage, Refusal> {
    let mut reader = Reader::default();
    let mut message = DynamicMessage::new(rpc.input.clone());
    let json = body(rpc, parts)?;
    if let Some(json) = &json {
        match &rpc.body {
            Body::None => reader.complain("", "unknown-field", "this operation takes no body"),
            Body::Whole => reader.message(&mut message, json, ""),
            Body::Field(field) => {
                if let Some(value) = reader.field(field, json, "") {
                    message.set_field(field, value);
                }
            }
        }
    }
    query::query(&mut reader, &mut message, rpc, parts.query);
    // Last, so that the path wins over a field of the body.
    query::path(&mut reader, &mut message, rpc, parts.variables);
    if !reader.violations.is_empty() {
        let count = reader.violations.len();
        let detail =
            if count == 1 { "One thing is wrong.".to_owned() } else { format!("{count} things are wrong.") };
        return Err(Problem::invalid(detail).violations(reader.violations).into());
    }
    mask::fill(&mut message, rpc, json.as_ref());
    Ok(message)
}

/// Makes the JSON body of a reply. Fields that are not set are written with their default, but for messages.
///
/// # Errors
///
/// When a value has no JSON form, such as a timestamp of the year 10000.
pub fn reply(rpc: &Rpc, message: &DynamicMessage) -> Result<Vec<u8>, serde_json::Error> {
    let Some(field) = &rpc.response_body else { return to_json(message) };
    match message.get_field(field).as_ref() {
        Value::Message(inner) => to_json(inner),
        _ => {
            let mut whole: Json = serde_json::from_slice(&to_json(message)?)?;
            serde_json::to_vec(&whole[field.json_name()].take())
        }
    }
}

/// The JSON of a message.
///
/// # Errors
///
/// As [`reply`].
pub fn to_json(message: &DynamicMessage) -> Result<Vec<u8>, serde_json::Error> {
    const OPTIONS: SerializeOptions = SerializeOptions::new().skip_default_fields(false);
    let mut text = Vec::with_capacity(256);
    let mut serializer = serde_json::Serializer::with_formatter(&mut text, WholeNumbers);
    message.serialize_with_options(&mut serializer, &OPTIONS)?;
    Ok(text)
}

/// Compact JSON in which a whole double has no fraction: a client that stored `36` in a `Struct` reads `36`, not `36.0`.
struct WholeNumbers;

impl Formatter for WholeNumbers {
    fn write_f64<W: ?Sized + io::Write>(&mut self, writer: &mut W, value: f64) -> io::Result<()> {
        /// Above it a double can't tell neighbouring integers apart.
        const EXACT: f64 = 9_007_199_254_740_992.0;
        if value.fract() == 0.0 && value.abs() <= EXACT {
            write!(writer, "{value:.0}")
        } else {
            CompactFormatter.write_f64(writer, value)
        }
    }
}

/// The body as JSON; `None` when it is empty. A route with a whole body may have an empty one: nothing is set.
fn body(rpc: &Rpc, parts: Parts<'_>) -> Result<Option<Json>, Refusal> {
    if parts.body.is_empty() {
        return Ok(None);
    }
    let content_type = parts.headers.get(CONTENT_TYPE).map(|value| value.to_str().unwrap_or_default());
    if !is_json(content_type) && rpc.body != Body::None {
        return Err(Refusal::unsupported_media_type(content_type));
    }
    serde_json::from_slice(parts.body).map(Some).map_err(|error| {
        Refusal::new(
            http::StatusCode::BAD_REQUEST,
            "malformed-json",
            "The body is not JSON",
            format!("{error}."),
        )
    })
}

/// `application/json` or `application/…+json`, in UTF-8.
fn is_json(content_type: Option<&str>) -> bool {
    let Some(content_type) = content_type else { return false };
    let mut parts = content_type.split(';').map(str::trim);
    let essence = parts.next().unwrap_or_default().to_ascii_lowercase();
    let is_json =
        essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"));
    is_json
        && parts.all(|parameter| match parameter.split_once('=') {
            Some((name, value)) if name.eq_ignore_ascii_case("charset") => {
                value.trim_matches('"').eq_ignore_ascii_case("utf-8")
            }
            _ => true,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_number_in_a_struct_comes_back_without_a_fraction() {
        let pool = svc_api::descriptor_pool();
        let descriptor = pool.get_message_by_name("google.protobuf.Struct").unwrap();
        let text = r#"{"age":36,"big":1e+300,"debt":-7,"share":0.5}"#;
        let message =
            DynamicMessage::deserialize(descriptor, &mut serde_json::Deserializer::from_str(text)).unwrap();
        let json: Json = serde_json::from_slice(&to_json(&message).unwrap()).unwrap();
        assert_eq!(json.to_string(), r#"{"age":36,"big":1e+300,"debt":-7,"share":0.5}"#);
    }

    #[test]
    fn a_body_of_mistakes_is_not_answered_with_a_book() {
        let pool = svc_api::descriptor_pool();
        let descriptor = pool.get_message_by_name("platform.iam.v1.CreateRoleRequest").unwrap();
        let json = serde_json::json!({ "permissionIds": vec![0; 10_000] });
        let mut reader = Reader::default();
        reader.message(&mut DynamicMessage::new(descriptor), &json, "");
        assert_eq!(reader.violations.len(), 100);
    }
}
