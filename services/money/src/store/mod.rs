//! The tables of the ledger. Each function is one or two statements inside of a caller's transaction.

mod answers;
mod holds;
mod transactions;
mod wallets;

pub(crate) use answers::{Answer, forget_answers, keep_answer, known_answer};
pub(crate) use holds::{
    ExpiredHold, StoredHold, count_open_holds, expired_holds, insert_hold, lock_hold, settle_hold,
};
pub(crate) use transactions::{
    NewTransaction, StoredTransaction, insert_entries, insert_transaction, list_transactions, mark_reversed,
    of_posting, transaction, transaction_in,
};
pub(crate) use wallets::{StoredWallet, insert_wallet, list_wallets, lock_wallet, save_balances, wallet};

use svc_stores::relational::Migration;

/// The schema.
pub(crate) const MIGRATIONS: &[Migration] = &[
    Migration::new(1, "ledger", include_str!("../../migrations/0001_ledger.sql")),
    Migration::new(2, "books", include_str!("../../migrations/0002_books.sql"))
        .for_postgres(include_str!("../../migrations/0002_books.postgres.sql")),
];
