//! The attributes of a service.

use super::build::BUILD;
use super::deploy::GPU_REQUEST;
use super::{
    Accepts, Attribute, BOOLEAN, BYTES, Bare, DEPLOY, DEVELOP, DURATION, Default, INTEGER, LABELS,
    MERGED_LIST, MERGED_SET, NUMBER, Names, OPTIONS, OWN_LABELS, OWN_VARIABLES, Pairs, Reads, Repeated,
    SERVICE_KERNEL, SET, Shape, Short, TEXT, Texts, VARIABLES, attribute,
};
use Shape::{Command, Hosts, Keys, List, Logging, Map, Nullable, Object, Scalar};

/// A service.
pub const SERVICE: &[Attribute] = &[
    attribute("annotations", LABELS),
    attribute("attach", BOOLEAN).always(),
    attribute("blkio_config", Object(BLKIO)).always(),
    attribute("build", Shape::Short(Short::Build, BUILD)).always(),
    attribute("cap_add", MERGED_SET),
    attribute("cap_drop", MERGED_SET),
    attribute("cgroup", Scalar(Accepts::TEXT, Reads::Word(&["host", "private"]))),
    attribute("cgroup_parent", TEXT),
    attribute("command", Command).always(),
    attribute("configs", Shape::References(REFERENCE, Default::Nothing)),
    attribute("container_name", Scalar(Accepts::TEXT, Reads::ContainerName)),
    attribute("cpu_count", Scalar(Accepts::INTEGER_OR_TEXT, Reads::Within(0, i64::MAX))),
    attribute("cpu_percent", Scalar(Accepts::INTEGER_OR_TEXT, Reads::Percent)),
    attribute("cpu_period", NUMBER),
    attribute("cpu_quota", NUMBER),
    attribute("cpu_rt_period", NUMBER),
    attribute("cpu_rt_runtime", NUMBER),
    attribute("cpu_shares", NUMBER),
    attribute("cpus", Scalar(Accepts::NUMBER_OR_TEXT, Reads::Single)),
    attribute("cpuset", TEXT),
    attribute("credential_spec", Object(CREDENTIAL_SPEC)).always(),
    attribute("depends_on", Keys(&Object(DEPENDENCY), Names::Strict)),
    attribute("deploy", Nullable(DEPLOY)).always(),
    attribute("develop", Nullable(DEVELOP)).always(),
    attribute("device_cgroup_rules", SET),
    attribute("devices", Shape::Devices(DEVICE)),
    attribute("dns", Shape::Texts(DNS)),
    attribute("dns_opt", MERGED_SET_OF_BOTH),
    attribute("dns_search", MERGED_LIST),
    attribute("domainname", TEXT),
    attribute("entrypoint", Command).always(),
    attribute("env_file", Shape::EnvFiles(ENV_FILE)).never(),
    attribute("environment", VARIABLES),
    attribute("expose", Shape::Texts(EXPOSE)),
    // Judged where it is followed; it stays only where that came to nothing.
    attribute("extends", Shape::Any),
    attribute("external_links", SET),
    attribute("extra_hosts", Hosts).always(),
    attribute("gpus", Shape::Gpus(GPU_REQUEST)),
    attribute("group_add", Shape::Texts(GROUPS)),
    attribute("healthcheck", Object(HEALTHCHECK)).always(),
    attribute("hostname", TEXT),
    attribute("image", TEXT),
    attribute("init", BOOLEAN).always(),
    attribute("ipc", TEXT),
    attribute("isolation", TEXT),
    attribute("label_file", Shape::Texts(LABEL_FILES)).never(),
    attribute("labels", LABELS),
    attribute("links", MERGED_SET),
    attribute("logging", Logging(LOGGING)).always(),
    attribute("mac_address", TEXT),
    attribute("mem_limit", BYTES),
    attribute("mem_reservation", Scalar(Accepts::INTEGER_OR_TEXT, Reads::Bytes)),
    attribute("mem_swappiness", Scalar(Accepts::INTEGER_OR_TEXT, Reads::Bytes)),
    attribute("memswap_limit", BYTES),
    attribute("models", Keys(&Nullable(SERVICE_MODEL), Names::Loose)),
    attribute("network_mode", TEXT),
    attribute("networks", Keys(&Nullable(MEMBERSHIP), Names::Strict)),
    attribute("oom_kill_disable", BOOLEAN),
    attribute("oom_score_adj", Scalar(Accepts::INTEGER_OR_TEXT, Reads::Within(-1000, 1000))),
    attribute("pid", Scalar(Accepts::TEXT_OR_NULL, Reads::Text)),
    attribute("pids_limit", NUMBER),
    attribute("platform", TEXT),
    attribute("ports", PORTS),
    attribute("post_start", List(&Object(HOOK))),
    attribute("pre_stop", List(&Object(HOOK))),
    attribute("privileged", BOOLEAN),
    attribute("profiles", MERGED_SET),
    attribute("provider", Object(PROVIDER)).always(),
    attribute("pull_policy", Scalar(Accepts::TEXT, Reads::Containing(PULL_POLICIES))),
    // Nothing in the reference acts on it.
    attribute("pull_refresh_after", TEXT).never(),
    attribute("read_only", BOOLEAN),
    attribute("restart", TEXT),
    attribute("runtime", TEXT),
    attribute("scale", INTEGER).always(),
    attribute("secrets", Shape::References(REFERENCE, Default::RunSecrets)),
    attribute("security_opt", SET),
    attribute("shm_size", BYTES),
    attribute("stdin_open", BOOLEAN),
    attribute("stop_grace_period", DURATION).always(),
    attribute("stop_signal", TEXT),
    attribute("storage_opt", STORAGE_OPTIONS),
    attribute("sysctls", LABELS),
    attribute("tmpfs", MERGED_LIST),
    attribute("tty", BOOLEAN),
    attribute("ulimits", ULIMITS),
    attribute("use_api_socket", Scalar(Accepts::BOOLEAN, Reads::Boolean)),
    attribute("user", TEXT),
    attribute("userns_mode", TEXT),
    attribute("uts", TEXT),
    attribute("volumes", Shape::Mounts(MOUNT)),
    attribute("volumes_from", SET),
    attribute("working_dir", TEXT),
    attribute("x-kernel", Object(SERVICE_KERNEL)),
];

/// Published ports.
pub const PORTS: Shape = Shape::Ports(PORT);

/// Limits of a service or build.
pub const ULIMITS: Shape = Map(&Shape::Short(Short::Ulimit, ULIMIT), Names::Lower);

/// A secret or config that a service or build uses.
pub const REFERENCE: &[Attribute] = &[
    attribute("gid", TEXT),
    attribute("mode", Scalar(Accepts::NUMBER_OR_TEXT, Reads::Mode)).always(),
    attribute("source", TEXT),
    attribute("target", TEXT),
    attribute("uid", TEXT),
];

/// A command that runs in a container.
pub const HOOK: &[Attribute] = &[
    attribute("command", Command).required().always(),
    attribute("environment", OWN_VARIABLES),
    attribute("privileged", BOOLEAN),
    attribute("user", TEXT),
    attribute("working_dir", TEXT),
];

const PULL_POLICIES: &[&str] =
    &["always", "never", "build", "if_not_present", "missing", "refresh", "daily", "weekly", "every_"];

const TEXTS: Texts = Texts {
    alone: false,
    items: Accepts::TEXT,
    reads: Reads::Text,
    repeated: Repeated::Refused,
    merges: false,
    blank: true,
};
const MERGED_SET_OF_BOTH: Shape = Shape::Texts(Texts { repeated: Repeated::Replaced, merges: true, ..TEXTS });
const DNS: Texts = Texts { alone: true, repeated: Repeated::Replaced, merges: true, blank: false, ..TEXTS };
const EXPOSE: Texts = Texts { items: Accepts::WHOLE_OR_TEXT, repeated: Repeated::Replaced, ..TEXTS };
const GROUPS: Texts = Texts { items: Accepts::WHOLE_OR_TEXT, ..TEXTS };
const LABEL_FILES: Texts =
    Texts { alone: true, reads: Reads::Path, repeated: Repeated::Kept, merges: true, ..TEXTS };

const STORAGE_OPTIONS: Shape = Shape::Pairs(Pairs {
    list: false,
    values: Accepts::WHOLE_OR_TEXT,
    bare: Bare::Empty,
    merges: false,
    once: false,
    reads: Reads::Text,
});

const BLKIO: &[Attribute] = &[
    attribute("device_read_bps", List(&Object(BLKIO_RATE))),
    attribute("device_read_iops", List(&Object(BLKIO_RATE))),
    attribute("device_write_bps", List(&Object(BLKIO_RATE))),
    attribute("device_write_iops", List(&Object(BLKIO_RATE))),
    attribute("weight", WEIGHT),
    attribute("weight_device", List(&Object(BLKIO_WEIGHT))),
];
const WEIGHT: Shape = Scalar(Accepts::INTEGER_OR_TEXT, Reads::UpTo(u16::MAX as u64, false));
const BLKIO_RATE: &[Attribute] = &[
    attribute("path", TEXT).titled(),
    attribute("rate", Scalar(Accepts::INTEGER_OR_TEXT, Reads::Bytes)).titled(),
];
const BLKIO_WEIGHT: &[Attribute] = &[attribute("path", TEXT).titled(), attribute("weight", WEIGHT).titled()];

const CREDENTIAL_SPEC: &[Attribute] =
    &[attribute("config", TEXT), attribute("file", TEXT), attribute("registry", TEXT)];

const CONDITIONS: &[&str] = &["service_started", "service_healthy", "service_completed_successfully"];

const DEPENDENCY: &[Attribute] = &[
    attribute("condition", Scalar(Accepts::TEXT, Reads::Word(CONDITIONS))).required(),
    attribute("required", Scalar(Accepts::BOOLEAN, Reads::Boolean)).always(),
    attribute("restart", BOOLEAN),
];

const DEVICE: &[Attribute] =
    &[attribute("permissions", TEXT), attribute("source", TEXT).required(), attribute("target", TEXT)];

const ENV_FILE: &[Attribute] = &[
    attribute("format", TEXT),
    attribute("path", Scalar(Accepts::TEXT, Reads::Path)).required(),
    attribute("required", BOOLEAN).always(),
];

const HEALTHCHECK: &[Attribute] = &[
    attribute("disable", BOOLEAN),
    attribute("interval", DURATION).always(),
    attribute("retries", Scalar(Accepts::NUMBER_OR_TEXT, Reads::Unsigned)).always(),
    attribute("start_interval", DURATION).always(),
    attribute("start_period", DURATION).always(),
    attribute("test", Shape::HealthTest),
    attribute("timeout", DURATION).always(),
];

const LOGGING: &[Attribute] = &[
    attribute("driver", TEXT),
    attribute(
        "options",
        Shape::Pairs(Pairs {
            list: false,
            values: Accepts::NUMBER_TEXT_OR_NULL,
            bare: Bare::Empty,
            merges: false,
            once: false,
            reads: Reads::Text,
        }),
    ),
];

const PRIORITY: Shape = Scalar(Accepts::NUMBER, Reads::Integer);

const MEMBERSHIP: &[Attribute] = &[
    attribute("aliases", MERGED_SET),
    attribute("driver_opts", OPTIONS),
    attribute("gw_priority", PRIORITY),
    attribute("interface_name", TEXT),
    attribute("ipv4_address", TEXT),
    attribute("ipv6_address", TEXT),
    attribute("link_local_ips", MERGED_SET),
    attribute("mac_address", TEXT),
    attribute("priority", PRIORITY),
];

const SERVICE_MODEL: &[Attribute] = &[attribute("endpoint_var", TEXT), attribute("model_var", TEXT)];

const MOUNT: &[Attribute] = &[
    attribute("bind", Object(MOUNT_BIND)).always(),
    attribute("consistency", TEXT),
    attribute("image", Object(MOUNT_IMAGE)).always(),
    attribute("read_only", BOOLEAN),
    attribute("source", TEXT),
    attribute("target", TEXT),
    attribute("tmpfs", Object(MOUNT_TMPFS)).always(),
    attribute("type", Scalar(Accepts::TEXT, Reads::Word(MOUNT_TYPES))).required(),
    attribute("volume", Object(MOUNT_VOLUME)).always(),
];

const MOUNT_TYPES: &[&str] = &["bind", "volume", "tmpfs", "cluster", "npipe", "image"];

const MOUNT_BIND: &[Attribute] = &[
    attribute("create_host_path", BOOLEAN),
    attribute("propagation", TEXT),
    attribute(
        "recursive",
        Scalar(Accepts::TEXT, Reads::Word(&["enabled", "disabled", "writable", "readonly"])),
    ),
    attribute("selinux", Scalar(Accepts::TEXT, Reads::Word(&["z", "Z"]))),
];
const MOUNT_IMAGE: &[Attribute] = &[attribute("subpath", TEXT)];
const MOUNT_TMPFS: &[Attribute] = &[
    attribute("mode", Scalar(Accepts::NUMBER_OR_TEXT, Reads::UpTo(u32::MAX as u64, false))),
    attribute("size", Scalar(Accepts::INTEGER_OR_TEXT, Reads::Bytes)),
];
const MOUNT_VOLUME: &[Attribute] =
    &[attribute("labels", OWN_LABELS), attribute("nocopy", BOOLEAN), attribute("subpath", TEXT)];

const PORT: &[Attribute] = &[
    attribute("app_protocol", TEXT),
    attribute("host_ip", TEXT),
    attribute("mode", TEXT),
    attribute("name", TEXT),
    attribute("protocol", TEXT),
    attribute("published", Scalar(Accepts::INTEGER_OR_TEXT, Reads::Text)),
    attribute("target", Scalar(Accepts::INTEGER_OR_TEXT, Reads::UpTo(u32::MAX as u64, true))),
];

const PROVIDER: &[Attribute] =
    &[attribute("options", Shape::ProviderOptions), attribute("type", TEXT).required()];

const LIMIT: Shape = Scalar(Accepts::INTEGER_OR_TEXT, Reads::Integer);
const ULIMIT: &[Attribute] = &[attribute("hard", LIMIT).required(), attribute("soft", LIMIT).required()];
