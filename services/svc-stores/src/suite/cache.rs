//! What every adapter of the cache port must do.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use uuid::Uuid;

use crate::TenantId;
use crate::cache::{Cache, CacheKey};

const LONG: Duration = Duration::from_secs(600);

/// Runs the suite on an empty cache.
///
/// # Panics
/// With the rule that was broken.
pub async fn cache(cache: Arc<dyn Cache>) {
    let (one, two) = (TenantId::new(Uuid::now_v7()), TenantId::new(Uuid::now_v7()));
    let key = CacheKey::tenant(one, &["plan"]);
    assert_eq!(cache.get(&key).await.unwrap(), None);
    cache.set(&key, Bytes::from_static(b"pro"), LONG).await.unwrap();
    assert_eq!(cache.get(&key).await.unwrap().as_deref(), Some(&b"pro"[..]));
    let same = CacheKey::tenant(two, &["plan"]);
    assert_eq!(cache.get(&same).await.unwrap(), None, "another tenant has another key");
    cache.set(&key, Bytes::from_static(b"free"), LONG).await.unwrap();
    assert_eq!(cache.get(&key).await.unwrap().as_deref(), Some(&b"free"[..]), "a new value replaces the old");
    assert!(cache.delete(&key).await.unwrap());
    assert!(!cache.delete(&key).await.unwrap());

    assert_ne!(CacheKey::tenant(one, &["a:b"]), CacheKey::tenant(one, &["a", "b"]), "parts cannot be forged");
    for user in ["1", "2", "10"] {
        cache.set(&CacheKey::tenant(one, &["rbac", user]), Bytes::new(), LONG).await.unwrap();
    }
    cache.set(&CacheKey::tenant(two, &["rbac", "1"]), Bytes::new(), LONG).await.unwrap();
    assert_eq!(
        cache.delete_under(&CacheKey::tenant(one, &["rbac", "1"])).await.unwrap(),
        1,
        "whole parts only"
    );
    assert_eq!(cache.delete_under(&CacheKey::tenant(one, &["rbac"])).await.unwrap(), 2);
    assert!(cache.get(&CacheKey::tenant(two, &["rbac", "1"])).await.unwrap().is_some(), "others keep theirs");

    let short = CacheKey::platform(&["short"]);
    cache.set(&short, Bytes::from_static(b"x"), Duration::from_millis(20)).await.unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    while cache.get(&short).await.unwrap().is_some() {
        assert!(Instant::now() < deadline, "a value is forgotten after its time");
        tokio::task::yield_now().await;
    }

    let counter = CacheKey::platform(&["counter"]);
    let tasks: Vec<_> = (0..10)
        .map(|_| {
            let (cache, counter) = (cache.clone(), counter.clone());
            tokio::spawn(async move {
                for _ in 0..10 {
                    cache.increment(&counter, 1, LONG).await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(cache.increment(&counter, -1, LONG).await.unwrap(), 99, "no increment is lost");
    cache.set(&counter, Bytes::from_static(b"text"), LONG).await.unwrap();
    assert!(cache.increment(&counter, 1, LONG).await.is_err(), "a text is no counter");
}
