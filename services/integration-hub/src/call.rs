//! One call of a provider from beginning to end: breaker, attempts, pauses, verdict.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use thiserror::Error;
use tokio::time::Instant;
use uuid::Uuid;

use crate::domain::breaker::{BreakerState, Permit};
use crate::domain::{Breaker, Decision, Failure, OutboundRequest, ProviderConfig, decide};
use crate::outbound::{Answer, NoAnswer, Outbound};
use crate::ports::Surroundings;

/// What is kept of a caller's patience to write a dead letter and answer.
const TIME_TO_NOTE: Duration = Duration::from_millis(200);

/// Is told the state of a provider's breaker when it is another than before.
pub type BreakerObserver = Box<dyn Fn(Uuid, BreakerState) + Send + Sync>;

/// The breakers of all providers. They live in memory: after a restart each provider gets a fresh chance.
#[derive(Default)]
pub struct Breakers {
    by_provider: Mutex<HashMap<Uuid, (Breaker, BreakerState)>>,
    observer: Option<BreakerObserver>,
}

impl Breakers {
    /// Breakers that are watched.
    #[must_use]
    pub fn observed(observer: BreakerObserver) -> Self {
        Self { by_provider: Mutex::default(), observer: Some(observer) }
    }

    /// The state of a provider's breaker.
    pub fn state(&self, provider: Uuid, now: Timestamp) -> BreakerState {
        self.with(provider, now, |breaker| breaker.state(now))
    }

    /// Forgets a provider that no longer exists.
    pub fn forget(&self, provider: Uuid) {
        self.by_provider.lock().unwrap_or_else(PoisonError::into_inner).remove(&provider);
    }

    fn with<T>(&self, provider: Uuid, now: Timestamp, act: impl FnOnce(&mut Breaker) -> T) -> T {
        let mut breakers = self.by_provider.lock().unwrap_or_else(PoisonError::into_inner);
        let (breaker, shown) =
            breakers.entry(provider).or_insert_with(|| (Breaker::default(), BreakerState::Closed));
        let outcome = act(breaker);
        let state = breaker.state(now);
        if state != *shown {
            *shown = state;
            if let Some(observer) = &self.observer {
                observer(provider, state);
            }
        }
        outcome
    }
}

/// An answer below 400 and the way to it.
#[derive(Clone, Debug)]
pub struct Success {
    /// The answer.
    pub answer: Answer,
    /// How often the provider was asked.
    pub attempts: u32,
}

/// Why a call brought no usable answer.
#[derive(Clone, Debug, Error)]
pub enum CallError {
    /// The breaker is open; nothing was sent.
    #[error("the provider has failed too often; calls are held back until {retry_at}")]
    Open {
        /// When the next call may probe it.
        retry_at: Timestamp,
    },
    /// The provider, or the rules for reaching it, refused the request; another try would not help.
    #[error("{reason}")]
    HandedBack {
        /// The class.
        failure: Failure,
        /// What happened.
        reason: String,
        /// What the provider said, when it did.
        answer: Option<Box<Answer>>,
    },
    /// Every attempt failed.
    #[error("{attempts} of {attempts} attempts failed; the last one: {reason}")]
    Exhausted {
        /// The last failure.
        failure: Failure,
        /// What happened last.
        reason: String,
        /// How often the provider was asked.
        attempts: u32,
    },
}

/// Sends `request` as often as the rules say. `deadline` is when the caller stops waiting: a pause that would end
/// after it is not begun.
pub async fn call(
    outbound: &dyn Outbound,
    breakers: &Breakers,
    surroundings: &dyn Surroundings,
    provider: Uuid,
    config: &ProviderConfig,
    request: &OutboundRequest,
    deadline: Option<Instant>,
) -> Result<Success, CallError> {
    let mut attempt = 0;
    let mut last: Option<NoAnswer> = None;
    loop {
        let now = surroundings.now();
        if let Permit::Refused { retry_at } = breakers.with(provider, now, |breaker| breaker.acquire(now)) {
            // The breaker opened between two attempts: what has been tried is lost, so it becomes a dead letter.
            return Err(match last {
                Some(NoAnswer { failure, reason }) => {
                    CallError::Exhausted { failure, reason, attempts: attempt }
                }
                None => CallError::Open { retry_at },
            });
        }
        attempt += 1;
        let outcome = match outbound.send(request, time_for(config.timeout, deadline)).await {
            Ok(answer) => judge(answer),
            Err(no_answer) => Err(no_answer.into()),
        };
        let (no_answer, answer) = match outcome {
            Ok(answer) => {
                breakers.with(provider, surroundings.now(), Breaker::succeeded);
                return Ok(Success { answer, attempts: attempt });
            }
            Err(Unusable { no_answer, answer }) => (no_answer, answer),
        };
        let now = surroundings.now();
        breakers.with(provider, now, |breaker| report(breaker, &no_answer.failure, now));
        let NoAnswer { failure, reason } = no_answer;
        let decision = decide(&failure, attempt, config.retries, surroundings.chance());
        tracing::info!(%provider, attempt, ?failure, ?decision, "a provider gave no usable answer");
        match decision {
            Decision::HandBack => return Err(CallError::HandedBack { failure, reason, answer }),
            Decision::RetryAfter(pause) if fits(pause, deadline) => {
                surroundings.pause(pause).await;
                last = Some(NoAnswer { failure, reason });
            }
            Decision::RetryAfter(_) | Decision::DeadLetter => {
                return Err(CallError::Exhausted { failure, reason, attempts: attempt });
            }
        }
    }
}

struct Unusable {
    no_answer: NoAnswer,
    answer: Option<Box<Answer>>,
}

impl From<NoAnswer> for Unusable {
    fn from(no_answer: NoAnswer) -> Self {
        Self { no_answer, answer: None }
    }
}

/// Sorts answers by their status.
fn judge(answer: Answer) -> Result<Answer, Unusable> {
    let status = answer.status.as_u16();
    let failure = match status {
        0..=299 => return Ok(answer),
        300..=399 => Failure::Redirect { status },
        400..=499 => Failure::Client { status },
        _ => Failure::Server { status },
    };
    let no_answer = NoAnswer { failure, reason: format!("the provider answered with status {status}") };
    Err(Unusable { no_answer, answer: Some(Box::new(answer)) })
}

fn report(breaker: &mut Breaker, failure: &Failure, now: Timestamp) {
    if failure.counts_against_provider() {
        breaker.failed(now);
    } else if *failure == Failure::Refused {
        // Nothing was sent, so nothing is known about the provider.
        breaker.abandoned(now);
    } else {
        breaker.succeeded();
    }
}

/// What an attempt may take: enough of the caller's patience is left to note the outcome.
fn time_for(timeout: Duration, deadline: Option<Instant>) -> Duration {
    let Some(deadline) = deadline else { return timeout };
    timeout.min(deadline.saturating_duration_since(Instant::now()).saturating_sub(TIME_TO_NOTE))
}

fn fits(pause: Duration, deadline: Option<Instant>) -> bool {
    deadline.is_none_or(|deadline| Instant::now() + pause + TIME_TO_NOTE < deadline)
}
