//! The stable names of what can go wrong on the local engine.

use kernel_core::diagnostic::Code;

/// A port that a service needs is taken.
pub const PORT_TAKEN: Code = Code("K-LOCAL-001");
/// A service crashed so often that it is not started again, or ended before it was ready.
pub const CRASHED: Code = Code("K-LOCAL-002");
/// The build failed.
pub const BUILD_FAILED: Code = Code("K-LOCAL-003");
/// cargo can't be run.
pub const NO_CARGO: Code = Code("K-LOCAL-004");
/// A program that should be there is not.
pub const NO_PROGRAM: Code = Code("K-LOCAL-005");
/// A process can't be started.
pub const START_FAILED: Code = Code("K-LOCAL-006");
/// The supervisor can't be started.
pub const SUPERVISOR_FAILED: Code = Code("K-LOCAL-007");
/// The supervisor does not answer, or answers something else than was asked.
pub const SUPERVISOR_UNREACHABLE: Code = Code("K-LOCAL-008");
/// A file or folder of the engine can't be read or written.
pub const FILES: Code = Code("K-LOCAL-009");
/// A service can't run without Docker: it has neither a package nor an embedded default.
pub const NOT_LOCAL: Code = Code("K-LOCAL-010");
/// A placeholder or port in the local environment of a service can't be filled in.
pub const BAD_PLACEHOLDER: Code = Code("K-LOCAL-011");
/// A published port leaves the range of ports once the offset is added, or two services publish the same one.
pub const BAD_PORT: Code = Code("K-LOCAL-012");
/// A process does not end although it was killed.
pub const WILL_NOT_END: Code = Code("K-LOCAL-013");
/// A name that the Compose file uses can't name a unit.
pub const BAD_NAME: Code = Code("K-LOCAL-015");
/// Something was removed or repaired that a killed command or supervisor left behind.
pub const REPAIRED: Code = Code("K-LOCAL-014");

/// All of them, each with a page in `docs/errors/`.
pub const ALL: &[Code] = &[
    PORT_TAKEN,
    CRASHED,
    BUILD_FAILED,
    NO_CARGO,
    NO_PROGRAM,
    START_FAILED,
    SUPERVISOR_FAILED,
    SUPERVISOR_UNREACHABLE,
    FILES,
    NOT_LOCAL,
    BAD_PLACEHOLDER,
    BAD_PORT,
    WILL_NOT_END,
    BAD_NAME,
    REPAIRED,
];
