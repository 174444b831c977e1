//! The first answer to each idempotency key.

use jiff::{SignedDuration, Timestamp};
use svc_stores::relational::Transaction;
use svc_stores::{Database, Result, values};
use uuid::Uuid;

/// How long an answer is given again.
const KEPT: SignedDuration = SignedDuration::from_hours(24);

/// A request with its answer, both encoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub operation: String,
    pub user_id: Option<Uuid>,
    pub request: Vec<u8>,
    pub answer: Vec<u8>,
}

/// What was answered to this key within the last 24 hours.
pub(crate) async fn known_answer(
    transaction: &mut Transaction,
    key: Uuid,
    now: Timestamp,
) -> Result<Option<Answer>> {
    let sql = "SELECT operation, user_id, request, answer FROM answers
        WHERE tenant_id = $1 AND idempotency_key = $2 AND created_at > $3";
    let Some(row) = transaction.fetch_optional(sql, values![key, oldest(now)]).await? else {
        return Ok(None);
    };
    Ok(Some(Answer {
        operation: row.get("operation")?,
        user_id: row.get("user_id")?,
        request: row.get("request")?,
        answer: row.get("answer")?,
    }))
}

/// Keeps an answer, in place of one that is too old to be given again.
pub(crate) async fn keep_answer(
    transaction: &mut Transaction,
    key: Uuid,
    answer: &Answer,
    now: Timestamp,
) -> Result<()> {
    let old = "DELETE FROM answers WHERE tenant_id = $1 AND idempotency_key = $2 AND created_at <= $3";
    transaction.execute(old, values![key, oldest(now)]).await?;
    let sql =
        "INSERT INTO answers (tenant_id, idempotency_key, operation, user_id, request, answer, created_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7)";
    let values = values![
        key,
        &answer.operation,
        answer.user_id,
        answer.request.as_slice(),
        answer.answer.as_slice(),
        now
    ];
    transaction.execute(sql, values).await.map(|_| ())
}

/// Deletes every tenant's answers that are too old to be given again.
pub(crate) async fn forget_answers(database: &Database, now: Timestamp) -> Result<u64> {
    database.system().execute("DELETE FROM answers WHERE created_at <= $1", values![oldest(now)]).await
}

fn oldest(now: Timestamp) -> Timestamp {
    now.checked_sub(KEPT).unwrap_or(Timestamp::MIN)
}
