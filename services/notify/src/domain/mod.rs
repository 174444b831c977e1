//! The rules of notifications: no store, no network, no clock, no chance.

mod message;
mod outside;
pub mod push;
mod rate;
mod schedule;
mod template;

pub use message::{Channel, Draft, Priority, Status};
pub use outside::{Destination, Told, Verdict};
pub use rate::Moment;
pub use schedule::{ATTEMPTS, Schedule};
pub use template::{is_template_name, render, rendered_length, variables};

/// One thing that is wrong with a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The field's JSON name.
    pub field: &'static str,
    /// The rule.
    pub code: &'static str,
    /// What is wrong and what would be right.
    pub message: String,
}

impl Fault {
    /// A fault in a field.
    pub fn new(field: &'static str, code: &'static str, message: impl Into<String>) -> Self {
        Self { field, code, message: message.into() }
    }
}
