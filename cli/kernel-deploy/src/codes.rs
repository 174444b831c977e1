//! The stable names of what can go wrong with a deploy.

use kernel_core::diagnostic::Code;

/// A manifest can't be read, or is no object.
pub const MANIFEST: Code = Code("K-DEPLOY-001");
/// There is no way to the cluster: no kubeconfig, an unknown context, a program for credentials that fails.
pub const NO_CLUSTER: Code = Code("K-DEPLOY-002");
/// The cluster's API does not answer.
pub const UNREACHABLE: Code = Code("K-DEPLOY-003");
/// The cluster does not let us.
pub const FORBIDDEN: Code = Code("K-DEPLOY-004");
/// The cluster does not know a kind.
pub const UNKNOWN_KIND: Code = Code("K-DEPLOY-005");
/// The cluster refuses an object: it is not valid, or an admission rule says no.
pub const REFUSED: Code = Code("K-DEPLOY-006");
/// A field can't be changed where it stands.
pub const IMMUTABLE: Code = Code("K-DEPLOY-007");
/// Another tool sets the same fields.
pub const FIELD_CONFLICT: Code = Code("K-DEPLOY-008");
/// An object belongs to another release or tool.
pub const FOREIGN: Code = Code("K-DEPLOY-009");
/// Nothing would be left of a release.
pub const EMPTY: Code = Code("K-DEPLOY-010");
/// Somebody else is deploying.
pub const LOCKED: Code = Code("K-DEPLOY-011");
/// The cluster is no longer as it was when the plan was made.
pub const PLAN_IS_OLD: Code = Code("K-DEPLOY-012");
/// A pod will never run.
pub const DOOMED: Code = Code("K-DEPLOY-013");
/// An object says of itself that it has failed.
pub const FAILED: Code = Code("K-DEPLOY-014");
/// There is no such release.
pub const NO_RELEASE: Code = Code("K-DEPLOY-015");
/// A request was lost during the rollout.
pub const REQUEST_LOST: Code = Code("K-DEPLOY-016");
/// What is probed was not well before anything was changed.
pub const NO_BASELINE: Code = Code("K-DEPLOY-017");
/// The kubeconfig leads to another place than the environment names.
pub const ELSEWHERE: Code = Code("K-DEPLOY-018");
/// A severe action was not confirmed.
pub const UNCONFIRMED: Code = Code("K-DEPLOY-019");
/// The cluster has no room for the pods that a deploy makes.
pub const NO_ROOM: Code = Code("K-DEPLOY-020");
/// What is there now could not be had back.
pub const ONE_WAY: Code = Code("K-DEPLOY-021");

/// All of them, each with a page in `docs/errors/`.
pub const ALL: &[Code] = &[
    MANIFEST,
    NO_CLUSTER,
    UNREACHABLE,
    FORBIDDEN,
    UNKNOWN_KIND,
    REFUSED,
    IMMUTABLE,
    FIELD_CONFLICT,
    FOREIGN,
    EMPTY,
    LOCKED,
    PLAN_IS_OLD,
    DOOMED,
    FAILED,
    NO_RELEASE,
    REQUEST_LOST,
    NO_BASELINE,
    ELSEWHERE,
    UNCONFIRMED,
    NO_ROOM,
    ONE_WAY,
];
