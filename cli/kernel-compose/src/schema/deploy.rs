//! `deploy` and `develop` of a service, and requests for devices.

use super::service::HOOK;
use super::{
    Accepts, Attribute, DURATION, INTEGER, LABELS, LIST, ONE_OR_MORE, OWN_LABELS, Reads, SET, Shape, TEXT,
    attribute,
};
use Shape::{List, Object, Scalar};

/// `deploy`.
pub const DEPLOY: &[Attribute] = &[
    attribute("endpoint_mode", TEXT),
    attribute("labels", LABELS),
    attribute("mode", TEXT),
    attribute("placement", Object(PLACEMENT)).kept(),
    attribute("replicas", INTEGER).always(),
    attribute("resources", Object(RESOURCES)).kept(),
    attribute("restart_policy", Object(RESTART_POLICY)).always(),
    attribute("rollback_config", Object(UPDATE)).always(),
    attribute("update_config", Object(UPDATE)).always(),
];

/// `develop`.
pub const DEVELOP: &[Attribute] = &[attribute("watch", List(&Object(WATCH)))];

/// A request for devices below `deploy`.
pub const DEVICE_REQUEST: &[Attribute] = &[
    attribute("capabilities", SET).required(),
    attribute("count", COUNT),
    attribute("device_ids", SET),
    attribute("driver", TEXT),
    attribute("options", OWN_LABELS),
];

/// The same in `gpus`, which says by itself what is asked for.
pub const GPU_REQUEST: &[Attribute] = &[
    attribute("capabilities", SET),
    attribute("count", COUNT),
    attribute("device_ids", SET),
    attribute("driver", TEXT),
    attribute("options", OWN_LABELS),
];

const COUNT: Shape = Scalar(Accepts::INTEGER_OR_TEXT, Reads::Count);
const UNSIGNED: Shape = Scalar(Accepts::INTEGER_OR_TEXT, Reads::Unsigned);

const PLACEMENT: &[Attribute] = &[
    attribute("constraints", LIST),
    attribute("max_replicas_per_node", UNSIGNED),
    attribute("preferences", List(&Object(&[attribute("spread", TEXT)]))),
];

const RESOURCES: &[Attribute] =
    &[attribute("limits", Object(LIMITS)).always(), attribute("reservations", Object(RESERVATIONS)).always()];

const MEMORY: Shape = Scalar(Accepts::TEXT, Reads::Bytes);
const CPUS: Shape = Scalar(Accepts::NUMBER_OR_TEXT, Reads::Single);

const LIMITS: &[Attribute] =
    &[attribute("cpus", CPUS), attribute("memory", MEMORY), attribute("pids", INTEGER)];

const RESERVATIONS: &[Attribute] = &[
    attribute("cpus", CPUS),
    attribute("devices", List(&Object(DEVICE_REQUEST))),
    attribute(
        "generic_resources",
        List(&Object(&[attribute("discrete_resource_spec", Object(DISCRETE_RESOURCE)).always()])),
    ),
    attribute("memory", MEMORY),
];

const DISCRETE_RESOURCE: &[Attribute] = &[
    attribute("kind", TEXT).always(),
    attribute("value", Scalar(Accepts::NUMBER_OR_TEXT, Reads::Integer)).always(),
];

const RESTART_POLICY: &[Attribute] = &[
    attribute("condition", TEXT),
    attribute("delay", DURATION).always(),
    attribute("max_attempts", UNSIGNED).always(),
    attribute("window", DURATION).always(),
];

const UPDATE: &[Attribute] = &[
    attribute("delay", DURATION),
    attribute("failure_action", TEXT),
    attribute("max_failure_ratio", Scalar(Accepts::NUMBER_OR_TEXT, Reads::Single)),
    attribute("monitor", DURATION),
    attribute("order", Scalar(Accepts::TEXT, Reads::Word(&["start-first", "stop-first"]))),
    attribute("parallelism", UNSIGNED).always(),
];

const ACTIONS: &[&str] = &["rebuild", "sync", "restart", "sync+restart", "sync+exec"];

const WATCH: &[Attribute] = &[
    attribute("action", Scalar(Accepts::TEXT, Reads::Word(ACTIONS))).required().always(),
    attribute("exec", Object(HOOK)).kept(),
    attribute("ignore", ONE_OR_MORE),
    attribute("include", ONE_OR_MORE),
    attribute("initial_sync", Scalar(Accepts::BOOLEAN, Reads::Boolean)),
    attribute("path", Scalar(Accepts::TEXT, Reads::Path)).required().always(),
    attribute("target", TEXT),
];
