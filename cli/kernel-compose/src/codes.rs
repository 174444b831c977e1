//! Every code that this crate gives, once. A code never changes its meaning; each has a page in `docs/errors/`.

use kernel_core::diagnostic::Code;

macro_rules! codes {
    ($($(#[doc = $text:literal])+ $name:ident = $code:literal;)+) => {
        $($(#[doc = $text])+ pub const $name: Code = Code($code);)+
        /// All codes, in order of their number.
        pub const ALL: &[Code] = &[$($name),+];
    };
}

codes! {
    /// The text is not YAML.
    SYNTAX = "K-COMPOSE-001";
    /// One mapping says the same key twice.
    DUPLICATE_KEY = "K-COMPOSE-002";
    /// A key of a mapping is not a string.
    KEY_NOT_TEXT = "K-COMPOSE-003";
    /// An alias names no anchor, or aliases make the document too large or too deep.
    ALIAS = "K-COMPOSE-004";
    /// What stands under `<<` is not a mapping.
    MERGE_KEY = "K-COMPOSE-005";
    /// A `${…}` that can't be read.
    INTERPOLATION = "K-COMPOSE-006";
    /// A `${NAME:?…}` whose variable has no value.
    VARIABLE_REQUIRED = "K-COMPOSE-007";
    /// A variable without value and default: it became the empty string (warning).
    VARIABLE_UNSET = "K-COMPOSE-008";
    /// Two files give one attribute in shapes that can't be merged.
    MERGE_SHAPE = "K-COMPOSE-009";
    /// An attribute that the Compose Specification does not know at this place.
    UNKNOWN_ATTRIBUTE = "K-COMPOSE-010";
    /// A value has the wrong shape, such as a list where a mapping is wanted.
    WRONG_SHAPE = "K-COMPOSE-011";
    /// A value of the right shape that says nothing sensible, such as port 70000.
    BAD_VALUE = "K-COMPOSE-012";
    /// A service uses a network, volume, secret or config that is not declared.
    UNDEFINED_RESOURCE = "K-COMPOSE-013";
    /// A service depends on a service that does not exist.
    UNDEFINED_SERVICE = "K-COMPOSE-014";
    /// A service depends on one that no active profile shows.
    HIDDEN_BY_PROFILE = "K-COMPOSE-015";
    /// Services that wait for each other in a circle.
    DEPENDENCY_CYCLE = "K-COMPOSE-016";
    /// A service with neither image nor build.
    NOTHING_TO_RUN = "K-COMPOSE-017";
    /// Two attributes that exclude each other.
    CONFLICT = "K-COMPOSE-018";
    /// `extends` names what does not exist, or goes in a circle.
    EXTENDS = "K-COMPOSE-019";
    /// `include` names what does not exist, goes in a circle, or brings a different definition of the same name.
    INCLUDE = "K-COMPOSE-020";
    /// A part of the specification that this loader does not act on yet.
    NOT_IMPLEMENTED = "K-COMPOSE-021";
    /// A line of an env file that can't be read.
    ENV_FILE_SYNTAX = "K-COMPOSE-022";
    /// An env file that is named and not there.
    ENV_FILE_MISSING = "K-COMPOSE-023";
    /// A project name that is not allowed, or none could be found.
    PROJECT_NAME = "K-COMPOSE-024";
    /// A document without a mapping at its top, or a project without services.
    EMPTY = "K-COMPOSE-025";
    /// `x-kernel` says something that `kernel` does not understand.
    KERNEL_EXTENSION = "K-COMPOSE-026";
    /// Two services publish one port of this machine (warning: not both may be meant to run).
    PORT_TAKEN = "K-COMPOSE-027";
    /// An attribute that has no meaning any more (warning).
    OBSOLETE = "K-COMPOSE-028";
    /// Two things of a project that must differ are the same, such as two mounts on one path.
    DUPLICATE = "K-COMPOSE-029";
    /// A YAML tag that means nothing here (warning).
    TAG = "K-COMPOSE-030";
    /// A profile was asked for that no service has (warning).
    UNKNOWN_PROFILE = "K-COMPOSE-031";
    /// A dependency waits for health, and the service has no health check.
    NO_HEALTH_CHECK = "K-COMPOSE-032";
    /// A generated secret goes where everybody can see it, such as a command (warning).
    SECRET_SHOWN = "K-COMPOSE-033";
    /// No Compose file in this folder or above it.
    NO_FILE = "K-COMPOSE-034";
    /// A file has more values than can be read.
    TOO_LARGE = "K-COMPOSE-035";
}

/// Problems that are told of one load. Where there are more, the rest is as wrong for the same reason.
pub(crate) const MANY: usize = 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_numbered_without_a_gap() {
        for (index, code) in ALL.iter().enumerate() {
            assert_eq!(code.0, format!("K-COMPOSE-{:03}", index + 1));
        }
    }
}
