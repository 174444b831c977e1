//! The canonical form that `config` prints, as YAML or JSON.
//!
//! It can be loaded again and gives the same project: dollar signs are doubled, and a value that a generated secret went
//! into shows what was written (`${NAME}`) instead of the secret.

use serde_json::{Map, Value as Json};

use crate::project::Project;
use crate::tree::{Mapping, Node, Plain, Scalar, Value};

/// The order of the top level; extensions follow.
const TOP: [&str; 7] = ["name", "services", "networks", "volumes", "secrets", "configs", "models"];

/// The project as a JSON value, keys sorted, extensions of services left out as the reference does.
#[must_use]
pub fn json(project: &Project) -> Json {
    value(project, false)
}

/// The project as YAML, extensions included.
///
/// # Errors
///
/// When the YAML writer refuses a value, which the canonical form has none of.
pub fn yaml(project: &Project) -> Result<String, serde_yaml::Error> {
    serde_yaml::to_string(&value(project, true))
}

fn value(project: &Project, extensions: bool) -> Json {
    let mut top = Map::new();
    let Some(model) = project.model.as_mapping() else { return Json::Object(top) };
    for name in TOP {
        match model.get(name) {
            Some(Node { value: Value::Mapping(services), .. }) if name == "services" => {
                let mut sorted: Vec<_> = services.iter().collect();
                sorted.sort_by(|left, right| left.key.cmp(&right.key));
                let services =
                    sorted.into_iter().map(|entry| (entry.key.clone(), service(&entry.value, extensions)));
                top.insert(name.to_owned(), Json::Object(services.collect()));
            }
            Some(node) => {
                top.insert(name.to_owned(), plain(node));
            }
            None => {}
        }
    }
    let mut extra: Vec<_> = model.iter().filter(|entry| entry.key.starts_with("x-")).collect();
    extra.sort_by(|left, right| left.key.cmp(&right.key));
    top.extend(extra.into_iter().map(|entry| (entry.key.clone(), plain(&entry.value))));
    Json::Object(top)
}

fn service(node: &Node, extensions: bool) -> Json {
    let Some(mapping) = node.as_mapping() else { return plain(node) };
    let mut object = sorted(mapping, |key| extensions || !key.starts_with("x-"));
    for key in ["command", "entrypoint"] {
        object.entry(key).or_insert(Json::Null);
    }
    object.sort_keys();
    Json::Object(object)
}

fn plain(node: &Node) -> Json {
    match &node.value {
        Value::Null => Json::Null,
        Value::Scalar(text) => scalar(text),
        Value::Sequence(items) => Json::Array(items.iter().map(plain).collect()),
        Value::Mapping(mapping) => Json::Object(sorted(mapping, |_| true)),
    }
}

fn sorted(mapping: &Mapping, keep: impl Fn(&str) -> bool) -> Map<String, Json> {
    let mut entries: Vec<_> = mapping.iter().filter(|entry| keep(&entry.key)).collect();
    entries.sort_by(|left, right| left.key.cmp(&right.key));
    entries.into_iter().map(|entry| (entry.key.clone(), plain(&entry.value))).collect()
}

fn scalar(scalar: &Scalar) -> Json {
    if let Some(template) = scalar.template() {
        return Json::String(template.to_owned());
    }
    match scalar.meaning() {
        Plain::Null => Json::Null,
        Plain::Boolean(value) => Json::Bool(value),
        Plain::Integer(number) => match (i64::try_from(number), u64::try_from(number)) {
            (Ok(number), _) => Json::from(number),
            (_, Ok(number)) => Json::from(number),
            _ => Json::String(scalar.text().to_owned()),
        },
        Plain::Float(number) if number.is_finite() => Json::from(number),
        Plain::Float(_) | Plain::Text => Json::String(scalar.text().replace('$', "$$")),
    }
}
