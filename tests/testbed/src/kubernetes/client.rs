//! The API of the cluster, and what a caller waits for through it.

use std::path::Path;
use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{AttachParams, AttachedProcess};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::failure::{Failure, because};

/// How long one answer of the API may take.
const ANSWER: Duration = Duration::from_secs(30);

/// A client that is who the kubeconfig says.
///
/// # Errors
/// When the file can't be read or makes no sense.
pub async fn connect(kubeconfig: &Path) -> Result<Client, Failure> {
    let attempted = || format!("reading `{}`", kubeconfig.display());
    // Whoever was first is as good: there is one provider in this workspace.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let read = Kubeconfig::read_from(kubeconfig).map_err(because(attempted()))?;
    let options = KubeConfigOptions::default();
    let mut config = Config::from_custom_kubeconfig(read, &options).await.map_err(because(attempted()))?;
    config.connect_timeout = Some(ANSWER);
    config.read_timeout = Some(ANSWER);
    Client::try_from(config).map_err(because("making a client of the cluster's API"))
}

/// Whether a rollout is over: the controller has seen the newest specification, all pods are of it and are available,
/// and no older one is left.
///
/// The condition `Progressing` alone does not tell: right after a change it still speaks of the rollout before.
#[must_use]
pub fn is_rolled_out(deployment: &Deployment) -> bool {
    let wanted = deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
    let Some(status) = &deployment.status else { return false };
    let seen = status.observed_generation.unwrap_or_default();
    let count = |number: Option<i32>| number.unwrap_or_default();
    seen >= deployment.metadata.generation.unwrap_or_default()
        && count(status.updated_replicas) == wanted
        && count(status.replicas) == wanted
        && count(status.available_replicas) == wanted
}

/// What a program that was run in a pod wrote, and how it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ran {
    /// Its standard output.
    pub output: String,
    /// Its standard error.
    pub error: String,
    /// Whether it ended with 0.
    pub success: bool,
    /// What the kubelet said of its end, such as the exit code.
    pub end: String,
}

/// Runs a program in a pod's only container.
///
/// # Errors
/// When it can't be started, or the connection breaks before its end is known.
pub async fn run_in_pod(pods: &Api<Pod>, pod: &str, words: &[&str]) -> Result<Ran, Failure> {
    let attempted = || format!("running `{}` in the pod `{pod}`", words.join(" "));
    let parameters = AttachParams::default().stdin(false).stdout(true).stderr(true);
    let mut process: AttachedProcess =
        pods.exec(pod, words.iter().copied(), &parameters).await.map_err(because(attempted()))?;
    let (output, error, status) = (process.stdout(), process.stderr(), process.take_status());
    let status = async {
        match status {
            Some(status) => status.await,
            None => None,
        }
    };
    let all = async { tokio::join!(text(output), text(error), status) };
    let Ok((output, error, status)) = tokio::time::timeout(ANSWER, all).await else {
        return Err(Failure::new(format!("{}: it does not end", attempted())));
    };
    let status = status.ok_or_else(|| Failure::new(format!("{}: the connection broke", attempted())))?;
    Ok(Ran {
        output,
        error,
        success: status.status.as_deref() == Some("Success"),
        end: status.message.unwrap_or_default(),
    })
}

async fn text(stream: Option<impl AsyncRead + Unpin>) -> String {
    let mut bytes = Vec::new();
    if let Some(mut stream) = stream {
        // A stream that breaks leaves the status out as well, which is what counts.
        let _ = stream.read_to_end(&mut bytes).await;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn deployment(generation: i64, status: serde_json::Value) -> Deployment {
        let spec = json!({"replicas": 2, "selector": {}, "template": {}});
        let metadata = json!({"name": "web", "generation": generation});
        serde_json::from_value(json!({"metadata": metadata, "spec": spec, "status": status})).unwrap()
    }

    #[test]
    fn a_rollout_is_over_when_only_new_pods_are_left_and_all_are_available() {
        let settled =
            json!({"observedGeneration": 2, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2});
        assert!(is_rolled_out(&deployment(2, settled.clone())));
        assert!(!is_rolled_out(&deployment(3, settled.clone())), "the controller has not seen it yet");
        for (field, value) in [("replicas", 3), ("updatedReplicas", 1), ("availableReplicas", 1)] {
            let mut status = settled.clone();
            status[field] = json!(value);
            assert!(!is_rolled_out(&deployment(2, status)), "{field}");
        }
        assert!(!is_rolled_out(&deployment(1, json!(null))));
    }
}
