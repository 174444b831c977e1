//! What belongs to a release, as the ApplySet specification has it (KEP-3659): a parent that says which kinds there are
//! and where, and a label on every member. Before the first write the parent names the old and the new kinds, after the
//! last one only those that are left: a deploy that dies in between loses track of nothing.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures::{StreamExt, stream};
use kernel_core::object::ObjectName;
use kube::Error;
use kube::api::{DynamicObject, ListParams, ObjectMeta};
use kube::core::PartialObjectMeta;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::FIELD_MANAGER;
use crate::cluster::Cluster;
use crate::codes;
use crate::fault::Fault;
use crate::observe::AT_ONCE;

/// The label of every member.
pub const PART_OF: &str = "applyset.kubernetes.io/part-of";
const ID: &str = "applyset.kubernetes.io/id";
const TOOLING: &str = "applyset.kubernetes.io/tooling";
const KINDS: &str = "applyset.kubernetes.io/contains-group-kinds";
const NAMESPACES: &str = "applyset.kubernetes.io/additional-namespaces";

/// The set of a release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApplySet {
    /// What its members carry.
    pub id: String,
    /// The ConfigMap that stands for it.
    pub parent: ObjectName,
}

/// Which kinds a set has, and where.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// Kinds: group and name.
    pub kinds: BTreeSet<(String, String)>,
    /// Namespaces beside the parent's.
    pub namespaces: BTreeSet<String>,
}

/// An object that carries the set's label.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Member {
    /// Its name.
    pub name: ObjectName,
    /// Its annotations may say that it stays.
    pub stays: bool,
}

impl ApplySet {
    /// The set of the release `name` in `namespace`.
    #[must_use]
    pub fn new(name: &str, namespace: &str) -> Self {
        let parent = ObjectName {
            group: String::new(),
            kind: "ConfigMap".to_owned(),
            namespace: Some(namespace.to_owned()),
            name: format!("kernel-{name}"),
        };
        let text = format!("{}.{namespace}.ConfigMap.", parent.name);
        let hash = URL_SAFE_NO_PAD.encode(Sha256::digest(text.as_bytes()));
        Self { id: format!("applyset-{hash}-v1"), parent }
    }

    /// The parent as an object with this scope.
    #[must_use]
    pub fn parent_with(&self, annotations: &[(String, String)]) -> Value {
        let annotations: BTreeMap<&str, &str> =
            annotations.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {
                "name": self.parent.name, "namespace": self.parent.namespace,
                "labels": {ID: self.id}, "annotations": annotations,
            },
        })
    }

    /// What the parent says, when it is there.
    ///
    /// # Errors
    /// When another tool made it, or the cluster can't be asked.
    pub async fn recorded(&self, cluster: &Cluster) -> Result<Option<Scope>, Fault> {
        let Some(api) = cluster.api(&self.parent) else { return Ok(None) };
        let parent = match api.get_opt(&self.parent.name).await {
            Ok(Some(parent)) => parent,
            Ok(None) => return Ok(None),
            Err(Error::Api(status)) if status.is_not_found() => return Ok(None),
            Err(error) => return Err(Fault::of("reading what belongs to the release", &error)),
        };
        let annotations = parent.metadata.annotations.unwrap_or_default();
        let label = parent.metadata.labels.unwrap_or_default().remove(ID);
        let tool = annotations.get(TOOLING).map_or("", String::as_str);
        if label.as_deref() != Some(self.id.as_str()) || !tool.starts_with("kernel/") {
            let whose = if tool.is_empty() { "somebody else" } else { tool };
            let message = format!("the ConfigMap {} is no record of ours: {whose} made it", self.parent.name);
            return Err(Fault::new(codes::FOREIGN, message)
                .help("choose another name for the release with `-p NAME`, or remove that ConfigMap"));
        }
        let list = |name: &str| {
            let text = annotations.get(name).map_or("", String::as_str);
            text.split(',')
                .map(str::trim)
                .filter(|item| !item.is_empty())
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        let kind = |text: String| match text.split_once('.') {
            Some((kind, group)) => (group.to_owned(), kind.to_owned()),
            None => (String::new(), text),
        };
        Ok(Some(Scope {
            kinds: list(KINDS).into_iter().map(kind).collect(),
            namespaces: list(NAMESPACES).into_iter().collect(),
        }))
    }

    /// The scope of these objects.
    pub fn scope<'a>(&self, names: impl IntoIterator<Item = &'a ObjectName>) -> Scope {
        let mut scope = Scope::default();
        for name in names {
            scope.kinds.insert((name.group.clone(), name.kind.clone()));
            if let Some(namespace) = &name.namespace
                && Some(namespace) != self.parent.namespace.as_ref()
            {
                scope.namespaces.insert(namespace.clone());
            }
        }
        scope
    }

    /// Everything that carries the set's label, of the kinds and in the namespaces of `scope`.
    ///
    /// # Errors
    /// When the cluster can't be asked.
    pub async fn members(&self, cluster: &Cluster, scope: &Scope) -> Result<Vec<Member>, Fault> {
        let places = scope.namespaces.iter().chain(self.parent.namespace.as_ref());
        let places: Vec<&String> = places.collect();
        let mut questions = Vec::new();
        for (group, kind) in &scope.kinds {
            // A kind that the cluster no longer knows has no objects.
            let Some(resource) = cluster.resource(group, kind) else { continue };
            let within: Vec<Option<&String>> =
                if resource.namespaced { places.iter().copied().map(Some).collect() } else { vec![None] };
            for namespace in within {
                questions.push(ObjectName {
                    group: group.clone(),
                    kind: kind.clone(),
                    namespace: namespace.cloned(),
                    name: String::new(),
                });
            }
        }
        let ask = |question: ObjectName| async move {
            let Some(api) = cluster.api(&question) else { return Ok(Vec::new()) };
            let listed =
                api.list_metadata(&ListParams::default().labels(&format!("{PART_OF}={}", self.id))).await;
            match listed {
                Ok(list) => {
                    let ours = list.items.into_iter().filter(|item| is_written_by_us(&item.metadata));
                    Ok(ours.map(|item| member(&question, item)).collect())
                }
                Err(Error::Api(status)) if status.code == 404 => Ok(Vec::new()),
                Err(error) => Err(Fault::of("listing what belongs to the release", &error)),
            }
        };
        let results: Vec<Result<Vec<Member>, Fault>> =
            stream::iter(questions).map(ask).buffered(AT_ONCE).collect().await;
        let mut members = Vec::new();
        for result in results {
            members.extend(result?);
        }
        members.sort();
        Ok(members)
    }
}

/// Controllers copy labels to what they make: the Endpoints of a Service carry its labels, and are not of the set.
fn is_written_by_us(metadata: &ObjectMeta) -> bool {
    let managers = metadata.managed_fields.as_deref().unwrap_or_default();
    managers.is_empty() || managers.iter().any(|entry| entry.manager.as_deref() == Some(FIELD_MANAGER))
}

fn member(question: &ObjectName, item: PartialObjectMeta<DynamicObject>) -> Member {
    let annotations = item.metadata.annotations.unwrap_or_default();
    let says = |name: &str, word: &str| {
        annotations.get(name).is_some_and(|value| value.split(',').any(|part| part.trim() == word))
    };
    let stays = says("kernel.dev/prune", "never")
        || says("helm.sh/resource-policy", "keep")
        || says("argocd.argoproj.io/sync-options", "Prune=false");
    Member { name: ObjectName { name: item.metadata.name.unwrap_or_default(), ..question.clone() }, stays }
}

impl Scope {
    /// This and another.
    #[must_use]
    pub fn with(&self, other: &Self) -> Self {
        Self {
            kinds: self.kinds.union(&other.kinds).cloned().collect(),
            namespaces: self.namespaces.union(&other.namespaces).cloned().collect(),
        }
    }

    /// As the parent's annotations.
    #[must_use]
    pub fn annotations(&self) -> Vec<(String, String)> {
        let kinds: BTreeSet<String> = self
            .kinds
            .iter()
            .map(|(group, kind)| if group.is_empty() { kind.clone() } else { format!("{kind}.{group}") })
            .collect();
        let join = |items: &BTreeSet<String>| items.iter().cloned().collect::<Vec<_>>().join(",");
        let tool = concat!("kernel/v", env!("CARGO_PKG_VERSION"));
        [(TOOLING, tool.to_owned()), (KINDS, join(&kinds)), (NAMESPACES, join(&self.namespaces))]
            .map(|(name, value)| (name.to_owned(), value))
            .to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(group: &str, kind: &str, namespace: &str) -> ObjectName {
        ObjectName {
            group: group.to_owned(),
            kind: kind.to_owned(),
            namespace: Some(namespace.to_owned()),
            name: "a".to_owned(),
        }
    }

    #[test]
    fn a_set_is_named_by_its_parent() {
        let set = ApplySet::new("shop", "prod");
        assert!(
            set.id.starts_with("applyset-") && set.id.ends_with("-v1") && set.id.len() <= 63,
            "{}",
            set.id
        );
        assert_ne!(set.id, ApplySet::new("shop", "staging").id);
    }

    #[test]
    fn a_scope_is_written_sorted_and_without_the_parents_namespace() {
        let set = ApplySet::new("shop", "prod");
        let objects = [
            object("apps", "Deployment", "prod"),
            object("", "Service", "other"),
            object("", "ConfigMap", "prod"),
        ];
        let written = set.scope(&objects).annotations();
        assert_eq!(written[1].1, "ConfigMap,Deployment.apps,Service");
        assert_eq!(written[2].1, "other");
    }
}
