//! What is particular to one environment: `k8s/environments/NAME.yaml`.

use std::collections::BTreeMap;
use std::str::FromStr;

use kernel_compose::tree::Node;
use kernel_core::diagnostic::Diagnostic;
use kernel_core::source::{SourceId, Span};
use serde::Deserialize;

use crate::decode::decode;
use crate::{codes, document};

/// One environment.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Environment {
    /// The context of the kubeconfig that deploys to it may use; any other is refused.
    pub context: String,
    /// The address of the API server that the context must lead to.
    pub cluster: String,
    /// The namespace that everything is in.
    pub namespace: String,
    /// Where the images of this workspace are: `REGISTRY/OWNER/platform-kernel`.
    pub registry: String,
    /// How many pods a service has where no autoscaler says it.
    pub replicas: u32,
    /// The namespace that requests from outside come from.
    pub ingress_namespace: String,
    /// The service that they come to.
    pub ingress_service: String,
    /// Seconds between the decision to end a pod and SIGTERM, in which it leaves the endpoints.
    pub pre_stop_seconds: u32,
    /// Services of the Compose project that are not carried over.
    #[serde(default)]
    pub leave_out: Vec<String>,
    /// A person confirms every deploy to it.
    #[serde(default)]
    pub confirm: bool,
    /// Whom a deploy asks during the rollout, to prove that it loses no request.
    #[serde(default)]
    pub probe: Probe,
    /// What all pods together may ask for; without it there is no quota.
    #[serde(default)]
    pub quota: Option<Quota>,
    /// What is not brought along: by the service of the Compose project that it stands for.
    #[serde(default)]
    pub external: BTreeMap<String, External>,
    /// Variables of every service of ours; nothing as value takes one out.
    #[serde(default)]
    pub variables: BTreeMap<String, Option<String>>,
    /// What is particular to one service here.
    #[serde(default)]
    pub services: BTreeMap<String, Particulars>,
    /// Where each service is named, in the order of the file.
    #[serde(skip)]
    pub(crate) mentions: Vec<(String, Span)>,
}

/// Requests during a rollout.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Probe {
    /// Addresses that are asked.
    #[serde(default)]
    pub addresses: Vec<ProbeAddress>,
    /// Whether every service whose pods are replaced is asked as well, through the cluster's API.
    #[serde(default)]
    pub services: bool,
    /// Requests a second, all together.
    #[serde(default)]
    pub rate: Option<u32>,
}

/// An address that can be asked during a rollout: by `http` or `https`, or by `grpc` or `grpcs` for its health.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct ProbeAddress(String);

impl ProbeAddress {
    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for ProbeAddress {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let (scheme, rest) = text.split_once("://").unwrap_or_default();
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let is_host = !host.is_empty() && !text.contains(|c: char| c.is_whitespace() || c.is_control());
        let can_be_asked = match scheme {
            "http" | "https" => is_host,
            "grpc" | "grpcs" => is_host && path.is_empty(),
            _ => false,
        };
        if can_be_asked {
            return Ok(Self(text));
        }
        Err(format!("`{text}` can't be asked; write http://HOST[:PORT]/PATH or grpc://HOST[:PORT]"))
    }
}

impl FromStr for ProbeAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::try_from(text.to_owned())
    }
}

/// A limit for a whole namespace.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields)]
pub struct Quota {
    /// Processors that may be asked for.
    pub cpu: String,
    /// Memory that may be asked for.
    pub memory: String,
    /// Pods.
    pub pods: u32,
}

/// A store that somebody else runs.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct External {
    /// Its host name.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The addresses it may have, as `10.0.0.0/24`: policies can't be written by host name.
    pub network: String,
}

/// What is particular to one service in one environment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Particulars {
    /// Another number of pods.
    #[serde(default)]
    pub replicas: Option<u32>,
    /// The number of pods follows the load.
    #[serde(default)]
    pub scale: Option<Scale>,
    /// What a pod asks for, in place of what the Compose file reserves.
    #[serde(default)]
    pub requests: BTreeMap<String, String>,
    /// What a pod may use at most, in place of the Compose file's limits.
    #[serde(default)]
    pub limits: BTreeMap<String, String>,
    /// The size of each volume of a store.
    #[serde(default)]
    pub storage: Option<String>,
    /// Whether it may speak to addresses outside of the cluster, on port 443 and those below.
    #[serde(default)]
    pub internet: bool,
    /// Further ports outside of the cluster.
    #[serde(default)]
    pub internet_ports: Vec<u16>,
    /// Variables; nothing as value takes one out.
    #[serde(default)]
    pub variables: BTreeMap<String, Option<String>>,
}

/// Between how many pods an autoscaler chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields)]
pub struct Scale {
    /// At least.
    pub min: u32,
    /// At most.
    pub max: u32,
}

impl Environment {
    /// Reads the file of an environment. What is wrong is told all at once.
    pub fn parse(source: SourceId, text: &str, diagnostics: &mut Vec<Diagnostic>) -> Option<Self> {
        let mut problems = Vec::new();
        let trees = document::trees(source, text, &mut problems);
        let broken = !problems.is_empty();
        diagnostics.append(&mut problems);
        if broken {
            return None;
        }
        let empty = Node::mapping(std::iter::empty::<(String, Node)>(), Span { source, start: 0, end: 0 });
        let tree = trees.first().unwrap_or(&empty);
        let (environment, mistakes) = decode::<Self>(tree);
        diagnostics.extend(mistakes.into_iter().map(|mistake| {
            Diagnostic::error(
                codes::ENVIRONMENT,
                format!("the environment can't be read: {}", mistake.message),
            )
            .at(mistake.span, "here")
            .help("`docs/manifests.md` tells the fields; the other environments are examples")
        }));
        environment.map(|environment| Self { mentions: mentions(tree), ..environment })
    }

    /// What is particular to a service.
    #[must_use]
    pub fn of(&self, service: &str) -> Particulars {
        self.services.get(service).cloned().unwrap_or_default()
    }
}

/// The services that a file names, with their places.
fn mentions(tree: &Node) -> Vec<(String, Span)> {
    let keys = ["external", "services"].into_iter().flat_map(|part| {
        let entries = tree.get(part).and_then(Node::as_mapping).into_iter().flatten();
        entries.map(|entry| (entry.key.clone(), entry.key_span))
    });
    let items = document::items(tree, "leaveOut").iter();
    let left_out = items.filter_map(|item| Some((item.as_text()?.to_owned(), item.span)));
    let door = tree.get("ingressService").and_then(|node| Some((node.as_text()?.to_owned(), node.span)));
    keys.chain(left_out).chain(door).collect()
}

#[cfg(test)]
mod tests {
    use kernel_core::source::Sources;

    use super::*;

    #[test]
    fn what_can_be_asked_is_known_by_its_address() {
        for good in ["http://a", "https://a.example/health?x=1", "grpc://10.0.0.1:80", "grpcs://a/"] {
            assert_eq!(good.parse::<ProbeAddress>().unwrap().as_str(), good);
        }
        for bad in ["a", "/health", "ftp://a", "grpc://a/service", "http://", "http:///x", "http://a b"] {
            assert!(bad.parse::<ProbeAddress>().is_err(), "{bad}");
        }
    }

    #[test]
    fn every_mistake_is_told_at_its_place() {
        let text = "context: a\ncluster: b\nnamespace: n\nregistry: r\nreplicas: three\ningressNamespace: i\n\
                    ingressService: gateway\npreStopSeconds: 5\nservices:\n  iam: { replica: 2 }\n\
                    probe: { addresses: [iam] }\n";
        let mut sources = Sources::default();
        let source = sources.add("staging.yaml", text);
        let mut told = Vec::new();
        assert!(Environment::parse(source, text, &mut told).is_none());
        let places: Vec<_> =
            told.iter().filter_map(|problem| sources.locate(problem.labels.first()?.span)).collect();
        // What is wrong is taken out before the next look: a field that is needed is then told as missing.
        assert!(places.contains(&"staging.yaml:5:11".to_owned()), "{places:?} {told:?}");
        assert!(places.contains(&"staging.yaml:10:19".to_owned()), "{places:?} {told:?}");
        assert!(places.contains(&"staging.yaml:11:22".to_owned()), "{places:?} {told:?}");
    }
}
