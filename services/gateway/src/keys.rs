//! The public keys of iam: loaded at the start, refreshed now and then and when a token names an unknown one, kept while
//! iam is away.

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use async_trait::async_trait;
use svc_kit::{Latch, Shutdown};
use tokio::{sync::Mutex, time::Instant};

use crate::token::{Identity, KeySet, Rules, TokenCache, TokenError, verify};

/// An unknown key makes at most one request to iam in this time.
const QUIET: Duration = Duration::from_secs(10);
/// How often the keys are fetched again when nothing asks for it.
const INTERVAL: Duration = Duration::from_secs(300);
/// The first and the longest pause between tries while there are no keys at all.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

/// Where the keys come from.
#[async_trait]
pub trait KeySource: Send + Sync + 'static {
    /// The key set as JSON, or why there is none, in words for the log.
    async fn fetch(&self) -> Result<String, String>;
}

/// Checks tokens with the keys at hand.
pub struct Tokens {
    source: Box<dyn KeySource>,
    rules: Rules,
    keys: RwLock<Arc<KeySet>>,
    cache: TokenCache,
    /// When the keys were last asked for. Held while asking, so that only one request does.
    asked: Mutex<Option<Instant>>,
}

impl Tokens {
    /// No keys yet: see [`Tokens::keep`].
    pub fn new(source: impl KeySource, rules: Rules) -> Tokens {
        Tokens {
            source: Box::new(source),
            rules,
            keys: RwLock::default(),
            cache: TokenCache::default(),
            asked: Mutex::new(None),
        }
    }

    /// Fetches the keys until there are some, releases the latch, and keeps them fresh until shutdown.
    pub async fn keep(&self, latch: &Latch, shutdown: &Shutdown) {
        let (mut pause, longest) = PAUSES;
        while let Err(reason) = self.refresh(Duration::ZERO).await {
            latch.hold(format!("the keys of iam are not loaded: {reason}"));
            tracing::debug!(reason, "cannot load the keys of iam yet");
            if !shutdown.pause(pause).await {
                return;
            }
            pause = (pause * 2).min(longest);
        }
        tracing::info!(keys = ?self.keys().ids(), "loaded the keys of iam");
        latch.release();
        while shutdown.pause(INTERVAL).await {
            if let Err(reason) = self.refresh(Duration::ZERO).await {
                tracing::warn!(reason, "cannot refresh the keys of iam; the old ones stay in use");
            }
        }
    }

    /// Whether there are keys.
    pub fn ready(&self) -> bool {
        !self.keys().is_empty()
    }

    /// Checks a token. A key that is not known is asked for, at most once in a while.
    ///
    /// # Errors
    ///
    /// Why the token is not accepted.
    pub async fn check(&self, token: &str) -> Result<Arc<Identity>, TokenError> {
        match self.check_at_hand(token) {
            Err(TokenError::UnknownKey) => {
                if let Err(reason) = self.refresh(QUIET).await {
                    tracing::debug!(reason, "cannot look for an unknown key");
                }
                self.check_at_hand(token)
            }
            checked => checked,
        }
    }

    /// Checks a token with the keys at hand.
    ///
    /// # Errors
    ///
    /// Why the token is not accepted.
    pub fn check_at_hand(&self, token: &str) -> Result<Arc<Identity>, TokenError> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        if let Some(identity) = self.cache.get(token, now) {
            return Ok(identity);
        }
        let identity = Arc::new(verify(token, &self.keys(), &self.rules)?);
        self.cache.put(token, &identity, now);
        Ok(identity)
    }

    /// Fetches the keys, unless somebody did within `quiet`.
    async fn refresh(&self, quiet: Duration) -> Result<(), String> {
        let mut asked = self.asked.lock().await;
        if asked.is_some_and(|last| last.elapsed() < quiet) {
            return Ok(());
        }
        let fetched = self.source.fetch().await;
        *asked = Some(Instant::now());
        let keys =
            KeySet::parse(&fetched?).map_err(|error| format!("iam's key set cannot be read: {error}"))?;
        if keys.is_empty() {
            return Err("iam's key set has no ES256 key".to_owned());
        }
        let withdrawn = self.keys().ids() != keys.ids();
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
        if withdrawn {
            self.cache.clear();
        }
        Ok(())
    }

    fn keys(&self) -> Arc<KeySet> {
        Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner))
    }
}
