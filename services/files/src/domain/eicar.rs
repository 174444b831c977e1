//! Finds the EICAR test file, which every virus scanner must report, in content that arrives in pieces.

/// The test file's 68 characters in two halves: written whole, this source would itself be reported by scanners.
const HALVES: [&[u8]; 2] = [br"X5O!P%@AP[4\PZX54(P^)7CC)7}$", b"EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"];

/// Looks for the test file anywhere in a stream. Keeps at most 67 bytes between pieces.
#[derive(Clone, Debug, Default)]
pub struct EicarMatcher {
    tail: Vec<u8>,
    found: bool,
}

impl EicarMatcher {
    /// Takes the next piece.
    pub fn feed(&mut self, piece: &[u8]) {
        if self.found {
            return;
        }
        let wanted = pattern();
        let keep = wanted.len() - 1;
        // The pattern across the border, then inside the piece, so that a large piece is not copied.
        let mut border = std::mem::take(&mut self.tail);
        border.extend_from_slice(&piece[..piece.len().min(keep)]);
        self.found = contains(&border, &wanted) || contains(piece, &wanted);
        self.tail = if piece.len() >= keep {
            piece[piece.len() - keep..].to_vec()
        } else {
            border.split_off(border.len().saturating_sub(keep))
        };
    }

    /// Whether the test file has been seen.
    #[must_use]
    pub fn found(&self) -> bool {
        self.found
    }
}

/// The test file, for tests.
#[must_use]
pub fn pattern() -> Vec<u8> {
    HALVES.concat()
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    let Some(&first) = needle.first() else { return true };
    let mut from = 0;
    while let Some(found) = haystack[from..].iter().position(|byte| *byte == first) {
        let start = from + found;
        if haystack[start..].starts_with(needle) {
            return true;
        }
        from = start + 1;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(content: &[u8], piece: usize) -> bool {
        let mut matcher = EicarMatcher::default();
        content.chunks(piece).for_each(|part| matcher.feed(part));
        assert!(matcher.tail.len() < pattern().len(), "the memory is bounded");
        matcher.found()
    }

    #[test]
    fn it_is_found_wherever_the_stream_is_cut() {
        assert_eq!(pattern().len(), 68);
        let mut content = vec![b'X'; 150];
        content.extend(pattern());
        content.extend([b'.'; 90]);
        for piece in 1..content.len() {
            assert!(check(&content, piece), "pieces of {piece}");
        }
    }

    #[test]
    fn what_only_resembles_it_is_clean() {
        let mut almost = pattern();
        almost[40] ^= 1;
        for piece in [1, 7, 67, 68, 1000] {
            assert!(!check(&almost, piece));
            assert!(!check(&pattern()[1..], piece));
            assert!(!check(b"", piece));
        }
    }
}
