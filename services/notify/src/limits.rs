//! How often a tenant, and a module in it, may ask for notifications.

use std::sync::Arc;
use std::time::Duration;

use svc_stores::StoreError;
use svc_stores::cache::{Cache, CacheKey};
use uuid::Uuid;

use crate::clock::Clock;
use crate::domain::Moment;
use crate::error::{NotifyError, Result};

/// A counter is read in its own minute and in the next.
const KEPT: Duration = Duration::from_secs(180);

/// Counts requests, in the cache: all instances share the counters. Cheap to clone.
#[derive(Clone)]
pub struct Limits {
    cache: Arc<dyn Cache>,
    clock: Arc<dyn Clock>,
    tenant_per_minute: u32,
    module_per_minute: u32,
}

impl Limits {
    /// What the platform allows a tenant.
    pub const TENANT_PER_MINUTE: u32 = 100;
    /// What it allows a module in a tenant.
    pub const MODULE_PER_MINUTE: u32 = 50;

    /// Limits over a cache.
    #[must_use]
    pub fn new(
        cache: Arc<dyn Cache>,
        clock: impl Clock,
        tenant_per_minute: u32,
        module_per_minute: u32,
    ) -> Self {
        Self { cache, clock: Arc::new(clock), tenant_per_minute, module_per_minute }
    }

    /// Counts a request, or refuses it and does not count it. `module` is empty when none asks.
    ///
    /// # Errors
    /// [`NotifyError::TooOften`]. A cache that is away refuses nothing: it is better to send too much than nothing.
    pub(crate) async fn admit(&self, tenant: Uuid, module: &str) -> Result<()> {
        let of_tenant = Counted { who: "the tenant", parts: &["tenant"], limit: self.tenant_per_minute };
        self.count(tenant, &of_tenant).await?;
        if module.is_empty() {
            return Ok(());
        }
        let of_module =
            Counted { who: "the module", parts: &["module", module], limit: self.module_per_minute };
        let admitted = self.count(tenant, &of_module).await;
        if admitted.is_err() {
            let key = key(tenant, &of_tenant, Moment::of(self.clock.now()).minute);
            let _ = self.cache.increment(&key, -1, KEPT).await;
        }
        admitted
    }

    async fn count(&self, tenant: Uuid, counted: &Counted<'_>) -> Result<()> {
        let moment = Moment::of(self.clock.now());
        let (now, before) = (key(tenant, counted, moment.minute), key(tenant, counted, moment.minute - 1));
        let read = async {
            let count = self.cache.increment(&now, 1, KEPT).await?;
            let before = self.cache.get(&before).await?;
            let before = before.and_then(|count| std::str::from_utf8(&count).ok()?.parse().ok());
            Ok::<_, StoreError>((before.unwrap_or(0), count))
        };
        let wait = match read.await {
            Ok((before, count)) => moment.wait(i64::from(counted.limit), before, count),
            Err(error) => {
                tracing::warn!(%error, "the cache cannot count requests; this one is let through");
                return Ok(());
            }
        };
        let Some(seconds) = wait else { return Ok(()) };
        // Whoever goes on asking does not put the end off.
        if let Err(error) = self.cache.increment(&now, -1, KEPT).await {
            tracing::warn!(%error, "a refused request stays counted");
        }
        Err(NotifyError::TooOften { who: counted.who, limit: counted.limit, seconds })
    }
}

struct Counted<'a> {
    who: &'static str,
    parts: &'a [&'a str],
    limit: u32,
}

fn key(tenant: Uuid, counted: &Counted<'_>, minute: i64) -> CacheKey {
    let minute = minute.to_string();
    let mut parts = vec!["notify", "requests"];
    parts.extend(counted.parts);
    parts.push(&minute);
    CacheKey::tenant(tenant, &parts)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};

    use jiff::Timestamp;
    use svc_stores::cache::MemoryCache;

    use super::*;

    #[derive(Clone)]
    struct TurnedClock(Arc<AtomicI64>);

    impl Clock for TurnedClock {
        fn now(&self) -> Timestamp {
            Timestamp::from_second(self.0.load(Ordering::SeqCst)).unwrap()
        }
    }

    #[tokio::test]
    async fn whoever_waits_as_told_is_let_through_and_asking_in_between_does_not_hurt() {
        // The first second of a minute.
        let clock = TurnedClock(Arc::new(AtomicI64::new(1_800_000_000)));
        let limits = Limits::new(Arc::new(MemoryCache::new(100)), clock.clone(), 10, 3);
        let tenant = Uuid::now_v7();
        for _ in 0..10 {
            limits.admit(tenant, "").await.unwrap();
        }
        for _ in 0..1000 {
            let refused = limits.admit(tenant, "").await.unwrap_err();
            assert!(matches!(refused, NotifyError::TooOften { seconds: 66, .. }), "{refused:?}");
        }
        clock.0.fetch_add(65, Ordering::SeqCst);
        assert!(limits.admit(tenant, "").await.is_err());
        clock.0.fetch_add(1, Ordering::SeqCst);
        limits.admit(tenant, "").await.unwrap();
        limits.admit(Uuid::now_v7(), "").await.unwrap();
    }

    #[tokio::test]
    async fn what_a_module_is_refused_does_not_count_for_its_tenant() {
        let clock = TurnedClock(Arc::new(AtomicI64::new(1_800_000_000)));
        let limits = Limits::new(Arc::new(MemoryCache::new(100)), clock, 10, 3);
        let tenant = Uuid::now_v7();
        for turn in 0..20 {
            assert_eq!(limits.admit(tenant, "@acme/crm").await.is_ok(), turn < 3);
        }
        for _ in 0..7 {
            limits.admit(tenant, "").await.unwrap();
        }
        assert!(limits.admit(tenant, "").await.is_err());
    }
}
