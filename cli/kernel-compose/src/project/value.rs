//! One variable of an environment.

use kernel_core::secret::Value;
use kernel_core::source::Span;

/// One variable of an environment, with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Its value after interpolation: a secret when a variable of `x-kernel.generate` went into it.
    pub value: Value,
    /// Where the value stands: in a Compose file or in an env file.
    pub span: Span,
}
