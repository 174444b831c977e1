//! What every adapter of the secrets port must do.

use std::future::Future;
use std::sync::Arc;

use crate::secrets::{Secret, SecretStore, get_or_create};
use crate::{ConflictKind, Result, StoreError};

/// Runs the suite. `make` opens the same, at first empty store at each call: what one writes, the next one finds.
///
/// # Panics
/// With the rule that was broken.
pub async fn secrets<F: Future<Output = Result<Arc<dyn SecretStore>>>>(make: impl Fn() -> F) {
    let store = make().await.unwrap();
    assert_eq!(store.get("iam/signing-key").await.unwrap(), None);
    assert_eq!(store.put("iam/signing-key", Secret::new("one"), Some(0)).await.unwrap(), 1);
    assert_eq!(store.put("iam/signing-key", Secret::new(vec![0_u8, 255]), None).await.unwrap(), 2);
    store.put("iam/other", Secret::new("x"), None).await.unwrap();

    let again = make().await.unwrap();
    let newest = again.get("iam/signing-key").await.unwrap().unwrap();
    assert_eq!(
        (newest.version, newest.secret.expose()),
        (2, &[0_u8, 255][..]),
        "what was written is found again"
    );
    let first = again.get_version("iam/signing-key", 1).await.unwrap().unwrap();
    assert_eq!(first.secret.expose_text().unwrap(), "one", "older versions are kept");
    assert_eq!(again.get_version("iam/signing-key", 9).await.unwrap(), None);
    assert_eq!(again.list("iam/").await.unwrap(), ["iam/other", "iam/signing-key"]);

    let stale = again.put("iam/signing-key", Secret::new("y"), Some(1)).await.unwrap_err();
    assert!(matches!(stale, StoreError::Conflict { kind: ConflictKind::Version, .. }), "{stale}");
    assert_eq!(
        again.get("iam/signing-key").await.unwrap().unwrap().version,
        2,
        "a stale write changes nothing"
    );

    let made = get_or_create(&*again, "made", || Secret::new("a")).await.unwrap();
    let found = get_or_create(&*store, "made", || Secret::new("b")).await.unwrap();
    assert_eq!(made, found, "made once");

    assert!(again.delete("iam/other").await.unwrap());
    assert!(!again.delete("iam/other").await.unwrap());
    assert_eq!(store.get("iam/other").await.unwrap(), None);
    for path in ["", "/x", "a//b", "../x y", "a b"] {
        assert!(store.get(path).await.is_err(), "`{path}` is no path");
    }

    let writers: Vec<_> = (0..8)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move { store.put("shared", Secret::new("z"), None).await.unwrap() })
        })
        .collect();
    let mut versions = Vec::new();
    for writer in writers {
        versions.push(writer.await.unwrap());
    }
    versions.sort_unstable();
    assert_eq!(versions, [1, 2, 3, 4, 5, 6, 7, 8], "writers do not overwrite each other");

    let shown = format!("{:?} {store:?}", Secret::new("hunter2"));
    assert!(!shown.contains("hunter2"), "a secret is never printed: {shown}");
}
