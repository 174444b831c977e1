//! The committed manifests, as the API server of the testbed takes them: every object by a server-side apply that is not
//! carried out, every pod by one that is not made. Needs `KUBECONFIG` of the testbed; else it says that it was left out.
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

use std::path::Path;

use k8s_openapi::api::core::v1::{Namespace, Pod, ServiceAccount};
use kube::api::{
    ApiResource, DeleteParams, DynamicObject, GroupVersionKind, Patch, PatchParams, PostParams,
    ValidationDirective,
};
use kube::{Api, Client};
use serde::Deserialize;
use serde_json::{Value, json};
use testbed::kubernetes::Cluster;
use tokio::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(60);

/// The objects of an environment, in the order of their files.
fn objects(environment: &str) -> Vec<Value> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../k8s/rendered").join(environment);
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let read = |path| {
        let text = std::fs::read_to_string(path).unwrap();
        let documents = serde_yaml::Deserializer::from_str(&text);
        documents.map(|document| Value::deserialize(document).unwrap()).collect::<Vec<_>>()
    };
    files.into_iter().flat_map(read).collect()
}

fn resource(object: &Value) -> ApiResource {
    let version = object["apiVersion"].as_str().unwrap();
    let (group, version) = version.split_once('/').unwrap_or(("", version));
    ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, object["kind"].as_str().unwrap()))
}

/// A namespace with the labels of the rendered one, so that its pods are held to the same standard.
async fn namespace(client: &Client, rendered: &Value) -> String {
    let labels = &rendered["metadata"]["labels"];
    let namespace = json!({"metadata": {"generateName": "testbed-manifests-", "labels": labels}});
    let namespace: Namespace = serde_json::from_value(namespace).unwrap();
    let made = Api::all(client.clone()).create(&PostParams::default(), &namespace).await.unwrap();
    let name = made.metadata.name.unwrap();
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), &name);
    let deadline = Instant::now() + LIMIT;
    let mut pace = tokio::time::interval(Duration::from_millis(50));
    while accounts.get("default").await.is_err() {
        assert!(Instant::now() < deadline, "no service account after {LIMIT:?}");
        pace.tick().await;
    }
    name
}

#[tokio::test]
async fn the_api_server_takes_every_rendered_object_and_pod() {
    let test = "the_api_server_takes_every_rendered_object_and_pod";
    let cluster = Cluster::from_environment().ok();
    let told = std::env::var_os("KUBECONFIG");
    let Some(cluster) =
        cluster.filter(|cluster| told.is_some_and(|path| Path::new(&path) == cluster.kubeconfig()))
    else {
        println!("left out: {test}: KUBECONFIG is not that of the testbed's cluster");
        return;
    };
    let client = cluster.client().await.unwrap();
    for environment in ["local", "staging", "production"] {
        let objects = objects(environment);
        assert!(objects.len() > 90, "{environment} has only {} objects", objects.len());
        let rendered = objects.iter().find(|object| object["kind"] == "Namespace").unwrap();
        let namespace = namespace(&client, rendered).await;
        let mut refused = Vec::new();
        for object in &objects {
            let name = object["metadata"]["name"].as_str().unwrap();
            let title = format!("{environment}: {} {name}", object["kind"]);
            let mut object = object.clone();
            let api: Api<DynamicObject> = if object["kind"] == "Namespace" {
                Api::all_with(client.clone(), &resource(&object))
            } else {
                object["metadata"]["namespace"] = json!(namespace);
                Api::namespaced_with(client.clone(), &namespace, &resource(&object))
            };
            let mut parameters = PatchParams::apply("testbed-manifests").dry_run();
            parameters.field_validation = Some(ValidationDirective::Strict);
            if let Err(error) = api.patch(name, &parameters, &Patch::Apply(&object)).await {
                refused.push(format!("{title}: {error}"));
            }
            if let Some(error) = pod_error(&client, &namespace, &object).await {
                refused.push(format!("{title}: {error}"));
            }
        }
        let namespaces: Api<Namespace> = Api::all(client.clone());
        namespaces.delete(&namespace, &DeleteParams::default()).await.unwrap();
        assert!(refused.is_empty(), "{refused:#?}");
    }
}

/// Why a pod of a workload is not let in, if it is not: policies hold for pods, not for what makes them.
async fn pod_error(client: &Client, namespace: &str, object: &Value) -> Option<kube::Error> {
    let template = object["spec"].get("template").filter(|_| object["kind"] != "Job")?;
    let mut pod = json!({"metadata": {"generateName": "pod-", "labels": template["metadata"]["labels"]}, "spec": template["spec"]});
    // Its own account is not there: nothing was really applied.
    pod["spec"]["serviceAccountName"] = json!("default");
    // The claims of a StatefulSet become volumes when it makes the pod.
    for claim in object["spec"]["volumeClaimTemplates"].as_array().into_iter().flatten() {
        let volume = json!({"name": claim["metadata"]["name"], "emptyDir": {}});
        match pod["spec"]["volumes"].as_array_mut() {
            Some(volumes) => volumes.push(volume),
            None => pod["spec"]["volumes"] = json!([volume]),
        }
    }
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let pod: Pod = serde_json::from_value(pod).unwrap();
    pods.create(&PostParams { dry_run: true, ..PostParams::default() }, &pod).await.err()
}
