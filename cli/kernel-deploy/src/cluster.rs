//! The way to a cluster, and which kinds it knows.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use kernel_core::object::ObjectName;
use kube::api::DynamicObject;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::{ApiResource, GroupVersionKind};
use kube::discovery::{Discovery, Scope};
use kube::runtime::watcher;
use kube::{Api, Client, Config};

use crate::codes;
use crate::fault::{Fault, innermost};
use crate::manifest::Manifest;

/// How long a connection may take to come about, and the cluster to say the next thing.
const PATIENCE: Duration = Duration::from_secs(30);

/// How everything is watched: a watch in which nothing happens is renewed before its silence looks like a cluster that
/// has gone.
pub(crate) fn watched() -> watcher::Config {
    const RENEWAL: u32 = 20;
    watcher::Config::default().timeout(RENEWAL)
}

/// Where a cluster is, and who we are there.
#[derive(Clone, Debug, Default)]
pub struct Address {
    /// The kubeconfig; without one `KUBECONFIG`, `~/.kube/config`, or the cluster that this runs in.
    pub kubeconfig: Option<PathBuf>,
    /// A context of it; without one the current context.
    pub context: Option<String>,
    /// Where namespaced objects go that don't say it; without one the context's namespace.
    pub namespace: Option<String>,
    /// The API server that the way must lead to; any other is refused.
    pub server: Option<String>,
}

/// A kind, as the cluster knows it.
#[derive(Clone, Debug)]
pub struct Resource {
    /// How it is named in paths and bodies.
    pub api: ApiResource,
    /// Whether its objects are in namespaces.
    pub namespaced: bool,
}

/// A cluster that answers.
#[derive(Clone)]
pub struct Cluster {
    /// Its API, as whom the kubeconfig says.
    pub client: Client,
    /// Where its API is, for people.
    pub server: String,
    /// Where namespaced objects go that don't say it.
    pub namespace: String,
    /// Kinds by group and name, in the version that was asked for.
    resources: BTreeMap<(String, String), Resource>,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster").field("server", &self.server).field("namespace", &self.namespace).finish()
    }
}

impl Cluster {
    /// Finds the way to a cluster. Sends nothing to it yet.
    ///
    /// # Errors
    /// When there is no kubeconfig, or it makes no sense, or leads to another server than it must.
    pub async fn connect(address: &Address) -> Result<Self, Fault> {
        // Whoever was first is as good: there is one provider in this workspace.
        let _already_there = rustls::crypto::ring::default_provider().install_default();
        let mut config = configuration(address).await?;
        config.connect_timeout = Some(PATIENCE);
        config.read_timeout = Some(PATIENCE);
        let namespace = address.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
        let server = config.cluster_url.to_string();
        if let Some(wanted) = address.server.as_deref().filter(|wanted| !is_same_server(wanted, &server)) {
            return Err(elsewhere(wanted, &server));
        }
        let program = config.auth_info.exec.as_ref().and_then(|program| program.command.clone());
        let client = Client::try_from(config).map_err(|error| match (error, program) {
            (error @ kube::Error::Auth(_), Some(program)) => no_login(&program, &error),
            (error, _) => no_cluster(&error),
        })?;
        Ok(Self { client, server, namespace, resources: BTreeMap::new() })
    }

    /// Asks the cluster which kinds it knows, and adds those that `manifests` define themselves.
    ///
    /// # Errors
    /// When it can't be asked, or does not know a kind: all of them, with where they stand.
    pub async fn learn(&mut self, manifests: &[Manifest]) -> Result<(), Vec<Fault>> {
        let attempted = "asking the cluster which kinds it knows";
        let known = Discovery::new(self.client.clone()).run_aggregated().await;
        let known = known.map_err(|error| vec![Fault::of(attempted, &error)])?;
        let mut faults = Vec::new();
        for manifest in manifests {
            let name = manifest.name();
            let key = (name.group.clone(), name.kind.clone());
            let version = manifest.api_version().rsplit('/').next().unwrap_or_default();
            let kind = GroupVersionKind::gvk(&name.group, version, &name.kind);
            let found = known
                .resolve_gvk(&kind)
                .map(|(api, abilities)| Resource { api, namespaced: abilities.scope == Scope::Namespaced })
                .or_else(|| defined(manifests, &kind));
            match found {
                Some(resource) => drop(self.resources.insert(key, resource)),
                None => faults.push(unknown(manifest, &known)),
            }
        }
        // What belongs to a release may be of kinds that it no longer has.
        for group in known.groups() {
            for (api, abilities) in group.recommended_resources() {
                let key = (api.group.clone(), api.kind.clone());
                let namespaced = abilities.scope == Scope::Namespaced;
                self.resources.entry(key).or_insert(Resource { api, namespaced });
            }
        }
        if faults.is_empty() { Ok(()) } else { Err(faults) }
    }

    /// A kind by its group and name.
    #[must_use]
    pub fn resource(&self, group: &str, kind: &str) -> Option<&Resource> {
        self.resources.get(&(group.to_owned(), kind.to_owned()))
    }

    /// The namespace that an object will be in.
    #[must_use]
    pub fn namespace_of(&self, manifest: &Manifest) -> Option<String> {
        let name = manifest.name();
        let namespaced = self.resource(&name.group, &name.kind).is_some_and(|resource| resource.namespaced);
        namespaced.then(|| manifest.namespace().unwrap_or(&self.namespace).to_owned())
    }

    /// The API for an object: its kind must be known.
    #[must_use]
    pub fn api(&self, name: &ObjectName) -> Option<Api<DynamicObject>> {
        let resource = self.resource(&name.group, &name.kind)?;
        Some(match &name.namespace {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, &resource.api),
            None => Api::all_with(self.client.clone(), &resource.api),
        })
    }
}

async fn configuration(address: &Address) -> Result<Config, Fault> {
    let options = KubeConfigOptions { context: address.context.clone(), ..KubeConfigOptions::default() };
    let read = match &address.kubeconfig {
        Some(path) => Kubeconfig::read_from(path),
        None => Kubeconfig::read(),
    };
    let kubeconfig = match read {
        Ok(kubeconfig) => kubeconfig,
        // Without any file this may be a pod.
        Err(error) if address.kubeconfig.is_none() && address.context.is_none() => {
            return Config::incluster().map_err(|_| no_cluster(&error));
        }
        Err(error) => return Err(no_cluster(&error)),
    };
    if let Some(context) = &address.context
        && !kubeconfig.contexts.iter().any(|known| known.name == *context)
    {
        let known: Vec<&str> = kubeconfig.contexts.iter().map(|known| known.name.as_str()).collect();
        let message = format!("the kubeconfig has no context `{context}`");
        return Err(Fault::new(codes::NO_CLUSTER, message).help(format!(
            "it has: {}",
            if known.is_empty() { "none".to_owned() } else { known.join(", ") }
        )));
    }
    Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(|error| no_cluster(&error))
}

/// Whether two addresses are of one server: the same scheme, host and port, whatever is written out.
fn is_same_server(one: &str, other: &str) -> bool {
    let parts = |text: &str| {
        let uri: http::Uri = text.parse().ok()?;
        let scheme = uri.scheme_str()?.to_owned();
        let port = uri.port_u16().or(match scheme.as_str() {
            "https" => Some(443),
            "http" => Some(80),
            _ => None,
        })?;
        let host = uri.host()?.to_ascii_lowercase();
        Some((scheme, host, port, uri.path().trim_end_matches('/').to_owned()))
    };
    parts(one).is_some_and(|one| parts(other) == Some(one))
}

fn elsewhere(wanted: &str, server: &str) -> Fault {
    let message =
        format!("the cluster must be {wanted}, and the kubeconfig leads to {server}; nothing was sent to it");
    Fault::new(codes::ELSEWHERE, message)
        .help("mend the context of the kubeconfig, or what the environment says of its `cluster`")
}

fn no_login(program: &str, error: &kube::Error) -> Fault {
    let message = format!("`{program}` is to tell the cluster who we are, and can't: {}", innermost(error));
    Fault::new(codes::FORBIDDEN, message)
        .help("install the program or log in with it, as the provider of the cluster says")
}

fn no_cluster(error: &dyn std::error::Error) -> Fault {
    let mut message = format!("looking for the cluster: {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !message.contains(&text) {
            message = format!("{message}: {text}");
        }
        cause = error.source();
    }
    Fault::new(codes::NO_CLUSTER, message)
        .help("set KUBECONFIG or say `--kubeconfig FILE`; `--context NAME` chooses a context of it")
}

/// The kind, when one of the manifests is what defines it.
fn defined(manifests: &[Manifest], kind: &GroupVersionKind) -> Option<Resource> {
    let text = |body: &serde_json::Value, pointer: &str| {
        body.pointer(pointer).and_then(serde_json::Value::as_str).map(str::to_owned)
    };
    manifests.iter().filter(|manifest| manifest.kind() == "CustomResourceDefinition").find_map(|manifest| {
        let body = &manifest.body;
        let same = text(body, "/spec/group").is_some_and(|group| group == kind.group)
            && text(body, "/spec/names/kind").is_some_and(|name| name == kind.kind);
        let versions = body.pointer("/spec/versions")?.as_array()?;
        let served = versions.iter().any(|version| version["name"] == kind.version);
        (same && served).then_some(())?;
        let api = ApiResource::from_gvk_with_plural(kind, &text(body, "/spec/names/plural")?);
        Some(Resource { api, namespaced: text(body, "/spec/scope").as_deref() == Some("Namespaced") })
    })
}

fn unknown(manifest: &Manifest, known: &Discovery) -> Fault {
    let (version, kind) = (manifest.api_version(), manifest.kind());
    let message = format!("{}: the cluster knows no `{kind}` of `{version}`", manifest.origin);
    let others: Vec<String> = known
        .groups()
        .flat_map(|group| group.recommended_resources())
        .filter(|(api, _)| api.kind.eq_ignore_ascii_case(kind))
        .map(|(api, _)| format!("`{}` of `{}`", api.kind, api.api_version))
        .collect();
    let help = if others.is_empty() {
        "install what defines it, or deploy its CustomResourceDefinition with it".to_owned()
    } else {
        format!("the cluster has {}", others.join(", "))
    };
    Fault::new(codes::UNKNOWN_KIND, message).help(help)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_server_may_be_written_in_several_ways() {
        for (one, other) in [
            ("https://a.example:443", "https://A.example/"),
            ("https://a.example:6443/", "https://a.example:6443"),
            ("https://a.example/k8s/c-1/", "https://a.example/k8s/c-1"),
        ] {
            assert!(is_same_server(one, other), "{one} {other}");
        }
        for (one, other) in [
            ("https://a.example:6443", "https://a.example"),
            ("https://a.example", "http://a.example:443"),
            ("https://a.example/k8s/c-1", "https://a.example/k8s/c-2"),
            ("https://a.example.", "https://a.example"),
            ("nonsense", "nonsense"),
        ] {
            assert!(!is_same_server(one, other), "{one} {other}");
        }
    }

    #[tokio::test]
    async fn another_server_than_the_one_that_is_meant_is_refused_before_anything_is_sent() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kubeconfig");
        let text = "apiVersion: v1\nkind: Config\nclusters: [{name: c, cluster: {server: 'https://127.0.0.1:1'}}]\n\
                    users: [{name: u, user: {token: t}}]\ncontexts: [{name: staging, context: {cluster: c, user: u}}]\n";
        std::fs::write(&path, text).unwrap();
        let address = |server: &str| Address {
            kubeconfig: Some(path.clone()),
            context: Some("staging".to_owned()),
            namespace: Some("shop".to_owned()),
            server: Some(server.to_owned()),
        };
        assert!(Cluster::connect(&address("https://127.0.0.1:1/")).await.is_ok());
        let fault = Cluster::connect(&address("https://127.0.0.1:2")).await.unwrap_err();
        assert_eq!(fault.code, codes::ELSEWHERE);
        assert!(fault.message.contains("127.0.0.1:2") && fault.message.contains("127.0.0.1:1"), "{fault}");
    }
}
