//! Cuts what a process writes into lines, whatever pieces it comes in.

/// A line longer than this is cut: somebody writes without ends of line.
const LONGEST: usize = 64 * 1024;

/// Holds the piece of a line that has no end yet.
#[derive(Debug, Default)]
pub(crate) struct Splitter {
    piece: Vec<u8>,
}

impl Splitter {
    /// Takes bytes and gives every line that they complete. What is not UTF-8 is shown as well as it can be.
    pub(crate) fn take(&mut self, bytes: &[u8], mut give: impl FnMut(String)) {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.piece.extend_from_slice(part);
            if part.ends_with(b"\n") || self.piece.len() >= LONGEST {
                self.end(&mut give);
            }
        }
    }

    /// Gives what is left when nothing more will come.
    pub(crate) fn finish(&mut self, mut give: impl FnMut(String)) {
        if !self.piece.is_empty() {
            self.end(&mut give);
        }
    }

    fn end(&mut self, give: &mut impl FnMut(String)) {
        let text = String::from_utf8_lossy(&self.piece);
        give(text.trim_end_matches(['\n', '\r']).to_owned());
        self.piece.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_do_not_depend_on_the_pieces() {
        let bytes = "one\ntwo \u{e9}\r\n\nlast".as_bytes();
        for size in 1..=bytes.len() {
            let mut lines = Vec::new();
            let mut splitter = Splitter::default();
            for piece in bytes.chunks(size) {
                splitter.take(piece, |line| lines.push(line));
            }
            splitter.finish(|line| lines.push(line));
            assert_eq!(lines, ["one", "two \u{e9}", "", "last"], "in pieces of {size}");
        }
    }

    #[test]
    fn a_line_without_end_is_cut() {
        let mut lines = Vec::new();
        Splitter::default().take(&vec![b'a'; LONGEST + 1], |line| lines.push(line.len()));
        assert_eq!(lines, [LONGEST + 1]);
    }
}
