//! Of what.

use std::fmt;

use super::Refusal;

/// A currency code: ISO 4217, or another of three to five capital letters such as BTC or USDT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Currency(String);

impl Currency {
    /// The currency of this code.
    ///
    /// # Errors
    /// When it has another shape.
    pub fn parse(code: &str) -> Result<Self, Refusal> {
        if (3..=5).contains(&code.len()) && code.bytes().all(|letter| letter.is_ascii_uppercase()) {
            Ok(Self(code.to_owned()))
        } else {
            Err(Refusal::InvalidCurrency(code.to_owned()))
        }
    }

    /// The code.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_three_to_five_capital_letters() {
        for good in ["EUR", "BTC", "USDT", "MATIC"] {
            assert_eq!(Currency::parse(good).map(|currency| currency.to_string()), Ok(good.to_owned()));
        }
        for bad in ["", "eur", "EU", "DOLLAR", "E1R", "ÉUR"] {
            assert!(Currency::parse(bad).is_err(), "{bad}");
        }
    }
}
