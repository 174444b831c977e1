//! What happened, put into words: events become living lines, plain lines, JSON lines or a trace; diagnostics
//! become pictures; data becomes tables and JUnit.
//!
//! Everything here turns values into text. Whoever calls decides where the text goes; only the `tty` renderer draws
//! by itself, on the target that it is given.

pub mod board;
pub mod diagnostics;
mod json_lines;
pub mod junit;
pub mod log_text;
mod look;
pub mod plain;
#[cfg(test)]
mod samples;
mod table;
pub mod template;
mod trace;
pub mod tty;

use kernel_core::event::Event;

pub use json_lines::JsonLines;
pub use look::{Look, Paint};
pub use plain::Plain;
pub use table::{Cell, Table};
pub use trace::Trace;
pub use tty::Tty;

/// Hears every event of a command, in order. Times are milliseconds since the command began and never go back.
pub trait Listener: Send {
    /// A fact.
    fn on(&mut self, at_ms: u64, event: &Event);

    /// Time has passed; called several times a second.
    fn tick(&mut self, _at_ms: u64) {}

    /// Nothing more will come.
    fn finish(&mut self, _at_ms: u64) {}
}

/// Hears and says nothing.
#[derive(Clone, Copy, Debug)]
pub struct Quiet;

impl Listener for Quiet {
    fn on(&mut self, _at_ms: u64, _event: &Event) {}
}
