//! The history: transactions for people, entries for the books.

use jiff::Timestamp;
use svc_kit::message::Page;
use svc_stores::relational::{Row, Scope, Transaction};
use svc_stores::{Result, values};
use uuid::Uuid;

use crate::domain::{Entry, Place};

const BY_ID: &str = "SELECT * FROM transactions WHERE tenant_id = $1 AND id = $2";

/// One wallet's side of a movement, before it is written.
#[derive(Clone, Debug)]
pub(crate) struct NewTransaction<'a> {
    pub id: Uuid,
    pub wallet_id: Uuid,
    pub posting_id: Uuid,
    pub kind: &'a str,
    pub status: &'a str,
    pub amount: i64,
    pub currency: &'a str,
    pub balance_after: i64,
    pub description: &'a str,
    pub related_id: Option<Uuid>,
    pub created_by: Option<Uuid>,
    pub created_at: Timestamp,
}

/// One wallet's side of a movement.
#[derive(Clone, Debug)]
pub(crate) struct StoredTransaction {
    pub id: Uuid,
    pub wallet_id: Uuid,
    pub posting_id: Uuid,
    pub kind: String,
    pub status: String,
    pub amount: i64,
    pub currency: String,
    pub balance_after: i64,
    pub description: String,
    pub related_id: Option<Uuid>,
    pub reversed_by: Option<Uuid>,
    pub created_at: Timestamp,
}

pub(crate) async fn insert_transaction(
    transaction: &mut Transaction,
    new: &NewTransaction<'_>,
) -> Result<StoredTransaction> {
    let sql =
        "INSERT INTO transactions (id, tenant_id, wallet_id, posting_id, kind, status, amount, currency,
            balance_after, description, related_id, created_by, created_at)
        VALUES ($2, $1, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) RETURNING *";
    let values = values![
        new.id,
        new.wallet_id,
        new.posting_id,
        new.kind,
        new.status,
        new.amount,
        new.currency,
        new.balance_after,
        new.description,
        new.related_id,
        new.created_by,
        new.created_at
    ];
    read(&transaction.fetch_one(sql, values).await?)
}

pub(crate) async fn insert_entries(
    transaction: &mut Transaction,
    posting_id: Uuid,
    currency: &str,
    entries: [Entry; 2],
    now: Timestamp,
) -> Result<()> {
    let sql =
        "INSERT INTO entries (posting_id, line, tenant_id, wallet_id, pocket, currency, amount, created_at)
        VALUES ($2, $3, $1, $4, $5, $6, $7, $8)";
    for (line, Entry { place, amount }) in (1i64..).zip(entries) {
        let pocket = match place {
            Place::Outside => "outside",
            Place::Wallet(_, pocket) => pocket.as_str(),
        };
        let values = values![posting_id, line, place.wallet(), pocket, currency, amount, now];
        transaction.execute(sql, values).await?;
    }
    Ok(())
}

/// Every wallet's side of one movement.
pub(crate) async fn of_posting(
    transaction: &mut Transaction,
    posting: Uuid,
) -> Result<Vec<StoredTransaction>> {
    let sql = "SELECT * FROM transactions WHERE tenant_id = $1 AND posting_id = $2 ORDER BY id";
    transaction.fetch_all(sql, values![posting]).await?.iter().map(read).collect()
}

/// Notes what undid a transaction. Says whether nothing had undone it before.
pub(crate) async fn mark_reversed(transaction: &mut Transaction, id: Uuid, by: Uuid) -> Result<bool> {
    let sql =
        "UPDATE transactions SET reversed_by = $3 WHERE tenant_id = $1 AND id = $2 AND reversed_by IS NULL";
    Ok(transaction.execute(sql, values![id, by]).await? == 1)
}

pub(crate) async fn transaction_in(
    transaction: &mut Transaction,
    id: Uuid,
) -> Result<Option<StoredTransaction>> {
    transaction.fetch_optional(BY_ID, values![id]).await?.as_ref().map(read).transpose()
}

pub(crate) async fn transaction(scope: &Scope, id: Uuid) -> Result<Option<StoredTransaction>> {
    scope.fetch_optional(BY_ID, values![id]).await?.as_ref().map(read).transpose()
}

/// Newest first.
pub(crate) async fn list_transactions(
    scope: &Scope,
    wallet: Option<Uuid>,
    page: Page,
) -> Result<Vec<StoredTransaction>> {
    let before = page.last.unwrap_or(Uuid::max());
    let rows = match wallet {
        Some(wallet) => {
            let sql = "SELECT * FROM transactions WHERE tenant_id = $1 AND wallet_id = $2 AND id < $3
                ORDER BY id DESC LIMIT $4";
            scope.fetch_all(sql, values![wallet, before, page.to_read()]).await?
        }
        None => {
            let sql = "SELECT * FROM transactions WHERE tenant_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3";
            scope.fetch_all(sql, values![before, page.to_read()]).await?
        }
    };
    rows.iter().map(read).collect()
}

fn read(row: &Row) -> Result<StoredTransaction> {
    Ok(StoredTransaction {
        id: row.get("id")?,
        wallet_id: row.get("wallet_id")?,
        posting_id: row.get("posting_id")?,
        kind: row.get("kind")?,
        status: row.get("status")?,
        amount: row.get("amount")?,
        currency: row.get("currency")?,
        balance_after: row.get("balance_after")?,
        description: row.get("description")?,
        related_id: row.get("related_id")?,
        reversed_by: row.get("reversed_by")?,
        created_at: row.get("created_at")?,
    })
}
