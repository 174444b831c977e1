//! Writes in what a project leaves unsaid: names, defaults, the default network, dependencies that follow from other
//! attributes.

use kernel_core::source::Span;

use crate::environment::Environment;
use crate::request::Skip;
use crate::tree::{Entry, Mapping, Node, Value};

/// How far a file has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Variables are not filled in: it is only printed.
    Templates,
    /// Everything is known.
    Values,
}

/// Completes a normalised file.
pub fn complete(
    tree: &mut Node,
    project: &str,
    directory: &str,
    environment: &Environment,
    skip: Skip,
    stage: Stage,
) {
    let span = tree.span;
    let Value::Mapping(top) = &mut tree.value else { return };
    let typed = stage == Stage::Values;
    if typed || !skip.normalization {
        top.set("name", span, Node::text(project, span));
    }
    let mut default_used = false;
    if let Some(Value::Mapping(services)) = top.get_mut("services").map(|node| &mut node.value) {
        for Entry { value, .. } in services.iter_mut() {
            if let Value::Mapping(service) = &mut value.value {
                let directory = if skip.paths { "." } else { directory };
                let mut stage = Service { service, span: value.span, directory, environment };
                stage.context();
                stage.deploy(typed);
                stage.references();
                if typed && !skip.consistency {
                    stage.scale();
                }
                if skip.normalization {
                    stage.named_dependencies(typed);
                } else {
                    stage.build(typed);
                    stage.dependencies(typed);
                    default_used |= stage.networks();
                }
            }
        }
    }
    if default_used && top.get("networks").is_none_or(|networks| networks.get("default").is_none()) {
        if top.get("networks").is_none() {
            top.set("networks", span, Node::new(Value::Mapping(Mapping::default()), span));
        }
        if let Some(Value::Mapping(networks)) = top.get_mut("networks").map(|node| &mut node.value) {
            networks.set("default", span, Node::new(Value::Mapping(Mapping::default()), span));
        }
    }
    for kind in ["networks", "volumes", "secrets", "configs"] {
        if let Some(Value::Mapping(resources)) = top.get_mut(kind).map(|node| &mut node.value) {
            let name = Some(project).filter(|_| !skip.normalization);
            resources.iter_mut().for_each(|entry| resource(entry, kind, name, typed));
        }
    }
}

fn resource(entry: &mut Entry, kind: &str, project: Option<&str>, typed: bool) {
    if entry.value.is_null() && project.is_none() && !typed {
        return;
    }
    let span = entry.key_span;
    if entry.value.is_null() {
        entry.value = Node::new(Value::Mapping(Mapping::default()), span);
    }
    let Value::Mapping(resource) = &mut entry.value.value else { return };
    let external = resource.get("external").and_then(Node::as_text) == Some("true");
    if !external && typed {
        resource.remove("external");
    }
    if let (None, Some(project)) = (resource.get("name"), project) {
        let name = if external { entry.key.clone() } else { format!("{project}_{}", entry.key) };
        resource.set("name", span, Node::text(name, span));
    }
    if typed && kind == "networks" && resource.get("ipam").is_none() {
        resource.set("ipam", span, Node::new(Value::Mapping(Mapping::default()), span));
    }
}

struct Service<'a> {
    service: &'a mut Mapping,
    span: Span,
    directory: &'a str,
    environment: &'a Environment,
}

impl Service<'_> {
    fn context(&mut self) {
        if let Some(Node { value: Value::Mapping(build), span, .. }) = self.service.get_mut("build")
            && build.get("context").is_none()
        {
            build.set("context", *span, Node::text(self.directory, *span));
        }
    }

    fn build(&mut self, typed: bool) {
        if self.service.get("pull_policy").and_then(Node::as_text) == Some("if_not_present") {
            self.service.set("pull_policy", self.span, Node::text("missing", self.span));
        }
        let Some(Node { value: Value::Mapping(build), span, .. }) = self.service.get_mut("build") else {
            return;
        };
        if build.get("dockerfile").is_none() && build.get("dockerfile_inline").is_none() {
            build.set("dockerfile", *span, Node::text("Dockerfile", *span));
        }
        if let Some(Node { value: Value::Mapping(arguments), .. }) = build.get_mut("args") {
            let mut kept = Mapping::default();
            kept.set_listed(arguments.is_listed());
            for Entry { key, key_span, value } in std::mem::take(arguments) {
                let value = if value.is_null() {
                    let found = self.environment.scalar(&key).filter(|_| typed);
                    found.map(|text| Node::new(Value::Scalar(text), value.span))
                } else {
                    Some(value)
                };
                if let Some(value) = value {
                    kept.set(key, key_span, value);
                }
            }
            if kept.is_empty() && kept.is_listed() {
                build.set("args", *span, Node::new(Value::Sequence(Vec::new()), *span));
            } else {
                *arguments = kept;
            }
        }
    }

    fn deploy(&mut self, typed: bool) {
        if let Some(Node { value: Value::Mapping(deploy), span, .. }) = self.service.get_mut("deploy") {
            for key in ["placement", "resources"].into_iter().filter(|_| typed) {
                if deploy.get(key).is_none() {
                    deploy.push(key.to_owned(), *span, Node::new(Value::Mapping(Mapping::default()), *span));
                }
            }
            let reservations = deploy.get_mut("resources").and_then(|resources| match &mut resources.value {
                Value::Mapping(resources) => resources.get_mut("reservations"),
                _ => None,
            });
            if let Some(Node { value: Value::Mapping(reservations), .. }) = reservations {
                device_counts(reservations.get_mut("devices"), typed);
            }
        }
        device_counts(self.service.get_mut("gpus"), typed);
        if typed {
            self.hooks();
        }
    }

    /// The number of containers stands in both places, where there is one for it.
    fn scale(&mut self) {
        let Some(scale) = self.service.get("scale").cloned() else { return };
        if let Some(Node { value: Value::Mapping(deploy), span, .. }) = self.service.get_mut("deploy")
            && deploy.get("replicas").is_none()
        {
            deploy.push("replicas".to_owned(), *span, scale);
        }
    }

    /// Commands that run on a change have no command when there are none.
    fn hooks(&mut self) {
        let Some(Node { value: Value::Mapping(develop), .. }) = self.service.get_mut("develop") else {
            return;
        };
        let Some(Node { value: Value::Sequence(watch), .. }) = develop.get_mut("watch") else { return };
        for item in watch {
            let span = item.span;
            if let Value::Mapping(item) = &mut item.value
                && item.get("exec").is_none()
            {
                item.push("exec".to_owned(), span, Node::new(Value::Mapping(Mapping::default()), span));
            }
        }
    }

    fn dependencies(&mut self, typed: bool) {
        let text = |node: &Node| node.as_text().map(str::to_owned);
        let mut implied: Vec<(String, bool, Span)> = Vec::new();
        for link in self.service.get("links").and_then(Node::as_sequence).unwrap_or_default() {
            let name = text(link).unwrap_or_default();
            let service = match name.split_once(':') {
                Some((service, alias)) if !alias.contains(':') => service.to_owned(),
                _ => name,
            };
            implied.push((service, true, link.span));
        }
        for attribute in ["network_mode", "ipc", "pid", "uts", "cgroup"] {
            let Some(node) = self.service.get(attribute) else { continue };
            if let Some(name) = node.as_text().and_then(|mode| mode.strip_prefix("service:")) {
                implied.push((name.to_owned(), true, node.span));
            }
        }
        for from in self.service.get("volumes_from").and_then(Node::as_sequence).unwrap_or_default() {
            let name = text(from).unwrap_or_default();
            if !name.starts_with("container:") {
                implied.push((name.split(':').next().unwrap_or_default().to_owned(), false, from.span));
            }
        }
        if !implied.is_empty() && self.service.get("depends_on").is_none() {
            self.service.set(
                "depends_on",
                self.span,
                Node::new(Value::Mapping(Mapping::default()), self.span),
            );
        }
        let Some(Node { value: Value::Mapping(dependencies), .. }) = self.service.get_mut("depends_on")
        else {
            return;
        };
        for (name, restart, span) in implied {
            if dependencies.get(&name).is_none() {
                let entries = [
                    ("condition", Node::text("service_started", span)),
                    ("restart", Node::plain(restart.to_string(), span)),
                ];
                dependencies.set(name, span, Node::mapping(entries, span));
            }
        }
        self.named_dependencies(typed);
    }

    /// What a dependency means that does not say more.
    fn named_dependencies(&mut self, typed: bool) {
        let Some(Node { value: Value::Mapping(dependencies), .. }) = self.service.get_mut("depends_on")
        else {
            return;
        };
        for entry in dependencies.iter_mut() {
            let span = entry.key_span;
            let Value::Mapping(dependency) = &mut entry.value.value else { continue };
            if dependency.get("condition").is_none() {
                dependency.set("condition", span, Node::text("service_started", span));
            }
            if dependency.get("required").is_none() {
                dependency.set("required", span, Node::plain("true", span));
            }
            if typed && dependency.get("restart").and_then(Node::as_text) == Some("false") {
                dependency.remove("restart");
            }
        }
    }

    fn references(&mut self) {
        let Some(Node { value: Value::Sequence(secrets), .. }) = self.service.get_mut("secrets") else {
            return;
        };
        for secret in secrets {
            let span = secret.span;
            let source = secret.get("source").and_then(Node::as_text).map(str::to_owned);
            if let (Value::Mapping(secret), Some(source)) = (&mut secret.value, source)
                && secret.get("target").is_none()
            {
                secret.set("target", span, Node::text(format!("/run/secrets/{source}"), span));
            }
        }
    }

    /// Whether the service is in the default network.
    fn networks(&mut self) -> bool {
        let outside = self.service.get("network_mode").is_some() || self.service.get("provider").is_some();
        let named = self.service.get("networks").and_then(Node::as_mapping);
        match named {
            _ if outside => false,
            Some(networks) if !networks.is_empty() => networks.get("default").is_some(),
            _ => {
                let networks = Node::mapping([("default", Node::new(Value::Null, self.span))], self.span);
                self.service.set("networks", self.span, networks);
                true
            }
        }
    }
}

/// A request for devices that says neither how many nor which asks for all.
fn device_counts(requests: Option<&mut Node>, typed: bool) {
    let Some(Node { value: Value::Sequence(requests), .. }) = requests else { return };
    for request in requests {
        let span = request.span;
        if let Value::Mapping(request) = &mut request.value
            && request.get("count").is_none()
            && request.get("device_ids").is_none()
        {
            let all = if typed { Node::plain("-1", span) } else { Node::text("all", span) };
            request.push("count".to_owned(), span, all);
        }
    }
}
