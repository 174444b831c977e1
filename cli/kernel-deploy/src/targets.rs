//! Whom the requests during a rollout ask: addresses that people name, and the services whose pods are replaced.

use std::fmt;

use kernel_core::object::ObjectName;
use kernel_manifests::environment::ProbeAddress;
use serde_json::Value;

use crate::manifest::Manifest;
use crate::observe::Observation;

/// One that is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// An address, as it was named.
    Address(ProbeAddress),
    /// A service of the cluster, through its API, which sends each request to one of the pods that are ready.
    Service {
        /// Which.
        name: ObjectName,
        /// The path at the API.
        path: String,
    },
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => f.write_str(address.as_str()),
            Self::Service { name, .. } => write!(f, "{name} (through the cluster's API)"),
        }
    }
}

/// The services that answer now and whose pods this deploy replaces, each asked what its pods are asked for readiness.
/// What says no HTTP path for that is not asked.
pub(crate) fn changed_services(desired: &[Manifest], observed: &[Observation]) -> Vec<Target> {
    let both = || desired.iter().zip(observed);
    let is_there = |observation: &Observation| matches!(observation, Observation::Present { .. });
    let mut targets = Vec::new();
    for (service, _) in both().filter(|(one, there)| one.kind() == "Service" && is_there(there)) {
        let replaced = both().filter(|(one, _)| one.namespace() == service.namespace());
        let found = replaced.filter_map(|(workload, there)| {
            is_replaced(workload, there).then_some(())?;
            selects(service, workload).then_some(())?;
            path(service, workload)
        });
        targets.extend(found.take(1).map(|path| Target::Service { name: service.name(), path }));
    }
    targets
}

/// Whether pods of a workload that has some are replaced.
fn is_replaced(workload: &Manifest, there: &Observation) -> bool {
    let Observation::Present { live, differences, .. } = there else { return false };
    let answers = live["status"]["availableReplicas"].as_i64().is_some_and(|pods| pods > 0);
    let rolls = differences.iter().any(|difference| difference.path.starts_with("spec.template"));
    workload.kind() == "Deployment" && answers && rolls
}

fn selects(service: &Manifest, workload: &Manifest) -> bool {
    let selector = service.body["spec"]["selector"].as_object();
    let labels = &workload.body["spec"]["template"]["metadata"]["labels"];
    selector.is_some_and(|selector| {
        !selector.is_empty() && selector.iter().all(|(label, value)| labels.get(label) == Some(value))
    })
}

/// Where at the API the service is asked. Source: Kubernetes documentation, "Access Services Running on Clusters".
fn path(service: &Manifest, workload: &Manifest) -> Option<String> {
    let containers = workload.body["spec"]["template"]["spec"]["containers"].as_array()?;
    let (container, probe) = containers
        .iter()
        .find_map(|container| Some((container, container.pointer("/readinessProbe/httpGet")?)))?;
    // A port is a number or the name that the container gives it, in the probe and in the service.
    let number = |port: &Value| {
        let named = |known: &&Value| known["name"] == *port;
        let ports = container["ports"].as_array().map(Vec::as_slice).unwrap_or_default();
        port.as_i64().or_else(|| ports.iter().find(named)?["containerPort"].as_i64())
    };
    let asked = number(&probe["port"])?;
    let ports = service.body["spec"]["ports"].as_array()?;
    let port = ports.iter().find(|port| {
        let target = if port["targetPort"].is_null() { &port["port"] } else { &port["targetPort"] };
        number(target) == Some(asked)
    })?;
    let scheme = if probe["scheme"] == "HTTPS" { "https:" } else { "" };
    Some(format!(
        "/api/v1/namespaces/{}/services/{scheme}{}:{}/proxy/{}",
        service.namespace()?,
        service.own_name(),
        port["port"].as_i64()?,
        probe["path"].as_str().unwrap_or("/").trim_start_matches('/')
    ))
}

#[cfg(test)]
mod tests {
    use kernel_core::object::Difference;
    use serde_json::json;

    use super::*;
    use crate::manifest::Origin;

    fn manifest(body: Value) -> Manifest {
        Manifest { origin: Origin { file: "a.yaml".to_owned(), line: 1 }, body }
    }

    fn service(name: &str, selector: &Value, target: &Value) -> Manifest {
        manifest(json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "shop"},
            "spec": {"selector": selector, "ports": [{"port": 9}, {"port": 80, "targetPort": target}]},
        }))
    }

    fn web() -> Manifest {
        manifest(json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "shop"},
            "spec": {"template": {
                "metadata": {"labels": {"app": "web", "tier": "front"}},
                "spec": {"containers": [{
                    "ports": [{"name": "http", "containerPort": 8080}],
                    "readinessProbe": {"httpGet": {"path": "/health/ready", "port": "http"}},
                }]},
            }},
        }))
    }

    fn there(available: i64, path: &str) -> Observation {
        let difference = Difference { path: path.to_owned(), from: None, to: None };
        let live = json!({"status": {"availableReplicas": available}});
        Observation::Present { live, differences: vec![difference], adopt: false }
    }

    #[test]
    fn services_of_replaced_pods_are_asked_as_the_pods_are() {
        let app = json!({"app": "web"});
        let desired = [
            service("web", &app, &json!(8080)),
            service("named", &app, &json!("http")),
            service("other", &json!({"app": "other"}), &json!(8080)),
            service("elsewhere", &app, &json!(9090)),
            service("nobody", &json!({}), &json!(8080)),
            web(),
        ];
        let found = |workload: Observation| -> Vec<String> {
            let mut observed = vec![there(0, "metadata"); 5];
            observed.push(workload);
            let targets = changed_services(&desired, &observed);
            targets
                .iter()
                .map(|target| format!("{target:?}").split('"').nth_back(1).unwrap().to_owned())
                .collect()
        };
        let path = |name: &str| format!("/api/v1/namespaces/shop/services/{name}:80/proxy/health/ready");
        let template = "spec.template.spec.containers[web].image";
        assert_eq!(found(there(2, template)), [path("web"), path("named")]);
        assert_eq!(found(there(0, template)), [] as [String; 0], "it answers nobody as it is");
        assert_eq!(found(there(2, "spec.replicas")), [] as [String; 0], "no pod is replaced");
        assert_eq!(found(Observation::Missing), [] as [String; 0]);
    }
}
