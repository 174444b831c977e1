//! S3, as SeaweedFS speaks it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use uuid::Uuid;

use super::proxy::Proxy;
use super::{away, eventually, variable};
use crate::objects::{self, Access, ObjectKey, ObjectStore, collect, once};
use crate::{Result, http, url::Store};

const LIMIT: u64 = 100_000_000;

/// The URL with the host of a proxy, the real host, and the secret.
fn through(url: &str, proxy: &str) -> (String, String) {
    let url = url::Url::parse(url).unwrap();
    let secret = url.password().unwrap().to_owned();
    (format!("s3://{}:{secret}@{proxy}{}", url.username(), url.path()), secret)
}

fn host(url: &str) -> String {
    let url = url::Url::parse(url).unwrap();
    format!("{}:{}", url.host_str().unwrap(), url.port().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn s3_holds_objects() {
    let Some(url) = variable("TEST_S3_URL") else { return };
    let connect = || async { objects::connect(&url).await };
    crate::suite::objects(connect).await;
    let store: Arc<dyn ObjectStore> = connect().await.unwrap();
    store.check().await.unwrap();
    let tenant = Uuid::now_v7();
    let key = |path: &str| ObjectKey::tenant(tenant, path).unwrap();

    // In parts, each piece different, and back in order.
    let pieces =
        || futures::stream::iter((0..40_u8).map(|piece| Ok(Bytes::from(vec![piece; 500_000])))).boxed();
    let stored = store.put(&key("big"), pieces(), LIMIT).await.unwrap();
    assert_eq!(stored.size, 20_000_000);
    let (_, content) = store.get(&key("big")).await.unwrap().unwrap();
    let content = collect(content).await.unwrap();
    assert_eq!(content.len(), 20_000_000);
    assert!(
        content.chunks(500_000).zip(0..40_u8).all(|(chunk, piece)| chunk.iter().all(|byte| *byte == piece))
    );
    store.put(&key("big"), pieces(), 12_000_000).await.expect_err("it is longer than the limit");
    assert_eq!(store.head(&key("big")).await.unwrap().unwrap().size, 20_000_000, "and changed nothing");

    signed_urls_allow_one_thing_for_a_while(&*store, &key("small@x=1")).await;
    assert_eq!(store.list(&key("big")).await.unwrap(), [], "an object has nothing under it");
    for name in ["big", "small@x=1"] {
        assert!(store.delete(&key(name)).await.unwrap());
    }
}

async fn signed_urls_allow_one_thing_for_a_while(store: &dyn ObjectStore, key: &ObjectKey) {
    let client = http::client(Store::Objects, Duration::from_secs(5), None).unwrap();
    let signed = async |access, expires| store.presigned(key, access, expires).await.unwrap().unwrap();
    let long = Duration::from_secs(600);
    let write = signed(Access::Write, long).await;
    let status = |response: reqwest::Response| response.status().as_u16();
    assert_eq!(status(client.put(&write).body("hello").send().await.unwrap()), 200);
    let read = signed(Access::Read, long).await;
    assert_eq!(client.get(&read).send().await.unwrap().text().await.unwrap(), "hello");
    assert_eq!(status(client.put(&read).body("other").send().await.unwrap()), 403, "reading is not writing");
    let unsigned = read.split('?').next().unwrap();
    assert_eq!(status(client.get(unsigned).send().await.unwrap()), 403);
    let short = signed(Access::Read, Duration::from_secs(1)).await;
    let gone = async || match client.get(&short).send().await.unwrap().status().as_u16() {
        403 => Ok(()),
        other => Err(crate::StoreError::Unavailable {
            attempted: "wait for a signature to expire".to_owned(),
            problem: other.to_string(),
        }),
    };
    eventually(gone).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_are_said_to_be_away_and_found_again() {
    let Some(url) = variable("TEST_S3_URL") else { return };
    let proxy = Proxy::before(&host(&url)).await;
    let (url, secret) = through(&url, proxy.address());
    let store = objects::connect(&url).await.unwrap();
    let key = ObjectKey::tenant(Uuid::now_v7(), "a").unwrap();
    store.put(&key, once("before"), LIMIT).await.unwrap();
    proxy.cut();
    let write = async || store.put(&key, once("lost"), LIMIT).await;
    away("OBJECTS_URL", proxy.address(), &secret, &write).await;
    away("OBJECTS_URL", proxy.address(), &secret, async || store.head(&key).await).await;
    // A service that starts now does so, and is not ready.
    let started = objects::connect(&url).await.unwrap();
    away("OBJECTS_URL", proxy.address(), &secret, async || started.check().await).await;
    proxy.heal();
    eventually(async || started.check().await).await;
    let (_, content) = eventually(async || store.get(&key).await).await.unwrap();
    assert_eq!(collect(content).await.unwrap(), b"before");

    // Cut in the middle of an upload in parts: nothing has changed.
    let cutting = futures::stream::iter((0..60).map(|_| Ok(Bytes::from(vec![0; 500_000])))).enumerate();
    let mood = Arc::new(proxy);
    let inside = mood.clone();
    let pieces = cutting.map(move |(number, piece)| {
        if number == 40 {
            inside.cut();
        }
        piece
    });
    store.put(&key, pieces.boxed(), LIMIT).await.expect_err("the way was cut");
    mood.heal();
    let found = eventually(async || store.head(&key).await).await.unwrap();
    assert_eq!(found.size, 6);
    assert!(eventually(async || store.delete(&key).await).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_key_is_refused_by_name() -> Result<()> {
    let Some(url) = variable("TEST_S3_URL") else { return Ok(()) };
    let store = objects::connect(&format!("s3://platform:hunter2@{}/platform", host(&url))).await?;
    let error = store.check().await.unwrap_err();
    let said = error.to_string();
    assert!(!error.is_transient() && said.contains("OBJECTS_URL (") && !said.contains("hunter2"), "{said}");
    Ok(())
}
