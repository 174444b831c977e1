//! What an owner may write beside a file: a flat JSON object of texts.

use std::collections::BTreeMap;

use thiserror::Error;

/// The longest metadata, in bytes of JSON.
pub const MAX_BYTES: usize = 16 * 1024;

/// Why metadata can't be kept.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum MetadataError {
    /// More bytes than we keep.
    #[error("metadata has at most 16384 bytes")]
    TooLong,
    /// No JSON object.
    #[error("metadata is a JSON object, such as {{\"title\":\"Invoice\"}}: {0}")]
    NotAnObject(String),
    /// A value that is neither text nor number nor truth value.
    #[error("the metadata value `{0}` is not a text, a number or a truth value")]
    NotFlat(String),
}

/// Reads metadata; empty text is no metadata. Numbers and truth values become texts.
pub fn parse(text: &str) -> Result<BTreeMap<String, String>, MetadataError> {
    if text.trim().is_empty() {
        return Ok(BTreeMap::new());
    }
    if text.len() > MAX_BYTES {
        return Err(MetadataError::TooLong);
    }
    let object: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(text).map_err(|error| MetadataError::NotAnObject(error.to_string()))?;
    object
        .into_iter()
        .map(|(key, value)| {
            let text = match value {
                serde_json::Value::String(text) => text,
                serde_json::Value::Number(number) => number.to_string(),
                serde_json::Value::Bool(truth) => truth.to_string(),
                _ => return Err(MetadataError::NotFlat(key)),
            };
            Ok((key, text))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flat_objects_are_kept() {
        let parsed = parse(r#"{"title":"Invoice","pages":3,"final":true}"#).expect("valid");
        let pairs: Vec<_> = parsed.iter().map(|(key, value)| (&**key, &**value)).collect();
        assert_eq!(pairs, [("final", "true"), ("pages", "3"), ("title", "Invoice")]);
        assert_eq!(parse(" "), Ok(BTreeMap::new()));
    }

    #[test]
    fn everything_else_is_refused() {
        assert!(matches!(parse("[1]"), Err(MetadataError::NotAnObject(_))));
        assert_eq!(parse(r#"{"a":{"b":1}}"#), Err(MetadataError::NotFlat("a".into())));
        assert_eq!(parse(r#"{"a":null}"#), Err(MetadataError::NotFlat("a".into())));
        assert_eq!(parse(&"x".repeat(MAX_BYTES + 1)), Err(MetadataError::TooLong));
    }
}
