//! How much.

use super::Refusal;

/// An amount in the minor unit of its currency (cents): above zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Amount(i64);

impl Amount {
    /// An amount that one operation may move.
    ///
    /// # Errors
    /// When it is not above zero, or above `maximum`.
    pub const fn new(minor_units: i64, maximum: i64) -> Result<Self, Refusal> {
        if minor_units <= 0 {
            Err(Refusal::InvalidAmount(minor_units))
        } else if minor_units > maximum {
            Err(Refusal::LimitExceeded { amount: minor_units, maximum })
        } else {
            Ok(Self(minor_units))
        }
    }

    /// An amount that was accepted before, under whichever maximum there was then.
    ///
    /// # Errors
    /// When it is not above zero.
    pub const fn accepted(minor_units: i64) -> Result<Self, Refusal> {
        Self::new(minor_units, i64::MAX)
    }

    /// In minor units.
    #[must_use]
    pub const fn minor_units(self) -> i64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_is_above_zero_and_at_most_the_maximum() {
        assert_eq!(Amount::new(0, 100), Err(Refusal::InvalidAmount(0)));
        assert_eq!(Amount::new(-5, 100), Err(Refusal::InvalidAmount(-5)));
        assert_eq!(Amount::new(100, 100).map(Amount::minor_units), Ok(100));
        assert_eq!(Amount::new(101, 100), Err(Refusal::LimitExceeded { amount: 101, maximum: 100 }));
    }
}
