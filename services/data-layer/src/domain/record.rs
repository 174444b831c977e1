//! The fields of a record: how much fits, and what a change does.

use serde_json::{Map, Value};

use super::Fault;

/// The most that a record may be, in bytes of JSON.
const RECORD_LIMIT: usize = 1024 * 1024;
/// The most that one of its fields may be, in bytes of JSON.
const FIELD_LIMIT: usize = 256 * 1024;
const NAME_LIMIT: usize = 128;
const MOST_FIELDS: usize = 1000;

/// The fields of a record.
pub(crate) type Fields = Map<String, Value>;

/// Everything that is wrong with the fields of a record as a whole.
pub(crate) fn check_fields(fields: &Fields) -> Result<(), Vec<Fault>> {
    let mut faults = Vec::new();
    if fields.len() > MOST_FIELDS {
        faults.push(Fault::new(
            "data",
            "too-many",
            format!("at most {MOST_FIELDS} fields; these are {}", fields.len()),
        ));
    }
    let mut total = 2;
    for (name, value) in fields {
        let size = value.to_string().len();
        total += name.len() + size + 4;
        if name.is_empty() || name.len() > NAME_LIMIT || name.chars().any(char::is_control) {
            let message = format!("a field's name is 1 to {NAME_LIMIT} bytes without control characters");
            faults.push(Fault::new(format!("data.{}", shortened(name)), "format", message));
        } else if size > FIELD_LIMIT {
            let message = format!("is {size} bytes of JSON; at most {FIELD_LIMIT} are allowed");
            faults.push(Fault::new(format!("data.{name}"), "too-long", message));
        }
    }
    if total > RECORD_LIMIT {
        let message = format!("the record is {total} bytes of JSON; at most {RECORD_LIMIT} are allowed");
        faults.push(Fault::new("data", "too-long", message));
    }
    if faults.is_empty() { Ok(()) } else { Err(faults) }
}

fn shortened(name: &str) -> String {
    name.chars().filter(|letter| !letter.is_control()).take(40).collect()
}

/// The fields after a change. `mask` names the top-level fields that change; without one, those of `change` do. A
/// field that becomes null, or is named and not given, is removed.
pub(crate) fn merge(
    mut current: Fields,
    mut change: Fields,
    mask: Option<&[String]>,
) -> Result<Fields, Vec<Fault>> {
    let names: Vec<String> = match mask {
        None => change.keys().cloned().collect(),
        Some(paths) => {
            let nested = paths.iter().filter(|path| path.is_empty() || path.contains('.'));
            let fault = |path: &String| {
                Fault::new(
                    "updateMask",
                    "top-level",
                    format!("`{path}` is not the name of a top-level field"),
                )
            };
            let faults: Vec<Fault> = nested.map(fault).collect();
            if !faults.is_empty() {
                return Err(faults);
            }
            paths.to_vec()
        }
    };
    for name in names {
        match change.remove(&name).unwrap_or(Value::Null) {
            // `shift_remove` keeps the order of the others, which people see.
            Value::Null => current.shift_remove(&name),
            value => current.insert(name, value),
        };
    }
    Ok(current)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fields(value: Value) -> Fields {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn a_change_touches_only_what_it_names() {
        let current = || fields(json!({ "name": "a", "size": 1, "tags": ["x"] }));
        let merged = |change: Value, mask: Option<&[String]>| merge(current(), fields(change), mask);
        assert_eq!(
            merged(json!({ "size": 2, "new": true }), None).unwrap(),
            fields(json!({
                "name": "a", "size": 2, "tags": ["x"], "new": true
            }))
        );
        assert_eq!(
            merged(json!({ "size": null }), None).unwrap(),
            fields(json!({ "name": "a", "tags": ["x"] }))
        );
        let mask = ["size".to_owned(), "tags".to_owned()];
        let with_mask = merged(json!({ "size": 3, "name": "ignored" }), Some(&mask)).unwrap();
        assert_eq!(with_mask, fields(json!({ "name": "a", "size": 3 })), "named and not given: removed");
        let nested = merged(json!({}), Some(&["tags.0".to_owned()])).unwrap_err();
        assert_eq!(nested[0].field, "updateMask");
    }

    #[test]
    fn a_record_has_limits() {
        assert_eq!(check_fields(&fields(json!({ "name": "a" }))), Ok(()));
        let codes = |value: Value| -> Vec<(String, &str)> {
            let faults = check_fields(&fields(value)).unwrap_err();
            faults.into_iter().map(|fault| (fault.field, fault.code)).collect()
        };
        let text = |length: usize| "x".repeat(length);
        assert_eq!(codes(json!({ "a": text(FIELD_LIMIT - 1) })), [("data.a".to_owned(), "too-long")]);
        assert_eq!(
            check_fields(&fields(json!({ "a": text(FIELD_LIMIT - 2) }))),
            Ok(()),
            "exactly at the limit"
        );
        let part = text(FIELD_LIMIT - 2);
        let whole = json!({ "a": part, "b": part, "c": part, "d": part });
        assert_eq!(codes(whole), [("data".to_owned(), "too-long")]);
        assert_eq!(codes(json!({ "": 1 })), [("data.".to_owned(), "format")]);
        assert_eq!(codes(json!({ "a\nb": 1 })), [("data.ab".to_owned(), "format")]);
    }
}
