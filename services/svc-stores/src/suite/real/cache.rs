//! Valkey.

use std::time::Duration;

use bytes::Bytes;

use super::proxy::Proxy;
use super::{away, eventually, variable};
use crate::cache::{self, CacheKey};

const LONG: Duration = Duration::from_secs(600);

fn password() -> String {
    std::env::var("TEST_VALKEY_PASSWORD").unwrap_or_default()
}

/// The database that these tests may empty: the platform's own is number 0.
fn url(address: &str) -> String {
    format!("valkey://:{}@{address}/9", password())
}

#[tokio::test(flavor = "multi_thread")]
async fn valkey_is_a_cache() {
    let Some(address) = variable("TEST_VALKEY_ADDR") else { return };
    let cache = cache::connect(&url(&address)).unwrap();
    for key in ["short", "counter"] {
        cache.delete(&CacheKey::platform(&[key])).await.unwrap();
    }
    crate::suite::cache(cache.clone()).await;
    cache.check().await.unwrap();
    // A counter's time begins at its first use and not again.
    let (first, then) = (CacheKey::platform(&["first"]), CacheKey::platform(&["then"]));
    for key in [&first, &then] {
        cache.delete(key).await.unwrap();
    }
    cache.increment(&then, 1, LONG).await.unwrap();
    cache.increment(&then, 1, Duration::from_millis(1)).await.unwrap();
    cache.increment(&first, 1, Duration::from_millis(1)).await.unwrap();
    let gone = async || match cache.get(&first).await? {
        Some(_) => {
            Err(crate::StoreError::Unavailable { attempted: "wait".into(), problem: "it lives".into() })
        }
        None => Ok(()),
    };
    eventually(gone).await;
    assert!(cache.get(&then).await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_cut_or_silent_is_said_at_once_and_found_again() {
    let Some(address) = variable("TEST_VALKEY_ADDR") else { return };
    let proxy = Proxy::before(&address).await;
    let cache = cache::connect(&url(proxy.address())).unwrap();
    let key = CacheKey::tenant(uuid::Uuid::now_v7(), &["plan"]);
    cache.set(&key, Bytes::from_static(b"pro"), LONG).await.unwrap();

    // A connection that was lost between two calls costs the second one nothing.
    proxy.cut();
    proxy.heal();
    eventually(async || cache.get(&key).await).await;

    let gone = async || cache.get(&key).await;
    proxy.cut();
    for _ in 0..3 {
        away("CACHE_URL", proxy.address(), &password(), &gone).await;
    }
    let said = away("CACHE_URL", proxy.address(), &password(), &gone).await;
    assert!(said.contains("not asked again so soon"), "the breaker is open: {said}");
    assert!(cache.check().await.is_err());
    proxy.heal();
    assert_eq!(eventually(&gone).await.as_deref(), Some(&b"pro"[..]));

    proxy.pause();
    let said = away("CACHE_URL", proxy.address(), &password(), &gone).await;
    assert!(said.contains("no answer within"), "{said}");
    proxy.heal();
    assert_eq!(eventually(&gone).await.as_deref(), Some(&b"pro"[..]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_said_and_not_repeated() {
    let Some(address) = variable("TEST_VALKEY_ADDR") else { return };
    let cache = cache::connect(&format!("valkey://:hunter2@{address}")).unwrap();
    let error = cache.check().await.unwrap_err();
    assert!(!error.is_transient(), "{error}");
    let said = error.to_string();
    assert!(said.contains(&format!("CACHE_URL ({address})")) && !said.contains("hunter2"), "{said}");
}
