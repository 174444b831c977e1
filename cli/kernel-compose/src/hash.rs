//! The configuration hashes of docker compose: what it writes into the label `com.docker.compose.config-hash`, and what
//! `config --hash` prints.
//!
//! A hash is the SHA-256, in lower-case hexadecimal, of the JSON that docker compose 2.40's own types give: their fields
//! in the order of their declaration, keys of mappings sorted, what is empty left out, `<`, `>` and `&` escaped. The tables
//! below are that order. A container whose label has another hash is recreated, so one bit of difference means that two
//! tools on one stack recreate each other's containers.

use kernel_core::secret::Secret;
use serde_json::{Map, Value as Json};
use sha2::{Digest, Sha256};

use crate::project::Project;
use crate::render;
use crate::select::texts;
use crate::tree::Node;

/// The hash of a service of this project: the label of its containers. Nothing when there is no such service.
///
/// `build`, `pull_policy`, `scale`, `deploy.replicas`, `depends_on` and `profiles` are not in it, nor is the text of secrets,
/// configs and env files beyond the variables that they give. `container` gives the id of the first container of a
/// service: `network_mode`, `ipc` and `pid` of the form `service:NAME`, and `volumes_from`, are hashed by it, as the
/// containers that they name are what the new one is made for. Without an id the name stays.
#[must_use]
pub fn service_hash(
    project: &Project,
    service: &str,
    container: &dyn Fn(&str) -> Option<String>,
) -> Option<String> {
    service_text(project, service, container).map(|text| of_text(text.expose()))
}

/// The text that [`service_hash`] is the hash of, for whoever knows the ids of containers only later: `container` then
/// gives what stands for them. Values of the environment are in it.
#[must_use]
pub fn service_text(
    project: &Project,
    service: &str,
    container: &dyn Fn(&str) -> Option<String>,
) -> Option<Secret> {
    let mut fields = fields_of(project, service)?;
    let labels = texts(project.model.get("services")?.get(service)?.get("label_file"));
    if !labels.is_empty() {
        fields.insert("label_file".to_owned(), Json::from(labels));
    }
    name_containers(&mut fields, container);
    Some(Secret::new(text(&Json::Object(fields), SERVICE)))
}

/// What `config --hash` prints for a service. It is the hash of the label as long as a service has no env files, no label
/// files and names no other service's container. The project has to come from a load that left env files unread
/// ([`Skip::env_files`](crate::Skip::env_files)).
#[must_use]
pub fn printed_service_hash(project: &Project, service: &str) -> Option<String> {
    let mut fields = fields_of(project, service)?;
    let files = env_files(project.model.get("services")?.get(service)?);
    if !files.is_empty() {
        fields.insert("env_file".to_owned(), Json::Array(files));
    }
    Some(digest(&Json::Object(fields), SERVICE))
}

/// What is hashed of a service, files and containers aside.
fn fields_of(project: &Project, service: &str) -> Option<Map<String, Json>> {
    let node = project.model.get("services")?.get(service)?;
    let Json::Object(mut fields) = render::service_with_secrets(node) else { return None };
    let built = fields.remove("build").is_some();
    for name in ["pull_policy", "scale", "depends_on", "profiles"] {
        fields.remove(name);
    }
    if let Some(Json::Object(deploy)) = fields.get_mut("deploy") {
        deploy.remove("replicas");
    }
    if let Some(platform) = project.default_platform.as_ref().filter(|_| built) {
        fields.entry("platform").or_insert_with(|| Json::from(platform.as_str()));
    }
    Some(fields)
}

/// Puts containers in place of services.
fn name_containers(fields: &mut Map<String, Json>, container: &dyn Fn(&str) -> Option<String>) {
    for name in ["network_mode", "ipc", "pid"] {
        let mode = fields.get(name).and_then(Json::as_str);
        let id = mode.and_then(|mode| mode.strip_prefix("service:")).and_then(container);
        if let Some(id) = id {
            fields.insert(name.to_owned(), Json::from(format!("container:{id}")));
        }
    }
    if let Some(Json::Array(sources)) = fields.get_mut("volumes_from") {
        for source in sources {
            let text = source.as_str().unwrap_or_default();
            let mut parts = text.split(':');
            let replaced = match (parts.next(), parts.next()) {
                (Some("container"), Some(name)) => Some(name.to_owned()),
                (Some(name), _) => container(name),
                _ => None,
            };
            if let Some(replaced) = replaced {
                *source = Json::from(replaced);
            }
        }
    }
}

/// The hash of a network, by its key: the label of the network. Nothing when the project has no such network.
#[must_use]
pub fn network_hash(project: &Project, network: &str) -> Option<String> {
    let fields = render::resource_with_secrets(&project.model, "networks", network)?;
    Some(digest(&fields, NETWORK))
}

/// The hash of a volume, by its key: the label of the volume. Nothing when the project has no such volume.
#[must_use]
pub fn volume_hash(project: &Project, volume: &str) -> Option<String> {
    let mut fields = render::resource_with_secrets(&project.model, "volumes", volume)?;
    if let Json::Object(fields) = &mut fields {
        fields.entry("driver").or_insert_with(|| Json::from("local"));
    }
    Some(digest(&fields, VOLUME))
}

/// Env files as docker compose keeps them.
fn env_files(node: &Node) -> Vec<Json> {
    let files = node.get("env_file").and_then(Node::as_sequence).unwrap_or_default();
    files
        .iter()
        .map(|file| {
            let text = |key: &str| file.get(key).and_then(Node::as_text);
            let path = Json::from(text("path").unwrap_or_default());
            if text("required") != Some("false") {
                return path;
            }
            let mut fields =
                Map::from_iter([("path".to_owned(), path), ("required".to_owned(), false.into())]);
            if let Some(format) = text("format").filter(|format| !format.is_empty()) {
                fields.insert("format".to_owned(), format.into());
            }
            Json::Object(fields)
        })
        .collect()
}

fn text(value: &Json, order: &'static [Field]) -> String {
    let mut text = String::new();
    write(value, Below::Fields(order), &mut text);
    text
}

fn digest(value: &Json, order: &'static [Field]) -> String {
    of_text(&text(value, order))
}

fn of_text(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// One field of a type, and what is below it.
struct Field {
    name: &'static str,
    below: Below,
}

/// What is below a field, itself or each item of it.
#[derive(Clone, Copy)]
enum Below {
    /// No type with an order of its own: keys are sorted.
    Nothing,
    /// A type with these fields.
    Fields(&'static [Field]),
    /// A mapping of names to a type with these fields.
    Named(&'static [Field]),
}

const fn field(name: &'static str) -> Field {
    Field { name, below: Below::Nothing }
}

const fn fields(name: &'static str, below: &'static [Field]) -> Field {
    Field { name, below: Below::Fields(below) }
}

const fn named(name: &'static str, below: &'static [Field]) -> Field {
    Field { name, below: Below::Named(below) }
}

const SERVICE: &[Field] = &[
    field("annotations"),
    field("attach"),
    fields("develop", &[fields("watch", WATCH)]),
    fields("blkio_config", BLKIO),
    field("cap_add"),
    field("cap_drop"),
    field("cgroup_parent"),
    field("cgroup"),
    field("cpu_count"),
    field("cpu_percent"),
    field("cpu_period"),
    field("cpu_quota"),
    field("cpu_rt_period"),
    field("cpu_rt_runtime"),
    field("cpus"),
    field("cpuset"),
    field("cpu_shares"),
    field("command"),
    fields("configs", REFERENCE),
    field("container_name"),
    fields("credential_spec", &[field("config"), field("file"), field("registry")]),
    fields("deploy", DEPLOY),
    field("device_cgroup_rules"),
    fields("devices", &[field("source"), field("target"), field("permissions")]),
    field("dns"),
    field("dns_opt"),
    field("dns_search"),
    field("domainname"),
    field("entrypoint"),
    fields("provider", &[field("type"), field("options")]),
    field("environment"),
    fields("env_file", &[field("path"), field("required"), field("format")]),
    field("expose"),
    fields("extends", &[field("file"), field("service")]),
    field("external_links"),
    field("extra_hosts"),
    field("group_add"),
    fields("gpus", DEVICE_REQUEST),
    field("hostname"),
    fields("healthcheck", HEALTHCHECK),
    field("image"),
    field("init"),
    field("ipc"),
    field("isolation"),
    field("labels"),
    field("label_file"),
    field("links"),
    fields("logging", &[field("driver"), field("options")]),
    field("mem_limit"),
    field("mem_reservation"),
    field("memswap_limit"),
    field("mem_swappiness"),
    field("mac_address"),
    named("models", &[field("endpoint_var"), field("model_var")]),
    field("network_mode"),
    named("networks", MEMBERSHIP),
    field("oom_kill_disable"),
    field("oom_score_adj"),
    field("pid"),
    field("pids_limit"),
    field("platform"),
    fields("ports", PORT),
    field("privileged"),
    field("read_only"),
    field("restart"),
    field("runtime"),
    fields("secrets", REFERENCE),
    field("security_opt"),
    field("shm_size"),
    field("stdin_open"),
    field("stop_grace_period"),
    field("stop_signal"),
    field("storage_opt"),
    field("sysctls"),
    field("tmpfs"),
    field("tty"),
    named("ulimits", &[field("single"), field("soft"), field("hard")]),
    field("use_api_socket"),
    field("user"),
    field("userns_mode"),
    field("uts"),
    fields("volumes", MOUNT),
    field("volumes_from"),
    field("working_dir"),
    fields("post_start", HOOK),
    fields("pre_stop", HOOK),
];

const HOOK: &[Field] =
    &[field("command"), field("user"), field("privileged"), field("working_dir"), field("environment")];

const WATCH: &[Field] = &[
    field("path"),
    field("action"),
    field("target"),
    fields("exec", HOOK),
    field("include"),
    field("ignore"),
    field("initial_sync"),
];

const BLKIO: &[Field] = &[
    field("weight"),
    fields("weight_device", &[field("Path"), field("Weight")]),
    fields("device_read_bps", RATE),
    fields("device_read_iops", RATE),
    fields("device_write_bps", RATE),
    fields("device_write_iops", RATE),
];

const RATE: &[Field] = &[field("Path"), field("Rate")];

const REFERENCE: &[Field] = &[field("source"), field("target"), field("uid"), field("gid"), field("mode")];

const DEPLOY: &[Field] = &[
    field("mode"),
    field("labels"),
    fields("update_config", UPDATE),
    fields("rollback_config", UPDATE),
    fields("resources", &[fields("limits", RESOURCE), fields("reservations", RESOURCE)]),
    fields("restart_policy", &[field("condition"), field("delay"), field("max_attempts"), field("window")]),
    fields(
        "placement",
        &[field("constraints"), fields("preferences", &[field("spread")]), field("max_replicas_per_node")],
    ),
    field("endpoint_mode"),
];

const UPDATE: &[Field] = &[
    field("parallelism"),
    field("delay"),
    field("failure_action"),
    field("monitor"),
    field("max_failure_ratio"),
    field("order"),
];

const RESOURCE: &[Field] = &[
    field("cpus"),
    field("memory"),
    field("pids"),
    fields("devices", DEVICE_REQUEST),
    fields("generic_resources", &[fields("discrete_resource_spec", &[field("kind"), field("value")])]),
];

const DEVICE_REQUEST: &[Field] =
    &[field("capabilities"), field("driver"), field("count"), field("device_ids"), field("options")];

const HEALTHCHECK: &[Field] = &[
    field("test"),
    field("timeout"),
    field("interval"),
    field("retries"),
    field("start_period"),
    field("start_interval"),
    field("disable"),
];

const MEMBERSHIP: &[Field] = &[
    field("aliases"),
    field("driver_opts"),
    field("gw_priority"),
    field("interface_name"),
    field("ipv4_address"),
    field("ipv6_address"),
    field("link_local_ips"),
    field("mac_address"),
    field("priority"),
];

const PORT: &[Field] = &[
    field("name"),
    field("mode"),
    field("host_ip"),
    field("target"),
    field("published"),
    field("protocol"),
    field("app_protocol"),
];

const MOUNT: &[Field] = &[
    field("type"),
    field("source"),
    field("target"),
    field("read_only"),
    field("consistency"),
    fields("bind", &[field("selinux"), field("propagation"), field("create_host_path"), field("recursive")]),
    fields("volume", &[field("labels"), field("nocopy"), field("subpath")]),
    fields("tmpfs", &[field("size"), field("mode")]),
    fields("image", &[field("subpath")]),
];

const NETWORK: &[Field] = &[
    field("name"),
    field("driver"),
    field("driver_opts"),
    fields("ipam", &[field("driver"), fields("config", POOL)]),
    field("external"),
    field("internal"),
    field("attachable"),
    field("labels"),
    field("enable_ipv4"),
    field("enable_ipv6"),
];

const POOL: &[Field] = &[field("subnet"), field("gateway"), field("ip_range"), field("aux_addresses")];

const VOLUME: &[Field] =
    &[field("name"), field("driver"), field("driver_opts"), field("external"), field("labels")];

fn write(value: &Json, below: Below, text: &mut String) {
    match value {
        Json::Null => text.push_str("null"),
        Json::Bool(value) => text.push_str(if *value { "true" } else { "false" }),
        Json::Number(number) => write_number(number, text),
        Json::String(string) => write_text(string, text),
        Json::Array(items) => {
            text.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                write(item, below, text);
            }
            text.push(']');
        }
        Json::Object(entries) => write_object(entries, below, text),
    }
}

fn write_object(entries: &Map<String, Json>, below: Below, text: &mut String) {
    let mut ordered: Vec<(&str, &Json, Below)> = match below {
        Below::Fields(order) => order
            .iter()
            .filter_map(|field| Some((field.name, entries.get(field.name)?, field.below)))
            .collect(),
        _ => entries
            .iter()
            .map(|(name, value)| {
                let below =
                    if let Below::Named(order) = below { Below::Fields(order) } else { Below::Nothing };
                (name.as_str(), value, below)
            })
            .collect(),
    };
    if !matches!(below, Below::Fields(_)) {
        ordered.sort_by_key(|(name, ..)| *name);
    }
    text.push('{');
    for (index, (name, value, below)) in ordered.into_iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        write_text(name, text);
        text.push(':');
        write(value, below, text);
    }
    text.push('}');
}

/// All fractions of the reference are of single precision.
fn write_number(number: &serde_json::Number, text: &mut String) {
    match number.as_f64() {
        Some(fraction) if number.is_f64() => {
            #[allow(clippy::cast_possible_truncation)]
            let single = fraction as f32;
            let size = single.abs();
            if size != 0.0 && !(1e-6..1e21).contains(&size) {
                // Rust writes `1e-7` where Go does; Go's own form has a sign for a positive exponent.
                let written = format!("{single:e}");
                let signed = match written.split_once('e') {
                    Some((digits, power)) if !power.starts_with('-') => format!("{digits}e+{power}"),
                    _ => written,
                };
                text.push_str(&signed);
            } else {
                text.push_str(&single.to_string());
            }
        }
        _ => text.push_str(&number.to_string()),
    }
}

/// A text as Go writes it into JSON.
fn write_text(string: &str, text: &mut String) {
    text.push('"');
    for character in string.chars() {
        match character {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\u{8}' => text.push_str("\\b"),
            '\u{c}' => text.push_str("\\f"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\0'..='\u{1f}' => {
                text.push_str(&format!("\\u{:04x}", u32::from(character)));
            }
            other => text.push(other),
        }
    }
    text.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{self, Print};

    #[test]
    fn every_attribute_that_is_printed_has_its_place() {
        let left_out =
            ["build", "pull_policy", "scale", "depends_on", "profiles", "x-kernel", "env_file", "label_file"];
        for attribute in schema::SERVICE.iter().filter(|attribute| attribute.print != Print::Never) {
            let name = attribute.name;
            assert!(
                left_out.contains(&name) || SERVICE.iter().any(|field| field.name == name),
                "`{name}` is in no hash"
            );
        }
    }

    #[test]
    fn texts_and_fractions_are_written_as_go_does() {
        let value =
            serde_json::json!({ "b": "<a&b>\u{1}\n\u{2028}é\"\\", "a": 0.1_f32, "c": [1.5, 3, null, true] });
        let mut text = String::new();
        write(&value, Below::Nothing, &mut text);
        let expected = r#"{"a":0.1,"b":"\u003ca\u0026b\u003e\u0001\n\u2028é\"\\","c":[1.5,3,null,true]}"#;
        assert_eq!(text, expected);
    }
}
