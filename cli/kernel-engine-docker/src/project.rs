//! From a Compose project to the containers that it means.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use kernel_compose::project::{Condition as ComposeCondition, Reference, Resource, Restart, Test};
use kernel_compose::tree::{Node, Value as NodeValue};
use kernel_compose::{Project, Service, hash, render};
use kernel_core::container::{
    Body, ContainerFile, DesiredContainer, DesiredNetwork, DesiredVolume, Endpoint, HASH_LABEL, Hook, Moment,
    Pull, id_of,
};
use kernel_core::diagnostic::Diagnostic;
use kernel_core::name::ServiceName;
use kernel_core::secret::Secret;
use kernel_core::unit::{Condition, Dependency, Desired, DesiredItem, DesiredKind, Target};
use serde_json::Value as Json;

use crate::body::{self, FileKind, Surroundings};
use crate::settings::DockerSettings;
use crate::{codes, duration, hook, labels};

/// The containers, networks and volumes of a project, and what people should know about it.
///
/// # Errors
/// Everything that the project says and this engine does not do.
pub(crate) fn desired(
    project: &Project,
    settings: &DockerSettings,
    start_interval: bool,
) -> Result<(Desired, Vec<Diagnostic>), Vec<Diagnostic>> {
    let mut maker = Maker::new(project, settings, start_interval);
    let items: Vec<DesiredItem> =
        project.services.values().filter_map(|service| maker.item(service)).collect();
    if !maker.problems.is_empty() {
        return Err(maker.problems);
    }
    let mut desired = Desired::of(settings.project.clone(), items);
    desired.networks = maker.networks();
    desired.volumes = maker.volumes();
    Ok((desired, maker.warnings))
}

struct Maker<'a> {
    project: &'a Project,
    settings: &'a DockerSettings,
    start_interval: bool,
    /// The texts that may not be seen.
    secrets: Arc<[Secret]>,
    warnings: Vec<Diagnostic>,
    problems: Vec<Diagnostic>,
}

impl<'a> Maker<'a> {
    fn new(project: &'a Project, settings: &'a DockerSettings, start_interval: bool) -> Self {
        let mut secrets = BTreeSet::new();
        find_secrets(&project.model, &mut secrets);
        let secrets = secrets.into_iter().map(Secret::new).collect();
        Self { project, settings, start_interval, secrets, warnings: Vec::new(), problems: Vec::new() }
    }

    fn body(&self, value: Json) -> Body {
        Body::new(value, Arc::clone(&self.secrets))
    }

    fn item(&mut self, service: &Service) -> Option<DesiredItem> {
        let name = ServiceName::new(service.name.clone()).ok()?;
        let json = self.service_json(service)?;
        if json.get("provider").is_some_and(|provider| !provider.is_null()) {
            self.refuse_needs_of_provider(service);
            return None;
        }
        self.refuse_unsupported(service, &json);
        let container = self.container(service, &name, &json);
        Some(DesiredItem {
            name,
            kind: DesiredKind::Container(Box::new(container)),
            depends_on: self.dependencies(service),
            target: Target::Running,
        })
    }

    /// The service as docker compose would print it, with its real values and with the published ports moved.
    fn service_json(&self, service: &Service) -> Option<Json> {
        let mut json = render::service_with_secrets(self.project.model.get("services")?.get(&service.name)?);
        let offset = self.settings.port_offset;
        if offset > 0
            && let Some(ports) = json.get_mut("ports").and_then(Json::as_array_mut)
        {
            for port in ports {
                let moved = port.get("published").and_then(Json::as_str).map(|text| moved(text, offset));
                if let Some(moved) = moved {
                    port["published"] = moved.into();
                }
            }
        }
        Some(json)
    }

    fn container(&mut self, service: &Service, name: &ServiceName, json: &Json) -> DesiredContainer {
        let (project, separator) = (&self.project.name, self.project.separator);
        let image = service.image.clone().unwrap_or_else(|| self.project.image_of(&service.name));
        let (mounted_files, files) = self.files(service, json);
        let networks = self.endpoints(service, json);
        let surroundings = Surroundings {
            image: &image,
            labels: &self.container_labels(service),
            network: networks.first().map(|endpoint| endpoint.network.as_str()),
            volume_name: &|key| {
                self.project.volumes.get(key).map_or_else(|| key.to_owned(), |volume| volume.name.clone())
            },
            mounted_files: &mounted_files,
            start_interval: self.start_interval,
        };
        let body = self.body(body::container(json, &surroundings));
        let mounts = service.volumes.iter();
        let of_volumes = mounts.filter(|mount| mount.kind == kernel_compose::project::MountKind::Volume);
        let (named, anonymous): (Vec<_>, Vec<_>) = of_volumes.partition(|mount| mount.source.is_some());
        DesiredContainer {
            image,
            platform: service.platform.clone(),
            pull: self.pull(service),
            builds: service.build.is_some(),
            scale: service.scale,
            name: format!("{project}{separator}{}{separator}", service.name),
            fixed_name: service.container_name.clone(),
            config: self.config(service),
            body,
            shares: shares(json).into_iter().filter(|other| other != name).collect(),
            networks,
            volumes: named
                .into_iter()
                .filter_map(|mount| mount.source.as_deref())
                .map(|key| {
                    self.project.volumes.get(key).map_or_else(|| key.to_owned(), |volume| volume.name.clone())
                })
                .collect(),
            anonymous: anonymous.into_iter().map(|mount| mount.target.clone()).collect(),
            files,
            has_healthcheck: match service.healthcheck.as_ref().map(|check| &check.test) {
                None | Some(Test::Inherited) => None,
                Some(Test::Disabled) => Some(false),
                Some(Test::Command(_) | Test::Shell(_)) => Some(true),
            },
            restarts: service.restart != Restart::No,
            stop_grace: service.stop_grace_period,
            post_start: self.hooks(json, Moment::PostStart),
            pre_stop: self.hooks(json, Moment::PreStop),
            follows: service
                .depends_on
                .iter()
                .filter(|(_, dependency)| dependency.restart)
                .filter_map(|(name, _)| ServiceName::new(name.clone()).ok())
                .collect(),
        }
    }

    fn hooks(&self, json: &Json, moment: Moment) -> Vec<Hook> {
        let hooks = json.get(moment.to_string()).and_then(Json::as_array).into_iter().flatten();
        hooks.map(|hook| Hook { moment, body: self.body(hook::body(hook)) }).collect()
    }

    /// What a container is made from. With ports of its own, another text: docker compose knows nothing of them.
    fn config(&self, service: &Service) -> Secret {
        let place = |name: &str| ServiceName::new(name).ok().map(|name| id_of(&name));
        let text = hash::service_text(self.project, &service.name, &place);
        let text = text.map_or_else(String::new, |text| text.expose().to_owned());
        match self.settings.port_offset {
            0 => Secret::new(text),
            offset => Secret::new(format!("{text}\nport offset {offset}")),
        }
    }

    fn container_labels(&self, service: &Service) -> Vec<(String, String)> {
        let needed: Vec<String> = service
            .depends_on
            .iter()
            .map(|(name, needed)| format!("{name}:{}:{}", needed.condition.as_str(), needed.restart))
            .collect();
        let settings = self.settings;
        let mut labels = vec![
            (labels::PROJECT.to_owned(), self.project.name.clone()),
            (labels::SERVICE.to_owned(), service.name.clone()),
            (labels::VERSION.to_owned(), labels::COMPOSE_VERSION.to_owned()),
            (labels::ONE_OFF.to_owned(), "False".to_owned()),
            (labels::DEPENDS_ON.to_owned(), needed.join(",")),
            (labels::WORKING_DIRECTORY.to_owned(), self.project.directory.clone()),
            (labels::CONFIG_FILES.to_owned(), settings.config_files.join(",")),
        ];
        if !settings.env_files.is_empty() {
            labels.push((labels::ENVIRONMENT_FILE.to_owned(), settings.env_files.join(",")));
        }
        labels
    }

    /// The main network is the one with the highest priority, then the first by name.
    fn endpoints(&self, service: &Service, json: &Json) -> Vec<Endpoint> {
        if service.network_mode.is_some() {
            return Vec::new();
        }
        let mut keys: Vec<(&String, i64)> =
            service.networks.iter().map(|(key, membership)| (key, membership.priority)).collect();
        keys.sort_by(|one, other| other.1.cmp(&one.1).then(one.0.cmp(other.0)));
        keys.into_iter()
            .map(|(key, _)| {
                let membership = json.pointer("/networks").and_then(|networks| networks.get(key));
                Endpoint {
                    network: self
                        .project
                        .networks
                        .get(key)
                        .map_or_else(|| key.clone(), |network| network.name.clone()),
                    settings: self.body(body::endpoint(&service.name, membership.unwrap_or(&Json::Null))),
                }
            })
            .collect()
    }

    fn dependencies(&self, service: &Service) -> Vec<Dependency> {
        let here = |name: &String| self.project.services.contains_key(name) && !self.is_provided(name);
        service
            .depends_on
            .iter()
            .filter(|(name, dependency)| here(name) || dependency.required && !self.is_provided(name))
            .filter_map(|(name, dependency)| {
                Some(Dependency {
                    name: ServiceName::new(name.clone()).ok()?,
                    condition: match dependency.condition {
                        ComposeCondition::Started => Condition::Started,
                        ComposeCondition::Healthy => Condition::Healthy,
                        ComposeCondition::CompletedSuccessfully => Condition::Completed,
                    },
                    required: dependency.required,
                })
            })
            .collect()
    }

    fn pull(&mut self, service: &Service) -> Pull {
        let day = 24 * 60 * 60;
        match service.pull_policy.as_deref() {
            Some("always") => Pull::Always,
            Some("never") => Pull::Never,
            Some("build") => Pull::Build,
            Some("daily") => Pull::Older(Duration::from_secs(day)),
            Some("weekly") => Pull::Older(Duration::from_secs(7 * day)),
            Some(every) if every.starts_with("every_") => {
                let time = every.strip_prefix("every_").and_then(duration::nanoseconds);
                time.and_then(|time| u64::try_from(time).ok())
                    .map_or(Pull::Missing, |time| Pull::Older(Duration::from_nanos(time)))
            }
            _ => Pull::Missing,
        }
    }

    /// Files of this machine are mounted; texts are put into the container.
    fn files(
        &mut self,
        service: &Service,
        json: &Json,
    ) -> (Vec<(String, String, FileKind)>, Vec<ContainerFile>) {
        let mut mounted = Vec::new();
        let mut copied = Vec::new();
        for (kind, references, defined, base) in [
            (FileKind::Secret, &service.secrets, &self.project.secrets, "/run/secrets/"),
            (FileKind::Config, &service.configs, &self.project.configs, "/"),
        ] {
            for (index, reference) in references.iter().enumerate() {
                let Some(resource) = defined.get(&reference.source) else { continue };
                if resource.external {
                    let problem = external(kind, reference, resource);
                    self.problems.push(problem);
                    continue;
                }
                let target = match &reference.target {
                    Some(target) if target.starts_with('/') => target.clone(),
                    Some(target) => format!("{base}{target}"),
                    None => format!("{base}{}", reference.source),
                };
                let key = if kind == FileKind::Secret { "secrets" } else { "configs" };
                let attributes = json.get(key).and_then(|list| list.get(index)).unwrap_or(&Json::Null);
                let number = |key: &str, radix| {
                    let text = attributes.get(key).and_then(Json::as_str)?;
                    u64::from_str_radix(text, radix).ok()
                };
                match (&resource.content, &resource.file) {
                    (Some(content), _) => copied.push(ContainerFile {
                        path: target,
                        content: content.clone(),
                        mode: number("mode", 8).and_then(|mode| u32::try_from(mode).ok()).unwrap_or(0o444),
                        user: number("uid", 10).unwrap_or(0),
                        group: number("gid", 10).unwrap_or(0),
                    }),
                    (None, Some(file)) => mounted.push((file.clone(), target, kind)),
                    (None, None) => {}
                }
            }
        }
        (mounted, copied)
    }

    /// Whether a provider makes the service: then it is there before anything is planned.
    fn is_provided(&self, service: &str) -> bool {
        let services = self.project.model.get("services");
        services
            .and_then(|services| services.get(service))
            .is_some_and(|service| service.get("provider").is_some())
    }

    /// Providers come before all containers.
    fn refuse_needs_of_provider(&mut self, service: &Service) {
        let needed: Vec<&String> =
            service.depends_on.keys().filter(|needed| !self.is_provided(needed)).collect();
        for needed in needed {
            let message = format!(
                "service `{}`: a provider that needs the container `{needed}` is not implemented: providers come before \
                 all containers",
                service.name
            );
            self.problems.push(
                Diagnostic::error(codes::NOT_SUPPORTED, message)
                    .at(service.span, "this service")
                    .help(format!("leave `{needed}` out of its `depends_on`, or start that first by itself")),
            );
        }
    }

    fn refuse_unsupported(&mut self, service: &Service, json: &Json) {
        let attributes = [
            ("models", "models need Docker's model runner"),
            ("use_api_socket", "the Engine's socket is not handed on"),
            ("credential_spec", "it is for Windows containers"),
            ("external_links", "links to containers of others are not made"),
        ];
        for (attribute, why) in attributes {
            let set =
                json.get(attribute).is_some_and(|value| !value.is_null() && *value != Json::Bool(false));
            if set {
                let message = format!(
                    "service `{}`: `{attribute}` is not implemented by the Docker engine: {why}",
                    service.name
                );
                self.problems.push(
                    Diagnostic::error(codes::NOT_SUPPORTED, message)
                        .at(service.span, "this service")
                        .help(format!("leave `{attribute}` out, or run this service by other means")),
                );
            }
        }
        let links = json.get("links").and_then(Json::as_array).into_iter().flatten();
        for link in links.filter_map(Json::as_str).filter(|link| link.contains(':')) {
            let message = format!(
                "service `{}`: the link `{link}` gives another name, which the Docker engine does not do",
                service.name
            );
            self.problems.push(
                Diagnostic::error(codes::NOT_SUPPORTED, message)
                    .at(service.span, "this service")
                    .help("give the other service an alias: `networks: { default: { aliases: [name] } }`"),
            );
        }
    }

    fn networks(&self) -> Vec<DesiredNetwork> {
        let resources = self.project.networks.values();
        resources
            .map(|network| {
                let json = self.resource_json("networks", network);
                let hash = hash::network_hash(self.project, &network.key).unwrap_or_default();
                let labels = self.resource_labels(labels::NETWORK, &network.key, &hash);
                DesiredNetwork {
                    key: network.key.clone(),
                    name: network.name.clone(),
                    external: network.external,
                    body: self.body(body::network(&network.name, &json, &labels)),
                    hash,
                }
            })
            .collect()
    }

    fn volumes(&self) -> Vec<DesiredVolume> {
        let resources = self.project.volumes.values();
        resources
            .map(|volume| {
                let json = self.resource_json("volumes", volume);
                let hash = hash::volume_hash(self.project, &volume.key).unwrap_or_default();
                let labels = self.resource_labels(labels::VOLUME, &volume.key, &hash);
                DesiredVolume {
                    name: volume.name.clone(),
                    external: volume.external,
                    body: self.body(body::volume(&volume.name, &json, &labels)),
                }
            })
            .collect()
    }

    fn resource_json(&self, kind: &str, resource: &Resource) -> Json {
        render::resource_with_secrets(&self.project.model, kind, &resource.key).unwrap_or(Json::Null)
    }

    fn resource_labels(&self, kind: &str, key: &str, hash: &str) -> Vec<(String, String)> {
        vec![
            (labels::PROJECT.to_owned(), self.project.name.clone()),
            (kind.to_owned(), key.to_owned()),
            (labels::VERSION.to_owned(), labels::COMPOSE_VERSION.to_owned()),
            (HASH_LABEL.to_owned(), hash.to_owned()),
        ]
    }
}

fn external(kind: FileKind, reference: &Reference, resource: &Resource) -> Diagnostic {
    let what = if kind == FileKind::Secret { "secret" } else { "config" };
    let message = format!("the {what} `{}` is external, which only a swarm has", resource.name);
    Diagnostic::error(codes::NOT_SUPPORTED, message)
        .at(reference.span, "used here")
        .help(format!("give the {what} a `file`, or an `environment` variable"))
}

/// The services whose container a service shares something with.
fn shares(json: &Json) -> BTreeSet<ServiceName> {
    let modes = ["network_mode", "ipc", "pid"];
    let spaces =
        modes.iter().filter_map(|mode| json.get(mode)?.as_str()?.strip_prefix("service:").map(str::to_owned));
    let volumes = json.get("volumes_from").and_then(Json::as_array).into_iter().flatten();
    let of_volumes = volumes
        .filter_map(Json::as_str)
        .filter(|text| !text.starts_with("container:"))
        .map(|text| text.split(':').next().unwrap_or_default().to_owned());
    spaces.chain(of_volumes).filter_map(|name| ServiceName::new(name).ok()).collect()
}

fn moved(published: &str, offset: u16) -> String {
    let parts = published.split('-').map(|part| {
        part.parse::<u16>().map_or_else(|_| part.to_owned(), |port| port.saturating_add(offset).to_string())
    });
    parts.collect::<Vec<_>>().join("-")
}

/// Finds the texts that a secret went into.
fn find_secrets<'a>(node: &'a Node, secrets: &mut BTreeSet<&'a str>) {
    match &node.value {
        NodeValue::Scalar(scalar) => {
            secrets.extend(scalar.template().map(|_| scalar.text()));
        }
        NodeValue::Sequence(items) => items.iter().for_each(|item| find_secrets(item, secrets)),
        NodeValue::Mapping(mapping) => {
            mapping.iter().for_each(|entry| find_secrets(&entry.value, secrets));
        }
        NodeValue::Null => {}
    }
}
