//! What time it is, behind a port, so that a test can let hours pass.

use jiff::Timestamp;

/// A clock.
pub trait Clock: Send + Sync + 'static {
    /// Now, in whole microseconds: the store keeps no more, and an answer must not change when it is read again.
    fn now(&self) -> Timestamp;
}

/// The clock of this machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let now = Timestamp::now();
        Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now)
    }
}
