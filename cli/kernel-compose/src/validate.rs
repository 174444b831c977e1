//! What must be true of a whole project: references resolve, nothing waits in a circle, nothing is published twice.

mod consistency;
mod cycle;
mod secrets;

use std::collections::{BTreeMap, HashMap};

use kernel_core::diagnostic::Diagnostic;
use kernel_core::source::Span;

use crate::codes;
use crate::project::{self, Condition, MountKind, Port, Project, Service};
use crate::suggest;
use crate::tree::{Node, Value};

/// Checks what stands in a complete tree by itself, whether a service uses it or not.
pub fn model(model: &Node, diagnostics: &mut Vec<Diagnostic>) {
    consistency::resources(model, diagnostics);
    consistency::device_requests(model, diagnostics);
}

/// Checks a typed project. `declared` is the tree before anything was left out of it, so that a thing with a mistake
/// still counts as there.
pub fn project(project: &Project, declared: &Node, diagnostics: &mut Vec<Diagnostic>) {
    let services = declared.get("services").and_then(Node::as_mapping).into_iter().flatten();
    let services = services.map(|entry| (entry.key.as_str(), &entry.value)).collect();
    let mut check = Check { project, declared, services, diagnostics };
    for service in project.services.values() {
        check.runnable(service);
        check.dependencies(service);
        check.resources(service);
        check.words(service);
        check.kernel(service);
    }
    check.published_ports();
    check.container_names();
    consistency::check(project, check.diagnostics);
    cycle::check(project, check.diagnostics);
    secrets::check(project, check.diagnostics);
}

struct Check<'a> {
    project: &'a Project,
    declared: &'a Node,
    /// The services of `declared`.
    services: HashMap<&'a str, &'a Node>,
    diagnostics: &'a mut Vec<Diagnostic>,
}

impl<'a> Check<'a> {
    fn tell(&mut self, diagnostic: Diagnostic) {
        self.diagnostics.push(diagnostic);
    }

    fn raw(&self, service: &Service, attribute: &str) -> Option<&'a Node> {
        self.services.get(service.name.as_str())?.get(attribute)
    }

    /// The service in the canonical tree.
    fn canonical(&self, service: &Service) -> Option<&'a Node> {
        self.project.model.get("services")?.get(&service.name)
    }

    fn runnable(&mut self, service: &Service) {
        let canonical = self.canonical(service);
        let has = |attribute: &str| canonical.is_some_and(|node| node.get(attribute).is_some());
        // What was told to be wrong is not there any more, and one that extends what can't be had lacks nothing.
        let told = ["image", "build", "provider"].iter().any(|attribute| {
            self.raw(service, attribute).is_some_and(|node| !node.is_null()) && !has(attribute)
        }) || (has("extends")
            && self.diagnostics.iter().any(|problem| problem.code == codes::EXTENDS));
        let image = service.image.as_deref().is_some_and(|image| !image.is_empty());
        if !image && !has("build") && !has("provider") && !told {
            let empty =
                self.raw(service, "image").filter(|image| image.as_text() == Some("")).map(|node| node.span);
            let label = if empty.is_some() { "became empty" } else { "nothing to run" };
            self.tell(
                Diagnostic::error(
                    codes::NOTHING_TO_RUN,
                    format!("service `{}` has neither `image` nor `build`", service.name),
                )
                .at(empty.unwrap_or(service.span), label)
                .help("say `image: NAME`, or `build: DIRECTORY`"),
            );
        }
        let networks = self.raw(service, "networks").filter(|node| match &node.value {
            Value::Mapping(networks) => !networks.is_empty(),
            Value::Sequence(networks) => !networks.is_empty(),
            _ => false,
        });
        let mode = self.raw(service, "network_mode").filter(|mode| mode.as_text() != Some(""));
        if let (Some(mode), Some(networks)) = (mode, networks) {
            let problem = conflict(service, "network_mode", mode.span, "networks", networks.span);
            self.tell(problem);
        }
        if let Some(raw) = self.raw(service, "build")
            && let (Some(path), Some(inline)) = (raw.get("dockerfile"), raw.get("dockerfile_inline"))
            && [path, inline].iter().all(|node| node.as_text().is_some_and(|text| !text.is_empty()))
        {
            let problem =
                conflict(service, "build.dockerfile", path.span, "build.dockerfile_inline", inline.span);
            self.tell(problem);
        }
        let replicas =
            canonical.and_then(|node| node.get("deploy")).and_then(|deploy| deploy.get("replicas"));
        let scale = canonical.and_then(|node| node.get("scale"));
        if let (Some(scale), Some(replicas)) = (scale, replicas)
            && scale.as_text() != replicas.as_text()
        {
            let problem = conflict(service, "scale", scale.span, "deploy.replicas", replicas.span);
            self.tell(problem);
        }
        if service.scale > 1 && service.container_name.as_deref().is_some_and(|name| !name.is_empty()) {
            let place = self.raw(service, "container_name").map_or(service.span, |node| node.span);
            self.tell(
                Diagnostic::error(
                    codes::CONFLICT,
                    format!("service `{}` has one `container_name` for several containers", service.name),
                )
                .at(place, "can name only one")
                .help("leave `container_name` out"),
            );
        }
    }

    fn dependencies(&mut self, service: &Service) {
        for (name, dependency) in &service.depends_on {
            let label = format!("service `{}` depends on `{name}`", service.name);
            if let Some(other) = self.project.services.get(name) {
                let unhealthy = dependency.condition == Condition::Healthy
                    && other.build.is_none()
                    && other
                        .healthcheck
                        .as_ref()
                        .is_some_and(|health| health.test == project::Test::Disabled);
                if unhealthy {
                    self.tell(
                        Diagnostic::warning(
                            codes::NO_HEALTH_CHECK,
                            format!("{label} being healthy, and its health check is switched off"),
                        )
                        .at(dependency.span, "can never be healthy")
                        .at(other.span, "no health check")
                        .help("wait for `service_started`, or give it a health check"),
                    );
                }
            } else if let Some(profiles) = self.project.hidden.get(name) {
                if !dependency.required {
                    continue;
                }
                let list =
                    profiles.iter().map(|profile| format!("`{profile}`")).collect::<Vec<_>>().join(" or ");
                let first = profiles.first().map_or("", String::as_str);
                self.tell(
                    Diagnostic::error(
                        codes::HIDDEN_BY_PROFILE,
                        format!("{label}, which only the profile {list} shows"),
                    )
                    .at(dependency.span, "hidden by its profile")
                    .help(format!("add `--profile {first}`, or say `required: false` here")),
                );
            } else if !self.services.contains_key(name.as_str()) {
                let known =
                    self.project.services.keys().chain(self.project.hidden.keys()).map(String::as_str);
                let help = suggest::nearest(name, known).map_or_else(
                    || "declare it under `services`, or take it out here".to_owned(),
                    |near| format!("did you mean `{near}`?"),
                );
                self.tell(
                    Diagnostic::error(codes::UNDEFINED_SERVICE, format!("{label}, which does not exist"))
                        .at(dependency.span, "no such service")
                        .help(help),
                );
            }
        }
    }

    fn resources(&mut self, service: &Service) {
        let place = |name: &str| {
            let networks = self.raw(service, "networks");
            let in_mapping = networks.and_then(Node::as_mapping).and_then(|networks| networks.entry(name));
            let in_list = networks.and_then(Node::as_sequence).unwrap_or_default().iter();
            let in_list = || in_list.clone().find(|item| item.as_text() == Some(name)).map(|item| item.span);
            in_mapping.map(|entry| entry.key_span).or_else(in_list).unwrap_or(service.span)
        };
        let mut wanted: Vec<(&str, String, Span)> = Vec::new();
        for name in service.networks.keys() {
            wanted.push(("networks", name.clone(), place(name)));
        }
        let named = |mount: &&project::Mount| {
            mount.kind == MountKind::Volume
                && mount.source.as_deref().is_some_and(|source| !source.is_empty())
        };
        for mount in service.volumes.iter().filter(named) {
            wanted.extend(mount.source.clone().map(|source| ("volumes", source, mount.span)));
        }
        wanted.extend(service.secrets.iter().map(|secret| ("secrets", secret.source.clone(), secret.span)));
        wanted.extend(service.configs.iter().map(|config| ("configs", config.source.clone(), config.span)));
        if let Some(canonical) = self.canonical(service) {
            let built = canonical.get("build").and_then(|build| build.get("secrets"));
            for secret in built.and_then(Node::as_sequence).unwrap_or_default() {
                let source = secret.get("source").and_then(Node::as_text).unwrap_or_default();
                wanted.push(("secrets", source.to_owned(), secret.span));
            }
            for model in canonical.get("models").and_then(Node::as_mapping).into_iter().flatten() {
                wanted.push(("models", model.key.clone(), model.key_span));
            }
        }
        for (kind, name, span) in wanted {
            let declared = self.declared.get(kind).and_then(Node::as_mapping);
            // The default network is declared by being used, but not by a service that goes without it.
            let automatic =
                kind == "networks" && name == "default" && self.project.networks.contains_key("default");
            if automatic || declared.is_some_and(|declared| declared.get(&name).is_some()) {
                continue;
            }
            let known = declared.into_iter().flatten().map(|entry| entry.key.as_str());
            let kind_of_one = kind.trim_end_matches('s');
            let help = match suggest::nearest(&name, known) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("declare it at the top level: `{kind}: {{ {name}: … }}`"),
            };
            let message =
                format!("service `{}` uses the {kind_of_one} `{name}`, which is not declared", service.name);
            self.tell(
                Diagnostic::error(codes::UNDEFINED_RESOURCE, message).at(span, "not declared").help(help),
            );
        }
        let mut targets: HashMap<&str, Span> = HashMap::new();
        let tmpfs = self.raw(service, "tmpfs").map_or(service.span, |node| node.span);
        let tmpfs = service.tmpfs.iter().map(|text| (text.split(':').next().unwrap_or_default(), tmpfs));
        let mounts = service.volumes.iter().map(|mount| (mount.target.as_str(), mount.span));
        let mut problems = Vec::new();
        for (path, span) in tmpfs.chain(mounts) {
            if let Some(first) = targets.insert(path, span) {
                problems.push(
                    Diagnostic::error(
                        codes::DUPLICATE,
                        format!("service `{}` mounts two things on `{path}`", service.name),
                    )
                    .at(span, "again here")
                    .at(first, "first here")
                    .help("keep one of them"),
                );
            }
        }
        self.diagnostics.extend(problems);
    }

    /// Words that an engine will refuse. The reference takes any.
    fn words(&mut self, service: &Service) {
        let restart = self.raw(service, "restart").cloned();
        if let Some((node, text)) = restart.as_ref().and_then(|node| Some((node, node.as_text()?)))
            && project::restart(text).is_none()
        {
            let message = format!("service `{}`: `{text}` is not a restart policy", service.name);
            self.tell(
                Diagnostic::warning(codes::BAD_VALUE, message)
                    .at(node.span, "unknown")
                    .help("write `no`, `always`, `unless-stopped`, `on-failure` or `on-failure:TIMES`"),
            );
        }
    }

    fn kernel(&mut self, service: &Service) {
        let Some(kernel) = &service.kernel else { return };
        let place = self.raw(service, "x-kernel").map_or(service.span, |node| node.span);
        let reason = match (&kernel.package, kernel.embedded.is_empty()) {
            (Some(_), false) => "has both `package` and `embedded`: it is either ours or infrastructure",
            (None, true) if kernel.scenario.is_some() || !kernel.environment.is_empty() => {
                "has `scenario` or `environment` and no `package`"
            }
            _ => return,
        };
        self.tell(
            Diagnostic::error(
                codes::KERNEL_EXTENSION,
                format!("`x-kernel` of service `{}` {reason}", service.name),
            )
            .at(place, "contradicts itself")
            .help("a service of this workspace has `package`, an infra service has `embedded`"),
        );
    }

    fn published_ports(&mut self) {
        let mut taken: BTreeMap<(u16, &str), Vec<(&Service, &Port)>> = BTreeMap::new();
        for service in self.project.services.values() {
            for port in &service.ports {
                let Some(published) = port.published.filter(|_| port.published_end.is_none()) else {
                    continue;
                };
                let earlier = taken.entry((published, port.protocol.as_str())).or_default();
                let clash = earlier.iter().find(|(_, other)| {
                    other.host_ip == port.host_ip || is_any(other.host_ip) || is_any(port.host_ip)
                });
                if let Some((other, first)) = clash {
                    let message = if other.name == service.name {
                        format!("service `{}` publishes port {published} twice", service.name)
                    } else {
                        format!(
                            "services `{}` and `{}` both publish port {published}",
                            other.name, service.name
                        )
                    };
                    self.diagnostics.push(
                        Diagnostic::warning(codes::PORT_TAKEN, message)
                            .at(port.span, "again here")
                            .at(first.span, "first here")
                            .help("publish one of them on another port"),
                    );
                }
                earlier.push((service, port));
            }
        }
    }

    fn container_names(&mut self) {
        let mut names: HashMap<&str, &Service> = HashMap::new();
        for service in self.project.services.values() {
            let name = service.container_name.as_deref().filter(|name| !name.is_empty());
            let Some(name) = name else { continue };
            if let Some(first) = names.insert(name, service) {
                let message = format!(
                    "services `{}` and `{}` have one `container_name`, `{name}`",
                    first.name, service.name
                );
                self.diagnostics.push(
                    Diagnostic::error(codes::DUPLICATE, message)
                        .at(service.span, "again here")
                        .at(first.span, "first here")
                        .help("give each its own name, or leave it out"),
                );
            }
        }
    }
}

fn is_any(address: Option<std::net::IpAddr>) -> bool {
    address.is_none_or(|address| address.is_unspecified())
}

fn conflict(service: &Service, left: &str, left_span: Span, right: &str, right_span: Span) -> Diagnostic {
    let message =
        format!("service `{}` has both `{left}` and `{right}`, which exclude each other", service.name);
    Diagnostic::error(codes::CONFLICT, message)
        .at(left_span, "this")
        .at(right_span, "or this")
        .help("keep one of them")
}
