//! Reads the end of a unit's log, across the files that were turned over.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use kernel_core::event::LogLine;
use kernel_core::name::ServiceName;

use crate::logs::parse;
use crate::logs::writer::all;

/// How much is read at once from the end of a file.
const PIECE: u64 = 64 * 1024;

/// The last `count` lines of a log, oldest first; all that are kept for `None`. A log that is not there has none.
pub(crate) fn tail(path: &Path, unit: &ServiceName, count: Option<usize>) -> Vec<LogLine> {
    let mut lines: Vec<LogLine> = Vec::new();
    for file in all(path).iter().rev() {
        let missing = count.map(|count| count.saturating_sub(lines.len()));
        if missing == Some(0) {
            break;
        }
        let text = end_of(file, missing);
        let mut older: Vec<LogLine> = text.lines().map(|line| parse(unit, line)).collect();
        if let Some(missing) = missing {
            older.drain(..older.len().saturating_sub(missing));
        }
        older.append(&mut lines);
        lines = older;
    }
    // What is not ours has no time: it belongs to the line before it.
    for index in 1..lines.len() {
        if let [before, line] = &mut lines[index - 1..=index]
            && line.time.is_empty()
        {
            line.time.clone_from(&before.time);
        }
    }
    lines
}

/// Enough of the end of a file to hold `count` lines, beginning with a whole one.
fn end_of(path: &Path, count: Option<usize>) -> String {
    let mut bytes = Vec::new();
    let Ok(mut file) = File::open(path) else { return String::new() };
    let Some(count) = count else {
        drop(file.read_to_end(&mut bytes));
        return String::from_utf8_lossy(&bytes).into_owned();
    };
    let mut start = file.metadata().map_or(0, |metadata| metadata.len());
    while start > 0 && bytes.iter().filter(|byte| **byte == b'\n').count() <= count {
        let size = start.min(PIECE);
        start -= size;
        let mut piece = vec![0; usize::try_from(size).unwrap_or(0)];
        if file.seek(SeekFrom::Start(start)).and_then(|_| file.read_exact(&mut piece)).is_err() {
            break;
        }
        piece.append(&mut bytes);
        bytes = piece;
    }
    if start > 0 {
        let whole = bytes.iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |at| at + 1);
        bytes.drain(..whole);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_big_file_is_read_without_the_rest() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("iam.log");
        let unit = ServiceName::new("iam").unwrap();
        let text: String =
            (0..5000).map(|n| format!("2026-01-01T00:00:00.000000Z stdout {n:0100}\n")).collect();
        std::fs::write(&path, text).unwrap();
        let last = |count| -> Vec<u32> {
            let lines = tail(&path, &unit, count);
            lines.iter().map(|line| line.text.parse().unwrap()).collect()
        };
        assert_eq!(last(Some(3)), [4997, 4998, 4999]);
        assert_eq!(last(Some(0)), Vec::<u32>::new());
        assert_eq!(last(Some(2000)).len(), 2000);
        assert_eq!(last(None).len(), 5000);
        assert_eq!(last(Some(9000)).len(), 5000);
        assert!(tail(&folder.path().join("none.log"), &unit, None).is_empty());
    }
}
