//! The proof that a cluster works: what a deployment needs, done once through the API.

use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Namespace, Pod, Service, ServiceAccount};
use kube::api::{DeleteParams, ListParams, LogParams, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::json;

use super::client::{is_rolled_out, run_in_pod};
use super::workload;
use crate::daemon::eventually;
use crate::failure::{Failure, because};

/// How long each step may take.
const STEP: Duration = Duration::from_secs(60);

/// The name of everything that is made for the proof.
const NAME: &str = "round-trip";

/// Rolls a deployment out and over to a second version, reads a log, runs a program in a pod that finds another one by
/// the name of its service, and removes it all.
///
/// # Errors
/// The step that failed.
pub(super) async fn run(client: &Client) -> Result<(), Failure> {
    let namespace = create_namespace(client).await?;
    let result = prove(client, &namespace).await;
    // Pods first, then nothing has to be waited for: the namespace ends by itself.
    let removed = remove(client, &namespace).await;
    result.and(removed)
}

async fn create_namespace(client: &Client) -> Result<String, Failure> {
    let attempted = "making a namespace";
    let namespace = json!({"metadata": {"generateName": format!("testbed-{NAME}-")}});
    let namespace: Namespace = serde_json::from_value(namespace).map_err(because(attempted))?;
    let made = Api::all(client.clone())
        .create(&PostParams::default(), &namespace)
        .await
        .map_err(because(attempted))?;
    let name = made.metadata.name.unwrap_or_default();
    // Pods need it, and it is made by the controller manager: asking for pods earlier costs a retry of some seconds.
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), &name);
    let there = async || accounts.get("default").await.ok().map(drop);
    step("the controller manager to make a service account", eventually(STEP, there).await)?;
    Ok(name)
}

async fn prove(client: &Client, namespace: &str) -> Result<(), Failure> {
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), namespace);
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let services: Api<Service> = Api::namespaced(client.clone(), namespace);

    let attempted = "making a deployment and its service";
    let create = PostParams::default();
    services.create(&create, &service().map_err(because(attempted))?).await.map_err(because(attempted))?;
    let deployment = deployment(workload::VERSIONS[0]).map_err(because(attempted))?;
    deployments.create(&create, &deployment).await.map_err(because(attempted))?;
    let first = rolled_out(&deployments, &pods, "the first rollout").await?;

    let log =
        pods.logs(&first[0], &LogParams::default()).await.map_err(because("reading the log of a pod"))?;
    if !log.contains("workload 1 listens") {
        return Err(Failure::new("the log of a pod is not what the program in it wrote").evidence(&log));
    }
    answers_by_name(&pods, &first[0], "version 1").await?;

    let change = json!({"spec": {"template": {"spec": {"containers": [
        {"name": "workload", "image": workload::image(workload::VERSIONS[1])},
    ]}}}});
    let changed = deployments.patch(NAME, &PatchParams::default(), &Patch::Strategic(&change)).await;
    changed.map_err(because("changing the deployment's image"))?;
    let second = rolled_out(&deployments, &pods, "the second rollout").await?;
    if second.iter().any(|pod| first.contains(pod)) {
        return Err(Failure::new("the rollout to a second version kept a pod of the first"));
    }
    answers_by_name(&pods, &second[0], "version 2").await
}

/// Waits until a rollout is over and none of the pods before it is left, and gives the names of the pods.
async fn rolled_out(
    deployments: &Api<Deployment>,
    pods: &Api<Pod>,
    what: &str,
) -> Result<Vec<String>, Failure> {
    let mut last = String::new();
    let over = async || {
        let deployment = deployments.get(NAME).await.ok()?;
        last = serde_json::to_string(&deployment.status).unwrap_or_default();
        if !is_rolled_out(&deployment) {
            return None;
        }
        let listed = pods.list(&ListParams::default()).await.ok()?.items;
        let leaving = listed.iter().any(|pod| pod.metadata.deletion_timestamp.is_some());
        let names: Vec<String> = listed.into_iter().filter_map(|pod| pod.metadata.name).collect();
        (!leaving && !names.is_empty()).then_some(names)
    };
    let result = eventually(STEP, over).await;
    step(what, result).map_err(|failure| failure.evidence(&last))
}

/// Asks the service by its name, from inside of a pod. Its end points and their rules follow the rollout a moment later.
async fn answers_by_name(pods: &Api<Pod>, pod: &str, wanted: &str) -> Result<(), Failure> {
    let url = format!("http://{NAME}/");
    let mut last = String::new();
    let answered = async || {
        let ran = run_in_pod(pods, pod, &["/workload", "get", &url]).await;
        last = ran
            .as_ref()
            .map_or_else(ToString::to_string, |ran| format!("{}{}{}", ran.output, ran.error, ran.end));
        ran.ok().filter(|ran| ran.success && ran.output.trim() == wanted).map(drop)
    };
    let result = eventually(STEP, answered).await;
    step(&format!("a pod to get `{wanted}` from the service `{NAME}`"), result)
        .map_err(|failure| failure.evidence(&last))
}

async fn remove(client: &Client, namespace: &str) -> Result<(), Failure> {
    let attempted = "removing what the proof made";
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), namespace);
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    match deployments.delete(NAME, &DeleteParams::foreground()).await {
        // The proof may have failed before there was one.
        Err(kube::Error::Api(status)) if status.code == 404 => {}
        other => drop(other.map_err(because(attempted))?),
    }
    let gone = async || pods.list(&ListParams::default()).await.ok()?.items.is_empty().then_some(());
    step("the pods of the proof to end", eventually(STEP, gone).await)?;
    let namespaces: Api<Namespace> = Api::all(client.clone());
    namespaces.delete(namespace, &DeleteParams::default()).await.map(drop).map_err(because(attempted))
}

fn step<T>(what: &str, result: Option<T>) -> Result<T, Failure> {
    result.ok_or_else(|| Failure::new(format!("waited {} s in vain for {what}", STEP.as_secs())))
}

fn service() -> serde_json::Result<Service> {
    serde_json::from_value(json!({
        "metadata": {"name": NAME},
        "spec": {"selector": {"app": NAME}, "ports": [{"port": 80, "targetPort": 8080}]},
    }))
}

fn deployment(version: &str) -> serde_json::Result<Deployment> {
    serde_json::from_value(json!({
        "metadata": {"name": NAME},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"app": NAME}},
            "template": {
                "metadata": {"labels": {"app": NAME}},
                "spec": {
                    "terminationGracePeriodSeconds": 5,
                    "securityContext": {"runAsNonRoot": true},
                    "containers": [{
                        "name": "workload",
                        "image": workload::image(version),
                        "imagePullPolicy": "Never",
                        "readinessProbe": {"httpGet": {"path": "/ready", "port": 8080}, "periodSeconds": 1},
                        "securityContext": {"readOnlyRootFilesystem": true, "allowPrivilegeEscalation": false},
                    }],
                },
            },
        },
    }))
}
