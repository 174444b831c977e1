//! When a delivery that failed is tried again.

use std::time::Duration;

/// How often delivery is tried at most.
pub const ATTEMPTS: u32 = 5;

/// By how much a wait is longer or shorter at most, so that what failed together is not tried again together.
const JITTER: f64 = 0.1;

/// Waits that double: 30, 60, 120 and 240 s, each ±10 %. The next would be 480 s, but five attempts are enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    first: Duration,
}

impl Default for Schedule {
    fn default() -> Self {
        Self { first: Duration::from_secs(30) }
    }
}

impl Schedule {
    /// A schedule whose first wait is this long.
    #[must_use]
    pub const fn starting_with(first: Duration) -> Self {
        Self { first }
    }

    /// How long to wait after the `attempt`th attempt (from 1) has failed; `None` when that was the last.
    /// `chance` between -1 and 1 chooses within the jitter.
    #[must_use]
    pub fn wait_after(&self, attempt: u32, chance: f64) -> Option<Duration> {
        if attempt == 0 || attempt >= ATTEMPTS {
            return None;
        }
        let exact = self.first.saturating_mul(1 << (attempt - 1));
        Some(exact.mul_f64(1.0 + JITTER * chance.clamp(-1.0, 1.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_from_thirty_seconds_and_end_after_five_attempts() {
        let schedule = Schedule::default();
        let exact: Vec<_> =
            (1..=5).map(|attempt| schedule.wait_after(attempt, 0.0).map(|wait| wait.as_secs())).collect();
        assert_eq!(exact, [Some(30), Some(60), Some(120), Some(240), None]);
    }

    #[test]
    fn chance_moves_a_wait_by_a_tenth_at_most() {
        let wait = |chance| Schedule::default().wait_after(1, chance).unwrap().as_millis();
        assert_eq!((wait(-1.0), wait(1.0)), (27_000, 33_000));
        assert_eq!((wait(-9.0), wait(9.0)), (27_000, 33_000));
    }
}
