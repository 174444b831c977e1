//! The stable names of what can go wrong while a plan is carried out, whatever the engine.

use kernel_core::diagnostic::Code;

/// A step did not come to its end in time.
pub const DEADLINE: Code = Code("K-ENGINE-001");
/// The engine's state is not what the plan was made for: a step does not fit it.
pub const OUT_OF_STEP: Code = Code("K-ENGINE-002");
/// The plan has a step that this engine does not know how to do.
pub const UNSUPPORTED: Code = Code("K-ENGINE-003");

/// All of them, each with a page in `docs/errors/`.
pub const ALL: &[Code] = &[DEADLINE, OUT_OF_STEP, UNSUPPORTED];
