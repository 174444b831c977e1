//! Where a reader stands: the next offset per partition, as opaque text.

use std::collections::BTreeMap;
use std::fmt;

/// The next offset to read, per partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Position(pub BTreeMap<u32, u64>);

impl Position {
    /// Reads what [`Position`]'s `Display` wrote; `None` for anything else.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let mut offsets = BTreeMap::new();
        for part in text.split('.') {
            let (partition, offset) = part.split_once('-')?;
            offsets.insert(partition.parse().ok()?, offset.parse().ok()?);
        }
        Some(Self(offsets))
    }
}

impl fmt::Display for Position {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (partition, offset)) in self.0.iter().enumerate() {
            let dot = if index == 0 { "" } else { "." };
            write!(formatter, "{dot}{partition}-{offset}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_survives_being_text() {
        let position = Position(BTreeMap::from([(0, 7), (3, 123_456)]));
        assert_eq!(position.to_string(), "0-7.3-123456");
        assert_eq!(Position::read(&position.to_string()), Some(position));
        for wrong in ["", "7", "0-", "a-b", "0-7.", "0--7", "0-7..1-2"] {
            assert_eq!(Position::read(wrong), None, "{wrong}");
        }
    }
}
