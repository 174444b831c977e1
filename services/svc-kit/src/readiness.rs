//! Readiness is something that a part holds back and lets go: the service is ready when nobody holds a latch.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;

/// What a service still waits for. Cheap to clone; all clones speak of the same service.
#[derive(Clone)]
pub struct Readiness(Arc<Inner>);

struct Inner {
    latches: Mutex<BTreeMap<String, Option<String>>>,
    ready: watch::Sender<bool>,
}

impl Readiness {
    pub(crate) fn new() -> Readiness {
        Readiness(Arc::new(Inner { latches: Mutex::default(), ready: watch::Sender::new(true) }))
    }

    /// A latch by this name, held until it is released.
    pub fn latch(&self, name: impl Into<String>) -> Latch {
        let latch = Latch { readiness: self.clone(), name: name.into() };
        latch.hold("not ready yet");
        latch
    }

    /// Whether nothing is held.
    pub fn is_ready(&self) -> bool {
        *self.0.ready.borrow()
    }

    /// Every latch by name, with the reason why it is held.
    pub fn latches(&self) -> BTreeMap<String, Option<String>> {
        self.lock().clone()
    }

    /// What is missing, in one line for people. Empty when ready.
    pub fn reason(&self) -> String {
        let waiting =
            self.latches().into_iter().filter_map(|(name, reason)| Some(format!("{name}: {}", reason?)));
        waiting.collect::<Vec<_>>().join("; ")
    }

    /// Completes when the service is ready.
    pub async fn ready(&self) {
        // The sender lives in `self`, so the only error, a closed channel, cannot happen.
        let _ = self.0.ready.subscribe().wait_for(|ready| *ready).await;
    }

    pub(crate) fn watch(&self) -> watch::Receiver<bool> {
        self.0.ready.subscribe()
    }

    fn set(&self, name: &str, reason: Option<String>) {
        let mut latches = self.lock();
        latches.insert(name.to_owned(), reason);
        // Sent under the lock, so that two changes cannot be announced in the wrong order.
        let ready = latches.values().all(Option::is_none);
        self.0.ready.send_if_modified(|before| std::mem::replace(before, ready) != ready);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Option<String>>> {
        self.0.latches.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One part's say in whether the service is ready.
///
/// Dropping it changes nothing: a part that died while it held its latch must not make the service look ready.
pub struct Latch {
    readiness: Readiness,
    name: String,
}

impl Latch {
    /// This part is ready.
    pub fn release(&self) {
        self.readiness.set(&self.name, None);
    }

    /// This part is not ready, or not any more, for this reason.
    pub fn hold(&self, reason: impl Into<String>) {
        self.readiness.set(&self.name, Some(reason.into()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn ready_when_every_latch_is_released_and_not_a_moment_before() {
        let readiness = Readiness::new();
        assert!(readiness.is_ready(), "nothing to wait for");
        let database = readiness.latch("database");
        let cache = readiness.latch("cache");
        database.release();
        assert!(!readiness.is_ready());
        assert_eq!(readiness.reason(), "cache: not ready yet");
        let waiting = tokio::spawn({
            let readiness = readiness.clone();
            async move { readiness.ready().await }
        });
        cache.release();
        waiting.await.unwrap();
        database.hold("connection lost");
        assert_eq!(readiness.reason(), "database: connection lost");
        drop(database);
        assert!(!readiness.is_ready(), "a dropped latch stays held");
    }
}
