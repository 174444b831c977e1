//! Changes that the cluster lets nobody take back.

use serde_json::Value;

use crate::manifest::Manifest;
use crate::observe::Observation;

/// With this annotation an object says of itself that there is no way back once it was deployed; the value says why.
pub const ONE_WAY: &str = "kernel.dev/one-way";

/// Why there will be no way back, a sentence for each reason. `observed` stands in the order of `desired`.
pub fn reasons(desired: &[Manifest], observed: &[Observation]) -> Vec<String> {
    desired.iter().zip(observed).flat_map(|(manifest, observation)| of(manifest, observation)).collect()
}

fn of(manifest: &Manifest, observation: &Observation) -> Vec<String> {
    let name = manifest.name();
    let mut found = Vec::new();
    let changes = match observation {
        Observation::Present { differences, .. } => !differences.is_empty(),
        Observation::Missing | Observation::Immutable { .. } => true,
        Observation::Done => false,
    };
    if let (true, Some(why)) = (changes, annotation(&manifest.body)) {
        found.push(format!("{name} says so itself: {why}"));
    }
    let Observation::Present { live, differences, .. } = observation else { return found };
    let changed = |path: &str| differences.iter().any(|difference| difference.path == path);
    match (name.group.as_str(), name.kind.as_str()) {
        ("", "PersistentVolumeClaim") if changed("spec.resources.requests.storage") => {
            found.push(format!("{name} grows, and no volume can be made smaller"));
        }
        ("", "ConfigMap" | "Secret") if manifest.body["immutable"] == true && changed("immutable") => {
            found.push(format!("{name} becomes immutable, and stays so"));
        }
        ("apiextensions.k8s.io", "CustomResourceDefinition") => {
            if let Some(version) = stored(&manifest.body).filter(|version| !serves(live, version)) {
                found.push(format!("{name} stores its objects as `{version}`, which it did not know before"));
            }
        }
        _ => {}
    }
    found
}

fn annotation(body: &Value) -> Option<&str> {
    body["metadata"]["annotations"][ONE_WAY].as_str()
}

/// The version in which objects of a kind are kept.
fn stored(definition: &Value) -> Option<&str> {
    let mut versions = definition["spec"]["versions"].as_array()?.iter();
    versions.find(|version| version["storage"] == true)?["name"].as_str()
}

fn serves(definition: &Value, version: &str) -> bool {
    let versions = definition["spec"]["versions"].as_array();
    versions.is_some_and(|versions| versions.iter().any(|known| known["name"] == version))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::difference::differences;
    use crate::manifest::Origin;

    fn reasons_of(from: Option<Value>, to: Value) -> Vec<String> {
        let manifest = Manifest { origin: Origin { file: "a".to_owned(), line: 1 }, body: to.clone() };
        let observation = match from {
            None => Observation::Missing,
            Some(live) => {
                let differences = differences(&live, &to);
                Observation::Present { live, differences, adopt: false }
            }
        };
        reasons(&[manifest], &[observation])
    }

    #[test]
    fn a_claim_that_grows() {
        let claim = |size: &str| {
            json!({
                "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data"},
                "spec": {"resources": {"requests": {"storage": size}}},
            })
        };
        let told = ["PersistentVolumeClaim data grows, and no volume can be made smaller"];
        assert_eq!(reasons_of(Some(claim("1Gi")), claim("2Gi")), told);
        assert!(reasons_of(Some(claim("1Gi")), claim("1Gi")).is_empty());
        assert!(reasons_of(None, claim("1Gi")).is_empty());
    }

    #[test]
    fn configuration_that_becomes_immutable() {
        let plain =
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "key"}, "data": {"a": "Yg=="}});
        let mut immutable = plain.clone();
        immutable["immutable"] = json!(true);
        let told = ["Secret key becomes immutable, and stays so"];
        assert_eq!(reasons_of(Some(plain.clone()), immutable.clone()), told);
        assert!(reasons_of(Some(immutable.clone()), immutable.clone()).is_empty());
        assert!(reasons_of(None, immutable).is_empty());
    }

    #[test]
    fn a_kind_that_is_kept_in_another_version() {
        let definition = |versions: &[(&str, bool)]| {
            let versions: Vec<Value> =
                versions.iter().map(|(name, storage)| json!({"name": name, "storage": storage})).collect();
            json!({
                "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
                "metadata": {"name": "shops.example.com"}, "spec": {"versions": versions},
            })
        };
        let (old, both) = (definition(&[("v1", true)]), definition(&[("v1", false), ("v2", true)]));
        assert_eq!(reasons_of(Some(old.clone()), both.clone()).len(), 1);
        let served = definition(&[("v1", true), ("v2", false)]);
        assert!(reasons_of(Some(old), served.clone()).is_empty());
        assert!(reasons_of(Some(served), both).is_empty(), "it was known already");
    }

    #[test]
    fn what_says_so_itself_says_it_only_when_it_is_deployed() {
        let job = |image: &str| {
            json!({
                "apiVersion": "batch/v1", "kind": "Job",
                "metadata": {"name": "migrate", "annotations": {ONE_WAY: "drops the column `price`"}},
                "spec": {"image": image},
            })
        };
        let told = ["Job migrate says so itself: drops the column `price`"];
        assert_eq!(reasons_of(None, job("1")), told);
        assert_eq!(reasons_of(Some(job("1")), job("2")), told);
        assert!(reasons_of(Some(job("1")), job("1")).is_empty());
    }
}
