//! The cache on Valkey: one connection that all calls share, made anew when it is lost.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Client, Cmd, ErrorKind, FromRedisValue, IntoConnectionInfo, RedisError, ServerErrorKind, cmd};

use super::{Cache, CacheKey};
use crate::error::{Result, StoreError};
use crate::link::{Fault, Link, chain};
use crate::url::{Remote, Store};

/// A cache that takes longer is no help to its caller.
const DEADLINE: Duration = Duration::from_secs(1);
/// Keys that one step of a scan looks at.
const SCANNED_AT_ONCE: u32 = 1000;
/// Counts, and gives the counter its time to live at its first use, in one step that nothing can come between.
const INCREMENT: &str = "local count = redis.call('INCRBY', KEYS[1], ARGV[1])
if redis.call('PTTL', KEYS[1]) < 0 then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return count";

pub(super) struct ValkeyCache {
    link: Link,
    connection: ConnectionManager,
}

impl fmt::Debug for ValkeyCache {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("ValkeyCache").field("link", &self.link).finish_non_exhaustive()
    }
}

impl ValkeyCache {
    pub(super) fn new(remote: &Remote) -> Result<Self> {
        let wrong = |error: RedisError| StoreError::Configuration {
            variable: Store::Cache.variable(),
            // Its kind only: the words might repeat a part of the URL.
            problem: format!("is of no use ({:?}); use valkey://:<password>@<host>:<port>", error.kind()),
        };
        let info = remote.secret_url().as_str().into_connection_info().map_err(wrong)?;
        let tcp = info.tcp_settings().clone().set_nodelay(true);
        // A connection whose other end is gone without a word is given up after this time, and made anew.
        #[cfg(target_os = "linux")]
        let tcp = tcp.set_user_timeout(Duration::from_secs(5));
        let client = Client::open(info.set_tcp_settings(tcp)).map_err(wrong)?;
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(DEADLINE / 2))
            // The link has the deadline, and repeats what may be repeated.
            .set_response_timeout(None)
            .set_number_of_retries(0);
        let connection = ConnectionManager::new_lazy_with_config(client, config).map_err(wrong)?;
        Ok(Self { link: Link::new(remote, DEADLINE), connection })
    }

    async fn ask<T: FromRedisValue>(&self, attempted: &'static str, command: &Cmd) -> Result<T, Fault> {
        let mut connection = self.connection.clone();
        command.query_async(&mut connection).await.map_err(|error| self.fault(attempted, &error))
    }

    fn fault(&self, attempted: &'static str, error: &RedisError) -> Fault {
        let passing = matches!(
            error.kind(),
            ErrorKind::Io
                | ErrorKind::Server(
                    ServerErrorKind::BusyLoading
                        | ServerErrorKind::TryAgain
                        | ServerErrorKind::MasterDown
                        | ServerErrorKind::ReadOnly
                )
        );
        if passing || error.is_connection_dropped() || error.is_timeout() {
            Fault::Away(chain(error))
        } else {
            self.link.answered(attempted, &chain(error))
        }
    }

    /// One command that is harmless to repeat.
    async fn repeat<T: FromRedisValue>(&self, attempted: &'static str, command: &Cmd) -> Result<T> {
        self.link.repeat(attempted, || self.ask(attempted, command)).await
    }
}

/// Milliseconds; Valkey refuses 0.
fn milliseconds(ttl: Duration) -> u64 {
    u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX).clamp(1, i64::MAX as u64 / 2)
}

/// A pattern that matches the text and nothing else.
fn literal(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len());
    for letter in text.chars() {
        if "*?[]^\\".contains(letter) {
            pattern.push('\\');
        }
        pattern.push(letter);
    }
    pattern
}

#[async_trait]
impl Cache for ValkeyCache {
    async fn get(&self, key: &CacheKey) -> Result<Option<Bytes>> {
        let value: Option<Vec<u8>> = self.repeat("read from the cache", cmd("GET").arg(&key.0)).await?;
        Ok(value.map(Bytes::from))
    }

    async fn set(&self, key: &CacheKey, value: Bytes, ttl: Duration) -> Result<()> {
        let mut command = cmd("SET");
        command.arg(&key.0).arg(&value[..]).arg("PX").arg(milliseconds(ttl));
        self.repeat("write to the cache", &command).await
    }

    async fn delete(&self, key: &CacheKey) -> Result<bool> {
        // Once: the answer of a second attempt would be about the first.
        let attempted = "delete from the cache";
        self.link.once(attempted, self.ask(attempted, cmd("DEL").arg(&key.0))).await
    }

    async fn delete_under(&self, prefix: &CacheKey) -> Result<u64> {
        let attempted = "delete from the cache";
        let mut deleted: u64 = self.repeat(attempted, cmd("DEL").arg(&prefix.0)).await?;
        let pattern = format!("{}:*", literal(&prefix.0));
        let mut cursor = 0_u64;
        loop {
            let mut scan = cmd("SCAN");
            scan.arg(cursor).arg("MATCH").arg(&pattern).arg("COUNT").arg(SCANNED_AT_ONCE);
            let (next, keys): (u64, Vec<Vec<u8>>) = self.repeat(attempted, &scan).await?;
            if !keys.is_empty() {
                deleted += self.repeat::<u64>(attempted, cmd("UNLINK").arg(keys)).await?;
            }
            if next == 0 {
                return Ok(deleted);
            }
            cursor = next;
        }
    }

    async fn increment(&self, key: &CacheKey, by: i64, ttl: Duration) -> Result<i64> {
        let mut command = cmd("EVAL");
        command.arg(INCREMENT).arg(1).arg(&key.0).arg(by).arg(milliseconds(ttl));
        let attempted = "count in the cache";
        let counted = self.link.once(attempted, self.ask(attempted, &command)).await;
        counted.map_err(|error| match error {
            StoreError::Failed { source, .. } if source.to_string().contains("not an integer") => {
                StoreError::Corrupt { what: "counter".to_owned(), problem: "it is no number".to_owned() }
            }
            other => other,
        })
    }

    async fn check(&self) -> Result<()> {
        self.repeat("ask the cache", &cmd("PING")).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_no_pattern() {
        assert_eq!(literal(r"a*b?[c]\d"), r"a\*b\?\[c\]\\d");
        assert_eq!(milliseconds(Duration::ZERO), 1);
    }
}
