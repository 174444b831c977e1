//! Several files that are written together: all of them, or none.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// What will be written. Nothing is before [`Transaction::commit`].
#[derive(Debug, Default)]
pub struct Transaction {
    files: Vec<(PathBuf, String)>,
}

/// A file that could not be written.
#[derive(Debug)]
pub struct NotWritten {
    /// Which.
    pub path: PathBuf,
    /// Why.
    pub reason: io::Error,
}

impl Transaction {
    /// Adds a file with its whole new text.
    pub fn write(&mut self, path: impl Into<PathBuf>, text: impl Into<String>) {
        self.files.push((path.into(), text.into()));
    }

    /// The files, in the order in which they were added.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.files.iter().map(|(path, _)| path.as_path())
    }

    /// The text that a file will have, when it is part of this.
    #[must_use]
    pub fn text_of(&self, path: &Path) -> Option<&str> {
        self.files.iter().find(|(other, _)| other == path).map(|(_, text)| text.as_str())
    }

    /// Writes all files. When one can't be written, the others become what they were.
    ///
    /// # Errors
    /// The file that could not be written.
    pub fn commit(self) -> Result<(), NotWritten> {
        let mut done = Undo::default();
        for (path, text) in &self.files {
            if let Err(reason) = done.write(path, text) {
                done.undo();
                return Err(NotWritten { path: path.clone(), reason });
            }
        }
        Ok(())
    }
}

/// What has to be done to take everything back.
#[derive(Default)]
struct Undo {
    made_folders: Vec<PathBuf>,
    made_files: Vec<PathBuf>,
    changed: Vec<(PathBuf, Vec<u8>)>,
}

impl Undo {
    fn write(&mut self, path: &Path, text: &str) -> io::Result<()> {
        let missing: Vec<PathBuf> = path
            .ancestors()
            .skip(1)
            .take_while(|folder| !folder.as_os_str().is_empty() && !folder.exists())
            .map(Path::to_path_buf)
            .collect();
        for folder in missing.into_iter().rev() {
            fs::create_dir(&folder)?;
            self.made_folders.push(folder);
        }
        match fs::read(path) {
            Ok(before) => self.changed.push((path.to_owned(), before)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.made_files.push(path.to_owned()),
            Err(error) => return Err(error),
        }
        fs::write(path, text)
    }

    /// As well as it can be done: what fails here failed for the reason that is told already.
    fn undo(self) {
        for (path, before) in self.changed {
            let _told_already = fs::write(path, before);
        }
        for path in self.made_files {
            let _told_already = fs::remove_file(path);
        }
        for folder in self.made_folders.into_iter().rev() {
            let _told_already = fs::remove_dir(folder);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_files_are_written() {
        let folder = tempfile::tempdir().unwrap();
        let mut transaction = Transaction::default();
        transaction.write(folder.path().join("a/b/c.txt"), "new");
        transaction.write(folder.path().join("d.txt"), "also");
        transaction.commit().unwrap();
        assert_eq!(fs::read_to_string(folder.path().join("a/b/c.txt")).unwrap(), "new");
        assert_eq!(fs::read_to_string(folder.path().join("d.txt")).unwrap(), "also");
    }

    #[test]
    fn a_failure_leaves_everything_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("old.txt"), "old").unwrap();
        fs::create_dir(folder.path().join("in-the-way")).unwrap();
        let mut transaction = Transaction::default();
        transaction.write(folder.path().join("a/b/c.txt"), "new");
        transaction.write(folder.path().join("old.txt"), "changed");
        transaction.write(folder.path().join("in-the-way"), "a folder can't be overwritten");
        let failed = transaction.commit().unwrap_err();
        assert_eq!(failed.path, folder.path().join("in-the-way"));
        assert_eq!(fs::read_to_string(folder.path().join("old.txt")).unwrap(), "old");
        assert!(!folder.path().join("a").exists());
    }
}
