//! Wallets with their balances.

use jiff::Timestamp;
use svc_kit::message::Page;
use svc_stores::relational::{Row, Scope, Transaction};
use svc_stores::{Result, values};
use uuid::Uuid;

use crate::domain::Balances;

/// A wallet as it is kept.
#[derive(Clone, Debug)]
pub(crate) struct StoredWallet {
    pub id: Uuid,
    pub tenant_id: Uuid,
    pub user_id: Uuid,
    pub currency: String,
    pub label: String,
    pub balances: Balances,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

pub(crate) async fn insert_wallet(transaction: &mut Transaction, wallet: &StoredWallet) -> Result<()> {
    let sql = "INSERT INTO wallets (id, tenant_id, user_id, currency, label, created_at, updated_at)
        VALUES ($2, $1, $3, $4, $5, $6, $6)";
    let values = values![wallet.id, wallet.user_id, &wallet.currency, &wallet.label, wallet.created_at];
    transaction.execute(sql, values).await.map(|_| ())
}

/// Reads a wallet and keeps it for this transaction: an update locks the row in every database.
pub(crate) async fn lock_wallet(
    transaction: &mut Transaction,
    id: Uuid,
    now: Timestamp,
) -> Result<Option<StoredWallet>> {
    let sql = "UPDATE wallets SET updated_at = $3 WHERE tenant_id = $1 AND id = $2 RETURNING *";
    transaction.fetch_optional(sql, values![id, now]).await?.as_ref().map(read).transpose()
}

pub(crate) async fn save_balances(transaction: &mut Transaction, id: Uuid, balances: Balances) -> Result<()> {
    let sql = "UPDATE wallets SET available = $3, frozen = $4 WHERE tenant_id = $1 AND id = $2";
    transaction.execute(sql, values![id, balances.available, balances.frozen]).await.map(|_| ())
}

pub(crate) async fn wallet(scope: &Scope, id: Uuid) -> Result<Option<StoredWallet>> {
    let sql = "SELECT * FROM wallets WHERE tenant_id = $1 AND id = $2";
    scope.fetch_optional(sql, values![id]).await?.as_ref().map(read).transpose()
}

/// Oldest first.
pub(crate) async fn list_wallets(scope: &Scope, user: Option<Uuid>, page: Page) -> Result<Vec<StoredWallet>> {
    let after = page.last.unwrap_or(Uuid::nil());
    let rows = match user {
        Some(user) => {
            let sql = "SELECT * FROM wallets WHERE tenant_id = $1 AND user_id = $2 AND id > $3 ORDER BY id LIMIT $4";
            scope.fetch_all(sql, values![user, after, page.to_read()]).await?
        }
        None => {
            let sql = "SELECT * FROM wallets WHERE tenant_id = $1 AND id > $2 ORDER BY id LIMIT $3";
            scope.fetch_all(sql, values![after, page.to_read()]).await?
        }
    };
    rows.iter().map(read).collect()
}

fn read(row: &Row) -> Result<StoredWallet> {
    Ok(StoredWallet {
        id: row.get("id")?,
        tenant_id: row.get("tenant_id")?,
        user_id: row.get("user_id")?,
        currency: row.get("currency")?,
        label: row.get("label")?,
        balances: Balances { available: row.get("available")?, frozen: row.get("frozen")? },
        created_at: row.get("created_at")?,
        updated_at: row.get("updated_at")?,
    })
}
