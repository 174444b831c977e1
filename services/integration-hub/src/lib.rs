//! The only outbound door to external interfaces.

pub mod call;
pub mod domain;
pub mod outbound;
pub mod ports;
