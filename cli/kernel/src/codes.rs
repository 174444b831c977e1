//! Every code that this crate gives, once. A code never changes its meaning; each has a page in `docs/errors/`.

use kernel_core::diagnostic::Code;

/// A `KERNEL_*` variable holds something that its flag would not take.
pub const BAD_VARIABLE: Code = Code("K-CLI-001");
/// The command is planned and does nothing yet.
pub const NOT_IMPLEMENTED: Code = Code("K-CLI-002");
/// No page for such a code.
pub const UNKNOWN_CODE: Code = Code("K-CLI-003");
/// No help on such a topic.
pub const UNKNOWN_TOPIC: Code = Code("K-CLI-004");
/// The runtime that the work needs could not be made.
pub const NO_RUNTIME: Code = Code("K-CLI-005");
/// A password was expected on stdin.
pub const NO_PASSWORD: Code = Code("K-CLI-006");
/// A file is no plan of a deploy, or one for another place; or nothing says what is to be deployed.
pub const BAD_PLAN: Code = Code("K-CLI-007");
/// A release can't have this name.
pub const BAD_NAME: Code = Code("K-CLI-008");
/// A release's manifests would go where the committed ones are.
pub const PLACEHOLDERS_STAY: Code = Code("K-CLI-009");
/// An option that a sandbox decides by itself.
pub const SANDBOX_OPTION: Code = Code("K-CLI-010");
/// A program that a command was to become can't be run.
pub const PROGRAM: Code = Code("K-CLI-011");
/// What stands behind `--format` can't be understood.
pub const BAD_FORMAT: Code = Code("K-CLI-012");
