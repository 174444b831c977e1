//! The life of a refresh token: used once, with a moment of grace, and a trap for thieves after that.

use std::time::Duration;

use jiff::Timestamp;

/// How long a refresh token can be used.
pub const REFRESH_LIFETIME: Duration = Duration::from_secs(7 * 24 * 3600);

/// How long the same token gives the same new pair: an answer may have been lost on its way.
pub const GRACE: Duration = Duration::from_secs(10);

/// What is known of a refresh token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RefreshRecord {
    /// When it ends.
    pub expires_at: Timestamp,
    /// When it was first used.
    pub used_at: Option<Timestamp>,
    /// Whether its session was ended.
    pub revoked: bool,
}

/// What to do with a refresh token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// First use: a new pair.
    Rotate,
    /// Used a moment ago: the same pair again, as it was made then.
    Repeat(Timestamp),
    /// Used long ago: somebody has a copy. The session ends.
    Stolen,
    /// Ended by time.
    Expired,
    /// Ended by logout or theft.
    Revoked,
}

/// Judges a token at a moment.
pub fn judge(record: RefreshRecord, now: Timestamp) -> Verdict {
    if record.revoked {
        return Verdict::Revoked;
    }
    match record.used_at {
        Some(used_at) if now.duration_since(used_at).unsigned_abs() <= GRACE => Verdict::Repeat(used_at),
        Some(_) => Verdict::Stolen,
        None if now >= record.expires_at => Verdict::Expired,
        None => Verdict::Rotate,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_used_once_with_ten_seconds_of_grace() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let fresh = RefreshRecord { expires_at: at(1000), used_at: None, revoked: false };
        let used = RefreshRecord { used_at: Some(at(100)), ..fresh };
        let cases = [
            (fresh, 100, Verdict::Rotate),
            (fresh, 999, Verdict::Rotate),
            (fresh, 1000, Verdict::Expired),
            (used, 100, Verdict::Repeat(at(100))),
            (used, 110, Verdict::Repeat(at(100))),
            (used, 111, Verdict::Stolen),
            (used, 2000, Verdict::Stolen),
            (RefreshRecord { revoked: true, ..fresh }, 100, Verdict::Revoked),
            (RefreshRecord { revoked: true, ..used }, 101, Verdict::Revoked),
        ];
        for (record, now, expected) in cases {
            assert_eq!(judge(record, at(now)), expected, "{record:?} at {now}");
        }
    }
}
