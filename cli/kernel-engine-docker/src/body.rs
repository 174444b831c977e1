//! The body of the call that creates a container, made from a service as `config --format json` prints it. Field by
//! field what docker compose 2.40 sends, but for number, name and network membership, which the planner adds.

mod mounts;

use kernel_core::container::id_of;
use kernel_core::name::ServiceName;
use serde_json::{Map, Value as Json, json};

use self::mounts::mounts;
use crate::duration;

/// What the service's own JSON does not say.
pub(crate) struct Surroundings<'a> {
    /// The image to run.
    pub image: &'a str,
    /// Labels that the tool adds.
    pub labels: &'a [(String, String)],
    /// The name of the main network. `None`: the service has none.
    pub network: Option<&'a str>,
    /// Turns the key of a volume into its name.
    pub volume_name: &'a dyn Fn(&str) -> String,
    /// Files of the machine that are mounted: source and target.
    pub mounted_files: &'a [(String, String, FileKind)],
    /// Whether the engine knows `StartInterval`.
    pub start_interval: bool,
}

/// What a mounted file is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum FileKind {
    Secret,
    Config,
}

pub(crate) fn container(service: &Json, surroundings: &Surroundings<'_>) -> Json {
    let mut body = Map::new();
    let mut set = |name: &str, value: Option<Json>| {
        if let Some(value) = value {
            body.insert(name.to_owned(), value);
        }
    };
    set("Hostname", copy(service, "hostname"));
    set("Domainname", copy(service, "domainname"));
    set("User", copy(service, "user"));
    set("Tty", copy(service, "tty"));
    set("OpenStdin", copy(service, "stdin_open"));
    set("AttachStdout", Some(true.into()));
    set("AttachStderr", Some(true.into()));
    set("Env", environment(service));
    set("Cmd", copy(service, "command"));
    set("Entrypoint", copy(service, "entrypoint"));
    set("Image", Some(surroundings.image.into()));
    set("WorkingDir", copy(service, "working_dir"));
    set("StopSignal", copy(service, "stop_signal"));
    set("StopTimeout", time(service, "stop_grace_period").map(|time| (time / 1_000_000_000).into()));
    set("Healthcheck", service.get("healthcheck").and_then(|check| healthcheck(check, surroundings)));
    set("ExposedPorts", exposed(service));
    set("MacAddress", copy(service, "mac_address"));
    set("NetworkDisabled", (text(service, "network_mode") == Some("disabled")).then(|| true.into()));
    set("Labels", Some(labels(service, surroundings)));
    set("HostConfig", Some(host(service, surroundings)));
    Json::Object(body)
}

/// The endpoint of a service in one network. The first alias is the container's own name, which is not known here.
pub(crate) fn endpoint(service: &str, membership: &Json) -> Json {
    let mut aliases: Vec<Json> = vec!["".into(), service.into()];
    aliases.extend(list(membership, "aliases").cloned());
    let mut endpoint = json!({ "Aliases": aliases });
    if membership.is_object() {
        let mut addresses = Map::new();
        for (from, to) in [
            ("ipv4_address", "IPv4Address"),
            ("ipv6_address", "IPv6Address"),
            ("link_local_ips", "LinkLocalIPs"),
        ] {
            if let Some(value) = copy(membership, from) {
                addresses.insert(to.to_owned(), value);
            }
        }
        endpoint["IPAMConfig"] = Json::Object(addresses);
        for (from, to) in
            [("mac_address", "MacAddress"), ("driver_opts", "DriverOpts"), ("gw_priority", "GwPriority")]
        {
            if let Some(value) = copy(membership, from) {
                endpoint[to] = value;
            }
        }
    }
    endpoint
}

/// The body of the call that creates a network.
pub(crate) fn network(name: &str, network: &Json, labels: &[(String, String)]) -> Json {
    let mut body = json!({ "Name": name, "Labels": with_labels(network.get("labels"), labels) });
    for (from, to) in [
        ("driver", "Driver"),
        ("driver_opts", "Options"),
        ("internal", "Internal"),
        ("attachable", "Attachable"),
        ("enable_ipv6", "EnableIPv6"),
        ("enable_ipv4", "EnableIPv4"),
    ] {
        if let Some(value) = copy(network, from) {
            body[to] = value;
        }
    }
    let ipam = network.get("ipam").unwrap_or(&Json::Null);
    let pools: Vec<Json> = list(ipam, "config")
        .map(|pool| {
            let mut config = Map::new();
            for (from, to) in [
                ("subnet", "Subnet"),
                ("ip_range", "IPRange"),
                ("gateway", "Gateway"),
                ("aux_addresses", "AuxiliaryAddresses"),
            ] {
                if let Some(value) = copy(pool, from) {
                    config.insert(to.to_owned(), value);
                }
            }
            Json::Object(config)
        })
        .collect();
    if !pools.is_empty() || text(ipam, "driver").is_some() {
        body["IPAM"] = json!({ "Driver": text(ipam, "driver").unwrap_or_default(), "Config": pools });
    }
    body
}

/// The body of the call that creates a volume.
pub(crate) fn volume(name: &str, volume: &Json, labels: &[(String, String)]) -> Json {
    let mut body = json!({ "Name": name, "Labels": with_labels(volume.get("labels"), labels) });
    for (from, to) in [("driver", "Driver"), ("driver_opts", "DriverOpts")] {
        if let Some(value) = copy(volume, from) {
            body[to] = value;
        }
    }
    body
}

fn with_labels(own: Option<&Json>, added: &[(String, String)]) -> Json {
    let mut labels = own.and_then(Json::as_object).cloned().unwrap_or_default();
    labels.extend(added.iter().map(|(name, value)| (name.clone(), Json::String(value.clone()))));
    Json::Object(labels)
}

fn labels(service: &Json, surroundings: &Surroundings<'_>) -> Json {
    with_labels(service.get("labels"), surroundings.labels)
}

fn host(service: &Json, surroundings: &Surroundings<'_>) -> Json {
    let mut host = Map::new();
    for (from, to) in [
        ("annotations", "Annotations"),
        ("cgroup", "CgroupnsMode"),
        ("cgroup_parent", "CgroupParent"),
        ("cpu_count", "CpuCount"),
        ("cpu_percent", "CpuPercent"),
        ("cpu_period", "CpuPeriod"),
        ("cpu_quota", "CpuQuota"),
        ("cpu_rt_period", "CpuRealtimePeriod"),
        ("cpu_rt_runtime", "CpuRealtimeRuntime"),
        ("cpu_shares", "CpuShares"),
        ("cpuset", "CpusetCpus"),
        ("device_cgroup_rules", "DeviceCgroupRules"),
        ("dns", "Dns"),
        ("dns_opt", "DnsOptions"),
        ("dns_search", "DnsSearch"),
        ("group_add", "GroupAdd"),
        ("init", "Init"),
        ("isolation", "Isolation"),
        ("oom_kill_disable", "OomKillDisable"),
        ("oom_score_adj", "OomScoreAdj"),
        ("pids_limit", "PidsLimit"),
        ("privileged", "Privileged"),
        ("read_only", "ReadonlyRootfs"),
        ("runtime", "Runtime"),
        ("storage_opt", "StorageOpt"),
        ("sysctls", "Sysctls"),
        ("userns_mode", "UsernsMode"),
        ("uts", "UTSMode"),
    ] {
        if let Some(value) = copy(service, from) {
            host.insert(to.to_owned(), value);
        }
    }
    for (from, to) in [
        ("mem_limit", "Memory"),
        ("mem_reservation", "MemoryReservation"),
        ("memswap_limit", "MemorySwap"),
        ("mem_swappiness", "MemorySwappiness"),
        ("shm_size", "ShmSize"),
    ] {
        if let Some(bytes) = bytes(service, from) {
            host.insert(to.to_owned(), bytes.into());
        }
    }
    if let Some(cpus) = service.get("cpus").and_then(Json::as_f64) {
        host.insert("NanoCpus".to_owned(), nano_cpus(cpus));
    }
    limits(service, &mut host);
    let mut add = |name: &str, value: Option<Json>| {
        if let Some(value) = value {
            host.insert(name.to_owned(), value);
        }
    };
    add("IpcMode", text(service, "ipc").map(shared));
    add("PidMode", text(service, "pid").map(shared));
    add("NetworkMode", text(service, "network_mode").map(shared).or(surroundings.network.map(Json::from)));
    add("VolumesFrom", volumes_from(service));
    let hosts = list(service, "extra_hosts").filter_map(Json::as_str);
    add("ExtraHosts", Some(hosts.map(|host| Json::String(host.replacen('=', ":", 1))).collect()));
    add("PortBindings", Some(bindings(service)));
    add("RestartPolicy", restart(service));
    add("Tmpfs", tmpfs(service));
    add("LogConfig", logging(service));
    add("CapAdd", capabilities(service, "cap_add"));
    add("CapDrop", capabilities(service, "cap_drop"));
    add("Ulimits", ulimits(service));
    add("Devices", devices(service));
    add("DeviceRequests", device_requests(service));
    security(service, &mut host);
    block_io(service, &mut host);
    mounts(service, surroundings, &mut host);
    Json::Object(host)
}

/// `service:x` is the container of that service, whose id is not known here.
fn shared(mode: &str) -> Json {
    match mode.strip_prefix("service:").and_then(|name| ServiceName::new(name).ok()) {
        Some(service) => format!("container:{}", id_of(&service)).into(),
        None => mode.into(),
    }
}

/// As docker compose does, an access mode is dropped.
fn volumes_from(service: &Json) -> Option<Json> {
    some_list(
        list(service, "volumes_from").filter_map(Json::as_str).map(|text| Json::String(volume_from(text))),
    )
}

pub(crate) fn volume_from(text: &str) -> String {
    let mut parts = text.split(':');
    match (parts.next(), parts.next()) {
        (Some("container"), Some(name)) => name.to_owned(),
        (Some(name), _) => ServiceName::new(name).map_or_else(|_| name.to_owned(), |name| id_of(&name)),
        (None, _) => text.to_owned(),
    }
}

fn environment(service: &Json) -> Option<Json> {
    let variables = service.get("environment")?.as_object()?;
    some_list(variables.iter().map(|(name, value)| match value.as_str() {
        Some(value) => format!("{name}={value}").into(),
        // Declared without value and nobody has one: the image's own goes.
        None => name.as_str().into(),
    }))
}

fn healthcheck(check: &Json, surroundings: &Surroundings<'_>) -> Option<Json> {
    let mut health = Map::new();
    if check.get("disable").and_then(Json::as_bool) == Some(true) {
        health.insert("Test".to_owned(), json!(["NONE"]));
    } else if let Some(test) = copy(check, "test") {
        health.insert("Test".to_owned(), test);
    }
    let start_interval = surroundings.start_interval.then_some(("start_interval", "StartInterval"));
    let times = [("interval", "Interval"), ("timeout", "Timeout"), ("start_period", "StartPeriod")];
    for (from, to) in times.into_iter().chain(start_interval) {
        if let Some(time) = time(check, from) {
            health.insert(to.to_owned(), time.into());
        }
    }
    if let Some(retries) = copy(check, "retries") {
        health.insert("Retries".to_owned(), retries);
    }
    (!health.is_empty()).then_some(Json::Object(health))
}

fn exposed(service: &Json) -> Option<Json> {
    let mut ports = Map::new();
    for port in list(service, "expose") {
        let port = port.as_str().map_or_else(|| port.to_string(), str::to_owned);
        ports.insert(port, json!({}));
    }
    for port in list(service, "ports") {
        ports.insert(port_key(port), json!({}));
    }
    (!ports.is_empty()).then_some(Json::Object(ports))
}

fn port_key(port: &Json) -> String {
    let target = port.get("target").map(Json::to_string).unwrap_or_default();
    format!("{target}/{}", text(port, "protocol").unwrap_or("tcp"))
}

fn bindings(service: &Json) -> Json {
    let mut bindings = Map::new();
    for port in list(service, "ports") {
        let binding = json!({
            "HostIp": text(port, "host_ip").unwrap_or_default(),
            "HostPort": text(port, "published").unwrap_or_default(),
        });
        if let Some(known) = bindings.entry(port_key(port)).or_insert_with(|| json!([])).as_array_mut() {
            known.push(binding);
        }
    }
    Json::Object(bindings)
}

fn restart(service: &Json) -> Option<Json> {
    let policy = |condition: &str, attempts: i64| {
        let name = match condition {
            "none" | "no" => "no",
            "any" | "always" => "always",
            other => other,
        };
        json!({ "Name": name, "MaximumRetryCount": attempts })
    };
    if let Some(deployed) = service.pointer("/deploy/restart_policy").filter(|policy| policy.is_object()) {
        let attempts = deployed.get("max_attempts").and_then(Json::as_i64).unwrap_or(0);
        return Some(policy(text(deployed, "condition").unwrap_or_default(), attempts));
    }
    let (condition, attempts) = match text(service, "restart")?.split_once(':') {
        Some((condition, attempts)) => (condition, attempts.parse().unwrap_or(0)),
        None => (text(service, "restart")?, 0),
    };
    Some(policy(condition, attempts))
}

fn limits(service: &Json, host: &mut Map<String, Json>) {
    if let Some(limits) = service.pointer("/deploy/resources/limits") {
        if let Some(memory) = bytes(limits, "memory").filter(|memory| *memory != 0) {
            host.insert("Memory".to_owned(), memory.into());
        }
        if let Some(cpus) = limits.get("cpus").and_then(Json::as_f64).filter(|cpus| *cpus != 0.0) {
            host.insert("NanoCpus".to_owned(), nano_cpus(cpus));
        }
        if let Some(pids) = limits.get("pids").and_then(Json::as_i64).filter(|pids| *pids > 0) {
            host.insert("PidsLimit".to_owned(), pids.into());
        }
    }
    if let Some(memory) =
        service.pointer("/deploy/resources/reservations").and_then(|reserved| bytes(reserved, "memory"))
        && memory != 0
    {
        host.insert("MemoryReservation".to_owned(), memory.into());
    }
}

// The file says processors with few digits; nothing is lost.
#[allow(clippy::cast_possible_truncation)]
fn nano_cpus(cpus: f64) -> Json {
    ((cpus * 1e9).round() as i64).into()
}

/// By their full names, as Docker's own client sends them.
fn capabilities(service: &Json, key: &str) -> Option<Json> {
    some_list(list(service, key).filter_map(Json::as_str).map(|name| {
        let name = name.to_ascii_uppercase();
        if name == "ALL" || name.starts_with("CAP_") { name.into() } else { format!("CAP_{name}").into() }
    }))
}

fn tmpfs(service: &Json) -> Option<Json> {
    let mut mounts = Map::new();
    for text in list(service, "tmpfs").filter_map(Json::as_str) {
        let (path, options) = text.split_once(':').unwrap_or((text, ""));
        mounts.insert(path.to_owned(), options.into());
    }
    (!mounts.is_empty()).then_some(Json::Object(mounts))
}

fn logging(service: &Json) -> Option<Json> {
    let logging = service.get("logging")?;
    let mut config = json!({ "Type": text(logging, "driver").unwrap_or_default() });
    if let Some(options) = copy(logging, "options") {
        config["Config"] = options;
    }
    Some(config)
}

fn ulimits(service: &Json) -> Option<Json> {
    let limits = service.get("ulimits")?.as_object()?;
    some_list(limits.iter().map(|(name, limit)| {
        let number = |key| limit.as_i64().or_else(|| limit.get(key).and_then(Json::as_i64)).unwrap_or(0);
        json!({ "Name": name, "Soft": number("soft"), "Hard": number("hard") })
    }))
}

fn devices(service: &Json) -> Option<Json> {
    some_list(list(service, "devices").map(|device| {
        json!({
            "PathOnHost": text(device, "source").unwrap_or_default(),
            "PathInContainer": text(device, "target").unwrap_or_default(),
            "CgroupPermissions": text(device, "permissions").unwrap_or_default(),
        })
    }))
}

fn device_requests(service: &Json) -> Option<Json> {
    let request = |device: &Json, more: Option<&str>| {
        let mut capabilities: Vec<Json> = list(device, "capabilities").cloned().collect();
        capabilities.extend(more.map(Json::from));
        let mut request = json!({ "Capabilities": [capabilities] });
        for (from, to) in
            [("driver", "Driver"), ("count", "Count"), ("device_ids", "DeviceIDs"), ("options", "Options")]
        {
            if let Some(value) = copy(device, from) {
                // `all` is -1.
                request[to] = if value.as_str() == Some("all") { (-1).into() } else { value };
            }
        }
        request
    };
    let reserved = service.pointer("/deploy/resources/reservations").unwrap_or(&Json::Null);
    let deployed = list(reserved, "devices").map(|device| request(device, None));
    let gpus = list(service, "gpus").map(|device| request(device, Some("gpu")));
    some_list(deployed.chain(gpus))
}

fn security(service: &Json, host: &mut Map<String, Json>) {
    let options: Vec<&str> = list(service, "security_opt").filter_map(Json::as_str).collect();
    if options.contains(&"systempaths=unconfined") {
        host.insert("MaskedPaths".to_owned(), json!([]));
        host.insert("ReadonlyPaths".to_owned(), json!([]));
    }
    let kept: Vec<Json> =
        options.into_iter().filter(|option| *option != "systempaths=unconfined").map(Json::from).collect();
    if !kept.is_empty() {
        host.insert("SecurityOpt".to_owned(), Json::Array(kept));
    }
}

fn block_io(service: &Json, host: &mut Map<String, Json>) {
    let Some(settings) = service.get("blkio_config") else { return };
    if let Some(weight) = copy(settings, "weight") {
        host.insert("BlkioWeight".to_owned(), weight);
    }
    for (from, to, value) in [
        ("weight_device", "BlkioWeightDevice", "Weight"),
        ("device_read_bps", "BlkioDeviceReadBps", "Rate"),
        ("device_read_iops", "BlkioDeviceReadIOps", "Rate"),
        ("device_write_bps", "BlkioDeviceWriteBps", "Rate"),
        ("device_write_iops", "BlkioDeviceWriteIOps", "Rate"),
    ] {
        let devices = some_list(list(settings, from).map(|device| {
            let mut entry = Map::new();
            entry.insert("Path".to_owned(), text(device, "Path").unwrap_or_default().into());
            entry.insert(value.to_owned(), bytes(device, value).unwrap_or(0).into());
            Json::Object(entry)
        }));
        if let Some(devices) = devices {
            host.insert(to.to_owned(), devices);
        }
    }
}

fn text<'a>(value: &'a Json, key: &str) -> Option<&'a str> {
    value.get(key).and_then(Json::as_str).filter(|text| !text.is_empty())
}

fn list<'a>(value: &'a Json, key: &str) -> impl Iterator<Item = &'a Json> {
    value.get(key).and_then(Json::as_array).into_iter().flatten()
}

fn copy(value: &Json, key: &str) -> Option<Json> {
    value.get(key).filter(|value| !value.is_null()).cloned()
}

/// A number of bytes, which is printed as text.
fn bytes(value: &Json, key: &str) -> Option<i64> {
    let value = value.get(key)?;
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}

/// A time in nanoseconds.
fn time(value: &Json, key: &str) -> Option<i64> {
    duration::nanoseconds(text(value, key)?)
}

fn some_list(items: impl Iterator<Item = Json>) -> Option<Json> {
    let items: Vec<Json> = items.collect();
    (!items.is_empty()).then_some(Json::Array(items))
}
