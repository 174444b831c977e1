//! A circuit breaker per service: after [`THRESHOLD`] failures in a row within [`WINDOW`] nobody asks that service for
//! [`REST`]; then one request tries, and its outcome decides.
//!
//! The state machine is pure: it is told the time.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use svc_kit::metrics::BreakerState;

/// So many failures in a row open the breaker.
pub const THRESHOLD: u32 = 5;
/// They must have happened within this time.
pub const WINDOW: Duration = Duration::from_secs(30);
/// How long an open breaker refuses.
pub const REST: Duration = Duration::from_secs(5);

/// What a breaker lets through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum State {
    /// Everything. `since` is when the first of the failures happened.
    #[default]
    Calm,
    /// Everything, but failures were seen.
    Counting {
        /// Failures in a row.
        failures: u32,
        /// When the first of them happened.
        since: Instant,
    },
    /// Nothing, until then.
    Open {
        /// When one request may try.
        until: Instant,
    },
    /// One request is on its way to try; nothing else.
    Probing,
}

/// How a request ended, as far as the breaker cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The service answered, even if it was with an error of its own.
    Answered,
    /// The service could not be reached or took too long.
    Failed,
    /// Nobody knows: the client went away first.
    Abandoned,
}

impl State {
    /// Whether a request may pass now; if not, how long to wait.
    ///
    /// # Errors
    ///
    /// The time until the next try is worth it.
    pub fn admit(self, now: Instant) -> Result<State, Duration> {
        match self {
            State::Calm | State::Counting { .. } => Ok(self),
            State::Open { until } if now >= until => Ok(State::Probing),
            State::Open { until } => Err(until - now),
            // The probe will be done soon, one way or the other.
            State::Probing => Err(Duration::from_secs(1)),
        }
    }

    /// The state after a request ended.
    #[must_use]
    pub fn after(self, outcome: Outcome, now: Instant) -> State {
        match (self, outcome) {
            // A probe that tells nothing lets the next request try at once.
            (State::Probing, Outcome::Abandoned) => State::Open { until: now },
            (State::Probing, Outcome::Failed) => State::Open { until: now + REST },
            // Requests from before it opened may end late and change nothing.
            (open @ State::Open { .. }, _) => open,
            (state, Outcome::Abandoned) => state,
            (_, Outcome::Answered) => State::Calm,
            (State::Counting { failures, since }, Outcome::Failed) if now - since <= WINDOW => {
                if failures + 1 >= THRESHOLD {
                    State::Open { until: now + REST }
                } else {
                    State::Counting { failures: failures + 1, since }
                }
            }
            (State::Calm | State::Counting { .. }, Outcome::Failed) => {
                State::Counting { failures: 1, since: now }
            }
        }
    }

    /// The name as the API and the logs write it.
    pub fn name(self) -> &'static str {
        match self {
            State::Calm | State::Counting { .. } => "closed",
            State::Open { .. } => "open",
            State::Probing => "half_open",
        }
    }

    /// Failures in a row.
    pub fn failures(self) -> u32 {
        match self {
            State::Calm => 0,
            State::Counting { failures, .. } => failures,
            State::Open { .. } | State::Probing => THRESHOLD,
        }
    }
}

/// As the metric `circuit_breaker_state` writes it.
impl From<State> for BreakerState {
    fn from(state: State) -> BreakerState {
        match state {
            State::Calm | State::Counting { .. } => BreakerState::Closed,
            State::Probing => BreakerState::HalfOpen,
            State::Open { .. } => BreakerState::Open,
        }
    }
}

/// The state of one service, shared by all requests to it.
#[derive(Debug, Default)]
pub struct Breaker {
    /// Whether `state` is anything but calm. While it is not, no request takes the lock.
    disturbed: AtomicBool,
    state: Mutex<State>,
}

impl Breaker {
    /// Asks to pass.
    ///
    /// # Errors
    ///
    /// How long to wait before it is worth asking again.
    pub fn admit(&self) -> Result<Permit<'_>, Duration> {
        if self.disturbed.load(Ordering::Acquire) {
            let mut state = self.lock();
            *state = state.admit(Instant::now())?;
        }
        Ok(Permit { breaker: self, done: false })
    }

    /// The state.
    pub fn state(&self) -> State {
        *self.lock()
    }

    fn record(&self, outcome: Outcome) {
        if outcome != Outcome::Failed && !self.disturbed.load(Ordering::Acquire) {
            return;
        }
        let mut state = self.lock();
        let before = state.name();
        *state = state.after(outcome, Instant::now());
        self.disturbed.store(*state != State::Calm, Ordering::Release);
        if before != state.name() {
            tracing::warn!(from = before, to = state.name(), "circuit breaker changed");
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Leave to ask a service. Dropped without a word it counts as abandoned, so that a probe never stays open.
#[derive(Debug)]
pub struct Permit<'b> {
    breaker: &'b Breaker,
    done: bool,
}

impl Permit<'_> {
    /// Tells how it ended.
    pub fn record(mut self, outcome: Outcome) {
        self.done = true;
        self.breaker.record(outcome);
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if !self.done {
            self.breaker.record(Outcome::Abandoned);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plays a script of `(second, event)`: `f` failed, `a` answered, `x` abandoned, `?` asks to pass.
    fn play(script: &[(u64, char)]) -> (State, Vec<bool>) {
        let start = Instant::now();
        let mut state = State::Calm;
        let mut passed = Vec::new();
        for (second, event) in script {
            let now = start + Duration::from_secs(*second);
            let outcome = match event {
                'f' => Outcome::Failed,
                'a' => Outcome::Answered,
                'x' => Outcome::Abandoned,
                _ => {
                    let admitted = state.admit(now);
                    passed.push(admitted.is_ok());
                    state = admitted.unwrap_or(state);
                    continue;
                }
            };
            state = state.after(outcome, now);
        }
        (state, passed)
    }

    const OPEN: [(u64, char); 5] = [(0, 'f'), (1, 'f'), (2, 'f'), (3, 'f'), (4, 'f')];

    #[test]
    fn the_states_follow_the_table() {
        let then = |more: &[(u64, char)]| [&OPEN[..], more].concat();
        type Case<'a> = (&'a str, Vec<(u64, char)>, &'a str, &'a [bool]);
        let table: &[Case<'_>] = &[
            ("four failures do not open it", OPEN[..4].to_vec(), "closed", &[]),
            ("five do", OPEN.to_vec(), "open", &[]),
            (
                "an answer between them starts over",
                vec![(0, 'f'), (0, 'f'), (0, 'f'), (0, 'f'), (0, 'a'), (1, 'f')],
                "closed",
                &[],
            ),
            (
                "five in more than 30 s do not",
                vec![(0, 'f'), (10, 'f'), (20, 'f'), (30, 'f'), (31, 'f')],
                "closed",
                &[],
            ),
            (
                "abandoned ones do not count",
                vec![(0, 'f'), (0, 'f'), (0, 'f'), (0, 'f'), (0, 'x')],
                "closed",
                &[],
            ),
            ("open refuses", then(&[(5, '?')]), "open", &[false]),
            ("after the rest exactly one passes", then(&[(9, '?'), (9, '?')]), "half_open", &[true, false]),
            ("the probe succeeds", then(&[(9, '?'), (9, 'a'), (9, '?')]), "closed", &[true, true]),
            ("the probe fails", then(&[(9, '?'), (9, 'f'), (10, '?')]), "open", &[true, false]),
            ("the probe is abandoned", then(&[(9, '?'), (9, 'x'), (9, '?')]), "half_open", &[true, true]),
            ("late answers do not close it", then(&[(5, 'a'), (6, '?')]), "open", &[false]),
        ];
        for (name, script, state, passed) in table {
            let (end, seen) = play(script);
            assert_eq!((end.name(), seen.as_slice()), (*state, *passed), "{name}");
        }
    }

    #[test]
    fn a_dropped_permit_frees_the_probe() {
        let breaker = Breaker::default();
        for _ in 0..THRESHOLD {
            breaker.admit().unwrap().record(Outcome::Failed);
        }
        assert!(breaker.admit().unwrap_err() <= REST);
        *breaker.lock() = State::Open { until: Instant::now() };
        let probe = breaker.admit().unwrap();
        assert!(breaker.admit().is_err(), "only one probe");
        drop(probe);
        breaker.admit().unwrap().record(Outcome::Answered);
        assert_eq!(breaker.state(), State::Calm);
        assert!(!breaker.disturbed.load(Ordering::Acquire));
    }
}
