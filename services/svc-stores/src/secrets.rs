//! The secrets port: versioned values by path, like Vault's KV. The embedded adapter is one sealed file, the real one
//! Vault itself.
//!
//! The file is AES-256-GCM under a key of its own beside it (`<file>.key`, mode 0600), replaced as a whole at each
//! change. That keeps secrets out of backups and logs that hold the one file without the other; it does not protect
//! against somebody who can read both, as nothing on one machine can.

mod vault;

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::error::{ConflictKind, Result, StoreError};
use crate::files;
use crate::url::{Store, StoreUrl};

/// How long a service waits for Vault at its start before it gives up: seconds, in this variable of the environment …
const INIT_TIMEOUT: &str = "VAULT_INIT_TIMEOUT_SEC";
/// … and without it.
const DEFAULT_INIT_TIMEOUT: Duration = Duration::from_secs(120);
/// How many versions of a secret are kept.
const KEPT_VERSIONS: usize = 10;
const FORM: &[u8] = b"kernel sealed file 1";

/// A value that cannot be printed by accident.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// Takes a value into custody.
    #[must_use]
    pub fn new(value: impl Into<Vec<u8>>) -> Self {
        Self(value.into())
    }

    /// The value, for the one place that needs it.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// The value as text.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when it is none.
    pub fn expose_text(&self) -> Result<&str> {
        std::str::from_utf8(&self.0).map_err(|_| StoreError::Corrupt {
            what: "secret".to_owned(),
            problem: "it is not text".to_owned(),
        })
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(…)")
    }
}

/// A secret with the version that it has in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionedSecret {
    /// 1 for the first value, one more for each that followed.
    pub version: u32,
    /// The value.
    pub secret: Secret,
}

/// The secrets port. Paths look like `iam/signing-key`: parts of letters, digits, `.`, `_` and `-`.
#[async_trait]
pub trait SecretStore: Send + Sync + fmt::Debug {
    /// The newest value.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when the store cannot be unsealed.
    async fn get(&self, path: &str) -> Result<Option<VersionedSecret>>;

    /// An older value; the last ten are kept.
    ///
    /// # Errors
    /// As [`SecretStore::get`].
    async fn get_version(&self, path: &str, version: u32) -> Result<Option<VersionedSecret>>;

    /// Stores a new value and gives its version. With `expected`, only when the newest version is that one
    /// (0: when there is none).
    ///
    /// # Errors
    /// A version conflict when `expected` is not the newest.
    async fn put(&self, path: &str, secret: Secret, expected: Option<u32>) -> Result<u32>;

    /// Removes all versions and says whether there were any.
    ///
    /// # Errors
    /// As [`SecretStore::get`].
    async fn delete(&self, path: &str) -> Result<bool>;

    /// The paths that begin with `prefix`, sorted.
    ///
    /// # Errors
    /// As [`SecretStore::get`].
    async fn list(&self, prefix: &str) -> Result<Vec<String>>;

    /// Whether the store answers and lets us in; for readiness.
    ///
    /// # Errors
    /// As [`SecretStore::get`].
    async fn check(&self) -> Result<()>;
}

/// Opens the store that `SECRETS_URL` names. Vault may come up later than we do: it is waited for, for the seconds in
/// `VAULT_INIT_TIMEOUT_SEC` (120 without it).
///
/// # Errors
/// [`StoreError::Configuration`] when the URL has no adapter, or the file cannot be made or unsealed;
/// [`StoreError::Unavailable`] when Vault did not come; [`StoreError::Failed`] when it refuses us.
pub async fn connect(url: &str) -> Result<Arc<dyn SecretStore>> {
    let longest = match std::env::var(INIT_TIMEOUT) {
        Err(_) => DEFAULT_INIT_TIMEOUT,
        Ok(text) => text.trim().parse().map(Duration::from_secs).map_err(|_| StoreError::Configuration {
            variable: INIT_TIMEOUT,
            problem: "is no number of seconds; use 120".to_owned(),
        })?,
    };
    connect_within(url, longest).await
}

/// As [`connect`], with the time to wait for Vault.
///
/// # Errors
/// As [`connect`].
pub async fn connect_within(url: &str, longest: Duration) -> Result<Arc<dyn SecretStore>> {
    let url = StoreUrl::parse(Store::Secrets, url)?;
    if let Some(remote) = url.remote() {
        let vault = vault::Vault::new(remote)?;
        vault.enter(longest).await?;
        return Ok(Arc::new(vault));
    }
    let path = url.path().to_path_buf();
    let store = blocking(move || SealedFile::open(&path)).await?;
    Ok(Arc::new(store))
}

/// The secret at `path`, or the one that `make` gives, stored first. When two processes make one at the same time,
/// both get the same.
///
/// # Errors
/// As [`SecretStore::get`].
pub async fn get_or_create(
    store: &dyn SecretStore,
    path: &str,
    make: impl FnOnce() -> Secret + Send,
) -> Result<VersionedSecret> {
    if let Some(found) = store.get(path).await? {
        return Ok(found);
    }
    let secret = make();
    match store.put(path, secret.clone(), Some(0)).await {
        Ok(version) => Ok(VersionedSecret { version, secret }),
        Err(StoreError::Conflict { kind: ConflictKind::Version, .. }) => {
            store.get(path).await?.ok_or_else(|| StoreError::NotFound { what: format!("secret `{path}`") })
        }
        Err(other) => Err(other),
    }
}

#[derive(Clone)]
struct SealedFile {
    path: PathBuf,
    cipher: Arc<Aes256Gcm>,
}

impl fmt::Debug for SealedFile {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("SealedFile").field("path", &self.path).finish_non_exhaustive()
    }
}

/// The file as it lies on the disk.
#[derive(Serialize, Deserialize)]
struct Envelope {
    form: u32,
    nonce: String,
    sealed: String,
}

#[derive(Default, Serialize, Deserialize)]
struct Content {
    secrets: BTreeMap<String, Vec<Version>>,
}

#[derive(Serialize, Deserialize)]
struct Version {
    version: u32,
    value: String,
}

impl SealedFile {
    fn open(path: &Path) -> Result<Self> {
        let wrong = |problem: String| StoreError::Configuration { variable: "SECRETS_URL", problem };
        if let Some(folder) = path.parent() {
            files::create_private_folder(folder)
                .map_err(|error| wrong(format!("the folder {} cannot be made: {error}", folder.display())))?;
        }
        let key_path = with_suffix(path, ".key");
        if !key_path.exists() {
            if path.exists() {
                return Err(wrong(format!(
                    "{} exists but its key {} does not; restore the key, or remove the file to begin anew",
                    path.display(),
                    key_path.display()
                )));
            }
            make_key(&key_path)
                .map_err(|error| wrong(format!("{} cannot be made: {error}", key_path.display())))?;
        }
        let metadata = fs::metadata(&key_path)
            .map_err(|error| wrong(format!("{} cannot be read: {error}", key_path.display())))?;
        if metadata.permissions().mode() & 0o077 != 0 {
            return Err(wrong(format!("others can read {0}; run `chmod 600 {0}`", key_path.display())));
        }
        let key = fs::read(&key_path)
            .map_err(|error| wrong(format!("{} cannot be read: {error}", key_path.display())))?;
        let cipher = hex::decode(key.trim_ascii())
            .ok()
            .and_then(|key| Aes256Gcm::new_from_slice(&key).ok())
            .ok_or_else(|| wrong(format!("{} is not a key of 64 hexadecimal digits", key_path.display())))?;
        let store = Self { path: path.to_path_buf(), cipher: Arc::new(cipher) };
        store.read()?;
        Ok(store)
    }

    fn read(&self) -> Result<Content> {
        let corrupt = |problem: &str| StoreError::Corrupt {
            what: format!("sealed file {}", self.path.display()),
            problem: problem.to_owned(),
        };
        let bytes = match fs::read(&self.path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Content::default()),
            Err(error) => return Err(StoreError::failed(format!("read {}", self.path.display()), error)),
        };
        let envelope: Envelope = serde_json::from_slice(&bytes).map_err(|_| corrupt("it is not one"))?;
        if envelope.form != 1 {
            return Err(corrupt("a newer version of this program wrote it"));
        }
        let nonce = STANDARD.decode(&envelope.nonce).map_err(|_| corrupt("its nonce is damaged"))?;
        let nonce = <[u8; 12]>::try_from(nonce).map_err(|_| corrupt("its nonce is damaged"))?;
        let sealed = STANDARD.decode(&envelope.sealed).map_err(|_| corrupt("its content is damaged"))?;
        let plain = self
            .cipher
            .decrypt(&Nonce::from(nonce), Payload { msg: &sealed, aad: FORM })
            .map_err(|_| corrupt("the key beside it does not fit, or the file was changed"))?;
        serde_json::from_slice(&plain).map_err(|_| corrupt("its content is damaged"))
    }

    fn write(&self, content: &Content) -> Result<()> {
        let failed =
            |error: &str| StoreError::failed(format!("seal {}", self.path.display()), error.to_owned());
        let nonce: [u8; 12] = rand::random();
        let plain = serde_json::to_vec(content).map_err(|error| failed(&error.to_string()))?;
        let sealed = self
            .cipher
            .encrypt(&Nonce::from(nonce), Payload { msg: &plain, aad: FORM })
            .map_err(|_| failed("encryption failed"))?;
        let envelope = Envelope { form: 1, nonce: STANDARD.encode(nonce), sealed: STANDARD.encode(sealed) };
        let bytes = serde_json::to_vec(&envelope).map_err(|error| failed(&error.to_string()))?;
        files::replace(&self.path, &bytes).map_err(|error| failed(&error.to_string()))
    }

    /// Reads, changes and writes while no other process does the same.
    fn change<T>(&self, change: impl FnOnce(&mut Content) -> Result<T>) -> Result<T> {
        let failed = |error| StoreError::failed(format!("lock {}", self.path.display()), error);
        let lock = File::create(with_suffix(&self.path, ".lock")).map_err(failed)?;
        lock.lock().map_err(failed)?;
        let mut content = self.read()?;
        let answer = change(&mut content)?;
        self.write(&content)?;
        Ok(answer)
    }
}

#[async_trait]
impl SecretStore for SealedFile {
    async fn get(&self, path: &str) -> Result<Option<VersionedSecret>> {
        let (store, path) = (self.clone(), checked(path)?);
        blocking(move || opened(store.read()?.secrets.get(&path).and_then(|versions| versions.last()))).await
    }

    async fn get_version(&self, path: &str, version: u32) -> Result<Option<VersionedSecret>> {
        let (store, path) = (self.clone(), checked(path)?);
        blocking(move || {
            let content = store.read()?;
            let versions = content.secrets.get(&path);
            opened(versions.and_then(|versions| versions.iter().find(|kept| kept.version == version)))
        })
        .await
    }

    async fn put(&self, path: &str, secret: Secret, expected: Option<u32>) -> Result<u32> {
        let (store, path) = (self.clone(), checked(path)?);
        blocking(move || {
            store.change(|content| {
                let versions = content.secrets.entry(path.clone()).or_default();
                let newest = versions.last().map_or(0, |kept| kept.version);
                if let Some(expected) = expected.filter(|expected| *expected != newest) {
                    return Err(StoreError::Conflict {
                        attempted: format!("put secret `{path}`"),
                        kind: ConflictKind::Version,
                        problem: format!("expected version {expected}, found {newest}"),
                    });
                }
                versions.push(Version { version: newest + 1, value: STANDARD.encode(secret.expose()) });
                let surplus = versions.len().saturating_sub(KEPT_VERSIONS);
                versions.drain(..surplus);
                Ok(newest + 1)
            })
        })
        .await
    }

    async fn delete(&self, path: &str) -> Result<bool> {
        let (store, path) = (self.clone(), checked(path)?);
        blocking(move || store.change(|content| Ok(content.secrets.remove(&path).is_some()))).await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<String>> {
        let (store, prefix) = (self.clone(), prefix.to_owned());
        blocking(move || {
            Ok(store.read()?.secrets.into_keys().filter(|path| path.starts_with(&prefix)).collect())
        })
        .await
    }

    async fn check(&self) -> Result<()> {
        let store = self.clone();
        blocking(move || store.read().map(|_| ())).await
    }
}

fn opened(version: Option<&Version>) -> Result<Option<VersionedSecret>> {
    let Some(kept) = version else { return Ok(None) };
    let value = STANDARD.decode(&kept.value).map_err(|_| StoreError::Corrupt {
        what: "secret".to_owned(),
        problem: "it is damaged".to_owned(),
    })?;
    Ok(Some(VersionedSecret { version: kept.version, secret: Secret(value) }))
}

fn checked(path: &str) -> Result<String> {
    let fits = |part: &str| {
        !part.is_empty()
            && part.chars().all(|letter| letter.is_ascii_alphanumeric() || "._-".contains(letter))
    };
    if path.len() <= 512 && path.split('/').all(fits) {
        Ok(path.to_owned())
    } else {
        Err(StoreError::invalid(
            "secret path",
            "use parts of letters, digits, `.`, `_` and `-`, separated by `/`",
        ))
    }
}

/// Makes a key. The link fails when another process was faster, and then that one's key counts.
fn make_key(path: &Path) -> std::io::Result<()> {
    let key: [u8; 32] = rand::random();
    let beside = files::beside(path);
    files::write_new(&beside, hex::encode(key).as_bytes())?;
    let linked = fs::hard_link(&beside, path);
    fs::remove_file(&beside)?;
    match linked {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(error),
        _ => files::sync_folder_of(path),
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| StoreError::failed("wait for the sealed file", error))?
}
