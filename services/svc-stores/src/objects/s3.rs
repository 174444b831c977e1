//! Objects in S3, or in SeaweedFS, which speaks it. The bucket is made when it is not there.
//!
//! A small object is one request; a big one goes up in parts and appears when all are there. Parts of an upload that a
//! crash cut off stay until the bucket's own rule removes them (`AbortIncompleteMultipartUpload`).

use std::fmt;
use std::io;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::client::{HttpClient, HttpConnector};
use object_store::path::Path;
use object_store::signer::Signer;
use object_store::{
    BackoffConfig, ClientOptions, Error, ObjectStore as Client, ObjectStoreExt, PutPayload, RetryConfig,
    WriteMultipart,
};
use reqwest::Method;
use sha2::{Digest, Sha256};

use super::{Access, ObjectInfo, ObjectKey, ObjectStore, ObjectStream, StoredObject};
use crate::error::{Result, StoreError};
use crate::http;
use crate::link::{Fault, Link, chain};
use crate::url::{Remote, Store};

/// For one request, with its repetitions; a part of an upload is one request.
const DEADLINE: Duration = Duration::from_secs(30);
const CONNECT: Duration = Duration::from_secs(2);
/// Nothing is heard for so long.
const SILENCE: Duration = Duration::from_secs(10);
/// Bigger objects go up in parts of this size; S3 wants at least five.
const PART: usize = 8 * 1024 * 1024;
/// Parts on their way at the same time, and in memory.
const PARTS_AT_ONCE: usize = 2;
/// SeaweedFS does not care, and S3's own default does.
const REGION: &str = "us-east-1";

pub(super) struct Bucket {
    link: Link,
    client: AmazonS3,
    http: reqwest::Client,
}

#[derive(Debug)]
struct OurClient(reqwest::Client);

impl HttpConnector for OurClient {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.0.clone()))
    }
}

/// An upload in parts; taken back when it is dropped before it is finished.
struct Parts(Option<WriteMultipart>);

impl Drop for Parts {
    fn drop(&mut self) {
        if let (Some(upload), Ok(runtime)) = (self.0.take(), tokio::runtime::Handle::try_current()) {
            runtime.spawn(upload.abort());
        }
    }
}

impl fmt::Debug for Bucket {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Bucket").field("link", &self.link).finish_non_exhaustive()
    }
}

impl Bucket {
    pub(super) async fn open(remote: &Remote) -> Result<Self> {
        let wrong = |problem: &str| StoreError::Configuration {
            variable: Store::Objects.variable(),
            problem: format!("{problem}; use s3://<access key>:<secret key>@<host>:<port>/<bucket>"),
        };
        let key = remote.username().ok_or_else(|| wrong("has no access key"))?;
        let secret = remote.password().ok_or_else(|| wrong("has no secret key"))?;
        let bucket = remote.path();
        if bucket.is_empty() || bucket.contains('/') {
            return Err(wrong("names no bucket"));
        }
        let http = http::client(Store::Objects, CONNECT, Some(SILENCE))?;
        let backoff = BackoffConfig {
            init_backoff: Duration::from_millis(25),
            max_backoff: Duration::from_millis(400),
            base: 4.0,
        };
        let client = AmazonS3Builder::new()
            .with_endpoint(format!("http://{}", remote.host()))
            .with_allow_http(true)
            .with_virtual_hosted_style_request(false)
            .with_region(REGION)
            .with_bucket_name(bucket)
            .with_access_key_id(key)
            .with_secret_access_key(secret)
            .with_http_connector(OurClient(http.clone()))
            // The library repeats by the kind of error, and only what may be repeated.
            .with_retry(RetryConfig { backoff, max_retries: 2, retry_timeout: Duration::from_secs(10) })
            .build()
            .map_err(|error| wrong(&format!("is of no use ({})", chain(&error))))?;
        let bucket = Self { link: Link::new(remote, DEADLINE), client, http };
        if let Err(error) = bucket.make().await {
            // It may come up after us; `check` says so until then.
            tracing::warn!(%error, "the bucket was not looked for");
        }
        Ok(bucket)
    }

    /// Looks whether the bucket is there.
    async fn exists(&self, attempted: &str) -> Result<bool> {
        let call = async {
            match self.client.list(Some(&Path::from("platform"))).next().await {
                None | Some(Ok(_)) => Ok(true),
                Some(Err(Error::NotFound { .. })) => Ok(false),
                Some(Err(error)) => Err(self.fault(attempted, &error)),
            }
        };
        self.link.once(attempted, call).await
    }

    /// Makes the bucket when it is not there.
    async fn make(&self) -> Result<()> {
        let attempted = "make the bucket";
        if self.exists(attempted).await? {
            return Ok(());
        }
        let signed = self.client.signed_url(Method::PUT, &Path::default(), DEADLINE).await;
        let signed = signed.map_err(|error| StoreError::failed(attempted, chain(&error)))?;
        let call = async {
            let response = self.http.put(signed).send().await.map_err(http::away)?;
            // Another service was faster.
            if response.status() == reqwest::StatusCode::CONFLICT {
                return Ok(());
            }
            http::accepted(&self.link, attempted, response).await.map(|_| ())
        };
        self.link.once(attempted, call).await
    }

    fn fault(&self, attempted: &str, error: &Error) -> Fault {
        match error {
            Error::Generic { .. } if !is_refusal(&chain(error)) => Fault::Away(chain(error)),
            other => self.link.answered(attempted, &chain(other)),
        }
    }

    async fn call<T>(
        &self,
        attempted: &str,
        call: impl Future<Output = object_store::Result<T>>,
    ) -> Result<Option<T>> {
        let call = async {
            match call.await {
                Ok(answer) => Ok(Some(answer)),
                Err(Error::NotFound { .. }) => Ok(None),
                Err(error) => Err(self.fault(attempted, &error)),
            }
        };
        self.link.once(attempted, call).await
    }

    async fn put_whole(&self, attempted: &str, path: &Path, payload: PutPayload) -> Result<()> {
        for made in [false, true] {
            if self.call(attempted, self.client.put(path, payload.clone())).await?.is_some() {
                return Ok(());
            }
            if !made {
                self.make().await?;
            }
        }
        Err(StoreError::failed(attempted, "there is no bucket, and making it did not help"))
    }

    async fn put_in_parts(
        &self,
        attempted: &str,
        path: &Path,
        first: Vec<Bytes>,
        content: &mut Measured,
    ) -> Result<()> {
        let upload = match self.call(attempted, self.client.put_multipart(path)).await? {
            Some(upload) => upload,
            None => {
                self.make().await?;
                let again = self.call(attempted, self.client.put_multipart(path)).await?;
                again.ok_or_else(|| StoreError::failed(attempted, "there is no bucket"))?
            }
        };
        let mut parts = Parts(Some(WriteMultipart::new_with_chunk_size(upload, PART)));
        let Some(upload) = parts.0.as_mut() else { return Ok(()) };
        first.into_iter().for_each(|piece| upload.put(piece));
        while let Some(piece) = content.next(attempted).await? {
            let room = async { upload.wait_for_capacity(PARTS_AT_ONCE).await };
            self.call(attempted, room).await?;
            upload.put(piece);
        }
        self.call(attempted, async { upload.wait_for_capacity(1).await }).await?;
        let Some(upload) = parts.0.take() else { return Ok(()) };
        // Takes itself back when it fails.
        self.call(attempted, upload.finish()).await?;
        Ok(())
    }
}

/// What is stored, counted and digested as it comes.
struct Measured {
    content: ObjectStream,
    digest: Sha256,
    size: u64,
    limit: u64,
}

impl Measured {
    async fn next(&mut self, attempted: &str) -> Result<Option<Bytes>> {
        let Some(piece) = self.content.next().await else { return Ok(None) };
        let piece = piece.map_err(|error| StoreError::failed(attempted, error))?;
        self.size += piece.len() as u64;
        if self.size > self.limit {
            return Err(StoreError::invalid("object", format!("is longer than {} bytes", self.limit)));
        }
        self.digest.update(&piece);
        Ok(Some(piece))
    }
}

/// Whether an error that the library has no kind for is an answer which stays the same. Only its text has the status.
fn is_refusal(text: &str) -> bool {
    let status = text.split_once("status code: ").and_then(|(_, rest)| rest.get(..3)?.parse::<u16>().ok());
    status.is_some_and(|status| (400..500).contains(&status) && status != 408 && status != 429)
}

fn path(key: &ObjectKey) -> Result<Path> {
    Path::parse(&key.0).map_err(|error| StoreError::invalid("object key", error.to_string()))
}

#[async_trait]
impl ObjectStore for Bucket {
    async fn put(&self, key: &ObjectKey, content: ObjectStream, limit: u64) -> Result<StoredObject> {
        let attempted = format!("store object {}", key.0);
        let path = path(key)?;
        let mut content = Measured { content, digest: Sha256::new(), size: 0, limit };
        let mut first = Vec::new();
        let mut whole = true;
        while let Some(piece) = content.next(&attempted).await? {
            first.push(piece);
            if content.size >= PART as u64 {
                whole = false;
                break;
            }
        }
        if whole {
            self.put_whole(&attempted, &path, first.into_iter().collect()).await?;
        } else {
            self.put_in_parts(&attempted, &path, first, &mut content).await?;
        }
        Ok(StoredObject { size: content.size, sha256: hex::encode(content.digest.finalize()) })
    }

    async fn get(&self, key: &ObjectKey) -> Result<Option<(ObjectInfo, ObjectStream)>> {
        let attempted = format!("read object {}", key.0);
        let Some(found) = self.call(&attempted, self.client.get(&path(key)?)).await? else { return Ok(None) };
        // SeaweedFS gives the folder that a prefix is to it as an empty object; only the look at it tells them apart.
        if found.meta.size == 0 && self.head(key).await?.is_none() {
            return Ok(None);
        }
        let info = ObjectInfo { key: key.0.clone(), size: found.meta.size };
        let content = found.into_stream().map_err(|error| io::Error::other(chain(&error)));
        Ok(Some((info, content.boxed())))
    }

    async fn head(&self, key: &ObjectKey) -> Result<Option<ObjectInfo>> {
        let found = self.call(&format!("look at object {}", key.0), self.client.head(&path(key)?)).await?;
        Ok(found.map(|found| ObjectInfo { key: key.0.clone(), size: found.size }))
    }

    async fn delete(&self, key: &ObjectKey) -> Result<bool> {
        if self.head(key).await?.is_none() {
            return Ok(false);
        }
        let path = path(key)?;
        Ok(self.call(&format!("delete object {}", key.0), self.client.delete(&path)).await?.is_some())
    }

    /// S3 has no rename: the object is copied, and then the old one is deleted. A crash between leaves both.
    async fn rename(&self, from: &ObjectKey, to: &ObjectKey) -> Result<()> {
        let attempted = format!("move object {} to {}", from.0, to.0);
        let (old, new) = (path(from)?, path(to)?);
        // SeaweedFS refuses to copy what is not there in words of its own, so it is looked for first.
        let there = self.head(from).await?.is_some();
        if !there || self.call(&attempted, self.client.copy(&old, &new)).await?.is_none() {
            return Err(StoreError::NotFound { what: format!("object {}", from.0) });
        }
        self.call(&attempted, self.client.delete(&old)).await.map(|_| ())
    }

    async fn list(&self, under: &ObjectKey) -> Result<Vec<ObjectInfo>> {
        let under_path = path(under)?;
        let listed = self.client.list(Some(&under_path)).try_collect::<Vec<_>>();
        let listed = self.call(&format!("list objects under {}", under.0), listed).await?;
        let info = |found: object_store::ObjectMeta| ObjectInfo {
            key: found.location.to_string(),
            size: found.size,
        };
        let mut found: Vec<_> = listed.unwrap_or_default().into_iter().map(info).collect();
        found.sort_by(|one, other| one.key.cmp(&other.key));
        Ok(found)
    }

    async fn presigned(&self, key: &ObjectKey, access: Access, expires: Duration) -> Result<Option<String>> {
        let method = match access {
            Access::Read => Method::GET,
            Access::Write => Method::PUT,
        };
        // Nothing is asked: the signature is made here.
        let signed = self.client.signed_url(method, &path(key)?, expires).await;
        let signed =
            signed.map_err(|error| StoreError::failed(format!("sign a URL for {}", key.0), chain(&error)));
        signed.map(|url| Some(url.to_string()))
    }

    async fn check(&self) -> Result<()> {
        self.make().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_told_from_a_part_that_is_busy() {
        assert!(is_refusal("Server returned non-2xx status code: 403 Forbidden: <Error>"));
        assert!(!is_refusal("Server returned non-2xx status code: 503 Service Unavailable: SlowDown"));
        assert!(!is_refusal("Server returned non-2xx status code: 429 Too Many Requests"));
        assert!(!is_refusal("error sending request: connection refused"));
    }
}
