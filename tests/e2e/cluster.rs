//! A namespace of the testbed's cluster for one test, gone with everything in it when the test ends.

#![allow(dead_code, reason = "each test binary uses its part")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::{Api, Client};
use serde_json::{Value, json};
use testbed::kubernetes::Cluster;
use tokio::runtime::Runtime;

pub const PATIENCE: Duration = Duration::from_secs(90);

/// A namespace of its own, and a folder with files that are deployed into it.
pub struct Bench {
    pub runtime: Runtime,
    pub client: Client,
    pub kubeconfig: PathBuf,
    pub namespace: String,
    pub folder: tempfile::TempDir,
}

impl Bench {
    /// `None`, and told, when the testbed's cluster is not there.
    pub fn of(test: &str) -> Option<Self> {
        let told = std::env::var_os("KUBECONFIG");
        let cluster = Cluster::from_environment().ok();
        let cluster =
            cluster.filter(|cluster| told.is_some_and(|path| Path::new(&path) == cluster.kubeconfig()));
        let Some(cluster) = cluster else {
            kernel_testkit::left_out(test, "KUBECONFIG is not that of the testbed's cluster");
            return None;
        };
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let (client, namespace) = runtime.block_on(async {
            let client = cluster.client().await.unwrap();
            let namespace = json!({"metadata": {"generateName": "deploy-test-"}});
            let namespace: Namespace = serde_json::from_value(namespace).unwrap();
            let made = Api::all(client.clone()).create(&PostParams::default(), &namespace).await.unwrap();
            (client, made.metadata.name.unwrap())
        });
        let folder = tempfile::tempdir().unwrap();
        Some(Self { runtime, client, kubeconfig: cluster.kubeconfig().to_owned(), namespace, folder })
    }

    pub fn write(&self, name: &str, objects: &[Value]) {
        let texts: Vec<String> = objects.iter().map(|object| object.to_string() + "\n").collect();
        std::fs::write(self.folder.path().join(name), texts.join("---\n")).unwrap();
    }

    /// A call of the binary in the folder, for the namespace.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.bare_command(arguments);
        command.args(["--namespace", &self.namespace]);
        command
    }

    fn bare_command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kernel"));
        command
            .current_dir(self.folder.path())
            .env("KUBECONFIG", &self.kubeconfig)
            .args(["--progress", "plain"])
            .args(arguments);
        command
    }

    /// Runs it for the namespace and requires an exit code; both outputs together.
    #[track_caller]
    pub fn ends_with(&self, code: i32, arguments: &[&str]) -> String {
        ends_with(self.command(arguments), code)
    }

    /// Runs it for whatever place the arguments name.
    #[track_caller]
    pub fn in_environment_ends_with(&self, code: i32, arguments: &[&str]) -> String {
        ends_with(self.bare_command(arguments), code)
    }

    pub fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    pub fn deployment(&self, name: &str) -> Option<Deployment> {
        self.runtime.block_on(self.api::<Deployment>().get_opt(name)).unwrap()
    }

    pub fn image_of(&self, name: &str) -> String {
        let spec = self.deployment(name).unwrap().spec.unwrap().template.spec.unwrap();
        spec.containers[0].image.clone().unwrap()
    }

    pub fn configs(&self) -> Vec<String> {
        let list = self.runtime.block_on(self.api::<ConfigMap>().list(&ListParams::default())).unwrap();
        let names = list.items.into_iter().filter_map(|map| map.metadata.name);
        names.filter(|name| name.starts_with("settings")).collect()
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        let parameters = DeleteParams::default();
        drop(self.runtime.block_on(namespaces.delete(&self.namespace, &parameters)));
    }
}

#[track_caller]
fn ends_with(mut command: Command, code: i32) -> String {
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let told = format!("{}{}", text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{command:?}:\n{told}");
    told
}
