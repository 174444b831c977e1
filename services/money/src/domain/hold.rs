//! Money that is set aside for a while.

use std::fmt;

use jiff::{SignedDuration, Timestamp};

use super::Refusal;

/// How many holds of one wallet may be open at once.
pub const MAXIMUM_OPEN_HOLDS: i64 = 100;

/// Where a hold stands. Only an open one can change, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HoldStatus {
    /// Open: the money is frozen.
    Held,
    /// The money left the wallet.
    Confirmed,
    /// The money is available again.
    Canceled,
}

impl HoldStatus {
    /// As it is stored and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Confirmed => "confirmed",
            Self::Canceled => "canceled",
        }
    }

    /// Reads what [`HoldStatus::as_str`] wrote.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Held, Self::Confirmed, Self::Canceled].into_iter().find(|status| status.as_str() == text)
    }

    /// Whether the hold may be confirmed at `now`. An expired hold waits only for the sweep to cancel it.
    ///
    /// # Errors
    /// When it was settled before or its time is over.
    pub fn may_confirm(self, expires_at: Timestamp, now: Timestamp) -> Result<(), Refusal> {
        self.may_cancel()?;
        if now >= expires_at { Err(Refusal::HoldExpired) } else { Ok(()) }
    }

    /// Whether the hold may be canceled.
    ///
    /// # Errors
    /// When it was settled before.
    pub const fn may_cancel(self) -> Result<(), Refusal> {
        match self {
            Self::Held => Ok(()),
            settled => Err(Refusal::HoldSettled(settled)),
        }
    }
}

impl fmt::Display for HoldStatus {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// How long a hold lasts when nobody settles it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetime(i64);

impl Lifetime {
    /// 72 hours.
    pub const DEFAULT_SECONDS: i64 = 72 * 3600;
    /// 7 days.
    pub const MAXIMUM_SECONDS: i64 = 7 * 24 * 3600;

    /// A lifetime in seconds; 0 stands for the default.
    ///
    /// # Errors
    /// When it is below zero or above the maximum.
    pub const fn new(seconds: i64) -> Result<Self, Refusal> {
        match seconds {
            0 => Ok(Self(Self::DEFAULT_SECONDS)),
            1..=Self::MAXIMUM_SECONDS => Ok(Self(seconds)),
            _ => Err(Refusal::InvalidLifetime(seconds)),
        }
    }

    /// When a hold of this lifetime ends that begins at `now`.
    #[must_use]
    pub fn ends(self, now: Timestamp) -> Timestamp {
        now.checked_add(SignedDuration::from_secs(self.0)).unwrap_or(Timestamp::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lifetime_has_a_default_and_a_maximum() {
        let start = Timestamp::UNIX_EPOCH;
        assert_eq!(Lifetime::new(0).unwrap().ends(start).as_second(), 259_200);
        assert_eq!(Lifetime::new(604_800).unwrap().ends(start).as_second(), 604_800);
        assert_eq!(Lifetime::new(604_801), Err(Refusal::InvalidLifetime(604_801)));
        assert_eq!(Lifetime::new(-1), Err(Refusal::InvalidLifetime(-1)));
    }

    #[test]
    fn only_an_open_hold_is_settled_and_only_in_time_confirmed() {
        let (now, later) = (Timestamp::UNIX_EPOCH, Timestamp::from_second(60).unwrap());
        assert_eq!(HoldStatus::Held.may_confirm(later, now), Ok(()));
        assert_eq!(HoldStatus::Held.may_confirm(now, now), Err(Refusal::HoldExpired));
        assert_eq!(HoldStatus::Held.may_cancel(), Ok(()));
        for settled in [HoldStatus::Confirmed, HoldStatus::Canceled] {
            assert_eq!(settled.may_confirm(later, now), Err(Refusal::HoldSettled(settled)));
            assert_eq!(settled.may_cancel(), Err(Refusal::HoldSettled(settled)));
            assert_eq!(HoldStatus::parse(settled.as_str()), Some(settled));
        }
    }
}
