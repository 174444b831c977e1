//! Every operation is one movement from one place to another, and every movement is two entries that add up to zero.

use std::collections::BTreeMap;
use std::fmt;

use uuid::Uuid;

use super::{Amount, Refusal};

/// A part of a wallet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pocket {
    /// Free to use.
    Available,
    /// Held.
    Frozen,
}

impl Pocket {
    /// As it is stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Available => "available",
            Self::Frozen => "frozen",
        }
    }
}

impl fmt::Display for Pocket {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// Where money is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Beyond the platform: where credits come from and debits go.
    Outside,
    /// In a pocket of a wallet.
    Wallet(Uuid, Pocket),
}

impl Place {
    /// The wallet, unless it is outside.
    #[must_use]
    pub const fn wallet(self) -> Option<Uuid> {
        match self {
            Self::Outside => None,
            Self::Wallet(wallet, _) => Some(wallet),
        }
    }
}

/// One side of a movement: plus where money comes, minus where it goes, in minor units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where.
    pub place: Place,
    /// How much.
    pub amount: i64,
}

/// What a wallet holds, in minor units. Never below zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Balances {
    /// Free to use.
    pub available: i64,
    /// Held.
    pub frozen: i64,
}

/// Money on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Movement {
    /// Where it leaves.
    pub from: Place,
    /// Where it arrives.
    pub to: Place,
    /// How much.
    pub amount: Amount,
}

impl Movement {
    /// Into a wallet from outside.
    #[must_use]
    pub const fn credit(wallet: Uuid, amount: Amount) -> Self {
        Self { from: Place::Outside, to: Place::Wallet(wallet, Pocket::Available), amount }
    }

    /// Out of a wallet.
    #[must_use]
    pub const fn debit(wallet: Uuid, amount: Amount) -> Self {
        Self { from: Place::Wallet(wallet, Pocket::Available), to: Place::Outside, amount }
    }

    /// Set aside within a wallet.
    #[must_use]
    pub const fn hold(wallet: Uuid, amount: Amount) -> Self {
        Self {
            from: Place::Wallet(wallet, Pocket::Available),
            to: Place::Wallet(wallet, Pocket::Frozen),
            amount,
        }
    }

    /// Out of a wallet, from what was set aside.
    #[must_use]
    pub const fn confirm(wallet: Uuid, amount: Amount) -> Self {
        Self { from: Place::Wallet(wallet, Pocket::Frozen), to: Place::Outside, amount }
    }

    /// Back from what was set aside.
    #[must_use]
    pub const fn cancel(wallet: Uuid, amount: Amount) -> Self {
        Self {
            from: Place::Wallet(wallet, Pocket::Frozen),
            to: Place::Wallet(wallet, Pocket::Available),
            amount,
        }
    }

    /// From one wallet to another.
    ///
    /// # Errors
    /// When both are the same.
    pub fn transfer(from: Uuid, to: Uuid, amount: Amount) -> Result<Self, Refusal> {
        if from == to {
            return Err(Refusal::SameWallet);
        }
        Ok(Self {
            from: Place::Wallet(from, Pocket::Available),
            to: Place::Wallet(to, Pocket::Available),
            amount,
        })
    }

    /// The two entries of this movement.
    #[must_use]
    pub const fn entries(&self) -> [Entry; 2] {
        let amount = self.amount.minor_units();
        [Entry { place: self.from, amount: -amount }, Entry { place: self.to, amount }]
    }

    /// The wallets that it touches, in ascending order: the order in which they are locked, so that two movements
    /// never wait for each other.
    #[must_use]
    pub fn wallets(&self) -> Vec<Uuid> {
        let mut wallets: Vec<_> = [self.from, self.to].into_iter().filter_map(Place::wallet).collect();
        wallets.sort_unstable();
        wallets.dedup();
        wallets
    }

    /// Carries the movement out on these wallets, or leaves them as they are.
    ///
    /// # Errors
    /// When a wallet is missing, has not enough, or would hold more than can be counted.
    pub fn apply(&self, wallets: &mut BTreeMap<Uuid, Balances>) -> Result<(), Refusal> {
        let mut changed = BTreeMap::new();
        for Entry { place, amount } in self.entries() {
            let Place::Wallet(wallet, pocket) = place else { continue };
            let known = changed.get(&wallet).or_else(|| wallets.get(&wallet));
            let mut balances: Balances = *known.ok_or(Refusal::UnknownWallet(wallet))?;
            let part = match pocket {
                Pocket::Available => &mut balances.available,
                Pocket::Frozen => &mut balances.frozen,
            };
            let after = part.checked_add(amount).ok_or(Refusal::Overflow(wallet))?;
            if after < 0 {
                let needed = self.amount.minor_units();
                return Err(Refusal::InsufficientFunds { wallet, pocket, has: *part, needed });
            }
            *part = after;
            changed.insert(wallet, balances);
        }
        wallets.extend(changed);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn wallet(number: u8) -> Uuid {
        Uuid::from_u128(u128::from(number) + 1)
    }

    fn amount() -> impl Strategy<Value = Amount> {
        prop_oneof![1..500i64, Just(i64::MAX), Just(i64::MAX / 2)]
            .prop_map(|units| Amount::accepted(units).unwrap())
    }

    fn movement() -> impl Strategy<Value = Movement> {
        (0..6u8, 0..3u8, 0..3u8, amount()).prop_map(|(kind, one, other, amount)| match kind {
            0 => Movement::credit(wallet(one), amount),
            1 => Movement::debit(wallet(one), amount),
            2 => Movement::hold(wallet(one), amount),
            3 => Movement::confirm(wallet(one), amount),
            4 => Movement::cancel(wallet(one), amount),
            _ => Movement::transfer(wallet(one), wallet(other), amount)
                .unwrap_or(Movement::credit(wallet(one), amount)),
        })
    }

    proptest! {
        #[test]
        fn whatever_happens_entries_add_up_to_zero_and_nothing_is_below_zero(
            movements in prop::collection::vec(movement(), 0..200)
        ) {
            let mut wallets: BTreeMap<_, _> = (0..3).map(|number| (wallet(number), Balances::default())).collect();
            let mut accepted: Vec<Entry> = Vec::new();
            for movement in movements {
                let before = wallets.clone();
                prop_assert_eq!(movement.entries().iter().map(|entry| i128::from(entry.amount)).sum::<i128>(), 0);
                match movement.apply(&mut wallets) {
                    Ok(()) => accepted.extend(movement.entries()),
                    Err(_) => prop_assert_eq!(&wallets, &before, "a refused movement changes nothing"),
                }
                for (id, balances) in &wallets {
                    prop_assert!(balances.available >= 0 && balances.frozen >= 0);
                    for (pocket, balance) in [(Pocket::Available, balances.available), (Pocket::Frozen, balances.frozen)] {
                        let written: i128 = accepted.iter()
                            .filter(|entry| entry.place == Place::Wallet(*id, pocket))
                            .map(|entry| i128::from(entry.amount)).sum();
                        prop_assert_eq!(written, i128::from(balance), "the balance is the sum of its entries");
                    }
                }
            }
        }

        #[test]
        fn wallets_are_locked_in_one_order(one in 0..9u8, other in 0..9u8, amount in amount()) {
            prop_assume!(one != other);
            let there = Movement::transfer(wallet(one), wallet(other), amount).unwrap();
            let back = Movement::transfer(wallet(other), wallet(one), amount).unwrap();
            prop_assert_eq!(there.wallets(), back.wallets());
            prop_assert_eq!(there.wallets().len(), 2);
        }
    }

    #[test]
    fn a_transfer_needs_two_wallets() {
        let amount = Amount::accepted(1).unwrap();
        assert_eq!(Movement::transfer(wallet(1), wallet(1), amount), Err(Refusal::SameWallet));
    }

    #[test]
    fn a_refusal_says_what_is_there_and_what_is_needed() {
        let mut wallets = BTreeMap::from([(wallet(0), Balances { available: 5, frozen: 9 })]);
        let refused = Movement::debit(wallet(0), Amount::accepted(7).unwrap()).apply(&mut wallets);
        assert_eq!(
            refused.unwrap_err().to_string(),
            "wallet 00000000-0000-0000-0000-000000000001 has 5 available and 7 are needed"
        );
    }
}
