//! Whether a pod will ever run: what the kubelet and the scheduler report, as a verdict with its cause.

use serde_json::Value;

/// Reasons for waiting after which a pod does not run by itself.
const HOPELESS: [&str; 9] = [
    "CrashLoopBackOff",
    "CreateContainerConfigError",
    "CreateContainerError",
    "ErrImageNeverPull",
    "ImageInspectError",
    "ImagePullBackOff",
    "InvalidImageName",
    "RegistryUnavailable",
    "RunContainerError",
];

/// Why a pod does not run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doom {
    /// The reason in the cluster's word: `ImagePullBackOff`.
    pub reason: String,
    /// One sentence.
    pub message: String,
    /// The container, where it is one: its last lines are worth a look.
    pub container: Option<String>,
    /// It ran before: the lines of that run tell more.
    pub previous: bool,
    /// The scheduler may find room a moment later: only when it lasts is it a verdict.
    pub may_pass: bool,
}

/// Judges one pod; `None` as long as there is hope.
pub fn doom(pod: &Value) -> Option<Doom> {
    unschedulable(pod).or_else(|| {
        let lists = ["/status/initContainerStatuses", "/status/containerStatuses"];
        lists.iter().filter_map(|list| pod.pointer(list)?.as_array()).flatten().find_map(container)
    })
}

fn unschedulable(pod: &Value) -> Option<Doom> {
    let conditions = pod.pointer("/status/conditions")?.as_array()?;
    let scheduled = conditions.iter().find(|condition| condition["type"] == "PodScheduled")?;
    (scheduled["status"] == "False" && scheduled["reason"] == "Unschedulable").then(|| Doom {
        reason: "Unschedulable".to_owned(),
        message: scheduled["message"].as_str().unwrap_or("no node has room for it").to_owned(),
        container: None,
        previous: false,
        may_pass: true,
    })
}

fn container(status: &Value) -> Option<Doom> {
    let name = status["name"].as_str().unwrap_or_default();
    let waiting = &status["state"]["waiting"];
    let reason = waiting["reason"].as_str().unwrap_or_default();
    if !HOPELESS.contains(&reason) {
        return None;
    }
    let said = waiting["message"].as_str().unwrap_or_default();
    let ended = &status["lastState"]["terminated"];
    let message = match (reason, ended["reason"].as_str(), ended["exitCode"].as_i64()) {
        ("CrashLoopBackOff", Some("OOMKilled"), _) => {
            format!("container `{name}` was ended again and again because it took more memory than its limit")
        }
        ("CrashLoopBackOff", _, Some(code)) => {
            format!("container `{name}` ends again and again, last with exit code {code}")
        }
        _ => format!("container `{name}`: {said}"),
    };
    Some(Doom {
        reason: reason.to_owned(),
        message,
        container: Some(name.to_owned()),
        previous: ended.is_object(),
        may_pass: false,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn waiting(reason: &str, last: Value) -> Value {
        json!({"status": {"containerStatuses": [{
            "name": "web", "state": {"waiting": {"reason": reason, "message": "as the kubelet says"}}, "lastState": last,
        }]}})
    }

    #[test]
    fn what_does_not_pass_by_itself_is_a_verdict() {
        for reason in HOPELESS {
            assert_eq!(doom(&waiting(reason, json!({}))).unwrap().reason, reason);
        }
        for reason in ["ContainerCreating", "PodInitializing", "ErrImagePull"] {
            assert_eq!(doom(&waiting(reason, json!({}))), None, "{reason}");
        }
    }

    #[test]
    fn the_end_of_a_container_is_told() {
        let killed = json!({"terminated": {"reason": "OOMKilled", "exitCode": 137}});
        assert!(doom(&waiting("CrashLoopBackOff", killed)).unwrap().message.contains("more memory"));
        let failed = json!({"terminated": {"reason": "Error", "exitCode": 3}});
        let doom = doom(&waiting("CrashLoopBackOff", failed)).unwrap();
        assert!(doom.message.contains("exit code 3") && doom.previous, "{doom:?}");
    }

    #[test]
    fn no_room_may_pass() {
        let pod = json!({"status": {"conditions": [
            {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes"},
        ]}});
        let doom = doom(&pod).unwrap();
        assert!(doom.may_pass && doom.message == "0/1 nodes");
    }
}
