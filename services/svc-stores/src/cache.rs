//! The cache port: what may be forgotten at any time. The embedded adapter is in this process, bounded, with TTL; the
//! real one is Valkey.
//!
//! A key is made for a tenant or for the platform, and cannot be made without saying which.

mod valkey;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;

use crate::error::{Result, StoreError};
use crate::tenant::TenantId;
use crate::url::{Store, StoreUrl};

/// How many keys the embedded cache holds before it forgets the one that was not used for longest.
pub const EMBEDDED_CAPACITY: usize = 100_000;

/// The key of a cached value: `{tenant}:{part}:{part}`, in which no part can reach into another.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CacheKey(String);

impl CacheKey {
    /// A key of one tenant.
    #[must_use]
    pub fn tenant(tenant: impl Into<TenantId>, parts: &[&str]) -> Self {
        Self(joined(&tenant.into().to_string(), parts))
    }

    /// A key of the platform itself.
    #[must_use]
    pub fn platform(parts: &[&str]) -> Self {
        Self(joined("platform", parts))
    }
}

fn joined(owner: &str, parts: &[&str]) -> String {
    let mut key = owner.to_owned();
    for part in parts {
        key.push(':');
        key.push_str(&part.replace('%', "%25").replace(':', "%3A"));
    }
    key
}

/// The cache port.
#[async_trait]
pub trait Cache: Send + Sync + fmt::Debug {
    /// The value, when it is there and not too old.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when the cache is away; the caller then does without.
    async fn get(&self, key: &CacheKey) -> Result<Option<Bytes>>;

    /// Keeps a value for at most `ttl`.
    ///
    /// # Errors
    /// As [`Cache::get`].
    async fn set(&self, key: &CacheKey, value: Bytes, ttl: Duration) -> Result<()>;

    /// Forgets a value and says whether there was one.
    ///
    /// # Errors
    /// As [`Cache::get`].
    async fn delete(&self, key: &CacheKey) -> Result<bool>;

    /// Forgets every key that begins with the parts of `prefix`, and says how many.
    ///
    /// # Errors
    /// As [`Cache::get`].
    async fn delete_under(&self, prefix: &CacheKey) -> Result<u64>;

    /// Adds to a counter, which begins at 0 and lives for `ttl` from its first use, and gives its new value.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when the key holds something that is no counter.
    async fn increment(&self, key: &CacheKey, by: i64, ttl: Duration) -> Result<i64>;

    /// Whether the cache answers; for readiness.
    ///
    /// # Errors
    /// As [`Cache::get`].
    async fn check(&self) -> Result<()>;
}

/// Opens the cache that `CACHE_URL` names. A real one is connected at the first use, and again whenever it was away.
///
/// # Errors
/// [`StoreError::Configuration`] when the URL has no adapter.
pub fn connect(url: &str) -> Result<Arc<dyn Cache>> {
    let url = StoreUrl::parse(Store::Cache, url)?;
    Ok(crate::observe::cache(match url.remote() {
        Some(remote) => Arc::new(valkey::ValkeyCache::new(remote)?),
        None => Arc::new(MemoryCache::new(EMBEDDED_CAPACITY)),
    }))
}

/// The embedded cache.
pub struct MemoryCache {
    capacity: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    entries: HashMap<String, Entry>,
    /// Keys by when they were last used, oldest first.
    order: BTreeMap<u64, String>,
    clock: u64,
}

struct Entry {
    value: Bytes,
    until: Instant,
    used: u64,
}

impl MemoryCache {
    /// A cache that holds at most `capacity` keys.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self { capacity: capacity.max(1), state: Mutex::new(State::default()) }
    }

    /// A panic while the lock is held cannot leave a half-made state that matters: it is a cache.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for MemoryCache {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("MemoryCache").field("capacity", &self.capacity).finish_non_exhaustive()
    }
}

impl State {
    fn get(&mut self, key: &str) -> Option<Bytes> {
        if self.entries.get(key)?.until <= Instant::now() {
            self.remove(key);
            return None;
        }
        self.clock += 1;
        let clock = self.clock;
        let entry = self.entries.get_mut(key)?;
        self.order.remove(&entry.used);
        self.order.insert(clock, key.to_owned());
        entry.used = clock;
        Some(entry.value.clone())
    }

    fn set(&mut self, key: &str, value: Bytes, until: Instant, capacity: usize) {
        self.remove(key);
        while self.entries.len() >= capacity {
            let Some((_, oldest)) = self.order.pop_first() else { break };
            self.entries.remove(&oldest);
        }
        self.clock += 1;
        self.order.insert(self.clock, key.to_owned());
        self.entries.insert(key.to_owned(), Entry { value, until, used: self.clock });
    }

    fn remove(&mut self, key: &str) -> Option<Entry> {
        let entry = self.entries.remove(key)?;
        self.order.remove(&entry.used);
        Some(entry)
    }
}

#[async_trait]
impl Cache for MemoryCache {
    async fn get(&self, key: &CacheKey) -> Result<Option<Bytes>> {
        Ok(self.state().get(&key.0))
    }

    async fn set(&self, key: &CacheKey, value: Bytes, ttl: Duration) -> Result<()> {
        self.state().set(&key.0, value, Instant::now() + ttl, self.capacity);
        Ok(())
    }

    async fn delete(&self, key: &CacheKey) -> Result<bool> {
        let removed = self.state().remove(&key.0);
        Ok(removed.is_some_and(|entry| entry.until > Instant::now()))
    }

    async fn delete_under(&self, prefix: &CacheKey) -> Result<u64> {
        let mut state = self.state();
        let under = format!("{}:", prefix.0);
        let keys: Vec<String> = state
            .entries
            .keys()
            .filter(|key| **key == prefix.0 || key.starts_with(&under))
            .cloned()
            .collect();
        for key in &keys {
            state.remove(key);
        }
        Ok(keys.len() as u64)
    }

    async fn increment(&self, key: &CacheKey, by: i64, ttl: Duration) -> Result<i64> {
        let mut state = self.state();
        let Some(value) = state.get(&key.0) else {
            state.set(&key.0, Bytes::from(by.to_string()), Instant::now() + ttl, self.capacity);
            return Ok(by);
        };
        let count: i64 =
            std::str::from_utf8(&value).ok().and_then(|text| text.parse().ok()).ok_or_else(|| {
                StoreError::Corrupt { what: "counter".to_owned(), problem: "it is no number".to_owned() }
            })?;
        let count = count.saturating_add(by);
        if let Some(entry) = state.entries.get_mut(&key.0) {
            entry.value = Bytes::from(count.to_string());
        }
        Ok(count)
    }

    /// It is in this process.
    async fn check(&self) -> Result<()> {
        Ok(())
    }
}
