//! JSON to message, by the protobuf JSON mapping, listing everything that is wrong instead of the first thing.
//!
//! The well-known types are left to `prost-reflect`.

use base64::{
    Engine,
    alphabet::{STANDARD, URL_SAFE},
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use prost_reflect::{
    DynamicMessage, EnumDescriptor, FieldDescriptor, Kind, MapKey, MessageDescriptor, ReflectMessage, Value,
};
use serde_json::Value as Json;
use std::collections::HashMap;
use svc_kit::Violation;

/// Reads messages and collects what is wrong with them.
#[derive(Debug, Default)]
pub struct Reader {
    /// What is wrong so far.
    pub violations: Vec<Violation>,
}

/// How many mistakes are told at once.
const MOST_VIOLATIONS: usize = 100;

const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);

impl Reader {
    /// States that something is wrong. What is wrong beyond [`MOST_VIOLATIONS`] is not told: a body of a megabyte can
    /// hold half a million mistakes.
    pub fn complain(&mut self, field: impl Into<String>, code: &str, message: impl Into<String>) {
        if self.violations.len() >= MOST_VIOLATIONS {
            return;
        }
        self.violations.push(Violation {
            field: field.into(),
            code: code.to_owned(),
            message: message.into(),
        });
    }

    /// Reads an object into a message. `path` is where it stands, for the violations; the fields that are valid are set.
    pub fn message(&mut self, message: &mut DynamicMessage, json: &Json, path: &str) {
        let descriptor = message.descriptor();
        let Json::Object(object) = json else { return self.wrong_type(path, "an object", json) };
        for (key, value) in object {
            let place = join(path, key);
            let field = descriptor.get_field_by_json_name(key).or_else(|| descriptor.get_field_by_name(key));
            let Some(field) = field else {
                self.complain(place, "unknown-field", unknown_field(&descriptor, key));
                continue;
            };
            if message.has_field(&field) {
                self.complain(place, "duplicate", "is given twice");
                continue;
            }
            if let Some(other) = same_choice(message, &field) {
                let problem = format!("cannot be given together with `{}`", other.json_name());
                self.complain(place, "conflict", problem);
                continue;
            }
            if let Some(value) = self.field(&field, value, &place) {
                message.set_field(&field, value);
            }
        }
    }

    /// Reads the value of a field. `None` when it is null, which means unset, or wrong.
    pub fn field(&mut self, field: &FieldDescriptor, json: &Json, path: &str) -> Option<Value> {
        let kind = field.kind();
        if json.is_null() && (field.is_list() || field.is_map() || !takes_null(&kind)) {
            return None;
        }
        if field.is_map() {
            return self.map(&kind, json, path);
        }
        if !field.is_list() {
            return self.value(&kind, json, path);
        }
        let Json::Array(items) = json else {
            self.wrong_type(path, "an array", json);
            return None;
        };
        let items = items.iter().enumerate();
        Some(Value::List(
            items.filter_map(|(index, item)| self.value(&kind, item, &format!("{path}[{index}]"))).collect(),
        ))
    }

    /// Reads a single value.
    pub fn value(&mut self, kind: &Kind, json: &Json, path: &str) -> Option<Value> {
        let read = match kind {
            Kind::Message(descriptor) => return self.nested(descriptor, json, path),
            Kind::Enum(descriptor) => enumeration(descriptor, json),
            scalar => self::scalar(scalar, json),
        };
        match read {
            Ok(value) => Some(value),
            Err(Wrong { code: "wrong-type", expected }) => {
                self.wrong_type(path, &expected, json);
                None
            }
            Err(Wrong { code, expected }) => {
                self.complain(path, code, format!("must be {expected}"));
                None
            }
        }
    }

    fn nested(&mut self, descriptor: &MessageDescriptor, json: &Json, path: &str) -> Option<Value> {
        if !descriptor.full_name().starts_with("google.protobuf.") {
            let mut message = DynamicMessage::new(descriptor.clone());
            self.message(&mut message, json, path);
            return Some(Value::Message(message));
        }
        match DynamicMessage::deserialize(descriptor.clone(), json) {
            Ok(message) => Some(Value::Message(message)),
            Err(error) => {
                let name = descriptor.name();
                self.complain(path, "invalid-format", format!("cannot be read as {name}: {error}"));
                None
            }
        }
    }

    fn map(&mut self, kind: &Kind, json: &Json, path: &str) -> Option<Value> {
        let entry = kind.as_message()?;
        let Json::Object(object) = json else {
            self.wrong_type(path, "an object", json);
            return None;
        };
        let (key_kind, value_kind) =
            (entry.map_entry_key_field().kind(), entry.map_entry_value_field().kind());
        let mut map = HashMap::with_capacity(object.len());
        for (key, value) in object {
            let place = format!("{path}[{key}]");
            let Some(key) = map_key(&key_kind, key) else {
                self.complain(place, "wrong-type", format!("its key must be {}", expected(&key_kind)));
                continue;
            };
            if let Some(value) = self.value(&value_kind, value, &place) {
                map.insert(key, value);
            }
        }
        Some(Value::Map(map))
    }

    fn wrong_type(&mut self, path: &str, expected: &str, json: &Json) {
        let given = match json {
            Json::Null => "null",
            Json::Bool(_) => "a boolean",
            Json::Number(number) if number.is_f64() && expected.starts_with("a whole") => "a fraction",
            Json::Number(_) => "a number",
            Json::String(_) => "a string",
            Json::Array(_) => "an array",
            Json::Object(_) => "an object",
        };
        self.complain(path, "wrong-type", format!("must be {expected}, not {given}"));
    }
}

/// `a.b`, or `b` at the top.
pub fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// What to say of a field that there is not, with the nearest one that there is.
pub fn unknown_field(descriptor: &MessageDescriptor, name: &str) -> String {
    let plain = |text: &str| {
        text.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase()
    };
    let wanted = plain(name);
    let meant = descriptor.fields().find(|field| {
        let known = plain(field.json_name());
        known == wanted
            || (known.len() > 3
                && (known.starts_with(&wanted) || wanted.starts_with(&known))
                && wanted.len() > 2)
    });
    match meant {
        Some(field) => format!("is not known; did you mean `{}`?", field.json_name()),
        None => "is not known".to_owned(),
    }
}

/// Another field that is set of the oneof that a field belongs to.
fn same_choice(message: &DynamicMessage, field: &FieldDescriptor) -> Option<FieldDescriptor> {
    field.containing_oneof()?.fields().find(|other| message.has_field(other))
}

fn takes_null(kind: &Kind) -> bool {
    match kind {
        Kind::Message(message) => message.full_name() == "google.protobuf.Value",
        Kind::Enum(enumeration) => enumeration.full_name() == "google.protobuf.NullValue",
        _ => false,
    }
}

/// Why a value cannot be read.
struct Wrong {
    code: &'static str,
    expected: String,
}

fn wrong(code: &'static str, expected: impl Into<String>) -> Wrong {
    Wrong { code, expected: expected.into() }
}

fn expected(kind: &Kind) -> &'static str {
    match kind {
        Kind::Bool => "true or false",
        Kind::String => "a string",
        Kind::Bytes => "a base64 string",
        Kind::Double | Kind::Float => "a number",
        Kind::Uint32 | Kind::Uint64 | Kind::Fixed32 | Kind::Fixed64 => "a whole number from 0",
        Kind::Message(_) => "an object",
        Kind::Enum(_) => "a name",
        _ => "a whole number",
    }
}

fn scalar(kind: &Kind, json: &Json) -> Result<Value, Wrong> {
    let mistyped = || wrong("wrong-type", expected(kind));
    match (kind, json) {
        (Kind::Bool, Json::Bool(value)) => Ok(Value::Bool(*value)),
        (Kind::String, Json::String(value)) => Ok(Value::String(value.clone())),
        (Kind::Bytes, Json::String(text)) => {
            bytes(text).ok_or_else(|| wrong("invalid-format", expected(kind)))
        }
        (Kind::Double, json) => float(json).map(Value::F64).ok_or_else(mistyped),
        (Kind::Float, json) => {
            let wide = float(json).ok_or_else(mistyped)?;
            #[allow(clippy::cast_possible_truncation)]
            let narrow = wide as f32;
            let fits = narrow.is_finite() || !wide.is_finite();
            fits.then_some(Value::F32(narrow)).ok_or_else(|| wrong("out-of-range", "a 32-bit number"))
        }
        (Kind::Bool | Kind::String | Kind::Bytes | Kind::Message(_) | Kind::Enum(_), _) => Err(mistyped()),
        (kind, json) => {
            let number = integer(json).ok_or_else(mistyped)?;
            whole(kind, number).ok_or_else(|| {
                let (low, high) = range(kind);
                wrong("out-of-range", format!("from {low} to {high}"))
            })
        }
    }
}

fn bytes(text: &str) -> Option<Value> {
    let alphabet = if text.contains(['-', '_']) { &URL_SAFE } else { &STANDARD };
    Some(Value::Bytes(GeneralPurpose::new(alphabet, LENIENT).decode(text).ok()?.into()))
}

fn float(json: &Json) -> Option<f64> {
    match json {
        Json::Number(number) => number.as_f64(),
        Json::String(text) => match text.as_str() {
            "NaN" => Some(f64::NAN),
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            // Rust also reads `inf` and `nan`, the mapping does not.
            text => text.parse().ok().filter(|number: &f64| number.is_finite()),
        },
        _ => None,
    }
}

/// A whole number, also as a string or as `1.0`, as the mapping allows.
fn integer(json: &Json) -> Option<i128> {
    match json {
        Json::Number(number) => number
            .as_i64()
            .map(i128::from)
            .or_else(|| number.as_u64().map(i128::from))
            .or_else(|| number.as_f64().and_then(integral)),
        Json::String(text) => text
            .parse()
            .ok()
            .or_else(|| text.parse().ok().and_then(integral))
            .filter(|_| !text.starts_with('+')),
        _ => None,
    }
}

fn integral(number: f64) -> Option<i128> {
    #[allow(clippy::cast_possible_truncation)]
    let whole = number as i128;
    (number.is_finite() && number.fract() == 0.0).then_some(whole)
}

fn whole(kind: &Kind, number: i128) -> Option<Value> {
    match kind {
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => number.try_into().ok().map(Value::I32),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => number.try_into().ok().map(Value::I64),
        Kind::Uint32 | Kind::Fixed32 => number.try_into().ok().map(Value::U32),
        Kind::Uint64 | Kind::Fixed64 => number.try_into().ok().map(Value::U64),
        _ => None,
    }
}

fn range(kind: &Kind) -> (i128, i128) {
    match kind {
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => (i32::MIN.into(), i32::MAX.into()),
        Kind::Uint32 | Kind::Fixed32 => (0, u32::MAX.into()),
        Kind::Uint64 | Kind::Fixed64 => (0, u64::MAX.into()),
        _ => (i64::MIN.into(), i64::MAX.into()),
    }
}

fn enumeration(descriptor: &EnumDescriptor, json: &Json) -> Result<Value, Wrong> {
    let unknown = || {
        let names: Vec<String> = descriptor.values().map(|value| format!("`{}`", value.name())).collect();
        wrong("unknown-value", format!("one of {}", names.join(", ")))
    };
    match json {
        Json::Null if descriptor.full_name() == "google.protobuf.NullValue" => Ok(Value::EnumNumber(0)),
        Json::String(name) => descriptor
            .get_value_by_name(name)
            .map(|value| Value::EnumNumber(value.number()))
            .ok_or_else(unknown),
        Json::Number(_) => integer(json)
            .and_then(|number| i32::try_from(number).ok())
            .filter(|number| descriptor.get_value(*number).is_some())
            .map(Value::EnumNumber)
            .ok_or_else(unknown),
        _ => Err(wrong("wrong-type", "a name")),
    }
}

fn map_key(kind: &Kind, key: &str) -> Option<MapKey> {
    let json = match (kind, key) {
        (Kind::Bool, "true") => Json::Bool(true),
        (Kind::Bool, "false") => Json::Bool(false),
        _ => Json::String(key.to_owned()),
    };
    match scalar(kind, &json).ok()? {
        Value::Bool(value) => Some(MapKey::Bool(value)),
        Value::I32(value) => Some(MapKey::I32(value)),
        Value::I64(value) => Some(MapKey::I64(value)),
        Value::U32(value) => Some(MapKey::U32(value)),
        Value::U64(value) => Some(MapKey::U64(value)),
        Value::String(value) => Some(MapKey::String(value)),
        _ => None,
    }
}
