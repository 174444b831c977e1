//! What every adapter of the objects port must do.

use std::future::Future;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use uuid::Uuid;

use crate::objects::{ObjectKey, ObjectStore, collect, once};
use crate::{Result, StoreError, TenantId};

const LIMIT: u64 = 10_000_000;

/// Runs the suite. `make` opens the same, at first empty store at each call.
///
/// # Panics
/// With the rule that was broken.
pub async fn objects<F: Future<Output = Result<Arc<dyn ObjectStore>>>>(make: impl Fn() -> F) {
    let store = make().await.unwrap();
    let (one, two) = (TenantId::new(Uuid::now_v7()), TenantId::new(Uuid::now_v7()));
    let key = |tenant: TenantId, path: &str| ObjectKey::tenant(tenant, path).unwrap();

    let stored = store.put(&key(one, "avatars/a.png"), once("hello"), LIMIT).await.unwrap();
    assert_eq!(stored.size, 5);
    assert_eq!(stored.sha256, "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824");
    let store = make().await.unwrap();
    let (info, content) = store.get(&key(one, "avatars/a.png")).await.unwrap().expect("it is found again");
    assert_eq!((info.size, collect(content).await.unwrap()), (5, b"hello".to_vec()));
    assert!(
        store.get(&key(two, "avatars/a.png")).await.unwrap().is_none(),
        "another tenant has other objects"
    );
    assert!(store.get(&key(one, "avatars")).await.unwrap().is_none(), "a prefix is no object");

    // Streamed in pieces, replacing; big enough to come back in several.
    let pieces = futures::stream::iter((0..50).map(|number| Ok(Bytes::from(vec![number; 10_000])))).boxed();
    let big = store.put(&key(one, "avatars/a.png"), pieces, LIMIT).await.unwrap();
    assert_eq!(big.size, 500_000);
    let (_, content) = store.get(&key(one, "avatars/a.png")).await.unwrap().unwrap();
    let content = collect(content).await.unwrap();
    assert_eq!((content.len(), content[10_000], content[499_999]), (500_000, 1, 49));

    // What fails in the middle changes nothing.
    let broken =
        futures::stream::iter([Ok(Bytes::from_static(b"half")), Err(io::Error::other("cut off"))]).boxed();
    store.put(&key(one, "avatars/a.png"), broken, LIMIT).await.expect_err("the stream failed");
    let long = store.put(&key(one, "avatars/a.png"), once(vec![0; 11]), 10).await.unwrap_err();
    assert!(matches!(long, StoreError::Invalid { .. }), "{long}");
    assert_eq!(store.head(&key(one, "avatars/a.png")).await.unwrap().unwrap().size, 500_000);
    let exact = store.put(&key(one, "exact"), once(vec![0; 10]), 10).await.unwrap();
    assert_eq!(exact.size, 10, "the limit itself is allowed");

    store.put(&key(one, "avatars/b"), once(""), LIMIT).await.unwrap();
    store.put(&key(one, "avatarsx/c"), once("x"), LIMIT).await.unwrap();
    store.put(&key(two, "avatars/d"), once("x"), LIMIT).await.unwrap();
    let listed = store.list(&key(one, "avatars")).await.unwrap();
    let names: Vec<_> = listed.iter().map(|info| (info.key.clone(), info.size)).collect();
    assert_eq!(names, [(format!("{one}/avatars/a.png"), 500_000), (format!("{one}/avatars/b"), 0)]);

    store.rename(&key(one, "avatars/b"), &key(one, "trash/today/b")).await.unwrap();
    assert!(store.head(&key(one, "avatars/b")).await.unwrap().is_none());
    assert!(store.head(&key(one, "trash/today/b")).await.unwrap().is_some());
    assert!(store.rename(&key(one, "nowhere"), &key(one, "x")).await.unwrap_err().is_not_found());

    assert!(store.delete(&key(one, "trash/today/b")).await.unwrap());
    assert!(!store.delete(&key(one, "trash/today/b")).await.unwrap());
    assert!(!store.delete(&key(one, "trash")).await.unwrap(), "a prefix cannot be deleted");

    for path in [
        "",
        "/",
        "/etc/passwd",
        "../x",
        "a/../../x",
        "a//b",
        "a/",
        ".unfinished/x",
        "a/.hidden",
        "a\0b",
        "a\\b",
        "ä",
    ] {
        assert!(ObjectKey::tenant(one, path).is_err(), "`{path}` is no key");
        assert!(ObjectKey::platform(path).is_err(), "`{path}` is no key");
    }
}
