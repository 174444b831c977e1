//! The rules of records and filters, without network or store.

mod filter;
mod model;
mod record;

pub(crate) use filter::{Comparison, Filter, Operand, Operator, Target};
pub(crate) use model::Model;
pub(crate) use record::{Fields, check_fields, merge};

/// One thing that is wrong with a request: a field, the rule's name, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub field: String,
    pub code: &'static str,
    pub message: String,
}

impl Fault {
    pub(crate) fn new(field: impl Into<String>, code: &'static str, message: impl Into<String>) -> Self {
        Self { field: field.into(), code, message: message.into() }
    }
}
