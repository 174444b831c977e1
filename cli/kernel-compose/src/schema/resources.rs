//! Networks, volumes, secrets, configs and models at the top level, and `include`.

use super::{
    Accepts, Attribute, BOOLEAN, Bare, LABELS, LABELS_ONCE, LIST, ONE_OR_MORE, OPTIONS, OWN_LABELS, Pairs,
    Reads, Shape, TEXT, attribute,
};
use Shape::{External, Keyed, Object, Scalar};

/// An entry of `include`.
pub const INCLUDE: &[Attribute] = &[
    attribute("env_file", ONE_OR_MORE),
    attribute("path", ONE_OR_MORE),
    attribute("project_directory", TEXT),
];

/// A network.
pub const NETWORK: &[Attribute] = &[
    attribute("attachable", BOOLEAN),
    attribute("driver", TEXT),
    attribute("driver_opts", OPTIONS),
    attribute("enable_ipv4", BOOLEAN).always(),
    attribute("enable_ipv6", BOOLEAN).always(),
    attribute("external", External(EXTERNAL)),
    attribute("internal", BOOLEAN),
    attribute("ipam", Object(IPAM)).kept(),
    attribute("labels", LABELS),
    attribute("name", TEXT),
];

/// A volume.
pub const VOLUME: &[Attribute] = &[
    attribute("driver", TEXT),
    attribute("driver_opts", OPTIONS),
    attribute("external", External(EXTERNAL)),
    attribute("labels", LABELS_ONCE),
    attribute("name", TEXT),
];

/// A secret.
pub const SECRET: &[Attribute] = &[
    attribute("driver", TEXT),
    attribute("driver_opts", WHOLE_OPTIONS),
    attribute("environment", TEXT),
    attribute("external", External(EXTERNAL)),
    attribute("file", Scalar(Accepts::TEXT, Reads::HostPath)),
    attribute("labels", OWN_LABELS),
    attribute("name", TEXT),
    attribute("template_driver", TEXT),
];

/// A config.
pub const CONFIG: &[Attribute] = &[
    attribute("content", TEXT),
    attribute("environment", TEXT),
    attribute("external", External(EXTERNAL)),
    attribute("file", Scalar(Accepts::TEXT, Reads::HostPath)),
    attribute("labels", OWN_LABELS),
    attribute("name", TEXT),
    attribute("template_driver", TEXT),
];

/// A model.
pub const MODEL: &[Attribute] = &[
    attribute("context_size", Scalar(Accepts::INTEGER, Reads::Integer)),
    attribute("model", TEXT).required(),
    attribute("name", TEXT),
    attribute("runtime_flags", LIST),
];

const EXTERNAL: &[Attribute] = &[attribute("name", TEXT)];

const IPAM: &[Attribute] = &[
    attribute("config", Keyed("subnet", &Object(POOL))),
    attribute("driver", TEXT),
    // Nothing in the reference acts on it.
    attribute("options", TEXT_OPTIONS).never(),
];

const POOL: &[Attribute] = &[
    attribute("aux_addresses", TEXT_OPTIONS),
    attribute("gateway", TEXT),
    attribute("ip_range", TEXT),
    attribute("subnet", TEXT),
];

const WHOLE_OPTIONS: Shape = Shape::Pairs(Pairs {
    list: false,
    values: Accepts::WHOLE_OR_TEXT,
    bare: Bare::Refused,
    merges: false,
    once: false,
    reads: Reads::Text,
});

const TEXT_OPTIONS: Shape = Shape::Pairs(Pairs {
    list: false,
    values: Accepts::TEXT,
    bare: Bare::Refused,
    merges: false,
    once: false,
    reads: Reads::Text,
});
