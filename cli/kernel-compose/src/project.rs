//! What a Compose project says, typed: everything that an engine needs, with nothing left to look up.
//!
//! A [`Project`] is complete and checked: every reference in it resolves, every short form is written out, every
//! variable has its value. The canonical tree that it was read from stays with it, for `config` and for attributes
//! that have no field here yet.

mod decode;
mod service;
mod value;

use std::collections::{BTreeMap, BTreeSet};

use kernel_core::secret::{Secret, Value};
use kernel_core::source::Span;

pub use service::{
    Build, Condition, Dependency, Healthcheck, KernelExtension, Logging, Membership, Mount, MountKind, Port,
    Protocol, Reference, Resources, Restart, Service, Test,
};
pub use value::Variable;

pub(crate) use decode::{decode, restart};

use crate::tree::{self, Mapping, Node, Scalar};

/// A loaded, checked Compose project, cut to its active profiles.
#[derive(Clone, Debug)]
pub struct Project {
    /// Its name: lower case, `[a-z0-9][a-z0-9_-]*`.
    pub name: String,
    /// The directory that relative paths were resolved against, as the caller gave it.
    pub directory: String,
    /// What stands between the parts of the names of containers and images: `-`, or `_` for those of docker-compose 1.
    pub separator: &'static str,
    /// The active services by name.
    pub services: BTreeMap<String, Service>,
    /// Services that no active profile shows, with the profiles that would show them.
    pub hidden: BTreeMap<String, Vec<String>>,
    /// Networks that an active service uses, by their key.
    pub networks: BTreeMap<String, Resource>,
    /// Named volumes that an active service uses, by their key.
    pub volumes: BTreeMap<String, Resource>,
    /// Secrets that an active service uses, by their key.
    pub secrets: BTreeMap<String, Resource>,
    /// Configs that an active service uses, by their key.
    pub configs: BTreeMap<String, Resource>,
    /// The platform of services that are built and say none: `DOCKER_DEFAULT_PLATFORM`.
    pub default_platform: Option<String>,
    /// What the top-level `x-kernel` says.
    pub kernel: KernelSettings,
    /// The canonical tree, as `config` prints it. See [`crate::render`].
    pub model: Node,
}

impl Project {
    /// The image of a service that is built and names none.
    #[must_use]
    pub fn image_of(&self, service: &str) -> String {
        format!("{}{}{service}", self.name, self.separator)
    }

    /// The image of a service by its name: what the file says, or what it is called when it is built.
    #[must_use]
    pub fn image_name(&self, service: &str) -> String {
        let named = self.services.get(service).and_then(|service| service.image.clone());
        named.unwrap_or_else(|| self.image_of(service))
    }

    /// All profiles that a service names, whether it is active or not.
    #[must_use]
    pub fn profiles(&self) -> BTreeSet<String> {
        let services = self.model.get("services").and_then(Node::as_mapping).into_iter().flatten();
        let active = services.flat_map(|entry| crate::select::texts(entry.value.get("profiles")));
        active.chain(self.hidden.values().flatten().cloned()).collect()
    }

    /// Gives a service variables that another program told, in place of those of the same name. They are secrets: what shows
    /// the project shows their names in their place.
    pub fn add_variables(&mut self, service: &str, variables: &BTreeMap<String, String>) {
        let Some(typed) = self.services.get_mut(service) else { return };
        let Some(node) = mapping(&mut self.model).and_then(|top| top.get_mut("services")) else { return };
        let Some(node) = mapping(node).and_then(|services| services.get_mut(service)) else { return };
        let span = node.span;
        let Some(attributes) = mapping(node) else { return };
        if attributes.get("environment").is_none_or(Node::is_null) {
            attributes.set("environment", span, Node::new(tree::Value::Mapping(Mapping::default()), span));
        }
        let Some(environment) = attributes.get_mut("environment").and_then(mapping) else { return };
        for (name, value) in variables {
            let scalar = Scalar::with_secret(value.clone(), &format!("${{{name}}}"));
            environment.set(name, span, Node::new(tree::Value::Scalar(scalar), span));
            typed.environment.retain(|variable| variable.name != *name);
            let value = Value::Secret(Secret::new(value.clone()));
            typed.environment.push(Variable { name: name.clone(), value, span });
        }
        typed.environment.sort_by(|one, other| one.name.cmp(&other.name));
    }

    /// The models that an active service uses, as they are to be had: their `model`, by the order of their keys.
    #[must_use]
    pub fn models(&self) -> Vec<String> {
        let models = self.model.get("models").and_then(Node::as_mapping).into_iter().flatten();
        let names: BTreeMap<&str, &str> = models
            .filter_map(|entry| Some((entry.key.as_str(), entry.value.get("model")?.as_text()?)))
            .collect();
        names.into_values().filter(|name| !name.is_empty()).map(str::to_owned).collect()
    }

    /// The services in an order in which each comes after all that it depends on; by name where that leaves a choice.
    /// The project has no cycles, so every service is in it once.
    #[must_use]
    pub fn start_order(&self) -> Vec<&Service> {
        let mut waiting: BTreeMap<&str, usize> = BTreeMap::new();
        let mut dependents: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (name, service) in &self.services {
            let needed = service.depends_on.keys().filter(|needed| self.services.contains_key(*needed));
            waiting.insert(name, needed.clone().count());
            needed.for_each(|needed| dependents.entry(needed).or_default().push(name));
        }
        let mut ready: BTreeSet<&str> =
            waiting.iter().filter(|(_, count)| **count == 0).map(|(name, _)| *name).collect();
        let mut order = Vec::with_capacity(self.services.len());
        while let Some(name) = ready.pop_first() {
            order.extend(self.services.get(name));
            for dependent in dependents.remove(name).unwrap_or_default() {
                if let Some(count) = waiting.get_mut(dependent) {
                    *count -= 1;
                    if *count == 0 {
                        ready.insert(dependent);
                    }
                }
            }
        }
        order
    }
}

fn mapping(node: &mut Node) -> Option<&mut Mapping> {
    if let tree::Value::Mapping(mapping) = &mut node.value { Some(mapping) } else { None }
}

/// A network, volume, secret or config at the top level.
#[derive(Clone, Debug)]
pub struct Resource {
    /// Its key in the file.
    pub key: String,
    /// The name that the engine knows it by: `name`, or `<project>_<key>`.
    pub name: String,
    /// Whether somebody else creates it; `kernel` then only uses it.
    pub external: bool,
    /// `driver` of a network or volume.
    pub driver: Option<String>,
    /// `file` of a secret or config, absolute.
    pub file: Option<String>,
    /// The content of a secret or config that is written here or in a variable. It can't be printed by accident.
    pub content: Option<Secret>,
    /// `internal` of a network.
    pub internal: bool,
    /// Labels as written; those that `kernel` adds are not among them.
    pub labels: BTreeMap<String, String>,
    /// Where it stands.
    pub span: Span,
}

/// What the top-level `x-kernel` says.
#[derive(Clone, Debug, Default)]
pub struct KernelSettings {
    /// Variables that `kernel` makes once per platform with random values, in the order written.
    pub generate: Vec<String>,
}
