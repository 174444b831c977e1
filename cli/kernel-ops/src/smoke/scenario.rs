//! A scenario: typed steps over the gateway's REST, written once as data beside the service that it is about
//! (`services/<package>/smoke.yaml`). What a new service needs is a file, not code.

use std::collections::BTreeMap;

use kernel_core::diagnostic::Diagnostic;
use kernel_core::source::{Sources, Span};
use serde::Deserialize;
use serde_json::Value;

use crate::codes::SCENARIO_UNREADABLE;

/// What a service must be able to do, as a tenant of its own sees it.
///
/// Before the first step a fresh tenant is registered. Its variables are `${email}`, `${password}`, `${token}`,
/// `${tenant}` and `${user}`; `${unique}` is a short text that no other run has, `${uuid}` a fresh UUID each time.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// One line: what it proves.
    pub about: String,
    /// Smoke serves a small HTTP server of its own during the scenario, its address is `${provider}`: it answers
    /// every request with a JSON description of that request.
    #[serde(default)]
    pub provider: bool,
    /// What is done, in order. A failed step ends the scenario.
    pub steps: Vec<Step>,
}

/// One request and what has to come back.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// What it does, a few words.
    pub step: String,
    /// `POST /v1/wallets`. Variables may stand in the path.
    pub request: String,
    /// Without the tenant's token.
    #[serde(default)]
    pub anonymous: bool,
    /// Further headers. Every request has an `idempotency-key` of its own.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// A JSON body.
    #[serde(default)]
    pub body: Option<Value>,
    /// A multipart body with one file, in place of `body`.
    #[serde(default)]
    pub upload: Option<Upload>,
    /// The status that has to come back.
    pub status: u16,
    /// What has to stand where in the JSON answer: a path such as `wallets[0].id` and a value or a [`Matcher`].
    #[serde(default)]
    pub answer: BTreeMap<String, Value>,
    /// What answer headers have to be: a text or a [`Matcher`].
    #[serde(default)]
    pub answer_headers: BTreeMap<String, Value>,
    /// The whole answer as text.
    #[serde(default)]
    pub text: Option<String>,
    /// Variables to take from the JSON answer: name and path.
    #[serde(default)]
    pub keep: BTreeMap<String, String>,
    /// Repeat the request until everything fits, for at most so many seconds. For what happens after the answer.
    #[serde(default)]
    pub within_seconds: u64,
}

/// A file to upload.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Upload {
    /// Its name.
    pub filename: String,
    /// Its text.
    pub content: String,
    /// Further form fields.
    #[serde(default)]
    pub fields: BTreeMap<String, String>,
}

/// A condition on a value, written as a mapping with this one key.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Matcher {
    /// A text that holds this text, or a list with an element that has at least these fields.
    Contains(Value),
    /// A list without such an element.
    Lacks(Value),
    /// A list or text of this length.
    Length(usize),
    /// There (`true`) or not there, null or empty (`false`).
    Present(bool),
    /// One of these.
    OneOf(Vec<Value>),
    /// A number that is not smaller.
    AtLeast(i64),
}

impl Scenario {
    /// Reads a scenario.
    ///
    /// # Errors
    /// What is wrong with the text, and where.
    pub fn read(name: &str, text: &str, sources: &mut Sources) -> Result<Self, Box<Diagnostic>> {
        let source = sources.add(name, text);
        serde_yaml::from_str::<Self>(text).map_err(|error| {
            let message = format!("the smoke scenario can't be read: {error}");
            let diagnostic = Diagnostic::error(SCENARIO_UNREADABLE, message)
                .help("the fields are told in `docs/smoke.md`");
            Box::new(match error.location() {
                Some(place) => {
                    let start = place.index().min(text.len());
                    let end = text[start..].find('\n').map_or(text.len(), |length| start + length);
                    diagnostic.at(Span { source, start, end }, "here")
                }
                None => diagnostic,
            })
        })
    }
}

/// Whether a value is what a scenario says that it should be; if not, what was expected, in words.
///
/// # Errors
/// What was expected.
pub fn fits(expected: &Value, actual: Option<&Value>) -> Result<(), String> {
    if let Some(matcher) = as_matcher(expected) {
        return matcher_fits(&matcher, actual);
    }
    match actual {
        Some(actual) if same(expected, actual) => Ok(()),
        _ => Err(expected.to_string()),
    }
}

fn as_matcher(expected: &Value) -> Option<Matcher> {
    let fields = expected.as_object().filter(|fields| fields.len() == 1)?;
    serde_json::from_value(Value::Object(fields.clone())).ok()
}

fn matcher_fits(matcher: &Matcher, actual: Option<&Value>) -> Result<(), String> {
    let length = |value: &Value| match value {
        Value::Array(list) => Some(list.len()),
        Value::String(text) => Some(text.chars().count()),
        _ => None,
    };
    let holds = |wanted: &Value| match (actual, wanted) {
        (Some(Value::String(text)), Value::String(part)) => text.contains(part.as_str()),
        (Some(Value::Array(list)), wanted) => list.iter().any(|element| covers(element, wanted)),
        _ => false,
    };
    let (fits, words) = match matcher {
        Matcher::Contains(wanted) => (holds(wanted), format!("something that contains {wanted}")),
        Matcher::Lacks(unwanted) => (!holds(unwanted), format!("nothing that contains {unwanted}")),
        // An empty list is left out of a proto's JSON, so absence is length 0.
        Matcher::Length(wanted) => {
            let actual = actual.map_or(Some(0), length);
            (actual == Some(*wanted), format!("length {wanted}"))
        }
        Matcher::Present(wanted) => {
            let empty = |value: &Value| value.is_null() || length(value) == Some(0);
            let there = actual.is_some_and(|value| !empty(value));
            (there == *wanted, if *wanted { "a value".to_owned() } else { "no value".to_owned() })
        }
        Matcher::OneOf(wanted) => {
            let fits = actual.is_some_and(|actual| wanted.iter().any(|wanted| same(wanted, actual)));
            (fits, format!("one of {}", Value::Array(wanted.clone())))
        }
        Matcher::AtLeast(wanted) => {
            let number = actual.and_then(|value| value.as_i64().or_else(|| value.as_str()?.parse().ok()));
            (number.is_some_and(|number| number >= *wanted), format!("at least {wanted}"))
        }
    };
    if fits { Ok(()) } else { Err(words) }
}

/// Equal, where a 64-bit number may stand as text, as it does in the JSON of a proto, and a default value that is left
/// out there counts as given.
fn same(expected: &Value, actual: &Value) -> bool {
    match (expected, actual) {
        (Value::Number(number), Value::String(text)) => number.to_string() == *text,
        _ => expected == actual,
    }
}

fn covers(element: &Value, wanted: &Value) -> bool {
    match (element, wanted) {
        (Value::Object(fields), Value::Object(wanted)) => {
            wanted.iter().all(|(name, value)| fields.get(name).is_some_and(|field| covers(field, value)))
        }
        _ => same(wanted, element),
    }
}

/// The value at a path such as `wallets[0].id`; the whole for an empty path.
#[must_use]
pub fn at<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    let mut found = value;
    for part in path.split('.').filter(|part| !part.is_empty()) {
        let (name, indices) = part.find('[').map_or((part, ""), |at| part.split_at(at));
        if !name.is_empty() {
            found = found.get(name)?;
        }
        for index in indices.split('[').filter(|index| !index.is_empty()) {
            found = found.get(index.trim_end_matches(']').parse::<usize>().ok()?)?;
        }
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_path_leads_through_fields_and_lists() {
        let value = json!({"wallets": [{"id": "a"}, {"id": "b"}], "x": {"y": [[1, 2]]}});
        assert_eq!(at(&value, "wallets[1].id"), Some(&json!("b")));
        assert_eq!(at(&value, "x.y[0][1]"), Some(&json!(2)));
        assert_eq!(at(&value, ""), Some(&value));
        assert_eq!(at(&value, "wallets[2].id"), None);
        assert_eq!(at(&value, "wallets[x]"), None);
    }

    #[test]
    fn values_and_matchers() {
        let list = json!([{"id": "a", "n": 1}, {"id": "b", "n": "2"}]);
        let cases = [
            (json!("a"), Some(json!("a")), true),
            (json!(700), Some(json!("700")), true),
            (json!("700"), Some(json!(700)), false),
            (json!("a"), None, false),
            (json!({"contains": {"id": "b", "n": 2}}), Some(list.clone()), true),
            (json!({"contains": {"id": "c"}}), Some(list.clone()), false),
            (json!({"contains": "ell"}), Some(json!("hello")), true),
            (json!({"lacks": {"id": "c"}}), Some(list.clone()), true),
            (json!({"lacks": {"id": "a"}}), Some(list.clone()), false),
            (json!({"length": 2}), Some(list), true),
            (json!({"length": 0}), None, true),
            (json!({"present": true}), Some(json!("")), false),
            (json!({"present": false}), None, true),
            (json!({"one_of": ["active", "trialing"]}), Some(json!("active")), true),
            (json!({"at_least": 3}), Some(json!("4")), true),
            (json!({"at_least": 3}), Some(json!(2)), false),
            (json!({"a": 1, "b": 2}), Some(json!({"a": 1, "b": 2})), true),
        ];
        for (expected, actual, outcome) in cases {
            assert_eq!(fits(&expected, actual.as_ref()).is_ok(), outcome, "{expected} {actual:?}");
        }
        assert_eq!(fits(&json!({"length": 1}), Some(&json!([]))), Err("length 1".to_owned()));
    }

    #[test]
    fn a_mistake_is_shown_where_it_is() {
        let text = "about: x\nsteps:\n  - step: a\n    request: GET /\n    status: 200\n    stauts: 1\n";
        let mut sources = Sources::default();
        let problem = Scenario::read("services/x/smoke.yaml", text, &mut sources).unwrap_err();
        assert_eq!(problem.code, SCENARIO_UNREADABLE);
        assert!(problem.message.contains("stauts"), "{}", problem.message);
        let place = problem.labels.first().and_then(|label| sources.locate(label.span)).unwrap();
        assert!(place.starts_with("services/x/smoke.yaml:"), "{place}");
    }

    #[test]
    fn every_scenario_of_the_workspace_can_be_read() {
        let services = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../services");
        let mut found = 0;
        for entry in std::fs::read_dir(services).unwrap() {
            let path = entry.unwrap().path().join("smoke.yaml");
            let Ok(text) = std::fs::read_to_string(&path) else { continue };
            let scenario = Scenario::read(&path.display().to_string(), &text, &mut Sources::default());
            let scenario =
                scenario.unwrap_or_else(|problem| panic!("{}: {}", path.display(), problem.message));
            assert!(!scenario.steps.is_empty(), "{}", path.display());
            for step in scenario.steps {
                let (method, route) = step.request.split_once(' ').unwrap();
                assert!(["GET", "POST", "PATCH", "DELETE"].contains(&method), "{}: {method}", path.display());
                assert!(route.starts_with('/'), "{}: {route}", path.display());
            }
            found += 1;
        }
        assert!(found >= 12, "only {found} services have a scenario");
    }
}
