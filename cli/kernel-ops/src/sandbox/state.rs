//! What a sandbox keeps beside what every project keeps: the passwords of its users and what was seeded, among its data,
//! and snapshots of its data. Everything is for its owner only.

use std::collections::BTreeMap;
use std::fs::{DirBuilder, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use kernel_core::secret::Secret;
use rand::distr::{Alphanumeric, SampleString};

use super::{Seeded, TenantName};
use crate::failure::Failure;
use crate::workspace::Workspace;

/// Letters and digits of a password: about 119 bits.
const PASSWORD_LENGTH: usize = 20;

/// Where a sandbox keeps things.
#[derive(Clone, Debug)]
pub struct State {
    folder: PathBuf,
}

/// Passwords by the seed's names of users. They travel with the data that they open.
#[derive(Clone, Debug, Default)]
pub struct Credentials(BTreeMap<String, Secret>);

impl State {
    /// Of a tenant's sandbox.
    ///
    /// # Errors
    /// None: see [`TenantName::project`].
    pub fn of(workspace: &Workspace, tenant: &TenantName) -> Result<Self, Failure> {
        Ok(Self { folder: workspace.state(tenant.project()?.as_str()) })
    }

    /// All of it, and all that the project keeps.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What services keep, and what was seeded into it.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// The passwords of the users.
    #[must_use]
    pub fn credentials_file(&self) -> PathBuf {
        self.own().join("credentials.env")
    }

    /// The passwords that are kept.
    ///
    /// # Errors
    /// When the file can't be read.
    pub fn credentials(&self) -> Result<Credentials, Failure> {
        let path = self.credentials_file();
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Credentials::default()),
            Err(error) => return Err(Failure::unreadable(&path, &error)),
        };
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let pairs = lines.filter_map(|line| line.split_once('='));
        Ok(Credentials(pairs.map(|(name, value)| (name.to_owned(), Secret::new(value))).collect()))
    }

    /// The passwords of these users. Those that are missing are made, and kept before anybody hears of them.
    ///
    /// # Errors
    /// When the file can't be read or written.
    pub fn ensure_credentials<'a>(
        &self,
        users: impl Iterator<Item = &'a str>,
    ) -> Result<Credentials, Failure> {
        let mut credentials = self.credentials()?;
        let before = credentials.0.len();
        for user in users {
            let make = || Secret::new(Alphanumeric.sample_string(&mut rand::rng(), PASSWORD_LENGTH));
            credentials.0.entry(user.to_owned()).or_insert_with(make);
        }
        if credentials.0.len() > before {
            self.keep_credentials(&credentials)?;
        }
        Ok(credentials)
    }

    /// Keeps passwords.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn keep_credentials(&self, credentials: &Credentials) -> Result<(), Failure> {
        let mut text = String::from("# The passwords of this sandbox's users. Keep it to yourself.\n");
        for (user, password) in &credentials.0 {
            text.push_str(&format!("{user}={}\n", password.expose()));
        }
        write(&self.credentials_file(), &text)
    }

    /// What was seeded; `None` before all of it was.
    ///
    /// # Errors
    /// When the file is there and can't be read.
    pub fn seeded(&self) -> Result<Option<Seeded>, Failure> {
        let path = self.seeded_file();
        match std::fs::read_to_string(&path) {
            // What another version of ours wrote is seeded anew, which changes nothing that is there.
            Ok(text) => Ok(serde_json::from_str(&text).ok()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Failure::unreadable(&path, &error)),
        }
    }

    /// Notes that all is seeded.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn keep_seeded(&self, seeded: &Seeded) -> Result<(), Failure> {
        let path = self.seeded_file();
        let text = serde_json::to_string(seeded).map_err(|error| Failure::unwritable(&path, &error))?;
        write(&path, &text)
    }

    /// Removes all that is left when the project is down.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn remove(&self) -> Result<(), Failure> {
        match std::fs::remove_dir_all(&self.folder) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(Failure::unwritable(&self.folder, &error))
            }
            _ => Ok(()),
        }
    }

    fn seeded_file(&self) -> PathBuf {
        self.own().join("seeded.json")
    }

    fn own(&self) -> PathBuf {
        self.data().join(".sandbox")
    }
}

impl Credentials {
    /// The password of a user of the seed.
    #[must_use]
    pub fn of(&self, user: &str) -> Option<&Secret> {
        self.0.get(user)
    }
}

/// Replaces a file as a whole; it and its folders are for their owner only.
fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let fresh = path.with_extension("new");
    let write = || {
        if let Some(folder) = path.parent() {
            DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        match std::fs::remove_file(&fresh) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
        file.write_all(text.as_bytes())?;
        std::fs::rename(&fresh, path)
    };
    write().map_err(|error| Failure::unwritable(path, &error))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn passwords_are_made_once_and_kept_for_their_owner() {
        let folder = tempfile::tempdir().unwrap();
        let workspace = Workspace::of_project(folder.path());
        let state = State::of(&workspace, &TenantName::new("acme").unwrap()).unwrap();
        let first = state.ensure_credentials(["admin", "viewer"].into_iter()).unwrap();
        let again = state.ensure_credentials(["admin", "viewer", "more"].into_iter()).unwrap();
        assert_eq!(first.of("admin"), again.of("admin"));
        assert_ne!(again.of("admin"), again.of("viewer"));
        assert_eq!(state.credentials().unwrap().of("more"), again.of("more"));
        assert_eq!(first.of("admin").unwrap().expose().len(), PASSWORD_LENGTH);
        assert!(!format!("{again:?}").contains(first.of("admin").unwrap().expose()));
        let mode = std::fs::metadata(state.credentials_file()).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600);
    }
}
