//! `deploy` and `develop` of a service.

use super::{Attribute, Shape, attribute};
use Shape::{
    Any, Boolean, Bytes, Command, Duration, Integer, List, Number, Object, Pairs, Path, Text, Texts,
    Variables,
};

/// `deploy`.
pub const DEPLOY: &[Attribute] = &[
    attribute("endpoint_mode", Text),
    attribute("labels", Pairs),
    attribute("mode", Text),
    attribute("placement", Object(PLACEMENT)),
    attribute("replicas", Integer),
    attribute("resources", Object(RESOURCES)),
    attribute("restart_policy", Object(RESTART_POLICY)),
    attribute("rollback_config", Object(UPDATE)),
    attribute("update_config", Object(UPDATE)),
];

/// `develop`.
pub const DEVELOP: &[Attribute] = &[attribute("watch", List(&Object(WATCH)))];

const PLACEMENT: &[Attribute] = &[
    attribute("constraints", Texts),
    attribute("max_replicas_per_node", Integer),
    attribute("preferences", List(&Any)),
];

const RESOURCES: &[Attribute] =
    &[attribute("limits", Object(LIMITS)), attribute("reservations", Object(RESERVATIONS))];

const LIMITS: &[Attribute] =
    &[attribute("cpus", Number), attribute("memory", Bytes), attribute("pids", Integer)];

const RESERVATIONS: &[Attribute] = &[
    attribute("cpus", Number),
    attribute("devices", List(&Any)),
    attribute("generic_resources", List(&Any)),
    attribute("memory", Bytes),
];

const RESTART_POLICY: &[Attribute] = &[
    attribute("condition", Text),
    attribute("delay", Duration),
    attribute("max_attempts", Integer),
    attribute("window", Duration),
];

const UPDATE: &[Attribute] = &[
    attribute("delay", Duration),
    attribute("failure_action", Text),
    attribute("max_failure_ratio", Number),
    attribute("monitor", Duration),
    attribute("order", Text),
    attribute("parallelism", Integer),
];

const WATCH: &[Attribute] = &[
    attribute("action", Text),
    attribute("exec", Object(EXEC)),
    attribute("ignore", Shape::TextOrTexts),
    attribute("include", Shape::TextOrTexts),
    attribute("initial_sync", Boolean),
    attribute("path", Path),
    attribute("target", Text),
];

const EXEC: &[Attribute] = &[
    attribute("command", Command),
    attribute("environment", Variables),
    attribute("privileged", Boolean),
    attribute("user", Text),
    attribute("working_dir", Text),
];
