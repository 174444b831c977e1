//! Waiting for a condition, never for a time.

use std::{future::Future, time::Duration};

/// How long a test waits for something that should happen at once. Only a failing test waits this long.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Asks again and again until there is an answer. Panics after [`PATIENCE`], naming what was waited for.
pub async fn wait_for<T, F>(what: &str, mut ask: impl FnMut() -> F) -> T
where
    F: Future<Output = Option<T>>,
{
    let asking = async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, asking).await.unwrap_or_else(|_| panic!("waited {PATIENCE:?} for {what}"))
}
