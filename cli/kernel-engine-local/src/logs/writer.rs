//! Writes one unit's log file and turns it over when it is full.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use kernel_core::event::LogLine;

use crate::files;
use crate::logs::render;

/// When a file is full, in bytes.
const FULL: u64 = 10 * 1024 * 1024;
/// How many full files are kept beside the one that is written.
const KEPT: u32 = 3;

/// Appends lines to a file. Each line is one write, so a kill leaves whole lines.
#[derive(Debug)]
pub(crate) struct Writer {
    path: PathBuf,
    file: File,
    size: u64,
    full: u64,
}

impl Writer {
    /// Opens a file, going on where it ends.
    ///
    /// # Errors
    /// When the file system refuses.
    pub(crate) fn open(path: PathBuf) -> io::Result<Self> {
        Self::with_limit(path, FULL)
    }

    fn with_limit(path: PathBuf, full: u64) -> io::Result<Self> {
        let file = files::private_append(&path)?;
        let size = file.metadata()?.len();
        Ok(Self { path, file, size, full })
    }

    /// Writes a line.
    ///
    /// # Errors
    /// When the file system refuses.
    pub(crate) fn write(&mut self, line: &LogLine) -> io::Result<()> {
        let text = render(line);
        if self.size > 0 && self.size + text.len() as u64 > self.full {
            self.turn_over()?;
        }
        self.file.write_all(text.as_bytes())?;
        self.size += text.len() as u64;
        Ok(())
    }

    fn turn_over(&mut self) -> io::Result<()> {
        files::remove_file(&numbered(&self.path, KEPT))?;
        for number in (0..KEPT).rev() {
            let from = numbered(&self.path, number);
            if from.exists() {
                std::fs::rename(from, numbered(&self.path, number + 1))?;
            }
        }
        self.file = files::private_append(&self.path)?;
        self.size = 0;
        Ok(())
    }
}

/// The file itself for 0, else the one that was full so many turns ago.
pub(super) fn numbered(path: &Path, number: u32) -> PathBuf {
    if number == 0 {
        return path.to_owned();
    }
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{number}"));
    path.with_file_name(name)
}

/// All files of a log that are there, oldest first.
pub(super) fn all(path: &Path) -> Vec<PathBuf> {
    (0..=KEPT).rev().map(|number| numbered(path, number)).filter(|path| path.exists()).collect()
}

#[cfg(test)]
mod tests {
    use kernel_core::event::Stream;
    use kernel_core::name::ServiceName;

    use super::*;
    use crate::logs::tail;

    #[test]
    fn a_full_file_is_turned_over_and_only_so_many_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("iam.log");
        let unit = ServiceName::new("iam").unwrap();
        let mut line = LogLine {
            unit: unit.clone(),
            time: "2026-01-01T00:00:00.000000Z".to_owned(),
            stream: Stream::Stdout,
            text: String::new(),
        };
        for number in 0..100 {
            // Opened anew each time, as after a restart of the supervisor.
            let mut writer = Writer::with_limit(path.clone(), 400).unwrap();
            line.text = format!("line {number:03}");
            writer.write(&line).unwrap();
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 4);
        assert!(all(&path).iter().all(|file| std::fs::metadata(file).unwrap().len() <= 400));
        let texts: Vec<String> = tail(&path, &unit, Some(12)).into_iter().map(|line| line.text).collect();
        let expected: Vec<String> = (88..100).map(|number| format!("line {number:03}")).collect();
        assert_eq!(texts, expected, "the last lines, across files, in order");
    }
}
