//! A library over real stores in a folder of its own, with a clock, a scanner and an objects port that the test
//! controls; and forms.
#![allow(dead_code)]

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use files::MIGRATIONS;
use files::library::{Library, Limits};
use files::scanner::{EmbeddedEicar, Finding, ScanError, Scanner};
use futures::{Stream, StreamExt as _};
use jiff::Timestamp;
use svc_stores::objects::{ObjectInfo, ObjectKey, ObjectStore, ObjectStream, StoredObject};
use svc_stores::{Database, Result, objects, outbox};
use uuid::Uuid;

pub const BOUNDARY: &str = "border-of-the-form";
pub const MEGABYTE: u64 = 1024 * 1024;

pub const LIMITS: Limits =
    Limits { upload: 40 * MEGABYTE, image: MEGABYTE, pending: 3, staging: Duration::from_secs(24 * 3600) };

/// The embedded scanner, which can be away.
#[derive(Default)]
pub struct FakeScanner {
    pub away: AtomicBool,
}

#[async_trait]
impl Scanner for FakeScanner {
    fn name(&self) -> &'static str {
        EmbeddedEicar.name()
    }

    async fn scan(&self, content: ObjectStream) -> Result<Finding, ScanError> {
        if self.away.load(Ordering::SeqCst) {
            return Err(ScanError("the scanner is away".to_owned()));
        }
        EmbeddedEicar.scan(content).await
    }
}

/// A real objects port that looks at how content flows into it.
#[derive(Debug)]
pub struct WatchedObjects {
    inner: Arc<dyn ObjectStore>,
    pub received: Arc<AtomicU64>,
    pub largest_piece: Arc<AtomicU64>,
}

#[async_trait]
impl ObjectStore for WatchedObjects {
    async fn put(&self, key: &ObjectKey, content: ObjectStream, limit: u64) -> Result<StoredObject> {
        let (received, largest) = (Arc::clone(&self.received), Arc::clone(&self.largest_piece));
        let watched = content.inspect(move |piece| {
            let size = piece.as_ref().map_or(0, |piece| piece.len() as u64);
            received.fetch_add(size, Ordering::SeqCst);
            largest.fetch_max(size, Ordering::SeqCst);
        });
        self.inner.put(key, watched.boxed(), limit).await
    }

    async fn get(&self, key: &ObjectKey) -> Result<Option<(ObjectInfo, ObjectStream)>> {
        self.inner.get(key).await
    }

    async fn head(&self, key: &ObjectKey) -> Result<Option<ObjectInfo>> {
        self.inner.head(key).await
    }

    async fn delete(&self, key: &ObjectKey) -> Result<bool> {
        self.inner.delete(key).await
    }

    async fn rename(&self, from: &ObjectKey, to: &ObjectKey) -> Result<()> {
        self.inner.rename(from, to).await
    }

    async fn list(&self, under: &ObjectKey) -> Result<Vec<ObjectInfo>> {
        self.inner.list(under).await
    }

    async fn check(&self) -> Result<()> {
        self.inner.check().await
    }
}

pub struct World {
    pub library: Library,
    pub database: Database,
    pub objects: Arc<WatchedObjects>,
    pub scanner: Arc<FakeScanner>,
    pub tenant: Uuid,
    seconds: Arc<AtomicI64>,
}

impl World {
    pub async fn open(folder: &Path) -> World {
        let place = folder.display();
        let database = Database::connect(&format!("sqlite://{place}/files.db")).await.unwrap();
        database.migrate("files", MIGRATIONS).await.unwrap();
        let objects = Arc::new(WatchedObjects {
            inner: objects::connect(&format!("file://{place}/objects")).await.unwrap(),
            received: Arc::default(),
            largest_piece: Arc::default(),
        });
        let scanner = Arc::new(FakeScanner::default());
        let seconds = Arc::new(AtomicI64::new(1_800_000_000));
        let clock = Arc::clone(&seconds);
        let library = Library::new(
            database.clone(),
            Arc::clone(&objects) as Arc<dyn ObjectStore>,
            Arc::clone(&scanner) as Arc<dyn Scanner>,
            LIMITS,
            Arc::new(move || Timestamp::from_second(clock.load(Ordering::SeqCst)).unwrap()),
        );
        World { library, database, objects, scanner, tenant: Uuid::from_u128(7), seconds }
    }

    pub fn pass_hours(&self, hours: i64) {
        self.seconds.fetch_add(hours * 3600, Ordering::SeqCst);
    }

    pub fn scanner_is_away(&self, away: bool) {
        self.scanner.away.store(away, Ordering::SeqCst);
    }

    /// Uploads this content into `documents`.
    pub async fn upload(&self, content: &[u8]) -> Result<files::domain::File, svc_kit::Problem> {
        let form = form("documents", "a.txt", "text/plain", content);
        self.take(once(form)).await
    }

    pub async fn take(
        &self,
        body: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
    ) -> Result<files::domain::File, svc_kit::Problem> {
        let taken = self.library.take(self.tenant, None, BOUNDARY.to_owned(), body).await;
        taken.map(|taken| taken.file)
    }

    /// The whole keys of the tenant's objects, without the tenant.
    pub async fn object_paths(&self) -> Vec<String> {
        let mut paths = Vec::new();
        for folder in ["staging", "avatars", "assets", "documents", "exports", "modules"] {
            let key = ObjectKey::tenant(self.tenant, folder).unwrap();
            let found = self.objects.list(&key).await.unwrap();
            paths.extend(found.into_iter().map(|info| info.key.split_once('/').unwrap().1.to_owned()));
        }
        paths
    }

    /// The types of the events that were written, in order.
    pub async fn events(&self) -> Vec<String> {
        let events = outbox::pending(&self.database, 100).await.unwrap();
        events.into_iter().map(|event| event.event_type).collect()
    }
}

/// A form as a browser sends it.
pub fn form(bucket: &str, filename: &str, media_type: &str, content: &[u8]) -> Vec<u8> {
    let mut form = Vec::new();
    form.extend(field("bucket", bucket));
    form.extend(field("metadata", r#"{"title":"A"}"#));
    form.extend(file_head(filename, media_type));
    form.extend(content);
    form.extend(end());
    form
}

pub fn field(name: &str, value: &str) -> Vec<u8> {
    format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n").into_bytes()
}

pub fn file_head(filename: &str, media_type: &str) -> Vec<u8> {
    format!(
        "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{filename}\"\r\n\
         Content-Type: {media_type}\r\n\r\n"
    )
    .into_bytes()
}

pub fn end() -> Vec<u8> {
    format!("\r\n--{BOUNDARY}--\r\n").into_bytes()
}

pub fn once(content: Vec<u8>) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    futures::stream::iter([Ok(Bytes::from(content))])
}

pub type Produced = Arc<Mutex<u64>>;
