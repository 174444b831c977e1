//! How many requests a tenant may send per minute: a sliding window in this process.
//!
//! The window is the usual one of two counters: the last full minute counts by the part of it that the window still
//! covers. Pure: the time is a parameter. Gateways do not share their counts.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// The length of the window in milliseconds.
const WINDOW: u64 = 60_000;
const SHARDS: usize = 16;
/// A shard with more keys forgets those that have been quiet for two windows, once in a window.
const SWEEP_AT: usize = 4_096;

/// What a request found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It may pass; so many more may follow now.
    Pass {
        /// How many more.
        remaining: u32,
    },
    /// It may not; the next one may after this time.
    Refuse {
        /// How long.
        wait: Duration,
    },
}

#[derive(Debug, Clone, Copy, Default)]
struct Counter {
    window: u64,
    current: u32,
    previous: u32,
}

impl Counter {
    fn take(&mut self, now: u64, limit: u32) -> Verdict {
        let window = now / WINDOW;
        if window != self.window {
            self.previous = if window == self.window + 1 { self.current } else { 0 };
            (self.current, self.window) = (0, window);
        }
        let into = now % WINDOW;
        let carried = u64::from(self.previous) * (WINDOW - into) / WINDOW;
        let used = carried + u64::from(self.current);
        let limit = u64::from(limit);
        if used < limit {
            self.current += 1;
            return Verdict::Pass { remaining: u32::try_from(limit - used - 1).unwrap_or(u32::MAX) };
        }
        Verdict::Refuse { wait: Duration::from_millis(self.wait(into, limit)) }
    }

    /// Milliseconds until the carried count has shrunk enough for one more.
    fn wait(&self, into: u64, limit: u64) -> u64 {
        let rest = WINDOW - into;
        let (previous, current) = (u64::from(self.previous), u64::from(self.current));
        if current < limit && previous > 0 {
            // The last moment m of `carried(m) + current >= limit`, and one further.
            let covered = (limit - current) * WINDOW / previous;
            return rest.saturating_sub(covered).max(1);
        }
        // Only the next window helps: there the current count is the carried one.
        let covered = limit * WINDOW / current.max(1);
        rest + WINDOW.saturating_sub(covered)
    }
}

#[derive(Debug, Default)]
struct Shard {
    counters: HashMap<String, Counter>,
    /// The window in which it was last swept.
    swept: u64,
}

/// The counters of all tenants.
pub struct RateLimit {
    shards: Vec<Mutex<Shard>>,
    hasher: RandomState,
}

impl Default for RateLimit {
    fn default() -> RateLimit {
        RateLimit { shards: (0..SHARDS).map(|_| Mutex::default()).collect(), hasher: RandomState::new() }
    }
}

impl RateLimit {
    /// Counts one request under this key. `now` is in milliseconds of any clock that never goes back.
    pub fn take(&self, key: &str, limit: u32, now: u64) -> Verdict {
        let hash = usize::try_from(self.hasher.hash_one(key) % SHARDS as u64).unwrap_or(0);
        let mut shard = self.shards[hash].lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(counter) = shard.counters.get_mut(key) {
            return counter.take(now, limit);
        }
        let window = now / WINDOW;
        if shard.counters.len() >= SWEEP_AT && shard.swept != window {
            shard.counters.retain(|_, counter| window <= counter.window + 1);
            shard.swept = window;
        }
        shard.counters.entry(key.to_owned()).or_default().take(now, limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passed(limits: &RateLimit, key: &str, limit: u32, now: u64, tries: u32) -> u32 {
        let passes = (0..tries).filter(|_| matches!(limits.take(key, limit, now), Verdict::Pass { .. }));
        u32::try_from(passes.count()).unwrap()
    }

    #[test]
    fn the_limit_holds_over_every_window() {
        let limits = RateLimit::default();
        assert_eq!(passed(&limits, "t", 1_000, 30_000, 1_200), 1_000);
        assert_eq!(passed(&limits, "t", 1_000, 59_999, 10), 0);
        // A quarter into the next minute three quarters of the last one still count.
        assert_eq!(passed(&limits, "t", 1_000, 75_000, 1_200), 250);
        assert_eq!(passed(&limits, "t", 1_000, 300_000, 1_200), 1_000, "long quiet");
    }

    #[test]
    fn tenants_do_not_share() {
        let limits = RateLimit::default();
        assert_eq!(passed(&limits, "a", 5, 0, 10), 5);
        assert_eq!(passed(&limits, "b", 5, 0, 10), 5);
    }

    #[test]
    fn what_remains_is_counted_down() {
        let limits = RateLimit::default();
        assert_eq!(limits.take("t", 2, 0), Verdict::Pass { remaining: 1 });
        assert_eq!(limits.take("t", 2, 0), Verdict::Pass { remaining: 0 });
        assert!(matches!(limits.take("t", 2, 0), Verdict::Refuse { .. }));
    }

    #[test]
    fn after_the_wait_one_passes_and_not_much_before() {
        for (limit, burst, at) in [(10, 10, 0), (10, 10, 59_000), (1_000, 1_000, 30_000), (7, 7, 12_345)] {
            for more in [0, 61_000, 75_000] {
                let limits = RateLimit::default();
                passed(&limits, "t", limit, at, burst);
                let now = at + more;
                passed(&limits, "t", limit, now, burst);
                let Verdict::Refuse { wait } = limits.take("t", limit, now) else {
                    panic!("{limit} {at} {more}: still passes")
                };
                let wait = u64::try_from(wait.as_millis()).unwrap();
                assert_eq!(passed(&limits, "t", limit, now + wait + 1, 1), 1, "{limit} {at} {more}: {wait}");
                assert!(wait <= 2 * WINDOW);
            }
        }
    }

    #[test]
    fn quiet_tenants_are_forgotten() {
        let limits = RateLimit::default();
        for tenant in 0..(SHARDS * SWEEP_AT) {
            limits.take(&tenant.to_string(), 5, 0);
        }
        for tenant in 0..SHARDS * 8 {
            limits.take(&format!("new {tenant}"), 5, 600_000);
        }
        let kept: usize = limits.shards.iter().map(|shard| shard.lock().unwrap().counters.len()).sum();
        assert!(kept < SHARDS * SWEEP_AT, "{kept}");
    }
}
