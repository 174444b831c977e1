//! What the hub takes from its surroundings and tests replace: the time, pauses and chance.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

/// Time, pauses and chance. One trait, since a test that controls one of them controls all.
#[async_trait]
pub trait Surroundings: Send + Sync {
    /// The time, to the microsecond, as the database keeps it: an answer does not change when it is read again.
    fn now(&self) -> Timestamp;
    /// Waits.
    async fn pause(&self, length: Duration);
    /// A number in `0.0..1.0`.
    fn chance(&self) -> f64;
}

/// The real ones.
#[derive(Clone, Copy, Debug, Default)]
pub struct System;

impl System {
    /// As a shared port.
    #[must_use]
    pub fn shared() -> Arc<dyn Surroundings> {
        Arc::new(Self)
    }
}

#[async_trait]
impl Surroundings for System {
    fn now(&self) -> Timestamp {
        let now = Timestamp::now();
        Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now)
    }

    async fn pause(&self, length: Duration) {
        tokio::time::sleep(length).await;
    }

    fn chance(&self) -> f64 {
        rand::random()
    }
}
