//! What a container, network or volume was made from, as docker compose hashes it: SHA-256 over the JSON that its Go
//! program writes, with fields in the order of its structures. Both tools have to agree to the byte, or each would
//! replace what the other made. `tests/compose_parity.rs` holds this against the real one.

use std::fmt::Write;

use serde_json::Value as Json;
use sha2::{Digest, Sha256};

/// What does not count: how an image comes about, how many there are, and when they start.
const LEFT_OUT: [&str; 5] = ["build", "pull_policy", "scale", "depends_on", "profiles"];

/// The text of a service that its hash is made of. `service` is as `config --format json` prints it, dollar signs not
/// doubled.
pub(crate) fn service_text(service: &Json) -> String {
    let mut service = service.clone();
    if let Some(entries) = service.as_object_mut() {
        for name in LEFT_OUT {
            entries.shift_remove(name);
        }
        if let Some(deploy) = entries.get_mut("deploy").and_then(Json::as_object_mut) {
            deploy.shift_remove("replicas");
        }
    }
    text(&service, SERVICE)
}

pub(crate) fn network_hash(network: &Json) -> String {
    digest(&text(network, NETWORK))
}

pub(crate) fn volume_hash(volume: &Json) -> String {
    let mut volume = volume.clone();
    if let Some(entries) = volume.as_object_mut() {
        let driver = entries.entry("driver").or_insert_with(|| "local".into());
        if driver.as_str() == Some("") {
            *driver = "local".into();
        }
    }
    digest(&text(&volume, VOLUME))
}

pub(crate) fn digest(text: &str) -> String {
    hex::encode(Sha256::digest(text))
}

/// The order of the keys of a mapping.
#[derive(Clone, Copy)]
enum Order {
    /// Sorted, also below.
    Sorted,
    /// As the fields of a structure stand; lists are of such.
    Fields(&'static [(&'static str, Order)]),
    /// Sorted names of the author's choice; what is below them is in this order.
    Named(&'static Order),
}

use Order::{Fields, Named, Sorted};

fn text(value: &Json, order: Order) -> String {
    let mut text = String::new();
    write(&mut text, value, order);
    text
}

fn write(text: &mut String, value: &Json, order: Order) {
    match value {
        Json::Object(entries) => {
            let mut keys: Vec<(usize, &String)> = entries.keys().map(|key| (place(key, order), key)).collect();
            keys.sort();
            text.push('{');
            for (index, (_, key)) in keys.into_iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                string(text, key);
                text.push(':');
                write(text, &entries[key], below(key, order));
            }
            text.push('}');
        }
        Json::Array(items) => {
            text.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                write(text, item, order);
            }
            text.push(']');
        }
        Json::String(value) => string(text, value),
        other => text.push_str(&other.to_string()),
    }
}

fn place(key: &str, order: Order) -> usize {
    match order {
        Fields(fields) => fields.iter().position(|(name, _)| *name == key).unwrap_or(fields.len()),
        _ => 0,
    }
}

fn below(key: &str, order: Order) -> Order {
    match order {
        Sorted => Sorted,
        Named(order) => *order,
        Fields(fields) => fields.iter().find(|(name, _)| *name == key).map_or(Sorted, |(_, order)| *order),
    }
}

/// As Go's encoder writes a text: it also escapes what could end a script in a web page.
fn string(text: &mut String, value: &str) {
    text.push('"');
    for character in value.chars() {
        match character {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            '\u{8}' => text.push_str("\\b"),
            '\u{c}' => text.push_str("\\f"),
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\0'..='\u{1f}' => {
                let _ = write!(text, "\\u{:04x}", u32::from(character));
            }
            other => text.push(other),
        }
    }
    text.push('"');
}

const fn plain(name: &'static str) -> (&'static str, Order) {
    (name, Sorted)
}

const HOOK: Order = Fields(&[
    plain("command"),
    plain("user"),
    plain("privileged"),
    plain("working_dir"),
    plain("environment"),
]);
const DEVICES: Order =
    Fields(&[plain("capabilities"), plain("driver"), plain("count"), plain("device_ids"), plain("options")]);
const REFERENCE: Order =
    Fields(&[plain("source"), plain("target"), plain("uid"), plain("gid"), plain("mode")]);
const RESOURCE: Order = Fields(&[
    plain("cpus"),
    plain("memory"),
    plain("pids"),
    ("devices", DEVICES),
    ("generic_resources", Fields(&[("discrete_resource_spec", Fields(&[plain("kind"), plain("value")]))])),
]);
const UPDATE: Order = Fields(&[
    plain("parallelism"),
    plain("delay"),
    plain("failure_action"),
    plain("monitor"),
    plain("max_failure_ratio"),
    plain("order"),
]);
const RATE: Order = Fields(&[plain("Path"), plain("Rate")]);

const SERVICE: Order = Fields(&[
    plain("annotations"),
    plain("attach"),
    (
        "develop",
        Fields(&[(
            "watch",
            Fields(&[
                plain("path"),
                plain("action"),
                plain("target"),
                ("exec", HOOK),
                plain("include"),
                plain("ignore"),
                plain("initial_sync"),
            ]),
        )]),
    ),
    (
        "blkio_config",
        Fields(&[
            plain("weight"),
            ("weight_device", Fields(&[plain("Path"), plain("Weight")])),
            ("device_read_bps", RATE),
            ("device_read_iops", RATE),
            ("device_write_bps", RATE),
            ("device_write_iops", RATE),
        ]),
    ),
    plain("cap_add"),
    plain("cap_drop"),
    plain("cgroup_parent"),
    plain("cgroup"),
    plain("cpu_count"),
    plain("cpu_percent"),
    plain("cpu_period"),
    plain("cpu_quota"),
    plain("cpu_rt_period"),
    plain("cpu_rt_runtime"),
    plain("cpus"),
    plain("cpuset"),
    plain("cpu_shares"),
    plain("command"),
    ("configs", REFERENCE),
    plain("container_name"),
    ("credential_spec", Fields(&[plain("config"), plain("file"), plain("registry")])),
    (
        "deploy",
        Fields(&[
            plain("mode"),
            plain("labels"),
            ("update_config", UPDATE),
            ("rollback_config", UPDATE),
            ("resources", Fields(&[("limits", RESOURCE), ("reservations", RESOURCE)])),
            (
                "restart_policy",
                Fields(&[plain("condition"), plain("delay"), plain("max_attempts"), plain("window")]),
            ),
            (
                "placement",
                Fields(&[
                    plain("constraints"),
                    ("preferences", Fields(&[plain("spread")])),
                    plain("max_replicas_per_node"),
                ]),
            ),
            plain("endpoint_mode"),
        ]),
    ),
    plain("device_cgroup_rules"),
    ("devices", Fields(&[plain("source"), plain("target"), plain("permissions")])),
    plain("dns"),
    plain("dns_opt"),
    plain("dns_search"),
    plain("domainname"),
    plain("entrypoint"),
    ("provider", Fields(&[plain("type"), plain("options")])),
    plain("environment"),
    plain("expose"),
    plain("external_links"),
    plain("extra_hosts"),
    plain("group_add"),
    ("gpus", DEVICES),
    plain("hostname"),
    (
        "healthcheck",
        Fields(&[
            plain("test"),
            plain("timeout"),
            plain("interval"),
            plain("retries"),
            plain("start_period"),
            plain("start_interval"),
            plain("disable"),
        ]),
    ),
    plain("image"),
    plain("init"),
    plain("ipc"),
    plain("isolation"),
    plain("labels"),
    plain("links"),
    ("logging", Fields(&[plain("driver"), plain("options")])),
    plain("mem_limit"),
    plain("mem_reservation"),
    plain("memswap_limit"),
    plain("mem_swappiness"),
    plain("mac_address"),
    ("models", Named(&Fields(&[plain("endpoint_var"), plain("model_var")]))),
    plain("network_mode"),
    (
        "networks",
        Named(&Fields(&[
            plain("aliases"),
            plain("driver_opts"),
            plain("gw_priority"),
            plain("interface_name"),
            plain("ipv4_address"),
            plain("ipv6_address"),
            plain("link_local_ips"),
            plain("mac_address"),
            plain("priority"),
        ])),
    ),
    plain("oom_kill_disable"),
    plain("oom_score_adj"),
    plain("pid"),
    plain("pids_limit"),
    plain("platform"),
    (
        "ports",
        Fields(&[
            plain("name"),
            plain("mode"),
            plain("host_ip"),
            plain("target"),
            plain("published"),
            plain("protocol"),
            plain("app_protocol"),
        ]),
    ),
    plain("privileged"),
    plain("read_only"),
    plain("restart"),
    plain("runtime"),
    ("secrets", REFERENCE),
    plain("security_opt"),
    plain("shm_size"),
    plain("stdin_open"),
    plain("stop_grace_period"),
    plain("stop_signal"),
    plain("storage_opt"),
    plain("sysctls"),
    plain("tmpfs"),
    plain("tty"),
    ("ulimits", Named(&Fields(&[plain("single"), plain("soft"), plain("hard")]))),
    plain("use_api_socket"),
    plain("user"),
    plain("userns_mode"),
    plain("uts"),
    (
        "volumes",
        Fields(&[
            plain("type"),
            plain("source"),
            plain("target"),
            plain("read_only"),
            plain("consistency"),
            (
                "bind",
                Fields(&[
                    plain("selinux"),
                    plain("propagation"),
                    plain("create_host_path"),
                    plain("recursive"),
                ]),
            ),
            ("volume", Fields(&[plain("labels"), plain("nocopy"), plain("subpath")])),
            ("tmpfs", Fields(&[plain("size"), plain("mode")])),
            ("image", Fields(&[plain("subpath")])),
        ]),
    ),
    plain("volumes_from"),
    plain("working_dir"),
    ("post_start", HOOK),
    ("pre_stop", HOOK),
]);

const NETWORK: Order = Fields(&[
    plain("name"),
    plain("driver"),
    plain("driver_opts"),
    (
        "ipam",
        Fields(&[
            plain("driver"),
            (
                "config",
                Fields(&[plain("subnet"), plain("gateway"), plain("ip_range"), plain("aux_addresses")]),
            ),
        ]),
    ),
    plain("external"),
    plain("internal"),
    plain("attachable"),
    plain("labels"),
    plain("enable_ipv4"),
    plain("enable_ipv6"),
]);

const VOLUME: Order =
    Fields(&[plain("name"), plain("driver"), plain("driver_opts"), plain("external"), plain("labels")]);

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_text_is_that_of_the_reference() {
        let service = json!({
            "build": { "context": "/x" },
            "command": ["sleep", "1"],
            "depends_on": { "db": {} },
            "entrypoint": null,
            "environment": { "B": "x<y&z", "A": null },
            "healthcheck": { "interval": "1s", "retries": 2, "test": ["CMD", "true"], "timeout": "3s" },
            "image": "web:1",
        });
        let expected = concat!(
            r#"{"command":["sleep","1"],"entrypoint":null,"environment":{"A":null,"B":"x\u003cy\u0026z"},"#,
            r#""healthcheck":{"test":["CMD","true"],"timeout":"3s","interval":"1s","retries":2},"image":"web:1"}"#,
        );
        assert_eq!(service_text(&service), expected);
    }

    // What docker compose 2.40.3 wrote on such a network and volume.
    #[test]
    fn the_hashes_are_those_of_the_reference() {
        let network = json!({
            "ipam": { "config": [{ "subnet": "172.31.77.0/24" }] },
            "driver_opts": { "a": "b" },
            "name": "dkcap_back",
        });
        assert_eq!(
            network_hash(&network),
            "2fdd2a1ee5854dbb17d98aedc8c9397e1954ad899a1b76d6953bb559bd73526f"
        );
        let volume = json!({ "name": "dkcap_data", "labels": { "x": "y" } });
        assert_eq!(volume_hash(&volume), "b58c48bb589e8ed31a746abaf90dc7206cc856601a90f7856e345a27ecd7b0e2");
    }
}
