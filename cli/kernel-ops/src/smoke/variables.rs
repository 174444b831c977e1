//! The variables of one run of a scenario, and how they are put into requests and expectations.

use std::collections::BTreeMap;

use serde_json::Value;

/// Names and values. A value of any JSON type; inside a longer text it stands as text.
#[derive(Clone, Debug, Default)]
pub struct Variables(BTreeMap<String, Value>);

impl Variables {
    /// Sets a variable.
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<Value>) {
        self.0.insert(name.into(), value.into());
    }

    /// A text with every `${name}` replaced.
    ///
    /// # Errors
    /// The name that nothing has set.
    pub fn fill(&self, text: &str) -> Result<String, String> {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            let (name, after) =
                after.split_once('}').ok_or_else(|| format!("`{text}` has no closing brace"))?;
            out.push_str(before);
            match self.get(name)? {
                Value::String(text) => out.push_str(&text),
                other => out.push_str(&other.to_string()),
            }
            rest = after;
        }
        out.push_str(rest);
        Ok(out)
    }

    /// A JSON value with every `${name}` in its texts replaced. A text that is nothing but one variable becomes the
    /// variable's value with its type.
    ///
    /// # Errors
    /// The name that nothing has set.
    pub fn fill_value(&self, value: &Value) -> Result<Value, String> {
        Ok(match value {
            Value::String(text) => {
                let single = text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
                match single.filter(|name| !name.contains('}')) {
                    Some(name) => self.get(name)?,
                    None => Value::String(self.fill(text)?),
                }
            }
            Value::Array(list) => {
                Value::Array(list.iter().map(|value| self.fill_value(value)).collect::<Result<_, _>>()?)
            }
            Value::Object(fields) => Value::Object(
                fields
                    .iter()
                    .map(|(name, value)| Ok((self.fill(name)?, self.fill_value(value)?)))
                    .collect::<Result<_, String>>()?,
            ),
            other => other.clone(),
        })
    }

    fn get(&self, name: &str) -> Result<Value, String> {
        if name == "uuid" {
            return Ok(Value::String(uuid::Uuid::now_v7().to_string()));
        }
        self.0.get(name).cloned().ok_or_else(|| format!("no step has set `${{{name}}}`"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_lone_variable_keeps_its_type() {
        let mut variables = Variables::default();
        variables.set("n", 7);
        variables.set("name", "Ada");
        let filled =
            variables.fill_value(&json!({"a": "${n}", "b": "n=${n} ${name}", "c": ["{{name}}"]})).unwrap();
        assert_eq!(filled, json!({"a": 7, "b": "n=7 Ada", "c": ["{{name}}"]}));
        assert_eq!(variables.fill("${missing}"), Err("no step has set `${missing}`".to_owned()));
    }

    #[test]
    fn each_uuid_is_a_new_one() {
        let filled = Variables::default().fill("${uuid} ${uuid}").unwrap();
        let (one, other) = filled.split_once(' ').unwrap();
        assert_ne!(one, other);
    }
}
