//! Every code that this crate gives, once. A code never changes its meaning; each has a page in `docs/errors/`.

use kernel_core::diagnostic::Code;

macro_rules! codes {
    ($($(#[doc = $text:literal])+ $name:ident = $code:literal;)+) => {
        $($(#[doc = $text])+ pub const $name: Code = Code($code);)+
        /// All codes, in order.
        pub const ALL: &[Code] = &[$($name),+];
    };
}

codes! {
    /// No folder from the working directory up holds `versions.env`.
    NO_WORKSPACE = "K-OPS-001";
    /// A file that is needed can't be read.
    UNREADABLE = "K-OPS-002";
    /// A service was named that the project does not have.
    UNKNOWN_SERVICE = "K-OPS-003";
    /// The selection leaves nothing to work on.
    NOTHING_SELECTED = "K-OPS-004";
    /// The engine that was asked for can't be used.
    ENGINE_UNAVAILABLE = "K-OPS-005";
    /// A check of `doctor` failed.
    DOCTOR = "K-OPS-006";
    /// A name for a new service that can't be one.
    SERVICE_NAME = "K-OPS-007";
    /// A new service would overwrite what is there.
    SERVICE_EXISTS = "K-OPS-008";
    /// A new service could not be written; nothing of it was left behind.
    SERVICE_NOT_WRITTEN = "K-OPS-009";
    /// A service that a command talks to does not answer.
    UNREACHABLE = "K-OPS-010";
    /// The Platform Owner was not made.
    SETUP_REFUSED = "K-OPS-011";
    /// A file could not be written.
    UNWRITABLE = "K-OPS-012";
    /// A text that can't be the name of a project.
    PROJECT_NAME = "K-OPS-013";
    /// The services of a project can't be brought into an order.
    NO_PLAN = "K-OPS-014";
    /// Somebody interrupted before all was done.
    INTERRUPTED = "K-OPS-015";
    /// Files could not be copied from or to a container.
    COPY = "K-OPS-016";
    /// What is to be watched can't be, or a change could not be carried out.
    WATCH = "K-OPS-017";
    /// Nobody agreed to what can't be taken back.
    NOT_AGREED = "K-OPS-018";
    /// Static programs can't be linked on this machine.
    IMAGE_NO_STATIC_BUILD = "K-IMAGE-001";
    /// Building the programs of images failed.
    IMAGE_BUILD_FAILED = "K-IMAGE-002";
    /// A program can't be the program of an image.
    IMAGE_NOT_STATIC = "K-IMAGE-003";
    /// A service can't be built, or none of them can.
    IMAGE_NOTHING_TO_BUILD = "K-IMAGE-004";
    /// A text that can't be the name of an image.
    IMAGE_NAME = "K-IMAGE-005";
    /// There is no commit that images could be named by.
    IMAGE_REVISION = "K-IMAGE-006";
    /// An OCI layout can't be written or read.
    IMAGE_LAYOUT = "K-IMAGE-007";
    /// A registry does not take an image.
    IMAGE_PUSH_REFUSED = "K-IMAGE-008";
    /// A registry does not answer.
    IMAGE_REGISTRY_UNREACHABLE = "K-IMAGE-009";
    /// Nobody said whose the images are.
    IMAGE_NO_OWNER = "K-IMAGE-010";
    /// The context of a Dockerfile's build can't be read.
    IMAGE_CONTEXT = "K-IMAGE-011";
    /// cargo can't be run to build programs of images.
    IMAGE_NO_CARGO = "K-IMAGE-012";
    /// An Engine does not have the image that it took.
    IMAGE_NOT_TAKEN = "K-IMAGE-013";
    /// The digest of an image can't be had from its registry.
    IMAGE_DIGEST = "K-IMAGE-014";
    /// A smoke scenario can't be read.
    SCENARIO_UNREADABLE = "K-SMOKE-001";
    /// A smoke check failed.
    CHECK_FAILED = "K-SMOKE-002";
    /// A text that can't be the tenant of a sandbox.
    SANDBOX_TENANT = "K-SANDBOX-001";
    /// All slots of ports are taken.
    SANDBOX_NO_SLOT = "K-SANDBOX-002";
    /// The file of a sandbox is damaged.
    SANDBOX_REGISTRY = "K-SANDBOX-003";
    /// The project publishes more ports than a sandbox has.
    SANDBOX_PORTS = "K-SANDBOX-004";
    /// The seed of sandboxes is wrong.
    SANDBOX_SEED = "K-SANDBOX-005";
    /// A sandbox does not take its seed.
    SANDBOX_NOT_SEEDED = "K-SANDBOX-006";
    /// The tenant has no sandbox, or what has its name is none.
    NO_SANDBOX = "K-SANDBOX-007";
    /// What can't be undone was not confirmed.
    SANDBOX_UNCONFIRMED = "K-SANDBOX-008";
    /// Two sandboxes are not separated, or it can't be told.
    SANDBOX_LEAK = "K-SANDBOX-009";
}
