//! Holds.

use jiff::Timestamp;
use svc_stores::relational::{Row, Transaction};
use svc_stores::{Database, Result, StoreError, values};
use uuid::Uuid;

use crate::domain::HoldStatus;

/// A hold as it is kept.
#[derive(Clone, Debug)]
pub(crate) struct StoredHold {
    pub id: Uuid,
    pub wallet_id: Uuid,
    pub amount: i64,
    pub currency: String,
    pub status: HoldStatus,
    pub expires_at: Timestamp,
    pub created_at: Timestamp,
}

/// A hold whose time is over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ExpiredHold {
    pub tenant_id: Uuid,
    pub id: Uuid,
    pub expires_at: Timestamp,
}

pub(crate) async fn insert_hold(transaction: &mut Transaction, hold: &StoredHold) -> Result<()> {
    let sql = "INSERT INTO holds (id, tenant_id, wallet_id, amount, currency, status, expires_at, created_at, updated_at)
        VALUES ($2, $1, $3, $4, $5, $6, $7, $8, $8)";
    let values = values![
        hold.id,
        hold.wallet_id,
        hold.amount,
        &hold.currency,
        hold.status.as_str(),
        hold.expires_at,
        hold.created_at
    ];
    transaction.execute(sql, values).await.map(|_| ())
}

pub(crate) async fn count_open_holds(transaction: &mut Transaction, wallet: Uuid) -> Result<i64> {
    let sql =
        "SELECT COUNT(*) AS open FROM holds WHERE tenant_id = $1 AND wallet_id = $2 AND status = 'held'";
    transaction.fetch_one(sql, values![wallet]).await?.get("open")
}

/// Reads a hold and keeps it for this transaction.
pub(crate) async fn lock_hold(
    transaction: &mut Transaction,
    id: Uuid,
    now: Timestamp,
) -> Result<Option<StoredHold>> {
    let sql = "UPDATE holds SET updated_at = $3 WHERE tenant_id = $1 AND id = $2 RETURNING *";
    transaction.fetch_optional(sql, values![id, now]).await?.as_ref().map(read).transpose()
}

pub(crate) async fn settle_hold(transaction: &mut Transaction, id: Uuid, status: HoldStatus) -> Result<()> {
    let sql = "UPDATE holds SET status = $3 WHERE tenant_id = $1 AND id = $2";
    transaction.execute(sql, values![id, status.as_str()]).await.map(|_| ())
}

/// Open holds of every tenant whose time is over, the longest ago first, from behind `last` on.
pub(crate) async fn expired_holds(
    database: &Database,
    now: Timestamp,
    last: Option<ExpiredHold>,
    limit: u32,
) -> Result<Vec<ExpiredHold>> {
    let (time, id) = last.map_or((Timestamp::UNIX_EPOCH, Uuid::nil()), |last| (last.expires_at, last.id));
    let sql = "SELECT tenant_id, id, expires_at FROM holds WHERE status = 'held' AND expires_at <= $1
            AND (expires_at > $2 OR (expires_at = $2 AND id > $3))
        ORDER BY expires_at, id LIMIT $4";
    let rows = database.system().fetch_all(sql, values![now, time, id, limit]).await?;
    let read = |row: &Row| {
        let (tenant_id, id) = (row.get("tenant_id")?, row.get("id")?);
        Ok(ExpiredHold { tenant_id, id, expires_at: row.get("expires_at")? })
    };
    rows.iter().map(read).collect()
}

fn read(row: &Row) -> Result<StoredHold> {
    let status: String = row.get("status")?;
    let status = HoldStatus::parse(&status).ok_or_else(|| StoreError::Corrupt {
        what: "the status of a hold".to_owned(),
        problem: format!("`{status}` is unknown"),
    })?;
    Ok(StoredHold {
        id: row.get("id")?,
        wallet_id: row.get("wallet_id")?,
        amount: row.get("amount")?,
        currency: row.get("currency")?,
        status,
        expires_at: row.get("expires_at")?,
        created_at: row.get("created_at")?,
    })
}
