//! The stable names of what can go wrong with a Docker Engine.

use kernel_core::diagnostic::Code;

/// No Engine answers where one is looked for.
pub const UNREACHABLE: Code = Code("K-DOCKER-001");
/// Where the Engine is can't be understood, or is not supported.
pub const ENDPOINT: Code = Code("K-DOCKER-002");
/// A Compose file says something that the Docker engine does not do.
pub const NOT_SUPPORTED: Code = Code("K-DOCKER-003");
/// The Engine does not do what it is asked to.
pub const REFUSED: Code = Code("K-DOCKER-004");
/// Another process or container has a port.
pub const PORT_TAKEN: Code = Code("K-DOCKER-005");
/// A container of somebody else has a name.
pub const NAME_TAKEN: Code = Code("K-DOCKER-006");
/// An image is not there and can't be fetched.
pub const NO_IMAGE: Code = Code("K-DOCKER-007");
/// Containers of others are connected to a network.
pub const NETWORK_IN_USE: Code = Code("K-DOCKER-008");
/// The Engine's disk is full.
pub const DISK_FULL: Code = Code("K-DOCKER-009");
/// The health check of a container says that it is not well.
pub const UNHEALTHY: Code = Code("K-DOCKER-010");
/// A container ended that should run, or ended with a failure.
pub const ENDED: Code = Code("K-DOCKER-011");
/// The Engine went away in the middle.
pub const WENT_AWAY: Code = Code("K-DOCKER-012");

/// A registry does not take an image.
pub const NOT_PUSHED: Code = Code("K-DOCKER-013");
/// A program that is run when a container was started or is about to end failed.
pub const HOOK_FAILED: Code = Code("K-DOCKER-020");
/// The program that provides a service failed, or is not there.
pub const PROVIDER_FAILED: Code = Code("K-DOCKER-021");

/// All of them, each with a page in `docs/errors/`.
pub const ALL: &[Code] = &[
    UNREACHABLE,
    ENDPOINT,
    NOT_SUPPORTED,
    REFUSED,
    PORT_TAKEN,
    NAME_TAKEN,
    NO_IMAGE,
    NETWORK_IN_USE,
    DISK_FULL,
    UNHEALTHY,
    ENDED,
    WENT_AWAY,
    NOT_PUSHED,
    HOOK_FAILED,
    PROVIDER_FAILED,
];
