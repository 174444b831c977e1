//! Every code that this crate gives, once. A code never changes its meaning; each has a page in `docs/errors/`.
//! Those of lint rules stand with their rules in [`crate::lint`].

use kernel_core::diagnostic::Code;

/// The text is not YAML, or not YAML that Kubernetes takes.
pub const SYNTAX: Code = Code("K-MANIFEST-001");
/// The file of an environment says something that is not understood.
pub const ENVIRONMENT: Code = Code("K-MANIFEST-002");
/// A template can't be rendered: a name is undefined, or the template is wrong.
pub const TEMPLATE: Code = Code("K-MANIFEST-003");
/// A template was rendered, and what came out is no manifest.
pub const NOT_A_MANIFEST: Code = Code("K-MANIFEST-004");
/// A committed rendering is not what its sources give.
pub const STALE: Code = Code("K-MANIFEST-005");
/// A placeholder stands where a release needs the real thing.
pub const PLACEHOLDER: Code = Code("K-MANIFEST-006");
/// The digest of an image is missing, or is none.
pub const DIGEST: Code = Code("K-MANIFEST-007");
/// The value of a secret is missing.
pub const SECRET: Code = Code("K-MANIFEST-008");
/// There is no environment of that name.
pub const UNKNOWN_ENVIRONMENT: Code = Code("K-MANIFEST-009");
/// A service of the Compose project can't be carried over to Kubernetes.
pub const SERVICE: Code = Code("K-MANIFEST-010");
