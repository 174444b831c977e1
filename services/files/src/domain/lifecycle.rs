//! The states of a file and the only ways between them.
//!
//! ```text
//! pending_scan ──clean──▶ available ──trash──▶ trashed ──30 d / purge──▶ gone
//!      │                    ▲   │                 │
//!      └─infected/expired─▶ rejected ─purge─▶ gone└──restore──▶ available
//! ```

use std::time::Duration;

use jiff::Timestamp;
use thiserror::Error;

/// A file in the trash is deleted for good after this time.
pub const TRASH_TTL: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// An upload that is still not scanned after this time is rejected.
pub const STAGING_TTL: Duration = Duration::from_secs(24 * 60 * 60);

/// Where a file stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// Uploaded, not scanned: for its owner it does not exist yet.
    PendingScan,
    /// Scanned and clean.
    Available,
    /// Infected, or never scanned. Its bytes are gone.
    Rejected,
    /// Deleted, and restorable for 30 days.
    Trashed,
}

impl Status {
    /// Every state.
    pub const ALL: [Self; 4] = [Self::PendingScan, Self::Available, Self::Rejected, Self::Trashed];

    /// The stored form.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PendingScan => "pending_scan",
            Self::Available => "available",
            Self::Rejected => "rejected",
            Self::Trashed => "trashed",
        }
    }

    /// Reads the stored form.
    #[must_use]
    pub fn from_stored(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }
}

/// What can happen to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The scanner found nothing.
    ScannedClean,
    /// The scanner found something.
    ScannedInfected,
    /// Nobody scanned it in time, or its bytes are lost.
    StagingExpired,
    /// Its owner deleted it.
    Trash,
    /// Its owner took it back.
    Restore,
    /// Deleted for good.
    Purge,
}

/// Where an event leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// To this state.
    To(Status),
    /// Out of existence.
    Gone,
}

/// An event that the state does not allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a file that is {} can't be {}", state.as_str(), event.participle())]
pub struct NotAllowed {
    /// The state.
    pub state: Status,
    /// The event.
    pub event: Event,
}

impl Event {
    fn participle(self) -> &'static str {
        match self {
            Self::ScannedClean | Self::ScannedInfected => "scanned",
            Self::StagingExpired => "expired from staging",
            Self::Trash => "deleted",
            Self::Restore => "restored",
            Self::Purge => "deleted for good",
        }
    }
}

/// The state after `event`.
pub fn next(state: Status, event: Event) -> Result<Next, NotAllowed> {
    match (state, event) {
        (Status::PendingScan, Event::ScannedClean) | (Status::Trashed, Event::Restore) => {
            Ok(Next::To(Status::Available))
        }
        (Status::PendingScan, Event::ScannedInfected | Event::StagingExpired) => {
            Ok(Next::To(Status::Rejected))
        }
        (Status::Available, Event::Trash) => Ok(Next::To(Status::Trashed)),
        (Status::Available | Status::Rejected | Status::Trashed, Event::Purge) => Ok(Next::Gone),
        _ => Err(NotAllowed { state, event }),
    }
}

/// Whether something that began at `since` has outlived `limit`. A clock that runs backwards expires nothing.
#[must_use]
pub fn is_older_than(since: Timestamp, limit: Duration, now: Timestamp) -> bool {
    Duration::try_from(now.duration_since(since)).is_ok_and(|age| age >= limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn these_ways_exist_and_no_others() {
        use Event as E;
        use Status as S;
        let allowed = [
            (S::PendingScan, E::ScannedClean, Next::To(S::Available)),
            (S::PendingScan, E::ScannedInfected, Next::To(S::Rejected)),
            (S::PendingScan, E::StagingExpired, Next::To(S::Rejected)),
            (S::Available, E::Trash, Next::To(S::Trashed)),
            (S::Available, E::Purge, Next::Gone),
            (S::Rejected, E::Purge, Next::Gone),
            (S::Trashed, E::Restore, Next::To(S::Available)),
            (S::Trashed, E::Purge, Next::Gone),
        ];
        let events = [E::ScannedClean, E::ScannedInfected, E::StagingExpired, E::Trash, E::Restore, E::Purge];
        for state in Status::ALL {
            for event in events {
                let expected = allowed.iter().find(|way| way.0 == state && way.1 == event).map(|way| way.2);
                assert_eq!(next(state, event).ok(), expected, "{state:?} + {event:?}");
            }
        }
    }

    #[test]
    fn a_refusal_reads_as_a_sentence() {
        let refusal = next(Status::Rejected, Event::Restore).expect_err("not allowed");
        assert_eq!(refusal.to_string(), "a file that is rejected can't be restored");
    }

    #[test]
    fn ages_are_counted_from_the_start() {
        let start = Timestamp::UNIX_EPOCH;
        let at = |hours: i64| Timestamp::from_second(hours * 3600).expect("in range");
        assert!(!is_older_than(start, STAGING_TTL, at(23)));
        assert!(is_older_than(start, STAGING_TTL, at(24)));
        assert!(!is_older_than(at(48), STAGING_TTL, start));
        assert!(is_older_than(start, TRASH_TTL, at(720)));
    }

    #[test]
    fn states_survive_being_stored() {
        for state in Status::ALL {
            assert_eq!(Status::from_stored(state.as_str()), Some(state));
        }
    }
}
