//! Copies of a sandbox's data: snapshots, going back to one, going back to nothing. Only while no service of it runs.
//!
//! A folder is replaced as a whole: what takes its place is made beside it under the suffix `.new`, the old one steps
//! aside as `.old`. A kill at any moment leaves the old or the new one, which [`repair`] sees to.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::ioctl_ficlone;

use super::State;
use crate::failure::Failure;

impl State {
    /// The names of the snapshots.
    ///
    /// # Errors
    /// When their folder can't be read.
    pub fn snapshots(&self) -> Result<Vec<String>, Failure> {
        let folder = self.snapshots_folder();
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(Failure::unreadable(&folder, &error)),
        };
        let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
        // A name has no dot: what has one is not finished.
        let mut names: Vec<String> = names.filter(|name| !name.contains('.')).collect();
        names.sort();
        Ok(names)
    }

    /// Keeps a copy of the data under a name, in place of an earlier one. Costs no space where the file system shares
    /// what is the same.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn snapshot(&self, name: &str) -> Result<(), Failure> {
        let target = self.snapshots_folder().join(name);
        replace(&target, |fresh| copy(&self.data(), fresh))
    }

    /// Puts a snapshot in the place of the data.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn restore(&self, name: &str) -> Result<(), Failure> {
        let from = self.snapshots_folder().join(name);
        replace(&self.data(), |fresh| copy(&from, fresh))
    }

    /// Forgets all data but the passwords of the users.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn empty(&self) -> Result<(), Failure> {
        let passwords = self.credentials_file();
        let place = passwords.strip_prefix(self.data()).unwrap_or(&passwords).to_owned();
        replace(&self.data(), |fresh| {
            let target = fresh.join(place);
            private_folder(target.parent().unwrap_or(fresh))?;
            if passwords.exists() { copy_file(&passwords, &target, 0o600) } else { Ok(()) }
        })
    }

    /// Ends what a kill interrupted.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn repair(&self) -> Result<(), Failure> {
        repair(&self.data()).map_err(|error| Failure::unwritable(&self.data(), &error))
    }

    fn snapshots_folder(&self) -> PathBuf {
        self.folder().join("snapshots")
    }
}

fn replace(target: &Path, fill: impl FnOnce(&Path) -> io::Result<()>) -> Result<(), Failure> {
    let (fresh, old) = (beside(target, ".new"), beside(target, ".old"));
    let work = || {
        repair(target)?;
        if let Some(folder) = target.parent() {
            private_folder(folder)?;
        }
        fill(&fresh)?;
        absent_is_fine(std::fs::rename(target, &old))?;
        std::fs::rename(&fresh, target)?;
        absent_is_fine(std::fs::remove_dir_all(&old))
    };
    work().map_err(|error| Failure::unwritable(target, &error))
}

/// After a kill in the middle of [`replace`].
fn repair(target: &Path) -> io::Result<()> {
    let (fresh, old) = (beside(target, ".new"), beside(target, ".old"));
    if !target.exists() {
        absent_is_fine(std::fs::rename(&old, target))?;
    }
    absent_is_fine(std::fs::remove_dir_all(&old))?;
    absent_is_fine(std::fs::remove_dir_all(&fresh))
}

fn beside(target: &Path, suffix: &str) -> PathBuf {
    let mut name = target.file_name().unwrap_or_default().to_owned();
    name.push(suffix);
    target.with_file_name(name)
}

/// Copies a folder with all in it but sockets and the like. What was for its owner only stays so.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    private_folder(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let (source, target, kind) = (entry.path(), to.join(entry.file_name()), entry.file_type()?);
        if kind.is_dir() {
            copy(&source, &target)?;
        } else if kind.is_symlink() {
            symlink(std::fs::read_link(&source)?, &target)?;
        } else if kind.is_file() {
            copy_file(&source, &target, entry.metadata()?.mode() & 0o700)?;
        }
    }
    Ok(())
}

fn copy_file(from: &Path, to: &Path, mode: u32) -> io::Result<()> {
    let mut source = File::open(from)?;
    let mut target = OpenOptions::new().write(true).create_new(true).mode(mode).open(to)?;
    // Only some file systems can.
    if ioctl_ficlone(&target, &source).is_err() {
        io::copy(&mut source, &mut target)?;
    }
    Ok(())
}

fn private_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

fn absent_is_fine(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::sandbox::TenantName;
    use crate::workspace::Workspace;

    fn state(folder: &Path) -> State {
        State::of(&Workspace::of_project(folder), &TenantName::new("acme").unwrap()).unwrap()
    }

    fn put(state: &State, path: &str, text: &str) {
        let path = state.data().join(path);
        private_folder(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn read(state: &State, path: &str) -> Option<String> {
        std::fs::read_to_string(state.data().join(path)).ok()
    }

    #[test]
    fn a_snapshot_brings_back_what_was_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let state = state(folder.path());
        put(&state, "iam/iam.db", "one");
        state.snapshot("first").unwrap();
        put(&state, "iam/iam.db", "two");
        put(&state, "iam/more.db", "more");
        state.snapshot("second").unwrap();
        assert_eq!(state.snapshots().unwrap(), ["first", "second"]);
        state.restore("first").unwrap();
        assert_eq!((read(&state, "iam/iam.db").as_deref(), read(&state, "iam/more.db")), (Some("one"), None));
        state.restore("second").unwrap();
        assert_eq!(read(&state, "iam/more.db").as_deref(), Some("more"));
        let mode = std::fs::metadata(state.data().join("iam/iam.db")).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600);
    }

    #[test]
    fn emptied_it_has_the_passwords_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let state = state(folder.path());
        put(&state, "iam/iam.db", "one");
        let made = state.ensure_credentials(["admin"].into_iter()).unwrap();
        state.empty().unwrap();
        assert_eq!(state.credentials().unwrap().of("admin"), made.of("admin"));
        assert_eq!(std::fs::read_dir(state.data()).unwrap().count(), 1);
    }

    #[test]
    fn killed_anywhere_the_old_or_the_new_data_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let state = state(folder.path());
        put(&state, "x", "old");
        let (fresh, old) = (beside(&state.data(), ".new"), beside(&state.data(), ".old"));
        // While the new one is made.
        std::fs::create_dir(&fresh).unwrap();
        state.repair().unwrap();
        assert_eq!((read(&state, "x").as_deref(), fresh.exists()), (Some("old"), false));
        // Between the two renames.
        std::fs::create_dir(&fresh).unwrap();
        std::fs::rename(state.data(), &old).unwrap();
        state.repair().unwrap();
        assert_eq!((read(&state, "x").as_deref(), fresh.exists(), old.exists()), (Some("old"), false, false));
        // Before the old one is removed.
        std::fs::create_dir(&old).unwrap();
        state.repair().unwrap();
        assert_eq!((read(&state, "x").as_deref(), old.exists()), (Some("old"), false));
    }
}
