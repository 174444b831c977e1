//! The embedded adapters pass the suites, and what is special about each of them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use std::time::Duration;

use super::FLAGS;
use crate::cache::{Cache, CacheKey, MemoryCache};
use crate::flags::FlagContext;
use crate::objects::ObjectKey;
use crate::secrets::Secret;
use crate::{Database, analytics, cache, events, flags, objects, secrets, tasks};

/// A folder for one suite, in which each case can get a path of its own.
struct Folder {
    folder: tempfile::TempDir,
    used: AtomicUsize,
}

impl Folder {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), used: AtomicUsize::new(0) }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn url(&self, scheme: &str) -> String {
        format!("{scheme}://{}", self.path("made/store").display())
    }

    fn next(&self, scheme: &str) -> String {
        let number = self.used.fetch_add(1, Ordering::SeqCst);
        format!("{scheme}://{}", self.path(&format!("case-{number}/store")).display())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_is_relational() {
    let folder = Folder::new();
    super::relational(|| async { Database::connect(&folder.next("sqlite")).await }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_is_a_log_of_events() {
    let folder = Folder::new();
    super::events(|| async { events::connect(&folder.next("sqlite")).await }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_is_a_queue_of_tasks() {
    let folder = Folder::new();
    super::tasks(|| async { tasks::connect(&folder.next("sqlite")).await }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_answers_questions() {
    let folder = Folder::new();
    super::analytics(|| async { analytics::connect(&folder.url("sqlite")).await }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_is_a_cache() {
    super::cache(cache::connect("memory://").unwrap()).await;
}

#[tokio::test]
async fn a_full_cache_forgets_what_was_not_used_for_longest() {
    let cache = MemoryCache::new(2);
    let key = |name: &str| CacheKey::platform(&[name]);
    let ttl = Duration::from_secs(600);
    cache.set(&key("a"), Bytes::new(), ttl).await.unwrap();
    cache.set(&key("b"), Bytes::new(), ttl).await.unwrap();
    assert!(cache.get(&key("a")).await.unwrap().is_some());
    cache.set(&key("c"), Bytes::new(), ttl).await.unwrap();
    let mut kept = Vec::new();
    for name in ["a", "b", "c"] {
        if cache.get(&key(name)).await.unwrap().is_some() {
            kept.push(name);
        }
    }
    assert_eq!(kept, ["a", "c"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_holds_objects() {
    let folder = Folder::new();
    super::objects(|| async { objects::connect(&folder.url("file")).await }).await;
}

#[tokio::test]
async fn an_upload_that_is_dropped_leaves_nothing() {
    let folder = Folder::new();
    let store = objects::connect(&folder.url("file")).await.unwrap();
    let key = ObjectKey::platform("x").unwrap();
    let never = futures::StreamExt::boxed(futures::stream::pending());
    let cut = tokio::time::timeout(Duration::from_millis(50), store.put(&key, never, 10)).await;
    assert!(cut.is_err());
    assert_eq!(fs::read_dir(folder.path("made/store/.unfinished")).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sealed_file_holds_secrets() {
    let folder = Folder::new();
    super::secrets(|| async { secrets::connect(&folder.url("sealed")).await }).await;
}

#[tokio::test]
async fn a_sealed_file_is_private_sealed_and_notices_changes() {
    let folder = Folder::new();
    let url = folder.url("sealed");
    let store = secrets::connect(&url).await.unwrap();
    store.put("iam/key", Secret::new("hunter2"), None).await.unwrap();
    let (file, key) = (folder.path("made/store"), folder.path("made/store.key"));
    for path in [&file, &key] {
        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600, "{}", path.display());
    }
    let sealed = fs::read_to_string(&file).unwrap();
    assert!(!sealed.contains("hunter2") && !sealed.contains("iam"), "not even the names are readable");

    let connect = async || secrets::connect(&url).await.unwrap_err().to_string();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(connect().await.contains("chmod 600"));
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();

    let good = fs::read(&key).unwrap();
    fs::write(&key, "0".repeat(64)).unwrap();
    assert!(connect().await.contains("does not fit"));
    fs::write(&key, "short").unwrap();
    assert!(connect().await.contains("64 hexadecimal digits"));
    fs::remove_file(&key).unwrap();
    assert!(connect().await.contains("restore the key"));
    fs::write(&key, good).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(&file, sealed.replacen("\"sealed\":\"", "\"sealed\":\"AAAA", 1)).unwrap();
    assert!(connect().await.contains("was changed"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_holds_flags() {
    let folder = Folder::new();
    super::flags(|text| {
        let path = folder.path("flags.yaml");
        fs::write(&path, text).unwrap();
        async move { flags::connect(&format!("file://{}", path.display())).await }
    })
    .await;
}

#[tokio::test]
async fn flags_follow_their_file_and_survive_a_wrong_one() {
    let folder = Folder::new();
    let path = folder.path("flags.yaml");
    fs::write(&path, FLAGS).unwrap();
    let flags = flags::connect(&format!("file://{}", path.display())).await.unwrap();
    let nobody = FlagContext::default();
    assert!(!flags.is_enabled("dark", &nobody).await);
    fs::write(&path, "dark: { variations: { on: true }, defaultRule: { variation: on } }").unwrap();
    assert!(flags.is_enabled("dark", &nobody).await, "a change counts at once");
    fs::write(&path, "dark: [nonsense").unwrap();
    assert!(flags.is_enabled("dark", &nobody).await, "a wrong file changes nothing");
    fs::remove_file(&path).unwrap();
    assert!(flags.is_enabled("dark", &nobody).await, "nor does a missing one");
    let missing = flags::connect(&format!("file://{}", path.display())).await.unwrap_err().to_string();
    assert!(missing.starts_with("FLAGS_URL: ") && missing.contains("cannot be read"), "{missing}");
}

#[tokio::test]
async fn the_flags_of_the_platform_are_understood() {
    for (file, sandbox) in [("flags.yaml", false), ("sandbox.yaml", true)] {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docker/feature-flags").join(file);
        let flags = flags::connect(&format!("file://{}", path.display())).await.unwrap();
        let tenant = FlagContext::tenant(uuid::Uuid::from_u128(1));
        assert_eq!(flags.is_enabled("sandbox_mode", &tenant).await, sandbox, "{file}");
    }
}
