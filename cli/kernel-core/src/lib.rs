//! The pure middle of `kernel`: names, scopes, secrets, sources, diagnostics, pins, units, plan, events, exit codes.
//!
//! Nothing here reads a file, a socket, the environment, a clock or chance, and nothing is async: text and data in,
//! data out. Whoever needs a path or a time takes it as a parameter.

pub mod container;
pub mod diagnostic;
pub mod event;
pub mod examination;
pub mod exit;
pub mod name;
pub mod object;
pub mod pins;
pub mod plan;
pub mod planner;
pub mod quantity;
pub mod scope;
pub mod secret;
pub mod source;
pub mod unit;
