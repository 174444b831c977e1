//! What the adapters of real parts share: deadlines, retry by kind of error, and a circuit breaker.
//!
//! Each error says the variable and the host, never the value of the variable.

use std::error::Error;
use std::future::Future;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::error::{Result, StoreError};
use crate::url::{Remote, Store};

/// How often a call that may be repeated is made.
const ATTEMPTS: u32 = 3;
/// Before the second attempt; each further one waits four times as long.
const FIRST_PAUSE: Duration = Duration::from_millis(25);
/// The breaker opens after so many failures in a row …
const FAILURES: u32 = 5;
/// … and lets one call through after each such pause.
const OPEN_FOR: Duration = Duration::from_secs(1);

/// Why a call to a real part failed.
#[derive(Debug)]
pub(crate) enum Fault {
    /// It was not reached, was cut off or said that it is busy: the same call may succeed later.
    Away(String),
    /// It answered, and this is the answer. Repeating the call would change nothing.
    Answered(StoreError),
}

/// The way to a real part. Says why it is not passable.
#[derive(Debug)]
pub(crate) struct Link {
    store: Store,
    host: String,
    deadline: Duration,
    breaker: Breaker,
}

impl Link {
    /// A link to `remote` on which each attempt takes at most `deadline`.
    pub(crate) fn new(remote: &Remote, deadline: Duration) -> Self {
        Self { store: remote.store(), host: remote.host().to_owned(), deadline, breaker: Breaker::default() }
    }

    /// Makes a call that must not be repeated, because it may have been done even when no answer came.
    pub(crate) async fn once<T>(
        &self,
        attempted: &str,
        call: impl Future<Output = Result<T, Fault>>,
    ) -> Result<T> {
        self.attempt(attempted, call).await.map_err(|failure| failure.error)
    }

    /// Makes a call that is harmless to repeat. A part that gave no answer in time is not asked again: it would
    /// take as long once more.
    pub(crate) async fn repeat<T, F: Future<Output = Result<T, Fault>>>(
        &self,
        attempted: &str,
        call: impl Fn() -> F,
    ) -> Result<T> {
        let mut pause = FIRST_PAUSE;
        for attempt in 1.. {
            match self.attempt(attempted, call()).await {
                Err(failure) if failure.again && attempt < ATTEMPTS => {}
                other => return other.map_err(|failure| failure.error),
            }
            tokio::time::sleep(pause.mul_f64(rand::random_range(0.5..1.0))).await;
            pause *= 4;
        }
        Err(self.unavailable(attempted, "was not asked"))
    }

    async fn attempt<T>(
        &self,
        attempted: &str,
        call: impl Future<Output = Result<T, Fault>>,
    ) -> Result<T, Failure> {
        if let Err(last) = self.breaker.admit(Instant::now()) {
            let problem = format!("not asked again so soon after it failed repeatedly: {last}");
            return Err(Failure { again: false, error: self.unavailable(attempted, &problem) });
        }
        let (again, problem) = match tokio::time::timeout(self.deadline, call).await {
            Ok(Ok(answer)) => {
                self.breaker.succeeded();
                return Ok(answer);
            }
            Ok(Err(Fault::Answered(error))) => {
                self.breaker.succeeded();
                return Err(Failure { again: false, error });
            }
            Ok(Err(Fault::Away(problem))) => (true, problem),
            Err(_) => (false, format!("no answer within {:?}", self.deadline)),
        };
        self.breaker.failed(Instant::now(), &problem);
        Err(Failure { again, error: self.unavailable(attempted, &problem) })
    }

    fn unavailable(&self, attempted: &str, problem: &str) -> StoreError {
        StoreError::Unavailable {
            attempted: attempted.to_owned(),
            problem: format!("{} ({}): {problem}", self.store.variable(), self.host),
        }
    }

    /// What the part answered, as an error that names it.
    pub(crate) fn answered(&self, attempted: &str, problem: &str) -> Fault {
        let source = format!("{} ({}): {problem}", self.store.variable(), self.host);
        Fault::Answered(StoreError::failed(attempted, source))
    }
}

struct Failure {
    again: bool,
    error: StoreError,
}

/// An error with its causes, in one line.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        // Some errors repeat their cause in their own words.
        if !text.ends_with(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        cause = inner.source();
    }
    text
}

/// Closed while calls succeed. Open after [`FAILURES`] in a row: then one call per [`OPEN_FOR`] is let through, until
/// one succeeds. A call that is given up by its caller changes nothing.
#[derive(Debug, Default)]
struct Breaker(Mutex<Failures>);

#[derive(Debug, Default)]
struct Failures {
    in_a_row: u32,
    next_at: Option<Instant>,
    last: String,
}

impl Breaker {
    /// `Err` with the last failure while no call is let through.
    fn admit(&self, now: Instant) -> Result<(), String> {
        let mut failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if failures.in_a_row < FAILURES {
            return Ok(());
        }
        if failures.next_at.is_some_and(|next| now < next) {
            return Err(failures.last.clone());
        }
        failures.next_at = Some(now + OPEN_FOR);
        Ok(())
    }

    fn succeeded(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).in_a_row = 0;
    }

    fn failed(&self, now: Instant, problem: &str) {
        let mut failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        failures.in_a_row = failures.in_a_row.saturating_add(1);
        failures.next_at = Some(now + OPEN_FOR);
        problem.clone_into(&mut failures.last);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    fn link(deadline: Duration) -> Link {
        let url = crate::url::StoreUrl::parse(Store::Cache, "valkey://:hunter2@cache.test:6379").unwrap();
        Link::new(url.remote().unwrap(), deadline)
    }

    #[test]
    fn a_breaker_opens_after_failures_in_a_row_and_tries_one_call_at_a_time() {
        let (breaker, start) = (Breaker::default(), Instant::now());
        for _ in 1..FAILURES {
            breaker.failed(start, "refused");
        }
        breaker.succeeded();
        for _ in 1..FAILURES {
            breaker.failed(start, "refused");
        }
        assert_eq!(breaker.admit(start), Ok(()), "not enough in a row");
        breaker.failed(start, "refused");
        assert_eq!(breaker.admit(start), Err("refused".to_owned()));
        let later = start + OPEN_FOR;
        assert_eq!(breaker.admit(later), Ok(()), "one is let through");
        assert!(breaker.admit(later).is_err(), "and no second one beside it");
        assert_eq!(
            breaker.admit(later + OPEN_FOR),
            Ok(()),
            "a call that was given up does not block for ever"
        );
        breaker.succeeded();
        assert_eq!(breaker.admit(later), Ok(()));
    }

    #[tokio::test]
    async fn what_was_cut_off_is_tried_again_and_what_was_answered_is_not() {
        let (link, calls) = (link(Duration::from_secs(10)), AtomicU32::new(0));
        let answer = link.repeat("read", || async {
            match calls.fetch_add(1, Ordering::SeqCst) {
                0 | 1 => Err(Fault::Away("connection refused".to_owned())),
                _ => Ok(7),
            }
        });
        assert_eq!((answer.await.unwrap(), calls.load(Ordering::SeqCst)), (7, 3));

        let refused = link.repeat("read", || async {
            calls.fetch_add(1, Ordering::SeqCst);
            Err::<(), _>(link.answered("read", "wrong password"))
        });
        let said = refused.await.unwrap_err();
        assert_eq!(said.to_string(), "read: CACHE_URL (cache.test:6379): wrong password");
        assert!(!said.is_transient());
        assert_eq!(calls.load(Ordering::SeqCst), 4);
    }

    #[tokio::test]
    async fn a_part_that_does_not_answer_is_left_alone_after_a_few_calls() {
        let (link, calls) = (link(Duration::from_millis(5)), AtomicU32::new(0));
        let mut said = String::new();
        for _ in 0..FAILURES + 3 {
            let silent = || async {
                calls.fetch_add(1, Ordering::SeqCst);
                std::future::pending::<Result<(), Fault>>().await
            };
            said = link.repeat("read", silent).await.unwrap_err().to_string();
        }
        assert_eq!(calls.load(Ordering::SeqCst), FAILURES, "silence is not answered with more questions");
        assert!(
            said.contains("CACHE_URL (cache.test:6379)") && said.contains("no answer within 5ms"),
            "{said}"
        );
        assert!(!said.contains("hunter2"));
    }
}
