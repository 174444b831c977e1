//! JSON ↔ `google.protobuf.Struct`, the form in which free data travels.

use prost_types::{ListValue, Struct, value::Kind};
use serde_json::{Map, Number, Value};

/// A JSON object as a `Struct`. Numbers become doubles, as protobuf's mapping says.
pub fn to_struct(object: Map<String, Value>) -> Struct {
    Struct { fields: object.into_iter().map(|(name, value)| (name, to_value(value))).collect() }
}

/// A `Struct` as a JSON object. Whole numbers up to 2^53 come back as integers.
pub fn from_struct(object: Struct) -> Map<String, Value> {
    object.fields.into_iter().map(|(name, value)| (name, from_value(value))).collect()
}

/// JSON as a `google.protobuf.Value`.
pub fn to_value(value: Value) -> prost_types::Value {
    let kind = match value {
        Value::Null => Kind::NullValue(0),
        Value::Bool(flag) => Kind::BoolValue(flag),
        Value::Number(number) => Kind::NumberValue(number.as_f64().unwrap_or_default()),
        Value::String(text) => Kind::StringValue(text),
        Value::Array(items) => {
            Kind::ListValue(ListValue { values: items.into_iter().map(to_value).collect() })
        }
        Value::Object(object) => Kind::StructValue(to_struct(object)),
    };
    prost_types::Value { kind: Some(kind) }
}

/// A `google.protobuf.Value` as JSON. What JSON cannot say (a value not set, NaN) becomes null.
pub fn from_value(value: prost_types::Value) -> Value {
    match value.kind {
        None | Some(Kind::NullValue(_)) => Value::Null,
        Some(Kind::BoolValue(flag)) => Value::Bool(flag),
        Some(Kind::NumberValue(number)) => number_of(number),
        Some(Kind::StringValue(text)) => Value::String(text),
        Some(Kind::ListValue(list)) => list.values.into_iter().map(from_value).collect(),
        Some(Kind::StructValue(object)) => Value::Object(from_struct(object)),
    }
}

fn number_of(number: f64) -> Value {
    /// Up to here every whole number has a double of its own.
    const EXACT: f64 = 9_007_199_254_740_992.0;

    if number.fract() == 0.0 && number.abs() <= EXACT {
        #[allow(clippy::cast_possible_truncation, reason = "whole, and within the range that is exact")]
        let whole = number as i64;
        return whole.into();
    }
    Number::from_f64(number).map_or(Value::Null, Value::Number)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_goes_in_comes_out() {
        let value = json!({"a": 1, "b": -2.5, "c": [true, null, "x", {}], "d": {"e": "é"}, "f": 9007199254740992_i64});
        assert_eq!(from_value(to_value(value.clone())), value);
        assert_eq!(from_value(prost_types::Value { kind: Some(Kind::NumberValue(f64::NAN)) }), Value::Null);
    }
}
