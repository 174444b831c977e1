//! The life of the key that signs access tokens: Loading → Active → DualActive → Active …, and Degraded while the
//! secrets store is away.

use std::time::Duration;

use jiff::Timestamp;

/// A key signs for so long.
pub const ROTATION: Duration = Duration::from_secs(90 * 24 * 3600);

/// After a new key began to sign, the one before it verifies for so long: the life of an access token.
pub const OVERLAP: Duration = Duration::from_secs(15 * 60);

/// A secrets store that was not heard of for so long is away.
pub const SILENCE: Duration = Duration::from_secs(5 * 60);

/// A key that could not be looked up for so long signs no more: nobody would hear of a rotation.
pub const DEGRADED_LIMIT: Duration = Duration::from_secs(7 * 24 * 3600);

/// What is known of the keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyRecord {
    /// When the key that signs was made.
    pub made_at: Timestamp,
    /// Whether there was one before it.
    pub has_before: bool,
    /// When the secrets store was last heard of.
    pub heard_at: Timestamp,
}

/// The state of the keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyState {
    /// No key yet: nothing can be signed.
    Loading,
    /// One key signs and verifies.
    Active,
    /// The new key signs, the one before it still verifies.
    DualActive,
    /// The secrets store is away; the key in memory goes on signing.
    Degraded,
    /// It was away for too long: what was signed is verified, nothing new is signed.
    Expired,
}

impl KeyState {
    /// Whether tokens can be signed.
    pub fn signs(self) -> bool {
        matches!(self, KeyState::Active | KeyState::DualActive | KeyState::Degraded)
    }
}

/// The state at a moment.
pub fn state_of(keys: Option<KeyRecord>, now: Timestamp) -> KeyState {
    let Some(keys) = keys else { return KeyState::Loading };
    let silent = since(keys.heard_at, now);
    if silent > DEGRADED_LIMIT {
        KeyState::Expired
    } else if silent > SILENCE {
        KeyState::Degraded
    } else if before_verifies(keys, now) {
        KeyState::DualActive
    } else {
        KeyState::Active
    }
}

/// Whether the key before still verifies.
pub fn before_verifies(keys: KeyRecord, now: Timestamp) -> bool {
    keys.has_before && since(keys.made_at, now) < OVERLAP
}

/// Whether it is time for a new key.
pub fn is_due(keys: KeyRecord, now: Timestamp) -> bool {
    since(keys.made_at, now) >= ROTATION
}

/// How long ago; nothing for what is yet to come, as clocks differ.
fn since(then: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(then)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_states_follow_from_time_alone() {
        const DAY: i64 = 24 * 3600;
        let at = |second: i64| Timestamp::from_second(second).unwrap();
        // Made at 0, heard of at the third column.
        let cases = [
            (false, 0, 0, KeyState::Active, false),
            (true, 0, 0, KeyState::DualActive, false),
            (true, 899, 899, KeyState::DualActive, false),
            (true, 900, 900, KeyState::Active, false),
            (true, 899, 599, KeyState::DualActive, false),
            (true, 899, 598, KeyState::Degraded, false),
            (true, -5, 0, KeyState::DualActive, false),
            (false, 7 * DAY, 0, KeyState::Degraded, false),
            (false, 7 * DAY + 1, 0, KeyState::Expired, false),
            (false, 90 * DAY - 1, 90 * DAY - 1, KeyState::Active, false),
            (false, 90 * DAY, 90 * DAY, KeyState::Active, true),
            (false, 90 * DAY, 90 * DAY - 301, KeyState::Degraded, true),
        ];
        for (has_before, now, heard, state, due) in cases {
            let keys = KeyRecord { made_at: at(0), has_before, heard_at: at(heard) };
            assert_eq!(state_of(Some(keys), at(now)), state, "{has_before} {now} {heard}");
            assert_eq!(is_due(keys, at(now)), due, "{now}");
        }
        assert_eq!(state_of(None, at(0)), KeyState::Loading);
        let signing = [KeyState::Active, KeyState::DualActive, KeyState::Degraded];
        for state in [KeyState::Loading, KeyState::Expired].into_iter().chain(signing) {
            assert_eq!(state.signs(), signing.contains(&state), "{state:?}");
        }
    }
}
