//! Networks, volumes, secrets, configs and models at the top level, and `include`.

use super::{Attribute, Shape, attribute};
use Shape::{Boolean, External, Integer, Keyed, Object, Pairs, Path, Text, TextOrTexts, Texts};

/// An entry of `include`.
pub const INCLUDE: &[Attribute] = &[
    attribute("env_file", TextOrTexts),
    attribute("path", TextOrTexts),
    attribute("project_directory", Text),
];

/// A network.
pub const NETWORK: &[Attribute] = &[
    attribute("attachable", Boolean),
    attribute("driver", Text),
    attribute("driver_opts", Pairs),
    attribute("enable_ipv4", Boolean),
    attribute("enable_ipv6", Boolean),
    attribute("external", External),
    attribute("internal", Boolean),
    attribute("ipam", Object(IPAM)),
    attribute("labels", Pairs),
    attribute("name", Text),
];

/// A volume.
pub const VOLUME: &[Attribute] = &[
    attribute("driver", Text),
    attribute("driver_opts", Pairs),
    attribute("external", External),
    attribute("labels", Pairs),
    attribute("name", Text),
];

/// A secret.
pub const SECRET: &[Attribute] = &[
    attribute("driver", Text),
    attribute("driver_opts", Pairs),
    attribute("environment", Text),
    attribute("external", External),
    attribute("file", Path),
    attribute("labels", Pairs),
    attribute("name", Text),
    attribute("template_driver", Text),
];

/// A config.
pub const CONFIG: &[Attribute] = &[
    attribute("content", Text),
    attribute("environment", Text),
    attribute("external", External),
    attribute("file", Path),
    attribute("labels", Pairs),
    attribute("name", Text),
    attribute("template_driver", Text),
];

/// A model.
pub const MODEL: &[Attribute] = &[
    attribute("context_size", Integer),
    attribute("model", Text),
    attribute("name", Text),
    attribute("runtime_flags", Texts),
];

const IPAM: &[Attribute] = &[
    attribute("config", Keyed("subnet", &Object(POOL))),
    attribute("driver", Text),
    attribute("options", Pairs),
];

const POOL: &[Attribute] = &[
    attribute("aux_addresses", Pairs),
    attribute("gateway", Text),
    attribute("ip_range", Text),
    attribute("subnet", Text),
];
