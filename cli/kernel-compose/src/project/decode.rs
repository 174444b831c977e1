//! From the canonical tree to the types. The tree was checked before, so what is missing here is only what was left
//! out for an error that has been told.

use std::collections::BTreeMap;
use std::time::Duration;

use kernel_core::secret::{Secret, Value};
use kernel_core::source::{Sources, Span};

use super::service::{
    Build, Condition, Dependency, Healthcheck, KernelExtension, Logging, Membership, Mount, MountKind, Port,
    Protocol, Reference, Resources, Restart, Service, Test,
};
use super::value::Variable;
use super::{KernelSettings, Project, Resource};
use crate::environment::Environment;
use crate::normalise::port::short_form;
use crate::normalise::units;
use crate::select::texts;
use crate::tree::{Entry, Node};

/// Types a canonical tree.
pub fn decode(
    model: Node,
    name: &str,
    directory: &str,
    hidden: &BTreeMap<String, Node>,
    environment: &Environment,
) -> Project {
    let services = entries(model.get("services")).map(|entry| (entry.key.clone(), service(entry))).collect();
    let resources = |kind: &str| {
        entries(model.get(kind)).map(|entry| (entry.key.clone(), resource(entry, environment))).collect()
    };
    Project {
        name: name.to_owned(),
        directory: directory.to_owned(),
        separator: "-",
        services,
        hidden: hidden.iter().map(|(name, service)| (name.clone(), texts(service.get("profiles")))).collect(),
        networks: resources("networks"),
        volumes: resources("volumes"),
        secrets: resources("secrets"),
        configs: resources("configs"),
        default_platform: environment
            .get("DOCKER_DEFAULT_PLATFORM")
            .filter(|platform| !platform.is_empty())
            .map(str::to_owned),
        kernel: KernelSettings {
            generate: texts(model.get("x-kernel").and_then(|kernel| kernel.get("generate"))),
        },
        model,
    }
}

fn service(entry: &Entry) -> Service {
    let node = &entry.value;
    let list = |key: &str| texts(node.get(key));
    Service {
        name: entry.key.clone(),
        span: entry.key_span,
        image: text(node, "image"),
        build: node.get("build").map(build),
        pull_policy: text(node, "pull_policy"),
        platform: text(node, "platform"),
        command: node.get("command").map(|node| texts(Some(node))),
        entrypoint: node.get("entrypoint").map(|node| texts(Some(node))),
        environment: variables(node.get("environment")),
        ports: items(node.get("ports")).filter_map(port).collect(),
        expose: list("expose"),
        healthcheck: node.get("healthcheck").map(healthcheck),
        depends_on: entries(node.get("depends_on"))
            .map(|entry| (entry.key.clone(), dependency(entry)))
            .collect(),
        profiles: list("profiles"),
        volumes: items(node.get("volumes")).map(mount).collect(),
        tmpfs: list("tmpfs"),
        networks: entries(node.get("networks"))
            .map(|entry| (entry.key.clone(), membership(&entry.value)))
            .collect(),
        network_mode: text(node, "network_mode"),
        secrets: items(node.get("secrets")).map(reference).map(in_run_secrets).collect(),
        configs: items(node.get("configs")).map(reference).collect(),
        restart: text(node, "restart").and_then(|text| restart(&text)).unwrap_or_default(),
        stop_grace_period: duration(node, "stop_grace_period"),
        stop_signal: text(node, "stop_signal"),
        resources: resources(node),
        scale: number(node, "scale").or_else(|| number(node.get("deploy")?, "replicas")).unwrap_or(1),
        container_name: text(node, "container_name"),
        hostname: text(node, "hostname"),
        user: text(node, "user"),
        working_directory: text(node, "working_dir"),
        read_only: truth(node, "read_only"),
        init: truth(node, "init"),
        tty: truth(node, "tty"),
        privileged: truth(node, "privileged"),
        cap_add: list("cap_add"),
        cap_drop: list("cap_drop"),
        security_opt: list("security_opt"),
        labels: map(node.get("labels")),
        logging: node
            .get("logging")
            .map(|node| Logging { driver: text(node, "driver"), options: map(node.get("options")) }),
        kernel: node.get("x-kernel").map(|node| KernelExtension {
            package: text(node, "package"),
            scenario: text(node, "scenario"),
            ports: items(node.get("ports")).filter_map(port).collect(),
            environment: variables(node.get("environment")),
            embedded: variables(node.get("embedded")),
        }),
    }
}

fn build(node: &Node) -> Build {
    Build {
        context: text(node, "context").unwrap_or_default(),
        dockerfile: text(node, "dockerfile"),
        dockerfile_inline: text(node, "dockerfile_inline"),
        args: map(node.get("args")),
        target: text(node, "target"),
    }
}

impl Port {
    /// The ports that a short form such as `127.0.0.1:8080:80/udp` says: several where there is a range.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Vec<Self>, String> {
        let source = Sources::default().add("", text);
        let node = Node::text(text, Span { source, start: 0, end: text.len() });
        Ok(short_form(&node)?.iter().filter_map(port).collect())
    }
}

fn port(node: &Node) -> Option<Port> {
    let published = text(node, "published").filter(|text| !text.is_empty());
    let (first, last) = match published.as_deref().map(|text| text.split_once('-').unwrap_or((text, text))) {
        Some((first, last)) => (first.parse().ok(), last.parse().ok()),
        None => (None, None),
    };
    Some(Port {
        host_ip: text(node, "host_ip").and_then(|text| text.parse().ok()),
        published: first,
        published_end: last.filter(|_| last != first),
        target: number(node, "target")?,
        protocol: match text(node, "protocol").as_deref() {
            Some("udp") => Protocol::Udp,
            Some("sctp") => Protocol::Sctp,
            _ => Protocol::Tcp,
        },
        span: node.span,
    })
}

fn healthcheck(node: &Node) -> Healthcheck {
    let words = texts(node.get("test"));
    let test = match words.split_first() {
        _ if truth(node, "disable") => Test::Disabled,
        None => Test::Inherited,
        Some((first, rest)) => match first.as_str() {
            "NONE" => Test::Disabled,
            "CMD-SHELL" => Test::Shell(rest.join(" ")),
            _ => Test::Command(rest.to_vec()),
        },
    };
    Healthcheck {
        test,
        interval: duration(node, "interval"),
        timeout: duration(node, "timeout"),
        start_period: duration(node, "start_period"),
        start_interval: duration(node, "start_interval"),
        retries: number(node, "retries"),
    }
}

fn dependency(entry: &Entry) -> Dependency {
    let node = &entry.value;
    let condition = match text(node, "condition").as_deref() {
        Some("service_healthy") => Condition::Healthy,
        Some("service_completed_successfully") => Condition::CompletedSuccessfully,
        _ => Condition::Started,
    };
    let required = text(node, "required").as_deref() != Some("false");
    Dependency { condition, required, restart: truth(node, "restart"), span: entry.key_span }
}

fn mount(node: &Node) -> Mount {
    let kind = match text(node, "type").as_deref() {
        Some("bind") => MountKind::Bind,
        Some("volume") => MountKind::Volume,
        Some("tmpfs") => MountKind::Tmpfs,
        _ => MountKind::Other,
    };
    Mount {
        kind,
        source: text(node, "source"),
        target: text(node, "target").unwrap_or_default(),
        read_only: truth(node, "read_only"),
        span: node.span,
    }
}

fn membership(node: &Node) -> Membership {
    Membership {
        aliases: texts(node.get("aliases")),
        ipv4_address: text(node, "ipv4_address"),
        priority: number(node, "priority").unwrap_or(0),
    }
}

fn reference(node: &Node) -> Reference {
    let source = text(node, "source").unwrap_or_default();
    Reference { source, target: text(node, "target"), span: node.span }
}

/// A relative target of a secret is below `/run/secrets`.
fn in_run_secrets(mut secret: Reference) -> Reference {
    secret.target = secret.target.map(|target| match target.starts_with('/') {
        true => target,
        false => format!("/run/secrets/{target}"),
    });
    secret
}

/// Reads `restart`; nothing when it is no policy.
pub(crate) fn restart(text: &str) -> Option<Restart> {
    match text {
        "no" | "false" | "" => Some(Restart::No),
        "always" => Some(Restart::Always),
        "unless-stopped" => Some(Restart::UnlessStopped),
        "on-failure" => Some(Restart::OnFailure(None)),
        _ => text.strip_prefix("on-failure:")?.parse().ok().map(|times| Restart::OnFailure(Some(times))),
    }
}

fn resources(node: &Node) -> Resources {
    let deploy = node.get("deploy").and_then(|deploy| deploy.get("resources"));
    let limits = deploy.and_then(|resources| resources.get("limits"));
    let reservations = deploy.and_then(|resources| resources.get("reservations"));
    Resources {
        cpus: limits.and_then(|limits| number(limits, "cpus")).or_else(|| number(node, "cpus")),
        memory: limits.and_then(|limits| number(limits, "memory")).or_else(|| number(node, "mem_limit")),
        pids: limits.and_then(|limits| number(limits, "pids")).or_else(|| number(node, "pids_limit")),
        reserved_cpus: reservations.and_then(|reserved| number(reserved, "cpus")),
        reserved_memory: reservations
            .and_then(|reserved| number(reserved, "memory"))
            .or_else(|| number(node, "mem_reservation")),
    }
}

fn resource(entry: &Entry, environment: &Environment) -> Resource {
    let node = &entry.value;
    let content = match (text(node, "content"), text(node, "environment")) {
        (Some(content), _) => Some(content),
        (None, Some(variable)) => environment.get(&variable).map(str::to_owned),
        (None, None) => None,
    };
    Resource {
        key: entry.key.clone(),
        name: text(node, "name").unwrap_or_default(),
        external: truth(node, "external"),
        driver: text(node, "driver"),
        file: text(node, "file"),
        content: content.map(Secret::new),
        internal: truth(node, "internal"),
        labels: map(node.get("labels")),
        span: entry.key_span,
    }
}

fn variables(node: Option<&Node>) -> Vec<Variable> {
    let variable = |entry: &Entry| {
        let scalar = entry.value.as_scalar()?;
        let value = match scalar.template() {
            Some(_) => Value::Secret(Secret::new(scalar.text())),
            None => Value::Plain(scalar.text().to_owned()),
        };
        Some(Variable { name: entry.key.clone(), value, span: entry.value.span })
    };
    let mut variables: Vec<Variable> = entries(node).filter_map(variable).collect();
    variables.sort_by(|left, right| left.name.cmp(&right.name));
    variables
}

fn entries(node: Option<&Node>) -> impl Iterator<Item = &Entry> {
    let mapping = node.and_then(Node::as_mapping);
    mapping.into_iter().flatten()
}

fn items(node: Option<&Node>) -> impl Iterator<Item = &Node> {
    node.and_then(Node::as_sequence).unwrap_or_default().iter()
}

fn text(node: &Node, key: &str) -> Option<String> {
    node.get(key).and_then(Node::as_text).map(str::to_owned)
}

fn truth(node: &Node, key: &str) -> bool {
    node.get(key).and_then(Node::as_text) == Some("true")
}

fn number<T: std::str::FromStr>(node: &Node, key: &str) -> Option<T> {
    node.get(key).and_then(Node::as_text).and_then(|text| text.parse().ok())
}

fn duration(node: &Node, key: &str) -> Option<Duration> {
    node.get(key).and_then(Node::as_text).and_then(units::duration)
}

fn map(node: Option<&Node>) -> BTreeMap<String, String> {
    let pair = |entry: &Entry| (entry.key.clone(), entry.value.as_text().unwrap_or_default().to_owned());
    node.and_then(Node::as_mapping).into_iter().flatten().map(pair).collect()
}
