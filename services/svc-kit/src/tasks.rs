//! Background work that lives as long as the service and outlives its own panics.

use std::{
    future::Future,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::FutureExt as _;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// The first wait before a task that panicked runs again; it doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Tells a part that it is time to stop. Clones speak of the same moment.
#[derive(Clone, Debug, Default)]
pub struct Shutdown(CancellationToken);

impl Shutdown {
    /// Completes when it is time to stop.
    pub async fn requested(&self) {
        self.0.cancelled().await;
    }

    /// Whether it is time to stop.
    pub fn is_requested(&self) -> bool {
        self.0.is_cancelled()
    }

    /// Waits so long, or until it is time to stop. Returns whether work goes on.
    pub async fn pause(&self, length: Duration) -> bool {
        tokio::time::timeout(length, self.requested()).await.is_err()
    }

    pub(crate) fn request(&self) {
        self.0.cancel();
    }
}

/// The background tasks of one service.
#[derive(Clone, Default)]
pub(crate) struct Tasks {
    pub(crate) shutdown: Shutdown,
    handles: Arc<Mutex<Vec<JoinHandle<()>>>>,
}

impl Tasks {
    /// Runs the task until it returns or the service stops. After a panic it starts again, with growing pauses.
    pub(crate) fn spawn<F, T>(&self, name: &'static str, task: F)
    where
        F: Fn(Shutdown) -> T + Send + Sync + 'static,
        T: Future<Output = ()> + Send + 'static,
    {
        let shutdown = self.shutdown.clone();
        let handle = tokio::spawn(async move {
            let mut pause = FIRST_PAUSE;
            // A panic inside `task(…)` itself counts as well, hence the block around it.
            while AssertUnwindSafe(async { task(shutdown.clone()).await }).catch_unwind().await.is_err() {
                tracing::error!(task = name, "a background task panicked and starts again");
                if !shutdown.pause(pause).await {
                    return;
                }
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        });
        self.lock().push(handle);
    }

    /// Asks every task to stop and waits so long. Returns whether all did; the others are cut off.
    pub(crate) async fn stop(&self, patience: Duration) -> bool {
        self.shutdown.request();
        let handles = std::mem::take(&mut *self.lock());
        let aborts: Vec<_> = handles.iter().map(JoinHandle::abort_handle).collect();
        let stopped = tokio::time::timeout(patience, futures::future::join_all(handles)).await.is_ok();
        for abort in aborts {
            abort.abort();
        }
        stopped
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<JoinHandle<()>>> {
        self.handles.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_task_that_panics_starts_again_and_stops_when_asked() {
        let tasks = Tasks::default();
        let starts = Arc::new(AtomicU32::new(0));
        let (third, reached) = (Arc::new(tokio::sync::Notify::new()), starts.clone());
        let signal = third.clone();
        tasks.spawn("shaky", move |shutdown| {
            let start = reached.fetch_add(1, Ordering::SeqCst) + 1;
            let signal = signal.clone();
            async move {
                assert!(start >= 3, "panics twice");
                signal.notify_one();
                shutdown.requested().await;
            }
        });
        third.notified().await;
        assert_eq!(starts.load(Ordering::SeqCst), 3);
        assert!(tasks.stop(Duration::from_secs(1)).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_does_not_listen_is_cut_off() {
        let tasks = Tasks::default();
        tasks.spawn("deaf", |_| std::future::pending());
        assert!(!tasks.stop(Duration::from_secs(1)).await);
    }
}
