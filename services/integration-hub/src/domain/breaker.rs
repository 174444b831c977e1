//! The circuit breaker of one provider: five failures within thirty seconds open it for a minute; then one call may
//! probe, and its outcome decides.

use std::collections::VecDeque;
use std::time::Duration;

use jiff::Timestamp;

/// This many failures …
pub const FAILURES_TO_OPEN: usize = 5;
/// … within this time open the breaker …
pub const FAILURE_WINDOW: Duration = Duration::from_secs(30);
/// … for this long.
pub const OPEN_FOR: Duration = Duration::from_secs(60);

/// The state as callers see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerState {
    /// Calls pass.
    Closed,
    /// One call may probe.
    HalfOpen,
    /// Calls are refused.
    Open,
}

impl BreakerState {
    /// The logged form.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::HalfOpen => "half_open",
            Self::Open => "open",
        }
    }
}

/// Whether one attempt may be made now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permit {
    /// Go, and report the outcome.
    Allowed,
    /// Do not go before this time.
    Refused {
        /// When the next probe is possible.
        retry_at: Timestamp,
    },
}

/// The breaker itself. Every allowed attempt must be followed by exactly one of [`Breaker::succeeded`],
/// [`Breaker::failed`] and [`Breaker::abandoned`].
#[derive(Clone, Debug, Default)]
pub struct Breaker {
    inner: Inner,
}

#[derive(Clone, Debug)]
enum Inner {
    Closed { failures: VecDeque<Timestamp> },
    Open { until: Timestamp },
    HalfOpen { probe_started: Timestamp },
}

impl Default for Inner {
    fn default() -> Self {
        Self::Closed { failures: VecDeque::new() }
    }
}

impl Breaker {
    /// The state at `now`. An open breaker whose time is up shows as half-open.
    #[must_use]
    pub fn state(&self, now: Timestamp) -> BreakerState {
        match &self.inner {
            Inner::Closed { .. } => BreakerState::Closed,
            Inner::Open { until } if now < *until => BreakerState::Open,
            Inner::Open { .. } | Inner::HalfOpen { .. } => BreakerState::HalfOpen,
        }
    }

    /// Asks to make one attempt.
    pub fn acquire(&mut self, now: Timestamp) -> Permit {
        match &self.inner {
            Inner::Closed { .. } => Permit::Allowed,
            Inner::Open { until } if now < *until => Permit::Refused { retry_at: *until },
            Inner::Open { .. } => {
                self.inner = Inner::HalfOpen { probe_started: now };
                Permit::Allowed
            }
            // One probe at a time. A probe that never reported (its caller was dropped) must not block for ever.
            Inner::HalfOpen { probe_started } => {
                let retry_at = later(*probe_started, OPEN_FOR);
                if now < retry_at {
                    Permit::Refused { retry_at }
                } else {
                    self.inner = Inner::HalfOpen { probe_started: now };
                    Permit::Allowed
                }
            }
        }
    }

    /// The attempt reached a provider that works; an answer of 4xx counts as that too.
    pub fn succeeded(&mut self) {
        match &self.inner {
            // A success does not wipe failures inside the window: a provider that fails every other call is sick.
            Inner::Closed { .. } | Inner::Open { .. } => {}
            Inner::HalfOpen { .. } => self.inner = Inner::default(),
        }
    }

    /// The attempt failed: 5xx, timeout or no connection.
    pub fn failed(&mut self, now: Timestamp) {
        match &mut self.inner {
            Inner::Closed { failures } => {
                failures.push_back(now);
                while failures.front().is_some_and(|first| later(*first, FAILURE_WINDOW) <= now) {
                    failures.pop_front();
                }
                if failures.len() >= FAILURES_TO_OPEN {
                    self.inner = Inner::Open { until: later(now, OPEN_FOR) };
                }
            }
            Inner::HalfOpen { .. } => self.inner = Inner::Open { until: later(now, OPEN_FOR) },
            // A straggler that was allowed before the breaker opened tells nothing new.
            Inner::Open { .. } => {}
        }
    }

    /// The attempt was never made, so it says nothing: a probe's place is given back.
    pub fn abandoned(&mut self, now: Timestamp) {
        if matches!(self.inner, Inner::HalfOpen { .. }) {
            self.inner = Inner::Open { until: now };
        }
    }
}

fn later(from: Timestamp, by: Duration) -> Timestamp {
    from.saturating_add(by).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + seconds).expect("in range")
    }

    /// Plays a script of `second:action` and returns the state after each, for example `0:f` (failed at 0 s).
    fn play(script: &str) -> String {
        let mut breaker = Breaker::default();
        let mut seen = Vec::new();
        for step in script.split_whitespace() {
            let (second, action) = step.split_once(':').expect("second:action");
            let now = at(second.parse().expect("a number"));
            let outcome = match action {
                "f" => {
                    breaker.failed(now);
                    breaker.state(now).as_str()
                }
                "s" => {
                    breaker.succeeded();
                    breaker.state(now).as_str()
                }
                "x" => {
                    breaker.abandoned(now);
                    breaker.state(now).as_str()
                }
                "?" => match breaker.acquire(now) {
                    Permit::Allowed => "go",
                    Permit::Refused { .. } => "no",
                },
                other => panic!("unknown action {other}"),
            };
            seen.push(outcome);
        }
        seen.join(" ")
    }

    #[test]
    fn five_failures_within_thirty_seconds_open_it() {
        assert_eq!(play("0:f 1:f 2:f 3:f 4:f 5:?"), "closed closed closed closed open no");
        assert_eq!(play("0:f 1:f 2:f 3:f 30:f 31:?"), "closed closed closed closed closed go");
        assert_eq!(play("0:f 1:f 2:f 3:f 29:f"), "closed closed closed closed open");
    }

    #[test]
    fn successes_between_do_not_hide_a_sick_provider() {
        assert_eq!(play("0:f 0:s 1:f 1:s 2:f 2:s 3:f 3:s 4:f").split(' ').next_back(), Some("open"));
    }

    #[test]
    fn after_a_minute_one_probe_decides() {
        let opened = "0:f 0:f 0:f 0:f 0:f";
        let tail = |script: &str, count: usize| {
            let all = play(&format!("{opened} {script}"));
            all.split(' ').skip(5).take(count).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(tail("59:? 60:? 60:? 61:s 61:?", 5), "no go no closed go");
        assert_eq!(tail("60:? 61:f 62:? 120:? 121:?", 5), "go open no no go");
    }

    #[test]
    fn a_probe_that_vanished_or_was_given_back_does_not_block_for_ever() {
        let opened = "0:f 0:f 0:f 0:f 0:f 60:?";
        assert!(play(&format!("{opened} 119:? 120:? 120:?")).ends_with("go no go no"));
        assert!(play(&format!("{opened} 61:x 61:?")).ends_with("go half_open go"));
    }

    #[test]
    fn a_straggler_does_not_prolong_the_open_time() {
        assert!(play("0:f 0:f 0:f 0:f 0:f 59:f 60:?").ends_with("open go"));
    }

    #[test]
    fn a_refusal_says_when_to_come_back() {
        let mut breaker = Breaker::default();
        for _ in 0..FAILURES_TO_OPEN {
            breaker.failed(at(0));
        }
        assert_eq!(breaker.acquire(at(10)), Permit::Refused { retry_at: at(60) });
    }
}
