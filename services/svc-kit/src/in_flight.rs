//! How many requests are being worked on, from their first byte to the last of their answer.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::sync::Notify;

/// Counts requests. Clones count together.
#[derive(Clone, Default)]
pub(crate) struct InFlight(Arc<Inner>);

#[derive(Default)]
struct Inner {
    count: AtomicUsize,
    idle: Notify,
}

/// One request. Dropped, it is done.
pub(crate) struct Flight(Arc<Inner>);

impl InFlight {
    /// A request begins.
    pub(crate) fn enter(&self) -> Flight {
        self.0.count.fetch_add(1, Ordering::AcqRel);
        Flight(Arc::clone(&self.0))
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.0.count.load(Ordering::Acquire)
    }

    /// Completes when there is none.
    pub(crate) async fn idle(&self) {
        loop {
            let mut told = std::pin::pin!(self.0.idle.notified());
            // Listening before looking, so that the last one cannot end in between.
            told.as_mut().enable();
            if self.count() == 0 {
                return;
            }
            told.await;
        }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        if self.0.count.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.idle.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn idle_when_the_last_request_is_done() {
        let requests = InFlight::default();
        requests.idle().await;
        let (one, other) = (requests.enter(), requests.enter());
        let waiting = tokio::spawn({
            let requests = requests.clone();
            async move { requests.idle().await }
        });
        drop(one);
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(other);
        waiting.await.unwrap();
        assert_eq!(requests.count(), 0);
    }
}
