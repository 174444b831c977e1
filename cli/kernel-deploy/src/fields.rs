//! `managedFields`: who set which field, and how what earlier tools set becomes ours.

use serde_json::{Map, Value, json};

use crate::FIELD_MANAGER;

/// Managers whose work a deploy takes over: those that write a manifest as a whole, as we do. Who edits or scales by
/// hand means that one field, and stays its manager.
const LEGACY: [&str; 5] =
    ["before-first-apply", "helm", "kubectl", "kubectl-client-side-apply", "kubectl-create"];

/// Whether a manager is a tool that wrote manifests before us.
pub fn is_legacy(manager: &str) -> bool {
    LEGACY.contains(&manager)
}

fn entries(live: &Value) -> &[Value] {
    live.pointer("/metadata/managedFields").and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The subresources (`status`, `scale`) are the controllers'.
fn is_legacy_entry(entry: &Value) -> bool {
    let whole = entry["subresource"].as_str().is_none_or(str::is_empty);
    whole && is_legacy(entry["manager"].as_str().unwrap_or_default())
}

/// Whether an earlier tool still owns fields of an object.
pub fn has_legacy(live: &Value) -> bool {
    entries(live).iter().any(is_legacy_entry)
}

/// Whether we own a field, by its path: `["spec", "replicas"]`.
pub fn owns(live: &Value, path: &[&str]) -> bool {
    entries(live)
        .iter()
        .filter(|entry| entry["manager"] == FIELD_MANAGER && entry["operation"] == "Apply")
        .any(|entry| {
            path.iter().try_fold(&entry["fieldsV1"], |at, field| at.get(format!("f:{field}"))).is_some()
        })
}

/// Whether a workload that could say its number of replicas does not: somebody else decides it.
pub fn leaves_replicas(body: &Value) -> bool {
    let kind = body["kind"].as_str().unwrap_or_default();
    matches!(kind, "Deployment" | "StatefulSet" | "ReplicaSet") && body.pointer("/spec/replicas").is_none()
}

/// The patch that makes fields of earlier tools ours, for a merge patch. It holds the version that was seen, so it fails
/// when the object has changed since.
pub fn fold(live: &Value) -> Value {
    let (legacy, mut kept): (Vec<Value>, Vec<Value>) =
        entries(live).iter().cloned().partition(is_legacy_entry);
    let mut fields = Map::new();
    for entry in &legacy {
        merge(&mut fields, &entry["fieldsV1"]);
    }
    // What tools wrote into their own books goes with them.
    if let Some(annotations) = fields
        .get_mut("f:metadata")
        .and_then(|metadata| metadata.get_mut("f:annotations"))
        .and_then(Value::as_object_mut)
    {
        annotations.remove(".");
    }
    let ours = |entry: &&mut Value| entry["manager"] == FIELD_MANAGER && entry["operation"] == "Apply";
    if let Some(entry) = kept.iter_mut().find(ours) {
        merge(&mut fields, &entry["fieldsV1"]);
        entry["fieldsV1"] = Value::Object(fields);
    } else {
        kept.push(json!({
            "manager": FIELD_MANAGER,
            "operation": "Apply",
            "apiVersion": live["apiVersion"],
            "time": legacy.first().map(|entry| entry["time"].clone()),
            "fieldsType": "FieldsV1",
            "fieldsV1": fields,
        }));
    }
    json!({"metadata": {
        "resourceVersion": live["metadata"]["resourceVersion"],
        "managedFields": kept,
    }})
}

fn merge(into: &mut Map<String, Value>, from: &Value) {
    for (key, value) in from.as_object().into_iter().flatten() {
        let place = into.entry(key.clone()).or_insert_with(|| Value::Object(Map::new()));
        if let Some(place) = place.as_object_mut() {
            merge(place, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn live() -> Value {
        json!({
            "apiVersion": "apps/v1",
            "metadata": {"resourceVersion": "7", "managedFields": [
                {"manager": "kubectl-client-side-apply", "operation": "Update", "time": "t", "fieldsV1": {"f:spec": {"f:a": {}}}},
                {"manager": "kube-controller-manager", "operation": "Update", "subresource": "status", "fieldsV1": {}},
                {"manager": "kernel", "operation": "Apply", "fieldsV1": {"f:spec": {"f:b": {}}}},
                {"manager": "kubectl-edit", "operation": "Update", "fieldsV1": {"f:spec": {"f:c": {}}}},
            ]},
        })
    }

    #[test]
    fn what_an_earlier_tool_set_becomes_ours_and_others_keep_theirs() {
        assert!(has_legacy(&live()));
        let folded = fold(&live());
        let entries = folded["metadata"]["managedFields"].as_array().unwrap();
        let managers: Vec<&str> = entries.iter().map(|entry| entry["manager"].as_str().unwrap()).collect();
        assert_eq!(managers, ["kube-controller-manager", "kernel", "kubectl-edit"]);
        assert_eq!(entries[1]["fieldsV1"], json!({"f:spec": {"f:a": {}, "f:b": {}}}));
        assert_eq!(folded["metadata"]["resourceVersion"], "7");
        assert!(!has_legacy(&folded));
    }

    #[test]
    fn a_field_of_ours_is_known() {
        assert!(owns(&live(), &["spec", "b"]));
        assert!(!owns(&live(), &["spec", "a"]));
    }
}
