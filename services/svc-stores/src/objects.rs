//! The objects port: files by key, written as a whole or not at all. The embedded adapter is a folder, the real one S3.
//!
//! A key belongs to a tenant or to the platform and is checked when it is made, so that no path can leave its
//! place. An object appears under its key only when all of it is on the disk.

mod s3;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use sha2::{Digest, Sha256};
use tokio::fs;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::error::{Result, StoreError};
use crate::files;
use crate::tenant::TenantId;
use crate::url::{Store, StoreUrl};

/// Unfinished uploads lie here; no key can name it, because no part of a key begins with a dot.
const UNFINISHED: &str = ".unfinished";
/// An upload that is older than this was cut off by a crash.
const ABANDONED_AFTER: Duration = Duration::from_secs(3600);
const CHUNK: usize = 64 * 1024;

/// The bytes of an object, as they come.
pub type ObjectStream = BoxStream<'static, io::Result<Bytes>>;

/// The place of an object: `{tenant}/{part}/{part}`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ObjectKey(String);

impl ObjectKey {
    /// A key of one tenant, like `avatars/0195…`.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] when a part is empty, begins with a dot, or has anything but letters, digits, `.`,
    /// `_`, `-`, `=` and `@`.
    pub fn tenant(tenant: impl Into<TenantId>, path: &str) -> Result<Self> {
        checked(path).map(|()| Self(format!("{}/{path}", tenant.into())))
    }

    /// A key of the platform itself.
    ///
    /// # Errors
    /// As [`ObjectKey::tenant`].
    pub fn platform(path: &str) -> Result<Self> {
        checked(path).map(|()| Self(format!("platform/{path}")))
    }

    /// The whole key, with its owner.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn checked(path: &str) -> Result<()> {
    let fits = |part: &str| {
        !part.is_empty()
            && part.len() <= 200
            && !part.starts_with('.')
            && part.chars().all(|letter| letter.is_ascii_alphanumeric() || "._-=@".contains(letter))
    };
    if path.len() <= 900 && path.split('/').all(fits) {
        return Ok(());
    }
    Err(StoreError::invalid(
        "object key",
        "use parts of letters, digits, `.`, `_`, `-`, `=` and `@` that do not begin with a dot, separated by `/`",
    ))
}

/// What is known of a stored object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectInfo {
    /// Its whole key.
    pub key: String,
    /// Bytes.
    pub size: u64,
}

/// What was stored. Keep the digest with your own data: the port does not ask real stores for it again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredObject {
    /// Bytes.
    pub size: u64,
    /// SHA-256 of the content, in lower-case hex.
    pub sha256: String,
}

/// What a signed URL allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// To read the object with `GET`.
    Read,
    /// To write it with `PUT`.
    Write,
}

/// The objects port.
#[async_trait]
pub trait ObjectStore: Send + Sync + fmt::Debug {
    /// Stores all that the stream gives, replacing what was there, when it is at most `limit` bytes. When it
    /// returns, the object survives any crash; when the stream fails or is cut off, nothing has changed.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] when it is longer than `limit`, [`StoreError::Failed`] when the stream fails.
    async fn put(&self, key: &ObjectKey, content: ObjectStream, limit: u64) -> Result<StoredObject>;

    /// The object and its bytes.
    ///
    /// # Errors
    /// Whatever the store says.
    async fn get(&self, key: &ObjectKey) -> Result<Option<(ObjectInfo, ObjectStream)>>;

    /// Whether it is there, and how big.
    ///
    /// # Errors
    /// Whatever the store says.
    async fn head(&self, key: &ObjectKey) -> Result<Option<ObjectInfo>>;

    /// Removes it and says whether it was there.
    ///
    /// # Errors
    /// Whatever the store says.
    async fn delete(&self, key: &ObjectKey) -> Result<bool>;

    /// Moves an object to another key, replacing what was there. A crash may leave both, never neither.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is none.
    async fn rename(&self, from: &ObjectKey, to: &ObjectKey) -> Result<()>;

    /// All objects under a key, sorted: `ObjectKey::tenant(tenant, "avatars")` lists that bucket.
    ///
    /// # Errors
    /// Whatever the store says.
    async fn list(&self, under: &ObjectKey) -> Result<Vec<ObjectInfo>>;

    /// A URL with which whoever has it may do this one thing until it expires, without passing through us. `None`
    /// where the store has no address of its own: the caller then serves the object itself.
    ///
    /// # Errors
    /// Whatever the store says.
    async fn presigned(
        &self,
        _key: &ObjectKey,
        _access: Access,
        _expires: Duration,
    ) -> Result<Option<String>> {
        Ok(None)
    }

    /// Whether objects can be had; for readiness.
    ///
    /// # Errors
    /// Whatever the store says.
    async fn check(&self) -> Result<()>;
}

/// A stream of one piece, for small objects.
#[must_use]
pub fn once(content: impl Into<Bytes>) -> ObjectStream {
    let content = content.into();
    futures::stream::once(async move { Ok(content) }).boxed()
}

/// All bytes of a stream, for small objects.
///
/// # Errors
/// [`StoreError::Failed`] when the stream fails.
pub async fn collect(mut content: ObjectStream) -> Result<Vec<u8>> {
    let mut all = Vec::new();
    while let Some(piece) = content.next().await {
        all.extend_from_slice(&piece.map_err(|error| StoreError::failed("read an object", error))?);
    }
    Ok(all)
}

/// Opens the store that `OBJECTS_URL` names.
///
/// # Errors
/// [`StoreError::Configuration`] when the URL has no adapter or the folder cannot be made.
pub async fn connect(url: &str) -> Result<Arc<dyn ObjectStore>> {
    let url = StoreUrl::parse(Store::Objects, url)?;
    if let Some(remote) = url.remote() {
        return Ok(Arc::new(s3::Bucket::open(remote).await?));
    }
    let root = url.path().to_path_buf();
    let unfinished = root.join(UNFINISHED);
    let made = files::create_private_folder(&unfinished);
    made.map_err(|error| StoreError::Configuration {
        variable: Store::Objects.variable(),
        problem: format!("the folder {} cannot be made: {error}", root.display()),
    })?;
    let folder = Folder { root };
    folder.clear_abandoned().await.map_err(|error| StoreError::failed("clear unfinished uploads", error))?;
    Ok(Arc::new(folder))
}

#[derive(Debug)]
struct Folder {
    root: PathBuf,
}

/// An upload on its way; removed when it is dropped before it is finished.
struct Unfinished {
    path: PathBuf,
    finished: bool,
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.finished {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

impl Folder {
    fn path(&self, key: &ObjectKey) -> PathBuf {
        self.root.join(&key.0)
    }

    async fn clear_abandoned(&self) -> io::Result<()> {
        let mut entries = fs::read_dir(self.root.join(UNFINISHED)).await?;
        while let Some(entry) = entries.next_entry().await? {
            let age =
                SystemTime::now().duration_since(entry.metadata().await?.modified()?).unwrap_or_default();
            if age > ABANDONED_AFTER {
                fs::remove_file(entry.path()).await?;
            }
        }
        Ok(())
    }

    /// Makes the folder of an object, each step synced, so that a crash cannot lose the way to it.
    async fn make_folder_of(&self, path: &Path) -> io::Result<()> {
        let Some(folder) = path.parent() else { return Ok(()) };
        let mut missing = Vec::new();
        let mut at = folder;
        while at != self.root && !fs::try_exists(at).await? {
            missing.push(at.to_path_buf());
            let Some(parent) = at.parent() else { break };
            at = parent;
        }
        for folder in missing.into_iter().rev() {
            match fs::create_dir(&folder).await {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                _ => sync_folder_of(folder).await?,
            }
        }
        Ok(())
    }

    async fn publish(&self, unfinished: &Path, path: &Path) -> io::Result<()> {
        self.make_folder_of(path).await?;
        fs::rename(unfinished, path).await?;
        sync_folder_of(path.to_path_buf()).await
    }
}

#[async_trait]
impl ObjectStore for Folder {
    async fn put(&self, key: &ObjectKey, mut content: ObjectStream, limit: u64) -> Result<StoredObject> {
        let failed = |error: io::Error| StoreError::failed(format!("store object {}", key.0), error);
        let name = uuid::Uuid::now_v7().simple().to_string();
        let mut unfinished = Unfinished { path: self.root.join(UNFINISHED).join(name), finished: false };
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&unfinished.path)
            .await
            .map_err(failed)?;
        let mut digest = Sha256::new();
        let mut size = 0_u64;
        while let Some(piece) = content.next().await {
            let piece = piece.map_err(failed)?;
            size += piece.len() as u64;
            if size > limit {
                return Err(StoreError::invalid("object", format!("is longer than {limit} bytes")));
            }
            digest.update(&piece);
            file.write_all(&piece).await.map_err(failed)?;
        }
        file.flush().await.map_err(failed)?;
        file.sync_all().await.map_err(failed)?;
        self.publish(&unfinished.path, &self.path(key)).await.map_err(failed)?;
        unfinished.finished = true;
        Ok(StoredObject { size, sha256: hex::encode(digest.finalize()) })
    }

    async fn get(&self, key: &ObjectKey) -> Result<Option<(ObjectInfo, ObjectStream)>> {
        let failed = |error: io::Error| StoreError::failed(format!("read object {}", key.0), error);
        let file = match fs::File::open(self.path(key)).await {
            Ok(file) => file,
            Err(error) if is_absent(&error) => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let metadata = file.metadata().await.map_err(failed)?;
        if !metadata.is_file() {
            return Ok(None);
        }
        let info = ObjectInfo { key: key.0.clone(), size: metadata.len() };
        let stream = futures::stream::try_unfold(file, |mut file| async move {
            let mut buffer = vec![0; CHUNK];
            let read = file.read(&mut buffer).await?;
            buffer.truncate(read);
            Ok((read > 0).then(|| (Bytes::from(buffer), file)))
        });
        Ok(Some((info, stream.boxed())))
    }

    async fn head(&self, key: &ObjectKey) -> Result<Option<ObjectInfo>> {
        match fs::metadata(self.path(key)).await {
            Ok(metadata) if metadata.is_file() => {
                Ok(Some(ObjectInfo { key: key.0.clone(), size: metadata.len() }))
            }
            Ok(_) => Ok(None),
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(StoreError::failed(format!("look at object {}", key.0), error)),
        }
    }

    async fn delete(&self, key: &ObjectKey) -> Result<bool> {
        if self.head(key).await?.is_none() {
            return Ok(false);
        }
        let path = self.path(key);
        let removed = match fs::remove_file(&path).await {
            Ok(()) => sync_folder_of(path).await.map(|()| true),
            Err(error) if is_absent(&error) => Ok(false),
            Err(error) => Err(error),
        };
        removed.map_err(|error| StoreError::failed(format!("delete object {}", key.0), error))
    }

    async fn rename(&self, from: &ObjectKey, to: &ObjectKey) -> Result<()> {
        if self.head(from).await?.is_none() {
            return Err(StoreError::NotFound { what: format!("object {}", from.0) });
        }
        let moved = async {
            self.publish(&self.path(from), &self.path(to)).await?;
            sync_folder_of(self.path(from)).await
        };
        moved.await.map_err(|error| StoreError::failed(format!("move object {} to {}", from.0, to.0), error))
    }

    async fn list(&self, under: &ObjectKey) -> Result<Vec<ObjectInfo>> {
        let failed = |error: io::Error| StoreError::failed(format!("list objects under {}", under.0), error);
        let mut found = Vec::new();
        let mut folders = vec![(self.path(under), under.0.clone())];
        while let Some((folder, name)) = folders.pop() {
            let mut entries = match fs::read_dir(&folder).await {
                Ok(entries) => entries,
                Err(error) if is_absent(&error) => continue,
                Err(error) => return Err(failed(error)),
            };
            while let Some(entry) = entries.next_entry().await.map_err(failed)? {
                let name = format!("{name}/{}", entry.file_name().to_string_lossy());
                match entry.metadata().await {
                    Ok(metadata) if metadata.is_dir() => folders.push((entry.path(), name)),
                    Ok(metadata) => found.push(ObjectInfo { key: name, size: metadata.len() }),
                    Err(error) if is_absent(&error) => {}
                    Err(error) => return Err(failed(error)),
                }
            }
        }
        found.sort_by(|one, other| one.key.cmp(&other.key));
        Ok(found)
    }

    async fn check(&self) -> Result<()> {
        let there = fs::metadata(self.root.join(UNFINISHED)).await;
        there.map(|_| ()).map_err(|error| StoreError::failed("look at the folder of objects", error))
    }
}

/// An object's name may be the folder of others; either way there is no such object.
fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

async fn sync_folder_of(path: PathBuf) -> io::Result<()> {
    tokio::task::spawn_blocking(move || files::sync_folder_of(&path)).await.map_err(io::Error::other)?
}
