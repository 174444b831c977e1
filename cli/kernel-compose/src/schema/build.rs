//! `build` of a service.

use super::service::{REFERENCE, ULIMITS};
use super::{
    Accepts, Attribute, BOOLEAN, Bare, Default, LABELS, LIST, MERGED_SET, Pairs, Reads, Shape, TEXT,
    VARIABLES, attribute,
};

pub(super) const BUILD: &[Attribute] = &[
    attribute(
        "additional_contexts",
        Shape::Pairs(Pairs {
            list: true,
            values: Accepts::ANY,
            bare: Bare::Refused,
            merges: true,
            once: false,
            reads: Reads::Context,
        }),
    ),
    attribute("args", VARIABLES),
    attribute("cache_from", LIST),
    attribute("cache_to", LIST),
    attribute("context", Shape::Scalar(Accepts::TEXT, Reads::Context)),
    attribute("dockerfile", TEXT),
    attribute("dockerfile_inline", TEXT),
    attribute("entitlements", LIST),
    attribute("extra_hosts", Shape::Hosts).always(),
    attribute("isolation", TEXT),
    attribute("labels", LABELS),
    attribute("network", TEXT),
    attribute("no_cache", BOOLEAN),
    attribute("platforms", LIST),
    attribute("privileged", BOOLEAN),
    attribute("provenance", Shape::Scalar(Accepts::BOOLEAN_OR_TEXT, Reads::Text)),
    attribute("pull", BOOLEAN),
    attribute("sbom", Shape::Scalar(Accepts::BOOLEAN_OR_TEXT, Reads::Text)),
    attribute("secrets", Shape::References(REFERENCE, Default::Nothing)),
    attribute("shm_size", Shape::Scalar(Accepts::INTEGER_OR_TEXT, Reads::Bytes)),
    attribute("ssh", Shape::Ssh),
    attribute("tags", MERGED_SET),
    attribute("target", TEXT),
    attribute("ulimits", ULIMITS),
];
