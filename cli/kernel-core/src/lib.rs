//! The pure middle of `kernel`: names, sources, diagnostics, pins, plan, events.
//!
//! Nothing here reads a file, a socket, the environment, a clock or chance, and nothing is async: text and data in,
//! data out. Whoever needs a path or a time takes it as a parameter.

pub mod diagnostic;
pub mod source;
