//! Wallets with double entry, holds, transfers, reversals.
