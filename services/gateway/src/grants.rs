//! What the roles of a user grant in a tenant: asked of iam, remembered for a short time.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use tokio::time::Instant;
use uuid::Uuid;

/// How long an answer is used. Roles that are taken away take effect within this time.
const FRESH: Duration = Duration::from_secs(10);
/// How long an answer is used to refuse. Roles that are given take effect within this time.
const FRESH_TO_REFUSE: Duration = Duration::from_secs(1);
/// How long an answer is used while iam does not answer.
const STALE: Duration = Duration::from_secs(60);
/// More answers are not remembered: the old ones go first.
const LIMIT: usize = 50_000;

/// What iam says of a user in a tenant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grants {
    /// The permissions, with `*` and `{module}.*` as they are.
    pub permissions: Vec<String>,
    /// The tenant, or one above it, is blocked.
    pub blocked: bool,
}

/// Who knows what roles grant.
#[async_trait]
pub trait GrantSource: Send + Sync + 'static {
    /// The grants, or why they cannot be told, in words for the log.
    async fn lookup(&self, tenant: Uuid, user: Uuid) -> Result<Grants, String>;
}

/// An answer, and when it was given.
type Known = (Arc<Grants>, Instant);

/// Remembers grants.
pub struct GrantCache {
    source: Box<dyn GrantSource>,
    known: Mutex<HashMap<(Uuid, Uuid), Known>>,
}

impl GrantCache {
    /// Nothing is known yet.
    pub fn new(source: impl GrantSource) -> GrantCache {
        GrantCache { source: Box::new(source), known: Mutex::default() }
    }

    /// The grants of a user in a tenant.
    ///
    /// # Errors
    ///
    /// When iam does not tell and nothing recent is known; the words are for the log.
    pub async fn of(&self, tenant: Uuid, user: Uuid) -> Result<Arc<Grants>, String> {
        self.not_older_than(FRESH, tenant, user).await
    }

    /// The grants once more, before somebody is refused for want of them.
    ///
    /// # Errors
    ///
    /// As [`GrantCache::of`].
    pub async fn before_refusing(&self, tenant: Uuid, user: Uuid) -> Result<Arc<Grants>, String> {
        self.not_older_than(FRESH_TO_REFUSE, tenant, user).await
    }

    async fn not_older_than(&self, age: Duration, tenant: Uuid, user: Uuid) -> Result<Arc<Grants>, String> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(&(tenant, user)).cloned();
        if let Some((grants, at)) = &known
            && at.elapsed() < age
        {
            return Ok(Arc::clone(grants));
        }
        match (self.source.lookup(tenant, user).await, known) {
            (Ok(grants), _) => Ok(self.remember((tenant, user), Arc::new(grants))),
            (Err(reason), Some((grants, at))) if at.elapsed() < STALE => {
                tracing::warn!(reason, "iam does not tell permissions; those of a moment ago stay in use");
                Ok(grants)
            }
            (Err(reason), _) => Err(reason),
        }
    }

    fn remember(&self, key: (Uuid, Uuid), grants: Arc<Grants>) -> Arc<Grants> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= LIMIT {
            known.retain(|_, (_, at)| at.elapsed() < FRESH);
        }
        if known.len() < LIMIT {
            known.insert(key, (Arc::clone(&grants), Instant::now()));
        }
        grants
    }
}
