//! The rules of money: no store, no network, no clock.

mod amount;
mod currency;
mod hold;
mod movement;

pub use amount::Amount;
pub use currency::Currency;
pub use hold::{HoldStatus, Lifetime, MAXIMUM_OPEN_HOLDS};
pub use movement::{Balances, Entry, Movement, Place, Pocket};

use uuid::Uuid;

/// Why a movement of money is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Zero or less.
    #[error("the amount is {0}, but must be above zero")]
    InvalidAmount(i64),
    /// More than the plan allows in one operation, in minor units.
    #[error("the amount is {amount}, but one operation moves at most {maximum}")]
    LimitExceeded {
        /// What was asked for.
        amount: i64,
        /// What is allowed.
        maximum: i64,
    },
    /// The wallet does not have so much, in minor units.
    #[error("wallet {wallet} has {has} {pocket} and {needed} are needed")]
    InsufficientFunds {
        /// The wallet.
        wallet: Uuid,
        /// Which part of it.
        pocket: Pocket,
        /// What it has.
        has: i64,
        /// What is needed.
        needed: i64,
    },
    /// The wallet would hold more than can be counted.
    #[error("wallet {0} would hold more than can be counted")]
    Overflow(Uuid),
    /// The movement names a wallet that was not given.
    #[error("there is no wallet {0}")]
    UnknownWallet(Uuid),
    /// A code that is no currency.
    #[error("`{0}` is no currency code: three to five capital letters such as EUR")]
    InvalidCurrency(String),
    /// Two wallets of different currencies.
    #[error("one wallet has {from} and the other {to}; money is not exchanged here")]
    CurrencyMismatch {
        /// Of the wallet that pays.
        from: Currency,
        /// Of the wallet that gets.
        to: Currency,
    },
    /// Both sides are one wallet.
    #[error("a transfer needs two different wallets")]
    SameWallet,
    /// The lifetime of a hold is out of range, in seconds.
    #[error("the hold would last {0} seconds, but 1 to {max} are allowed", max = Lifetime::MAXIMUM_SECONDS)]
    InvalidLifetime(i64),
    /// Too many holds of the wallet are open.
    #[error("{MAXIMUM_OPEN_HOLDS} holds of the wallet are open already; confirm or cancel one first")]
    TooManyHolds,
    /// The hold was settled before.
    #[error("the hold is {0} already")]
    HoldSettled(HoldStatus),
    /// The hold's time is over; it is being canceled.
    #[error("the hold has expired")]
    HoldExpired,
    /// Such a transaction cannot be undone.
    #[error("a transaction of type {0} cannot be reversed; only credit, debit, confirm and transfers can")]
    NotReversible(String),
    /// It was undone before.
    #[error("the transaction was reversed already, by {0}")]
    AlreadyReversed(Uuid),
}
