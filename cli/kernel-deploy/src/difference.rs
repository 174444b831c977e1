//! What an object will be other than it is.

use std::collections::BTreeSet;

use kernel_core::object::Difference;
use kernel_core::secret::HIDDEN;
use serde_json::{Map, Value};

/// Fields that the cluster keeps for itself.
const KEPT_BY_THE_CLUSTER: [&str; 7] = [
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "generation",
    "managedFields",
    "resourceVersion",
    "selfLink",
    "uid",
];

/// Annotations with which tools and controllers keep books.
const BOOKS: [&str; 2] =
    ["deployment.kubernetes.io/revision", "kubectl.kubernetes.io/last-applied-configuration"];

/// An object without what nobody wishes for: status, and what the cluster writes by itself.
pub fn essential(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(body) = object.as_object_mut() {
        body.remove("status");
        if let Some(metadata) = body.get_mut("metadata").and_then(Value::as_object_mut) {
            KEPT_BY_THE_CLUSTER.iter().for_each(|field| drop(metadata.remove(*field)));
            if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
                BOOKS.iter().for_each(|name| drop(annotations.remove(*name)));
                if annotations.is_empty() {
                    metadata.remove("annotations");
                }
            }
        }
    }
    object
}

/// Every place in which `to` is other than `from`, both without what [`essential`] leaves out. What a Secret holds is
/// hidden.
pub fn differences(from: &Value, to: &Value) -> Vec<Difference> {
    let secret = to["kind"] == "Secret";
    let mut found = Vec::new();
    compare("", Some(&essential(from)), Some(&essential(to)), &mut found);
    if secret {
        for difference in &mut found {
            if difference.path.starts_with("data") || difference.path.starts_with("stringData") {
                hide(&mut difference.from);
                hide(&mut difference.to);
            }
        }
    }
    found
}

fn hide(value: &mut Option<Value>) {
    if let Some(value) = value {
        *value = Value::String(HIDDEN.to_owned());
    }
}

fn compare(path: &str, from: Option<&Value>, to: Option<&Value>, found: &mut Vec<Difference>) {
    match (from, to) {
        (Some(from), Some(to)) if from == to => {}
        (Some(Value::Object(from)), Some(Value::Object(to))) => {
            for key in keys(from, to) {
                compare(&field(path, key), from.get(key), to.get(key), found);
            }
        }
        (Some(Value::Array(from)), Some(Value::Array(to))) => items(path, from, to, found),
        (from, to) => {
            found.push(Difference { path: path.to_owned(), from: from.cloned(), to: to.cloned() });
        }
    }
}

fn keys<'a>(from: &'a Map<String, Value>, to: &'a Map<String, Value>) -> BTreeSet<&'a str> {
    from.keys().chain(to.keys()).map(String::as_str).collect()
}

fn field(path: &str, key: &str) -> String {
    if key.contains(['.', '/']) {
        format!("{path}[{key}]")
    } else if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

/// Items of two lists belong together by their name where all have one, else by their place.
fn items(path: &str, from: &[Value], to: &[Value], found: &mut Vec<Difference>) {
    let name = |item: &Value| item.get("name").and_then(Value::as_str).map(str::to_owned);
    let names = |list: &[Value]| list.iter().map(name).collect::<Option<Vec<String>>>();
    if let (Some(before), Some(after)) = (names(from), names(to)) {
        let unique = |list: &[String]| list.iter().collect::<BTreeSet<_>>().len() == list.len();
        if unique(&before) && unique(&after) {
            for key in before.iter().chain(after.iter().filter(|name| !before.contains(name))) {
                let find = |list: &[String]| list.iter().position(|name| name == key);
                let (left, right) = (find(&before).map(|at| &from[at]), find(&after).map(|at| &to[at]));
                compare(&format!("{path}[{key}]"), left, right, found);
            }
            return;
        }
    }
    for index in 0..from.len().max(to.len()) {
        compare(&format!("{path}[{index}]"), from.get(index), to.get(index), found);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(from: &Value, to: &Value) -> Vec<String> {
        differences(from, to).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_the_cluster_keeps_for_itself_is_no_difference() {
        let from = json!({"metadata": {"name": "a", "uid": "1", "resourceVersion": "7"}, "status": {"x": 1}});
        let to =
            json!({"metadata": {"name": "a", "annotations": {"deployment.kubernetes.io/revision": "2"}}});
        assert_eq!(told(&from, &to), Vec::<String>::new());
    }

    #[test]
    fn items_are_told_by_their_names_and_others_by_their_place() {
        let from = json!({"spec": {"containers": [{"name": "web", "image": "a"}], "ports": [1, 2]}});
        let to =
            json!({"spec": {"containers": [{"name": "side"}, {"name": "web", "image": "b"}], "ports": [1]}});
        assert_eq!(
            told(&from, &to),
            [
                r#"~ spec.containers[web].image: "a" -> "b""#,
                r#"+ spec.containers[side]: {"name":"side"}"#,
                "- spec.ports[1]: 2",
            ]
        );
    }

    #[test]
    fn what_a_secret_holds_is_hidden() {
        let from = json!({"kind": "Secret", "metadata": {"labels": {"a": "b"}}, "data": {"key": "b2xk"}});
        let to = json!({"kind": "Secret", "metadata": {"labels": {"a": "c"}}, "data": {"key": "bmV3", "more": "eA=="}});
        let told = told(&from, &to);
        assert_eq!(
            told,
            [
                "~ data.key: [secret] -> [secret]",
                "+ data.more: [secret]",
                r#"~ metadata.labels.a: "b" -> "c""#
            ]
        );
    }
}
