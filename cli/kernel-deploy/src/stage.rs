//! In which order objects come: what others need goes first, what only looks at others goes last.

use serde_json::Value;

use crate::manifest::Manifest;

/// A step of the way. Objects of one stage are written at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// Namespaces and definitions of kinds.
    Ground,
    /// Configuration, accounts, rights, volumes, quotas: what pods refer to.
    Surroundings,
    /// Who may do what: it refers to accounts and roles.
    Bindings,
    /// Services, so that pods get the variables of those that are there.
    Services,
    /// Jobs that come before the code: migrations.
    Before,
    /// Everything that runs.
    Workloads,
    /// What looks at workloads: scaling, routes, hooks of the API, objects of kinds that others define.
    Onlookers,
}

impl Stage {
    /// The stage of an object.
    pub fn of(manifest: &Manifest) -> Self {
        let name = manifest.name();
        match (name.group.as_str(), name.kind.as_str()) {
            ("", "Namespace") | ("apiextensions.k8s.io", "CustomResourceDefinition") => Self::Ground,
            ("rbac.authorization.k8s.io", "RoleBinding" | "ClusterRoleBinding") => Self::Bindings,
            (
                "",
                "ConfigMap"
                | "LimitRange"
                | "PersistentVolume"
                | "PersistentVolumeClaim"
                | "ResourceQuota"
                | "Secret"
                | "ServiceAccount",
            )
            | (
                "networking.k8s.io"
                | "node.k8s.io"
                | "policy"
                | "rbac.authorization.k8s.io"
                | "resource.k8s.io"
                | "scheduling.k8s.io"
                | "storage.k8s.io",
                "NetworkPolicy"
                | "RuntimeClass"
                | "PodDisruptionBudget"
                | "Role"
                | "ClusterRole"
                | "ResourceClaimTemplate"
                | "ResourceClaim"
                | "PriorityClass"
                | "StorageClass"
                | "IngressClass",
            ) => Self::Surroundings,
            ("", "Service") => Self::Services,
            ("batch", "Job") if is_before(&manifest.body) => Self::Before,
            ("", "Pod" | "ReplicationController" | "PodTemplate")
            | ("apps", _)
            | ("batch", "Job" | "CronJob") => Self::Workloads,
            _ => Self::Onlookers,
        }
    }
}

/// Whether a job comes before the code: by our annotation, Helm's or Argo CD's.
pub fn is_before(body: &Value) -> bool {
    let annotation =
        |name: &str| body["metadata"]["annotations"].get(name).and_then(Value::as_str).unwrap_or_default();
    let says =
        |name: &str, words: &[&str]| annotation(name).split(',').any(|word| words.contains(&word.trim()));
    says("kernel.dev/hook", &["before"])
        || says("helm.sh/hook", &["pre-install", "pre-upgrade"])
        || says("argocd.argoproj.io/hook", &["PreSync"])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::manifest::Origin;

    fn stage(api_version: &str, kind: &str) -> Stage {
        let body = json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": "a"}});
        Stage::of(&Manifest { origin: Origin { file: "a".to_owned(), line: 1 }, body })
    }

    #[test]
    fn what_others_need_comes_first() {
        let order = [
            stage("apiextensions.k8s.io/v1", "CustomResourceDefinition"),
            stage("v1", "ConfigMap"),
            stage("rbac.authorization.k8s.io/v1", "RoleBinding"),
            stage("v1", "Service"),
            stage("apps/v1", "Deployment"),
            stage("autoscaling/v2", "HorizontalPodAutoscaler"),
        ];
        assert!(order.is_sorted_by(|a, b| a < b), "{order:?}");
        assert_eq!(stage("networking.k8s.io/v1", "Ingress"), Stage::Onlookers);
        assert_eq!(stage("policy/v1", "PodDisruptionBudget"), Stage::Surroundings);
        assert_eq!(stage("example.com/v1", "Widget"), Stage::Onlookers);
    }

    #[test]
    fn a_migration_comes_before_the_code_by_whoevers_annotation() {
        for (name, value) in [
            ("kernel.dev/hook", "before"),
            ("helm.sh/hook", "pre-install,pre-upgrade"),
            ("argocd.argoproj.io/hook", "PreSync"),
        ] {
            let body = json!({
                "apiVersion": "batch/v1", "kind": "Job",
                "metadata": {"name": "migrate", "annotations": {name: value}},
            });
            let manifest = Manifest { origin: Origin { file: "a".to_owned(), line: 1 }, body };
            assert_eq!(Stage::of(&manifest), Stage::Before, "{name}");
        }
        assert_eq!(stage("batch/v1", "Job"), Stage::Workloads);
    }
}
