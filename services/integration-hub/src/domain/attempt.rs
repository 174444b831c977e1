//! What to do after one attempt at a provider: hand back, try again after a pause, or give up.

use std::time::Duration;

/// The pauses before the second and every later attempt, in seconds. Five retries at most.
pub const PAUSES: [u64; 5] = [1, 2, 4, 8, 8];

/// The most retries a provider may be configured to have.
pub const MAX_RETRIES: u32 = 5;

/// The part of a pause that chance may add or take: 0.1 is ten per cent.
pub const JITTER: f64 = 0.1;

/// Why an attempt did not bring a usable answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// An answer of 5xx.
    Server {
        /// The HTTP status.
        status: u16,
    },
    /// No whole answer in time.
    Timeout,
    /// No connection, or it broke.
    Connection,
    /// An answer of 4xx: the request is at fault, so another try would be too.
    Client {
        /// The HTTP status.
        status: u16,
    },
    /// An answer of 3xx; redirects are not followed because they could lead anywhere.
    Redirect {
        /// The HTTP status.
        status: u16,
    },
    /// The answer is larger than we hand on.
    TooLarge,
    /// The address may not be reached.
    Refused,
}

impl Failure {
    /// Whether the same request may go better later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Server { .. } | Self::Timeout | Self::Connection)
    }

    /// Whether the provider is to blame, so that its breaker counts it.
    #[must_use]
    pub fn counts_against_provider(&self) -> bool {
        self.is_retryable()
    }
}

/// What follows a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Try again after this pause.
    RetryAfter(Duration),
    /// Tell the caller; trying again would not help. No dead letter.
    HandBack,
    /// Tell the caller and keep the request as a dead letter.
    DeadLetter,
}

/// Decides after attempt number `attempt` (from 1) of a request with `retries` retries. `chance` is uniform in
/// `0.0..1.0`.
#[must_use]
pub fn decide(failure: &Failure, attempt: u32, retries: u32, chance: f64) -> Decision {
    if !failure.is_retryable() {
        return Decision::HandBack;
    }
    if attempt > retries.min(MAX_RETRIES) {
        return Decision::DeadLetter;
    }
    Decision::RetryAfter(pause(attempt, chance))
}

/// The pause after attempt number `attempt` (from 1).
#[must_use]
pub fn pause(attempt: u32, chance: f64) -> Duration {
    let index = usize::try_from(attempt.saturating_sub(1)).unwrap_or(usize::MAX).min(PAUSES.len() - 1);
    let factor = 1.0 - JITTER + 2.0 * JITTER * chance.clamp(0.0, 1.0);
    Duration::from_secs(PAUSES[index]).mul_f64(factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIDDLE: f64 = 0.5;

    #[test]
    fn the_schedule_is_one_two_four_eight_eight_and_then_a_dead_letter() {
        let failure = Failure::Server { status: 503 };
        let pauses: Vec<u64> = (1..=5)
            .map(|attempt| match decide(&failure, attempt, MAX_RETRIES, MIDDLE) {
                Decision::RetryAfter(pause) => pause.as_secs(),
                other => panic!("attempt {attempt}: {other:?}"),
            })
            .collect();
        assert_eq!(pauses, [1, 2, 4, 8, 8]);
        assert_eq!(decide(&failure, 6, MAX_RETRIES, MIDDLE), Decision::DeadLetter);
        assert_eq!(decide(&failure, 6, 99, MIDDLE), Decision::DeadLetter, "no configuration exceeds five");
        assert_eq!(decide(&failure, 1, 0, MIDDLE), Decision::DeadLetter);
    }

    #[test]
    fn jitter_stays_within_ten_per_cent() {
        assert_eq!(pause(3, 0.0), Duration::from_millis(3600));
        assert_eq!(pause(3, 1.0), Duration::from_millis(4400));
        assert_eq!(pause(1, 7.0), Duration::from_millis(1100));
    }

    #[test]
    fn only_what_may_heal_is_tried_again() {
        for (failure, retried) in [
            (Failure::Server { status: 500 }, true),
            (Failure::Timeout, true),
            (Failure::Connection, true),
            (Failure::Client { status: 404 }, false),
            (Failure::Client { status: 429 }, false),
            (Failure::Redirect { status: 302 }, false),
            (Failure::TooLarge, false),
            (Failure::Refused, false),
        ] {
            assert_eq!(failure.is_retryable(), retried, "{failure:?}");
            let handed_back = decide(&failure, 1, 3, MIDDLE) == Decision::HandBack;
            assert_eq!(handed_back, !retried, "{failure:?}");
        }
    }
}
