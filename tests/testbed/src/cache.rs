//! Where everything that the testbed makes is kept, addressed by what it is made from.
//!
//! Nothing of the testbed lies outside of this folder, but for Debian packages that are installed on the machine and what
//! an Engine that is not ours holds for us.

use std::fs::File;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use sha2::{Digest, Sha256};

use crate::failure::{Failure, because};

/// Names another folder than `~/.cache/kernel-testbed`.
pub const VARIABLE: &str = "KERNEL_TESTBED_CACHE";

/// The folder, and the naming in it.
#[derive(Clone, Debug)]
pub struct Cache {
    root: PathBuf,
}

impl Cache {
    /// The folder that [`VARIABLE`] names, else the one below the home folder.
    ///
    /// # Errors
    /// When neither variable is set.
    pub fn from_environment() -> Result<Self, Failure> {
        let named = std::env::var_os(VARIABLE).filter(|value| !value.is_empty()).map(PathBuf::from);
        let usual = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache/kernel-testbed"));
        let root = named.or_else(usual).ok_or_else(|| {
            Failure::new("no folder for the testbed: neither HOME nor KERNEL_TESTBED_CACHE is set")
        })?;
        let root = std::path::absolute(&root).map_err(because(format!("`{}`", root.display())))?;
        Ok(Self { root })
    }

    /// At a folder of the caller's choice.
    #[cfg(test)]
    #[must_use]
    pub const fn at(root: PathBuf) -> Self {
        Self { root }
    }

    /// The folder itself.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A folder below it, made when it is missing; only its owner may look into it.
    ///
    /// # Errors
    /// When it can't be made.
    pub fn folder(&self, name: &str) -> Result<PathBuf, Failure> {
        let path = self.root.join(name);
        make_folder(&path)?;
        Ok(path)
    }

    /// What `make` puts into a folder for this key: made once, and found again by everybody who says the same key.
    /// What a killed `make` left is thrown away by the next one.
    ///
    /// # Errors
    /// What `make` says, or that the folder can't be written.
    pub async fn entry(
        &self,
        kind: &str,
        key: &Key,
        make: impl AsyncFnOnce(PathBuf) -> Result<(), Failure>,
    ) -> Result<PathBuf, Failure> {
        let kinds = self.folder(kind)?;
        let complete = kinds.join(key.text());
        if complete.exists() {
            return Ok(complete);
        }
        let _lock = self.lock(&format!("{kind}-{}", key.text())).await?;
        if complete.exists() {
            return Ok(complete);
        }
        let partial = kinds.join(format!("{}.partial", key.text()));
        if partial.exists() {
            std::fs::remove_dir_all(&partial)
                .map_err(because(format!("removing `{}`", partial.display())))?;
        }
        make_folder(&partial)?;
        // Images are made from these folders: what is in them is read by other users.
        let open = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(&partial, open).map_err(because(format!("`{}`", partial.display())))?;
        make(partial.clone()).await?;
        std::fs::rename(&partial, &complete).map_err(because(format!("naming `{}`", complete.display())))?;
        Ok(complete)
    }

    /// Waits until nobody else holds this name, and holds it until the value is dropped. A killed holder holds nothing.
    ///
    /// # Errors
    /// When the lock's file can't be made.
    pub async fn lock(&self, name: &str) -> Result<Lock, Failure> {
        let path = self.folder("locks")?.join(name);
        let attempted = format!("locking `{}`", path.display());
        let lock = move || -> std::io::Result<Lock> {
            let file = File::options().create(true).truncate(false).write(true).open(path)?;
            flock(&file, FlockOperation::LockExclusive)?;
            Ok(Lock { _file: file })
        };
        let result = tokio::task::spawn_blocking(lock).await.map_err(because(attempted.clone()))?;
        result.map_err(because(attempted))
    }
}

/// A name that is held.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

fn make_folder(path: &Path) -> Result<(), Failure> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true).mode(0o700);
    builder.create(path).map_err(because(format!("making `{}`", path.display())))
}

/// What something is made from.
#[derive(Clone, Debug, Default)]
pub struct Key(Sha256);

impl Key {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// And this text.
    #[must_use]
    pub fn with(mut self, text: &str) -> Self {
        // The length keeps `ab`, `c` and `a`, `bc` apart.
        self.0.update(text.len().to_le_bytes());
        self.0.update(text);
        self
    }

    /// And every file below this folder: names, contents, and whether it may be executed.
    ///
    /// # Errors
    /// When one can't be read.
    pub fn with_folder(mut self, folder: &Path) -> Result<Self, Failure> {
        for file in files_below(folder)? {
            let attempted = || format!("reading `{}`", file.display());
            let name = file.strip_prefix(folder).unwrap_or(&file).to_string_lossy();
            let mode = std::fs::metadata(&file).map_err(because(attempted()))?.permissions().mode() & 0o100;
            let content = std::fs::read(&file).map_err(because(attempted()))?;
            self = self.with(&name).with(if mode == 0 { "file" } else { "program" });
            self.0.update(content.len().to_le_bytes());
            self.0.update(&content);
        }
        Ok(self)
    }

    /// As a name: 24 characters of its SHA-256.
    #[must_use]
    pub fn text(&self) -> String {
        hex::encode(self.0.clone().finalize())[..24].to_owned()
    }
}

/// Every file below a folder, sorted by path.
pub(crate) fn files_below(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let attempted = || format!("reading `{}`", folder.display());
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(&next).map_err(because(attempted()))? {
            let entry = entry.map_err(because(attempted()))?;
            let kind = entry.file_type().map_err(because(attempted()))?;
            if kind.is_dir() { folders.push(entry.path()) } else { files.push(entry.path()) }
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_entry_is_made_once_and_what_a_killed_maker_left_is_thrown_away() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(folder.path().join("cache"));
        let key = Key::new().with("postgres").with("17");
        let left = cache.folder("things").unwrap().join(format!("{}.partial", key.text()));
        std::fs::create_dir(&left).unwrap();
        std::fs::write(left.join("half"), "").unwrap();

        let make = async |path: PathBuf| {
            assert!(!path.join("half").exists());
            std::fs::write(path.join("whole"), "1").map_err(because("writing"))
        };
        let made = cache.entry("things", &key, make).await.unwrap();
        assert!(made.join("whole").exists() && !left.exists());
        let again = cache.entry("things", &key, async |_| Err(Failure::new("made twice"))).await.unwrap();
        assert_eq!(made, again);
    }

    #[tokio::test]
    async fn what_fails_is_tried_again() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(folder.path().to_owned());
        let key = Key::new().with("x");
        let failed = cache.entry("things", &key, async |_| Err(Failure::new("no network"))).await;
        assert_eq!(failed.unwrap_err().message, "no network");
        assert!(cache.entry("things", &key, async |_| Ok(())).await.is_ok());
    }

    #[test]
    fn a_key_tells_texts_files_and_modes_apart() {
        assert_ne!(Key::new().with("ab").with("c").text(), Key::new().with("a").with("bc").text());
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("entrypoint");
        std::fs::write(&file, "x").unwrap();
        let key = || Key::new().with_folder(folder.path()).unwrap().text();
        let before = key();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
        let executable = key();
        std::fs::write(&file, "y").unwrap();
        assert!(before != executable && executable != key());
    }
}
