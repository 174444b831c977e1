//! The attributes of a service and of its build.

use super::{Attribute, DEPLOY, DEVELOP, SERVICE_KERNEL, Shape, Short, attribute};
use Shape::{
    Any, Boolean, Bytes, Command, Context, Contexts, Duration, HealthTest, Hosts, Integer, Keys, List,
    Logging, Map, Mode, Number, Object, Optional, Pairs, Path, Paths, Text, TextOrTexts, Texts, Variables,
};

/// A service.
pub const SERVICE: &[Attribute] = &[
    attribute("annotations", Pairs),
    attribute("attach", Boolean),
    attribute("blkio_config", Any),
    attribute("build", Shape::Short(Short::Build, BUILD)),
    attribute("cap_add", Texts),
    attribute("cap_drop", Texts),
    attribute("cgroup", Text),
    attribute("cgroup_parent", Text),
    attribute("command", Command),
    attribute("configs", REFERENCES),
    attribute("container_name", Text),
    attribute("cpu_count", Integer),
    attribute("cpu_percent", Number),
    attribute("cpu_period", Integer),
    attribute("cpu_quota", Integer),
    attribute("cpu_rt_period", Integer),
    attribute("cpu_rt_runtime", Integer),
    attribute("cpu_shares", Integer),
    attribute("cpus", Number),
    attribute("cpuset", Text),
    attribute("credential_spec", Any),
    attribute("depends_on", Keys(&Object(DEPENDENCY))),
    attribute("deploy", Optional(&Object(DEPLOY))),
    attribute("develop", Optional(&Object(DEVELOP))),
    attribute("device_cgroup_rules", Texts),
    attribute("devices", List(&Shape::Short(Short::Device, DEVICE))),
    attribute("dns", TextOrTexts),
    attribute("dns_opt", Texts),
    attribute("dns_search", TextOrTexts),
    attribute("domainname", Text),
    attribute("entrypoint", Command),
    attribute("env_file", ENV_FILES),
    attribute("environment", Variables),
    attribute("expose", Texts),
    attribute("extends", Shape::Short(Short::Extends, EXTENDS)),
    attribute("external_links", Texts),
    attribute("extra_hosts", Hosts),
    attribute("gpus", Any),
    attribute("group_add", Texts),
    attribute("healthcheck", Object(HEALTHCHECK)),
    attribute("hostname", Text),
    attribute("image", Text),
    attribute("init", Boolean),
    attribute("ipc", Text),
    attribute("isolation", Text),
    attribute("label_file", Paths),
    attribute("labels", Pairs),
    attribute("links", Texts),
    attribute("logging", Logging(LOGGING)),
    attribute("mac_address", Text),
    attribute("mem_limit", Bytes),
    attribute("mem_reservation", Bytes),
    attribute("mem_swappiness", Integer),
    attribute("memswap_limit", Bytes),
    attribute("models", Keys(&Optional(&Any))),
    attribute("network_mode", Text),
    attribute("networks", Keys(&Optional(&Object(MEMBERSHIP)))),
    attribute("oom_kill_disable", Boolean),
    attribute("oom_score_adj", Integer),
    attribute("pid", Optional(&Text)),
    attribute("pids_limit", Integer),
    attribute("platform", Text),
    attribute("ports", PORTS),
    attribute("post_start", List(&Object(HOOK))),
    attribute("pre_stop", List(&Object(HOOK))),
    attribute("privileged", Boolean),
    attribute("profiles", Texts),
    attribute("provider", Any),
    attribute("pull_policy", Text),
    attribute("pull_refresh_after", Text),
    attribute("read_only", Boolean),
    attribute("restart", Text),
    attribute("runtime", Text),
    attribute("scale", Integer),
    attribute("secrets", REFERENCES),
    attribute("security_opt", Texts),
    attribute("shm_size", Bytes),
    attribute("stdin_open", Boolean),
    attribute("stop_grace_period", Duration),
    attribute("stop_signal", Text),
    attribute("storage_opt", Any),
    attribute("sysctls", Pairs),
    attribute("tmpfs", TextOrTexts),
    attribute("tty", Boolean),
    attribute("ulimits", ULIMITS),
    attribute("use_api_socket", Boolean),
    attribute("user", Text),
    attribute("userns_mode", Text),
    attribute("uts", Text),
    attribute("volumes", List(&Shape::Short(Short::Volume, MOUNT))),
    attribute("volumes_from", Texts),
    attribute("working_dir", Text),
    attribute("x-kernel", Object(SERVICE_KERNEL)),
];

/// Published ports.
pub const PORTS: Shape = List(&Shape::Short(Short::Port, PORT));

const REFERENCES: Shape = List(&Shape::Short(Short::Reference, REFERENCE));
const ENV_FILES: Shape = List(&Shape::Short(Short::EnvFile, ENV_FILE));
const ULIMITS: Shape = Map(&Shape::Short(Short::Ulimit, ULIMIT));

const BUILD: &[Attribute] = &[
    attribute("additional_contexts", Contexts),
    attribute("args", Variables),
    attribute("cache_from", Texts),
    attribute("cache_to", Texts),
    attribute("context", Context),
    attribute("dockerfile", Text),
    attribute("dockerfile_inline", Text),
    attribute("entitlements", Texts),
    attribute("extra_hosts", Hosts),
    attribute("isolation", Text),
    attribute("labels", Pairs),
    attribute("network", Text),
    attribute("no_cache", Boolean),
    attribute("no_cache_filter", TextOrTexts),
    attribute("platforms", Texts),
    attribute("privileged", Boolean),
    attribute("provenance", Any),
    attribute("pull", Boolean),
    attribute("sbom", Any),
    attribute("secrets", REFERENCES),
    attribute("shm_size", Bytes),
    attribute("ssh", Hosts),
    attribute("tags", Texts),
    attribute("target", Text),
    attribute("ulimits", ULIMITS),
];

const DEPENDENCY: &[Attribute] =
    &[attribute("condition", Text), attribute("required", Boolean), attribute("restart", Boolean)];

const DEVICE: &[Attribute] =
    &[attribute("permissions", Text), attribute("source", Text), attribute("target", Text)];

const ENV_FILE: &[Attribute] =
    &[attribute("format", Text), attribute("path", Path), attribute("required", Boolean)];

const EXTENDS: &[Attribute] = &[attribute("file", Text), attribute("service", Text)];

const HEALTHCHECK: &[Attribute] = &[
    attribute("disable", Boolean),
    attribute("interval", Duration),
    attribute("retries", Integer),
    attribute("start_interval", Duration),
    attribute("start_period", Duration),
    attribute("test", HealthTest),
    attribute("timeout", Duration),
];

const HOOK: &[Attribute] = &[
    attribute("command", Command),
    attribute("environment", Variables),
    attribute("privileged", Boolean),
    attribute("user", Text),
    attribute("working_dir", Text),
];

const LOGGING: &[Attribute] = &[attribute("driver", Text), attribute("options", Pairs)];

const MEMBERSHIP: &[Attribute] = &[
    attribute("aliases", Texts),
    attribute("driver_opts", Pairs),
    attribute("gw_priority", Integer),
    attribute("interface_name", Text),
    attribute("ipv4_address", Text),
    attribute("ipv6_address", Text),
    attribute("link_local_ips", Texts),
    attribute("mac_address", Text),
    attribute("priority", Integer),
];

const MOUNT: &[Attribute] = &[
    attribute("bind", Object(MOUNT_BIND)),
    attribute("consistency", Text),
    attribute("image", Object(MOUNT_IMAGE)),
    attribute("read_only", Boolean),
    attribute("source", Text),
    attribute("target", Text),
    attribute("tmpfs", Object(MOUNT_TMPFS)),
    attribute("type", Text),
    attribute("volume", Object(MOUNT_VOLUME)),
];

const MOUNT_BIND: &[Attribute] = &[
    attribute("create_host_path", Boolean),
    attribute("propagation", Text),
    attribute("recursive", Text),
    attribute("selinux", Text),
];
const MOUNT_IMAGE: &[Attribute] = &[attribute("subpath", Text)];
const MOUNT_TMPFS: &[Attribute] = &[attribute("mode", Any), attribute("size", Bytes)];
const MOUNT_VOLUME: &[Attribute] =
    &[attribute("labels", Pairs), attribute("nocopy", Boolean), attribute("subpath", Text)];

const PORT: &[Attribute] = &[
    attribute("app_protocol", Text),
    attribute("host_ip", Text),
    attribute("mode", Text),
    attribute("name", Text),
    attribute("protocol", Text),
    attribute("published", Text),
    attribute("target", Integer),
];

const REFERENCE: &[Attribute] = &[
    attribute("gid", Text),
    attribute("mode", Mode),
    attribute("source", Text),
    attribute("target", Text),
    attribute("uid", Text),
];

const ULIMIT: &[Attribute] = &[attribute("hard", Integer), attribute("soft", Integer)];
