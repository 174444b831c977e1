//! What stands in committed manifests where only a release knows better: digests of images and values of secrets. Easy to
//! see, and refused by whoever deploys.

use serde_json::Value;

/// The digits of a digest that no image has.
pub const DIGEST: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// The annotation of an object whose values are placeholders; it says what has to be handed in.
pub const ANNOTATION: &str = "kernel.dev/placeholder";

/// The value of a secret that no release gave.
pub const VALUE: &str = "placeholder";

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Placeholder {
    /// The values of the object.
    Values,
    /// The digest of this image.
    Digest(String),
}

/// Every placeholder in an object, each once: nothing that has one may go to a cluster.
#[must_use]
pub fn placeholders(object: &Value) -> Vec<Placeholder> {
    let mut found = Vec::new();
    if object["metadata"]["annotations"].get(ANNOTATION).is_some() {
        found.push(Placeholder::Values);
    }
    images(object, &mut found);
    found.sort();
    found.dedup();
    found
}

fn images(value: &Value, found: &mut Vec<Placeholder>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| images(item, found)),
        Value::Object(entries) => {
            for (key, value) in entries {
                let image = value.as_str().filter(|_| key == "image");
                if let Some(image) = image.filter(|image| image.ends_with(&format!("@sha256:{DIGEST}"))) {
                    found.push(Placeholder::Digest(image.to_owned()));
                }
                images(value, found);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_only_a_release_knows_is_found_wherever_it_stands() {
        let image = format!("registry.example/iam@sha256:{DIGEST}");
        let container = json!([{"name": "iam", "image": image}]);
        let object = json!({
            "metadata": {"annotations": {ANNOTATION: "hand in the values"}},
            "spec": {"template": {"spec": {"containers": container, "initContainers": container}}},
        });
        assert_eq!(placeholders(&object), [Placeholder::Values, Placeholder::Digest(image)]);
        let real = json!({"spec": {"containers": [{"image": format!("iam@sha256:{}", "ab".repeat(32))}]}});
        assert_eq!(placeholders(&real), []);
    }
}
