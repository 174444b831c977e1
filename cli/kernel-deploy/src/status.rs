//! Whether an object does what it is for, by its kind. The rules of kstatus, corrected where they say "done" too early
//! or never say "failed" (a job that runs, a job or pod that failed).

use serde_json::Value;

/// What an object says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// It does what it is for.
    Ready,
    /// Not yet: what it waits for, a few words.
    Waiting(String),
    /// It never will by itself: why.
    Failed(String),
}

/// Judges an object as the cluster gives it.
pub fn readiness(object: &Value) -> Readiness {
    let metadata = &object["metadata"];
    if metadata["deletionTimestamp"].is_string() {
        return waiting("it is being removed");
    }
    let generation = metadata["generation"].as_i64();
    let observed = object["status"]["observedGeneration"].as_i64();
    if let (Some(generation), Some(observed)) = (generation, observed)
        && observed < generation
    {
        return waiting("its controller has not seen the change yet");
    }
    let group =
        object["apiVersion"].as_str().unwrap_or_default().rsplit_once('/').map_or("", |(group, _)| group);
    match (group, object["kind"].as_str().unwrap_or_default()) {
        ("apps", "Deployment") => deployment(object),
        ("apps", "StatefulSet") => stateful_set(object),
        ("apps", "DaemonSet") => daemon_set(object),
        ("apps", "ReplicaSet") | ("", "ReplicationController") => replica_set(object),
        ("batch", "Job") => job(object),
        ("", "Pod") => pod(object),
        ("", "PersistentVolumeClaim") => match object["status"]["phase"].as_str() {
            Some("Bound") => Readiness::Ready,
            Some("Lost") => Readiness::Failed("its volume is gone".to_owned()),
            _ => waiting("it is not bound to a volume yet"),
        },
        ("apiextensions.k8s.io", "CustomResourceDefinition") => definition(object),
        ("", "Namespace") => match object["status"]["phase"].as_str() {
            Some("Terminating") => waiting("it is being removed"),
            _ => Readiness::Ready,
        },
        _ => by_conditions(object),
    }
}

/// Whether something is to be waited for at all: a PVC may wait for its first pod, others have nothing to say.
pub fn is_awaited(group: &str, kind: &str) -> bool {
    matches!(
        (group, kind),
        ("apps", "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet")
            | ("", "Pod" | "ReplicationController")
            | ("batch", "Job")
            | ("apiextensions.k8s.io", "CustomResourceDefinition")
    )
}

fn waiting(for_what: &str) -> Readiness {
    Readiness::Waiting(for_what.to_owned())
}

fn number(object: &Value, pointer: &str) -> i64 {
    object.pointer(pointer).and_then(Value::as_i64).unwrap_or_default()
}

fn wanted(object: &Value) -> i64 {
    object.pointer("/spec/replicas").and_then(Value::as_i64).unwrap_or(1)
}

/// The status, reason and message of a condition.
fn condition<'a>(object: &'a Value, name: &str) -> Option<(&'a str, &'a str, &'a str)> {
    let list = object.pointer("/status/conditions")?.as_array()?;
    let found = list.iter().find(|condition| condition["type"] == name)?;
    let text = |field: &str| found[field].as_str().unwrap_or_default();
    Some((text("status"), text("reason"), text("message")))
}

/// A controller that has not yet said anything has not seen the object.
fn unseen(object: &Value) -> Option<Readiness> {
    object["status"]["observedGeneration"]
        .as_i64()
        .is_none()
        .then(|| waiting("its controller has not seen it yet"))
}

fn deployment(object: &Value) -> Readiness {
    if let Some(unseen) = unseen(object) {
        return unseen;
    }
    if let Some((_, "ProgressDeadlineExceeded", message)) = condition(object, "Progressing") {
        return Readiness::Failed(message.to_owned());
    }
    if let Some(refused) = replica_failure(object) {
        return refused;
    }
    let wanted = wanted(object);
    let status = |field: &str| number(object, &format!("/status/{field}"));
    let (updated, all, available, ready) =
        (status("updatedReplicas"), status("replicas"), status("availableReplicas"), status("readyReplicas"));
    if object["spec"]["paused"] == true && updated < wanted {
        return Readiness::Failed("it is paused: `kubectl rollout resume` lets it go on".to_owned());
    }
    if updated < wanted {
        Readiness::Waiting(format!("{updated} of {wanted} pods are of the new version"))
    } else if all > updated {
        Readiness::Waiting(format!("{} pods of the old version are still there", all - updated))
    } else if ready < wanted {
        Readiness::Waiting(format!("{ready} of {wanted} pods are ready"))
    } else if available < wanted {
        Readiness::Waiting(format!("{available} of {wanted} pods have been ready long enough"))
    } else {
        Readiness::Ready
    }
}

fn stateful_set(object: &Value) -> Readiness {
    if let Some(unseen) = unseen(object) {
        return unseen;
    }
    let wanted = wanted(object);
    let status = |field: &str| number(object, &format!("/status/{field}"));
    let partition = number(object, "/spec/updateStrategy/rollingUpdate/partition");
    let by_hand = object.pointer("/spec/updateStrategy/type").is_some_and(|kind| kind == "OnDelete");
    let (updated, ready) = (status("updatedReplicas"), status("readyReplicas"));
    let to_update = (wanted - partition).max(0);
    if status("replicas") < wanted || ready < wanted {
        return Readiness::Waiting(format!("{ready} of {wanted} pods are ready"));
    }
    if status("replicas") > wanted {
        return Readiness::Waiting(format!("{} pods are to go", status("replicas") - wanted));
    }
    let same = object.pointer("/status/currentRevision") == object.pointer("/status/updateRevision");
    if !by_hand && !same && (updated < to_update || partition == 0) {
        return Readiness::Waiting(format!("{updated} of {to_update} pods are of the new version"));
    }
    Readiness::Ready
}

fn daemon_set(object: &Value) -> Readiness {
    if let Some(unseen) = unseen(object) {
        return unseen;
    }
    let status = |field: &str| number(object, &format!("/status/{field}"));
    let wanted = status("desiredNumberScheduled");
    let by_hand = object.pointer("/spec/updateStrategy/type").is_some_and(|kind| kind == "OnDelete");
    if !by_hand && status("updatedNumberScheduled") < wanted {
        let updated = status("updatedNumberScheduled");
        return Readiness::Waiting(format!("{updated} of {wanted} pods are of the new version"));
    }
    if status("numberAvailable") < wanted {
        return Readiness::Waiting(format!("{} of {wanted} pods are ready", status("numberAvailable")));
    }
    Readiness::Ready
}

/// Its controller could not make a pod. When many are made at once, a quota may be counted by somebody else in the same
/// moment: then the controller tries again by itself.
fn replica_failure(object: &Value) -> Option<Readiness> {
    let Some(("True", reason, message)) = condition(object, "ReplicaFailure") else { return None };
    let told = format!("{reason}: {message}");
    let passes = message.contains("the object has been modified");
    Some(if passes { Readiness::Waiting(told) } else { Readiness::Failed(told) })
}

fn replica_set(object: &Value) -> Readiness {
    if let Some(refused) = replica_failure(object) {
        return refused;
    }
    let (wanted, ready) = (wanted(object), number(object, "/status/readyReplicas"));
    if ready < wanted {
        Readiness::Waiting(format!("{ready} of {wanted} pods are ready"))
    } else {
        Readiness::Ready
    }
}

fn job(object: &Value) -> Readiness {
    if let Some(("True", reason, message)) = condition(object, "Failed") {
        return Readiness::Failed(format!("{reason}: {message}"));
    }
    if matches!(condition(object, "Complete"), Some(("True", ..))) {
        return Readiness::Ready;
    }
    if object["spec"]["suspend"] == true {
        return Readiness::Failed("it is suspended".to_owned());
    }
    let wanted = object.pointer("/spec/completions").and_then(Value::as_i64).unwrap_or(1);
    let (done, failed) = (number(object, "/status/succeeded"), number(object, "/status/failed"));
    let failures = if failed > 0 { format!(", {failed} tries failed") } else { String::new() };
    Readiness::Waiting(format!("{done} of {wanted} runs are done{failures}"))
}

fn pod(object: &Value) -> Readiness {
    match object["status"]["phase"].as_str() {
        Some("Succeeded") => Readiness::Ready,
        Some("Failed") => {
            let reason = object["status"]["reason"].as_str().unwrap_or("its program failed");
            Readiness::Failed(reason.to_owned())
        }
        _ if matches!(condition(object, "Ready"), Some(("True", ..))) => Readiness::Ready,
        _ => waiting("it is not ready yet"),
    }
}

fn definition(object: &Value) -> Readiness {
    if let Some(("False", reason, message)) = condition(object, "NamesAccepted") {
        return Readiness::Failed(format!("{reason}: {message}"));
    }
    match condition(object, "Established") {
        Some(("True", ..)) => Readiness::Ready,
        _ => waiting("the kind is not served yet"),
    }
}

fn by_conditions(object: &Value) -> Readiness {
    if let Some(("True", reason, message)) = condition(object, "Stalled") {
        return Readiness::Failed(format!("{reason}: {message}"));
    }
    if let Some(("True", _, message)) = condition(object, "Reconciling") {
        return Readiness::Waiting(message.to_owned());
    }
    match condition(object, "Ready") {
        Some(("False" | "Unknown", reason, message)) => Readiness::Waiting(format!("{reason}: {message}")),
        _ => Readiness::Ready,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn deployment_with(status: Value) -> Value {
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "generation": 2},
            "spec": {"replicas": 2}, "status": status,
        })
    }

    #[test]
    fn a_deployment_is_ready_when_only_new_pods_are_left_and_all_are_available() {
        let settled = json!({
            "observedGeneration": 2, "replicas": 2, "updatedReplicas": 2, "readyReplicas": 2, "availableReplicas": 2,
        });
        assert_eq!(readiness(&deployment_with(settled.clone())), Readiness::Ready);
        for (field, value, says) in [
            ("observedGeneration", 1, "has not seen the change"),
            ("updatedReplicas", 1, "1 of 2 pods are of the new version"),
            ("replicas", 3, "1 pods of the old version"),
            ("readyReplicas", 1, "1 of 2 pods are ready"),
            ("availableReplicas", 1, "ready long enough"),
        ] {
            let mut status = settled.clone();
            status[field] = json!(value);
            let Readiness::Waiting(reason) = readiness(&deployment_with(status)) else { panic!("{field}") };
            assert!(reason.contains(says), "{reason}");
        }
        assert!(matches!(readiness(&deployment_with(json!({}))), Readiness::Waiting(_)));
    }

    #[test]
    fn a_deadline_that_has_passed_is_a_failure() {
        let conditions = json!([{
            "type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "too slow",
        }]);
        let object = deployment_with(json!({"observedGeneration": 2, "conditions": conditions}));
        assert_eq!(readiness(&object), Readiness::Failed("too slow".to_owned()));
    }

    #[test]
    fn a_pod_that_is_not_made_is_a_failure_unless_it_is_tried_again() {
        let told = |message: &str| {
            let conditions = json!([
                {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": message},
            ]);
            readiness(&deployment_with(json!({"observedGeneration": 2, "conditions": conditions})))
        };
        let over = told("pods \"web-1\" is forbidden: exceeded quota: all");
        assert!(matches!(over, Readiness::Failed(_)), "{over:?}");
        let passes =
            told("Operation cannot be fulfilled on resourcequotas \"all\": the object has been modified");
        assert!(matches!(passes, Readiness::Waiting(_)), "{passes:?}");
    }

    #[test]
    fn a_job_that_runs_is_not_done_and_one_that_failed_is_a_failure() {
        let job = |status: Value| json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {}, "status": status});
        assert!(matches!(readiness(&job(json!({"active": 1, "startTime": "x"}))), Readiness::Waiting(_)));
        let failed =
            json!({"conditions": [{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}]});
        assert!(matches!(readiness(&job(failed)), Readiness::Failed(_)));
        let done = json!({"conditions": [{"type": "Complete", "status": "True"}]});
        assert_eq!(readiness(&job(done)), Readiness::Ready);
    }

    #[test]
    fn a_stateful_set_waits_for_its_new_revision() {
        let object = |updated: i64, current: &str| {
            json!({
                "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"generation": 1}, "spec": {"replicas": 2},
                "status": {
                    "observedGeneration": 1, "replicas": 2, "readyReplicas": 2, "updatedReplicas": updated,
                    "currentRevision": current, "updateRevision": "b",
                },
            })
        };
        assert!(matches!(readiness(&object(1, "a")), Readiness::Waiting(_)));
        assert_eq!(readiness(&object(2, "b")), Readiness::Ready);
    }

    #[test]
    fn what_has_nothing_to_say_is_ready() {
        assert_eq!(
            readiness(&json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {}})),
            Readiness::Ready
        );
    }
}
