//! One line of a service's log, for people: the JSON that services write becomes level, message and what else there
//! is; everything else stays as it is.

use serde_json::{Map, Value};

/// Fields that every line has and nobody reads here.
const LEFT_OUT: [&str; 6] = ["time", "timestamp", "level", "message", "span_id", "target"];

/// The line as people read it.
#[must_use]
pub fn readable(line: &str) -> String {
    let parsed = serde_json::from_str::<Map<String, Value>>(line).ok();
    let Some((fields, message)) = parsed.as_ref().and_then(|fields| Some((fields, fields.get("message")?)))
    else {
        return line.to_owned();
    };
    let level = fields.get("level").map(shown).unwrap_or_default().to_ascii_uppercase();
    let mut out = format!("{level:<5} {}", shown(message));
    for (name, value) in fields.iter().filter(|(name, _)| !LEFT_OUT.contains(&name.as_str())) {
        let value = shown(value);
        if !value.is_empty() {
            out.push_str(&format!(" {name}={value}"));
        }
    }
    out
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) if number.is_f64() => format!("{:.1}", number.as_f64().unwrap_or_default()),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_becomes_a_sentence_and_all_else_stays() {
        let line = r#"{"time":"2026-11-22T18:52:18Z","level":"info","target":"svc_kit::run","message":"listening","service":"notify","milliseconds":0.123,"area":""}"#;
        assert_eq!(readable(line), "INFO  listening service=notify milliseconds=0.1");
        for line in ["plain text", "{\"no\": \"message\"}", "{broken", "[1]", ""] {
            assert_eq!(readable(line), line);
        }
    }
}
