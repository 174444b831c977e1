//! The canonical form that `config` prints, as YAML or JSON.
//!
//! It can be loaded again and gives the same project: dollar signs are doubled, and a value that a generated secret went
//! into shows what was written (`${NAME}`) instead of the secret.

use serde_json::{Map, Value as Json};

use crate::project::Project;
use crate::schema::{self, Accepts, Attribute, Print, Reads, SERVICE, Shape, Short, TOP};
use crate::tree::{Entry, Mapping, Node, Plain, Scalar, Value};
use crate::yaml;

/// The order of the top level; extensions follow.
const ORDER: [&str; 7] = ["name", "services", "networks", "volumes", "secrets", "configs", "models"];

/// The project as a JSON value, keys sorted; extensions below the top and models left out as the reference does.
#[must_use]
pub fn json(project: &Project) -> Json {
    Form { extensions: false, titles: true, escape: true, secrets: false }.project(&project.model)
}

/// The project as YAML, extensions included.
#[must_use]
pub fn yaml(project: &Project) -> String {
    let form = Form { extensions: true, titles: false, escape: true, secrets: false };
    yaml::write(&form.project(&project.model))
}

/// One service as a JSON value, as it is in [`json`].
#[must_use]
pub fn service(project: &Project, name: &str) -> Option<Json> {
    let service = project.model.get("services")?.get(name)?;
    Some(
        Form { extensions: false, titles: true, escape: false, secrets: false }
            .shaped(service, Shape::Object(SERVICE)),
    )
}

/// A service as it goes to an engine: nothing is escaped, and secrets are in it. Only for what is never shown.
#[must_use]
pub fn service_with_secrets(service: &Node) -> Json {
    let form = Form { extensions: false, titles: true, escape: false, secrets: true };
    form.shaped(service, Shape::Object(SERVICE))
}

/// The same of a network or volume.
#[must_use]
pub fn resource_with_secrets(model: &Node, kind: &str, key: &str) -> Option<Json> {
    let form = Form { extensions: false, titles: true, escape: false, secrets: true };
    let Shape::Map(item, _) = schema::find(TOP, kind)?.shape else { return None };
    Some(form.shaped(model.get(kind)?.get(key)?, *item))
}

/// Lists whose items stand once. The reference makes them anew, so that an empty one is no nothing in its JSON of templates.
const SETS: [&str; 13] = [
    "cap_add",
    "cap_drop",
    "configs",
    "dns",
    "dns_opt",
    "dns_search",
    "env_file",
    "expose",
    "ports",
    "profiles",
    "secrets",
    "tmpfs",
    "volumes",
];

/// A tree as it stands, with templates; `json` as the reference prints it as JSON, where other empty lists are nothing.
#[must_use]
pub fn templates(tree: &Node, json: bool) -> Json {
    template("", tree, json)
}

fn template(key: &str, node: &Node, json: bool) -> Json {
    match &node.value {
        Value::Mapping(mapping) if mapping.is_listed() => {
            let item = |entry: &Entry| match entry.value.as_scalar() {
                Some(scalar) => {
                    format!("{}={}", entry.key, scalar.template().unwrap_or(&scalar.canonical_text()))
                }
                None => entry.key.clone(),
            };
            mapping.iter().map(item).collect()
        }
        Value::Mapping(mapping) => {
            let mut entries: Vec<_> = mapping.iter().collect();
            entries.sort_by(|left, right| left.key.cmp(&right.key));
            let entry = |entry: &Entry| (entry.key.clone(), template(&entry.key, &entry.value, json));
            Json::Object(entries.into_iter().map(entry).collect())
        }
        Value::Sequence(items) if items.is_empty() && json && !SETS.contains(&key) => Json::Null,
        Value::Sequence(items) => items.iter().map(|item| template(key, item, json)).collect(),
        _ => Form { extensions: true, titles: false, escape: false, secrets: false }.plain(node),
    }
}

/// How it is printed.
struct Form {
    /// Whether it is for YAML: extensions below the top are printed, and what is empty anyway is not.
    extensions: bool,
    /// Whether some keys get the capital letter that the reference gives them.
    titles: bool,
    /// Whether dollar signs are doubled.
    escape: bool,
    /// Whether texts that a secret went into are printed instead of their templates.
    secrets: bool,
}

impl Form {
    fn project(&self, model: &Node) -> Json {
        let mut top = Map::new();
        let Some(model) = model.as_mapping() else { return Json::Object(top) };
        for name in ORDER {
            let shape = schema::find(TOP, name).map_or(Shape::Any, |attribute| attribute.shape);
            match model.get(name) {
                Some(node) if name != "models" || self.extensions => {
                    top.insert(name.to_owned(), self.shaped(node, shape));
                }
                None if name == "services" => {
                    top.insert(name.to_owned(), Json::Object(Map::new()));
                }
                _ => {}
            }
        }
        let mut extra: Vec<_> = model.iter().filter(|entry| entry.key.starts_with("x-")).collect();
        extra.sort_by(|left, right| left.key.cmp(&right.key));
        top.extend(extra.into_iter().map(|entry| (self.text(&entry.key), self.extension(&entry.value))));
        Json::Object(top)
    }

    /// An extension. In JSON the reference takes an empty list for nothing.
    fn extension(&self, node: &Node) -> Json {
        match &node.value {
            Value::Sequence(items) if items.is_empty() && !self.extensions => Json::Null,
            Value::Sequence(items) => Json::Array(items.iter().map(|node| self.extension(node)).collect()),
            Value::Mapping(mapping) => self.mapping(mapping, |node| self.extension(node)),
            _ => self.plain(node),
        }
    }

    fn shaped(&self, node: &Node, shape: Shape) -> Json {
        match (&node.value, shape) {
            (
                Value::Mapping(mapping),
                Shape::Object(table) | Shape::Nullable(table) | Shape::Logging(table),
            ) => self.object(mapping, table),
            (Value::Mapping(mapping), Shape::Short(Short::Ulimit, table)) => self.object(mapping, table),
            (Value::Mapping(mapping), Shape::Short(_, table)) => self.object(mapping, table),
            (Value::Mapping(mapping), Shape::Map(item, _) | Shape::Keys(item, _)) => {
                self.mapping(mapping, |node| self.entry(node, *item))
            }
            (Value::Mapping(mapping), Shape::Ssh) => Json::Array(self.keys(mapping)),
            (Value::Sequence(items), Shape::List(item) | Shape::Keyed(_, item)) => {
                Json::Array(items.iter().map(|node| self.shaped(node, *item)).collect())
            }
            (
                Value::Sequence(items),
                Shape::Ports(table)
                | Shape::Mounts(table)
                | Shape::References(table, _)
                | Shape::Devices(table)
                | Shape::EnvFiles(table)
                | Shape::Gpus(table),
            ) => Json::Array(items.iter().map(|node| self.shaped(node, Shape::Object(table))).collect()),
            _ => self.plain(node),
        }
    }

    /// A value below a name of the author's choice. A limit of nothing is an empty mapping in the reference's JSON, and both
    /// limits in its YAML.
    fn entry(&self, node: &Node, shape: Shape) -> Json {
        match shape {
            Shape::Short(Short::Ulimit, _) if self.extensions && is_no_number_but_zero(node) => {
                let limit = |name| node.get(name).map_or(Json::from(0), |node| self.plain(node));
                serde_json::json!({ "hard": limit("hard"), "soft": limit("soft") })
            }
            Shape::Short(Short::Ulimit, _) if node.as_text() == Some("0") => Json::Object(Map::new()),
            _ => self.shaped(node, shape),
        }
    }

    fn object(&self, mapping: &Mapping, table: &'static [Attribute]) -> Json {
        let mut entries: Vec<(String, Json)> = Vec::with_capacity(mapping.len());
        for entry in mapping {
            match schema::find(table, &entry.key) {
                None if self.extensions => entries.push((self.text(&entry.key), self.plain(&entry.value))),
                None => {}
                Some(attribute) if attribute.name.starts_with("x-") && !self.extensions => {}
                Some(attribute) => {
                    let value = self.shaped(&entry.value, attribute.shape);
                    let empty = match attribute.print {
                        Print::Kept => value.as_object().is_some_and(Map::is_empty),
                        _ => matches!(attribute.shape, Shape::Command) && value.is_null(),
                    };
                    if is_printed(attribute, &entry.value, &value) && !(empty && self.extensions) {
                        entries.push((self.key(attribute), value));
                    }
                }
            }
        }
        for attribute in table {
            let missing = mapping.get(attribute.name).is_none();
            match attribute.shape {
                Shape::Command if missing && !self.extensions => {
                    entries.push((attribute.name.to_owned(), Json::Null))
                }
                Shape::Scalar(accepts, _) if missing && attribute.print == Print::Titled => {
                    entries.push((self.key(attribute), zero(accepts, attribute.name)));
                }
                _ => {}
            }
        }
        entries.sort_by(|left, right| left.0.cmp(&right.0));
        Json::Object(entries.into_iter().collect())
    }

    fn key(&self, attribute: &Attribute) -> String {
        match (attribute.print, self.titles) {
            (Print::Titled, true) => {
                let mut characters = attribute.name.chars();
                let first = characters.next().map(|first| first.to_ascii_uppercase());
                first.into_iter().chain(characters).collect()
            }
            _ => attribute.name.to_owned(),
        }
    }

    /// `NAME`, or `NAME=value`.
    fn keys(&self, mapping: &Mapping) -> Vec<Json> {
        let mut keys: Vec<String> = mapping
            .iter()
            .map(|entry| match entry.value.as_text() {
                Some(text) if !text.is_empty() => format!("{}={text}", entry.key),
                _ => entry.key.clone(),
            })
            .collect();
        keys.sort();
        keys.into_iter().map(|key| Json::String(self.text(&key))).collect()
    }

    fn plain(&self, node: &Node) -> Json {
        match &node.value {
            Value::Null => Json::Null,
            Value::Scalar(text) => self.scalar(text),
            Value::Sequence(items) => Json::Array(items.iter().map(|node| self.plain(node)).collect()),
            Value::Mapping(mapping) => self.mapping(mapping, |node| self.plain(node)),
        }
    }

    fn mapping(&self, mapping: &Mapping, value: impl Fn(&Node) -> Json) -> Json {
        let mut entries: Vec<_> = mapping.iter().collect();
        entries.sort_by(|left, right| left.key.cmp(&right.key));
        Json::Object(entries.into_iter().map(|entry| (self.text(&entry.key), value(&entry.value))).collect())
    }

    fn text(&self, text: &str) -> String {
        if self.escape { text.replace('$', "$$") } else { text.to_owned() }
    }

    fn scalar(&self, scalar: &Scalar) -> Json {
        if let Some(template) = scalar.template().filter(|_| !self.secrets) {
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
            // A whole number has no fraction in the reference.
            Plain::Float(number) if number.fract() == 0.0 && number.abs() < 1e15 => Json::from(number as i64),
            Plain::Float(number) if number.is_finite() => Json::from(number),
            Plain::Float(_) | Plain::Text => Json::String(self.text(scalar.text())),
            Plain::Timestamp => Json::String(timestamp(scalar.text())),
        }
    }
}

/// Whether a limit is printed as two numbers: it is two, or none.
fn is_no_number_but_zero(node: &Node) -> bool {
    node.as_text().is_none_or(|text| text == "0")
}

/// A date as the reference prints it.
fn timestamp(text: &str) -> String {
    let (date, time) = text.split_once(['T', 't', ' ']).unwrap_or((text, "0:0:0"));
    let padded = |text: &str, separator: char| {
        let parts: Vec<String> = text.split(separator).map(|part| format!("{part:0>2}")).collect();
        parts.join(&separator.to_string())
    };
    let zone = time.find(['Z', '+', '-']).unwrap_or(time.len());
    let (clock, zone) = time.split_at(zone);
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, ""));
    let fraction = fraction.trim_end_matches('0');
    let fraction = if fraction.is_empty() { String::new() } else { format!(".{fraction}") };
    let zone = if zone.is_empty() { "Z" } else { zone };
    format!("{}T{}{fraction}{zone}", padded(date, '-'), padded(clock, ':'))
}

fn zero(accepts: Accepts, name: &str) -> Json {
    if accepts == Accepts::TEXT {
        Json::String(String::new())
    } else if name == "rate" {
        Json::String("0".to_owned())
    } else {
        Json::from(0)
    }
}

fn is_printed(attribute: &Attribute, node: &Node, value: &Json) -> bool {
    match attribute.print {
        Print::Never => false,
        Print::Titled => true,
        // Where nothing is said of something that may be left out, it is left out.
        Print::Always | Print::Kept => !node.is_null() || matches!(attribute.shape, Shape::Command),
        Print::Something => match value {
            Json::Null => false,
            Json::Bool(value) => *value,
            Json::Number(number) => number.as_f64() != Some(0.0),
            Json::String(text) => {
                let zero = match attribute.shape {
                    Shape::Scalar(_, Reads::Bytes) => "0",
                    Shape::Scalar(_, Reads::Duration) => "0s",
                    _ => "",
                };
                text != zero
            }
            Json::Array(items) => !items.is_empty(),
            Json::Object(entries) => !entries.is_empty(),
        },
    }
}
