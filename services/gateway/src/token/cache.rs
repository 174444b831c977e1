//! Tokens that were checked a moment ago: the signature of the same bytes need not be checked at each request.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::{Arc, Mutex, PoisonError},
};

use super::Identity;

const SHARDS: usize = 16;
/// A full shard first drops what has expired, then everything.
const SHARD_LIMIT: usize = 512;

/// Accepted tokens until they expire. It must be [cleared](TokenCache::clear) when a key is withdrawn.
pub struct TokenCache {
    shards: Vec<Mutex<HashMap<Box<str>, Arc<Identity>>>>,
    hasher: RandomState,
}

impl Default for TokenCache {
    fn default() -> TokenCache {
        TokenCache { shards: (0..SHARDS).map(|_| Mutex::default()).collect(), hasher: RandomState::new() }
    }
}

impl TokenCache {
    /// The identity of a token that was accepted and has not expired. `now` is in seconds since 1970.
    pub fn get(&self, token: &str, now: u64) -> Option<Arc<Identity>> {
        let shard = self.shard(token).lock().unwrap_or_else(PoisonError::into_inner);
        shard.get(token).filter(|identity| now < identity.expires_at).cloned()
    }

    /// Remembers an accepted token.
    pub fn put(&self, token: &str, identity: &Arc<Identity>, now: u64) {
        let mut shard = self.shard(token).lock().unwrap_or_else(PoisonError::into_inner);
        if shard.len() >= SHARD_LIMIT {
            shard.retain(|_, identity| now < identity.expires_at);
        }
        if shard.len() >= SHARD_LIMIT {
            shard.clear();
        }
        shard.insert(token.into(), Arc::clone(identity));
    }

    /// Forgets everything.
    pub fn clear(&self) {
        for shard in &self.shards {
            shard.lock().unwrap_or_else(PoisonError::into_inner).clear();
        }
    }

    fn shard(&self, token: &str) -> &Mutex<HashMap<Box<str>, Arc<Identity>>> {
        let index = usize::try_from(self.hasher.hash_one(token) % SHARDS as u64).unwrap_or(0);
        &self.shards[index]
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn identity(expires_at: u64) -> Arc<Identity> {
        Arc::new(Identity { user: Uuid::nil(), tenant: None, roles: Vec::new(), expires_at })
    }

    #[test]
    fn a_token_is_known_until_it_expires_or_all_are_forgotten() {
        let cache = TokenCache::default();
        cache.put("a", &identity(100), 0);
        assert!(cache.get("a", 99).is_some());
        assert!(cache.get("a", 100).is_none());
        assert!(cache.get("b", 0).is_none());
        cache.clear();
        assert!(cache.get("a", 0).is_none());
    }

    #[test]
    fn it_does_not_grow_without_end() {
        let cache = TokenCache::default();
        for number in 0..SHARDS * SHARD_LIMIT * 3 {
            cache.put(&number.to_string(), &identity(100), 0);
        }
        let kept: usize = cache.shards.iter().map(|shard| shard.lock().unwrap().len()).sum();
        assert!(kept <= SHARDS * SHARD_LIMIT, "{kept}");
    }
}
