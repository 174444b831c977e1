//! Each event as one JSON object on its own line, for programs.

use std::io::Write;

use kernel_core::event::Event;

use crate::Listener;

/// Writes JSON lines.
#[derive(Debug)]
pub struct JsonLines<W> {
    out: W,
}

impl<W: Write> JsonLines<W> {
    /// Lines into `out`.
    pub const fn new(out: W) -> Self {
        Self { out }
    }
}

impl<W: Write + Send> Listener for JsonLines<W> {
    fn on(&mut self, at_ms: u64, event: &Event) {
        // Who reads may be gone; that is no reason to stop working.
        let _gone = writeln!(self.out, "{}", event.to_json_line(at_ms));
    }

    fn finish(&mut self, _at_ms: u64) {
        let _gone = self.out.flush();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    #[test]
    fn every_line_is_an_object_with_schema_and_time() {
        let mut lines = JsonLines::new(Vec::new());
        for (at_ms, event) in &samples::up() {
            lines.on(*at_ms, event);
        }
        let text = String::from_utf8(lines.out).unwrap();
        assert_eq!(text.lines().count(), samples::up().len());
        for line in text.lines() {
            let value: serde_json::Value = serde_json::from_str(line).unwrap();
            assert_eq!(value["schema"], kernel_core::event::SCHEMA);
            assert!(value["at_ms"].is_u64() && value["event"].is_string(), "{line}");
        }
    }
}
