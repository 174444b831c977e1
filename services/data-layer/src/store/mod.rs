//! Records as rows of the relational store: one table for all models, the fields as JSON.

mod condition;

use jiff::{SignedDuration, Timestamp};
use svc_stores::relational::{Migration, Row, Transaction};
use svc_stores::{Database, Result, values};
use uuid::Uuid;

use crate::domain::{Fields, Filter, Model};
use condition::Conditions;

pub(crate) const MIGRATIONS: &[Migration] = &[Migration::new(
    1,
    "records",
    "CREATE TABLE records (
        id UUID PRIMARY KEY, tenant_id UUID NOT NULL, module TEXT NOT NULL, model TEXT NOT NULL,
        data JSONB NOT NULL, created_at TIMESTAMPTZ NOT NULL, updated_at TIMESTAMPTZ NOT NULL, deleted_at TIMESTAMPTZ
    );
    CREATE INDEX records_of_model ON records (tenant_id, module, model, id) WHERE deleted_at IS NULL;
    CREATE TABLE idempotency_keys (
        tenant_id UUID NOT NULL, idempotency_key UUID NOT NULL, fingerprint TEXT NOT NULL, record_id UUID NOT NULL,
        created_at TIMESTAMPTZ NOT NULL, PRIMARY KEY (tenant_id, idempotency_key)
    );
    CREATE INDEX idempotency_keys_by_age ON idempotency_keys (tenant_id, created_at);",
)];

/// How long the first answer to an idempotency key is given again.
const KEY_KEPT: SignedDuration = SignedDuration::from_hours(24);
const COLUMNS: &str = "id, data, created_at, updated_at";

/// A record.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Record {
    pub id: Uuid,
    pub fields: Fields,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// What an idempotency key was used for.
pub(crate) struct UsedKey {
    pub fingerprint: String,
    pub record_id: Uuid,
    pub created_at: Timestamp,
}

#[derive(Clone, Debug)]
pub(crate) struct Records {
    database: Database,
}

impl Records {
    pub(crate) fn new(database: Database) -> Self {
        Self { database }
    }

    pub(crate) async fn begin(&self, tenant: Uuid) -> Result<Transaction> {
        self.database.tenant(tenant).begin().await
    }

    pub(crate) async fn find(&self, tenant: Uuid, model: &Model, id: Uuid) -> Result<Option<Record>> {
        let sql = format!(
            "SELECT {COLUMNS} FROM records
             WHERE tenant_id = $1 AND module = $2 AND model = $3 AND id = $4 AND deleted_at IS NULL"
        );
        let row = self.database.tenant(tenant).fetch_optional(&sql, of_model(model, id)).await?;
        row.as_ref().map(record).transpose()
    }

    /// Up to `limit` records behind `after`, oldest first.
    pub(crate) async fn list(
        &self,
        tenant: Uuid,
        model: &Model,
        filters: &[Filter],
        after: Uuid,
        limit: u32,
    ) -> Result<Vec<Record>> {
        let mut conditions =
            Conditions::behind(values![&model.module, &model.name, after], self.database.dialect());
        for filter in filters {
            conditions.add(filter);
        }
        let (conditions, mut values) = conditions.finish();
        values.push(limit.into());
        let sql = format!(
            "SELECT {COLUMNS} FROM records
             WHERE tenant_id = $1 AND module = $2 AND model = $3 AND id > $4 AND deleted_at IS NULL{conditions}
             ORDER BY id LIMIT ${}",
            values.len() + 1
        );
        let rows = self.database.tenant(tenant).fetch_all(&sql, values).await?;
        rows.iter().map(record).collect()
    }
}

pub(crate) async fn insert(transaction: &mut Transaction, model: &Model, record: &Record) -> Result<()> {
    let sql = "INSERT INTO records (tenant_id, id, module, model, data, created_at, updated_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7)";
    let data = serde_json::Value::Object(record.fields.clone());
    let values = values![record.id, &model.module, &model.name, data, record.created_at, record.updated_at];
    transaction.execute(sql, values).await.map(|_| ())
}

pub(crate) async fn find_in(
    transaction: &mut Transaction,
    model: &Model,
    id: Uuid,
) -> Result<Option<Record>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM records
         WHERE tenant_id = $1 AND module = $2 AND model = $3 AND id = $4 AND deleted_at IS NULL"
    );
    let row = transaction.fetch_optional(&sql, of_model(model, id)).await?;
    row.as_ref().map(record).transpose()
}

pub(crate) async fn update(transaction: &mut Transaction, record: &Record) -> Result<()> {
    let sql = "UPDATE records SET data = $3, updated_at = $4 WHERE tenant_id = $1 AND id = $2";
    let data = serde_json::Value::Object(record.fields.clone());
    transaction.execute(sql, values![record.id, data, record.updated_at]).await.map(|_| ())
}

pub(crate) async fn mark_deleted(transaction: &mut Transaction, id: Uuid, now: Timestamp) -> Result<()> {
    let sql = "UPDATE records SET deleted_at = $3 WHERE tenant_id = $1 AND id = $2";
    transaction.execute(sql, values![id, now]).await.map(|_| ())
}

/// What a key was used for within the last 24 h. Older keys are forgotten on the way.
pub(crate) async fn used_key(
    transaction: &mut Transaction,
    key: Uuid,
    now: Timestamp,
) -> Result<Option<UsedKey>> {
    let before = now.checked_sub(KEY_KEPT).unwrap_or(Timestamp::MIN);
    let old = "DELETE FROM idempotency_keys WHERE tenant_id = $1 AND created_at < $2";
    transaction.execute(old, values![before]).await?;
    let sql = "SELECT fingerprint, record_id, created_at FROM idempotency_keys
        WHERE tenant_id = $1 AND idempotency_key = $2";
    let Some(row) = transaction.fetch_optional(sql, values![key]).await? else { return Ok(None) };
    Ok(Some(UsedKey {
        fingerprint: row.get("fingerprint")?,
        record_id: row.get("record_id")?,
        created_at: row.get("created_at")?,
    }))
}

pub(crate) async fn note_key(transaction: &mut Transaction, key: Uuid, used: &UsedKey) -> Result<()> {
    let sql = "INSERT INTO idempotency_keys (tenant_id, idempotency_key, fingerprint, record_id, created_at)
        VALUES ($1, $2, $3, $4, $5)";
    let values = values![key, &used.fingerprint, used.record_id, used.created_at];
    transaction.execute(sql, values).await.map(|_| ())
}

fn of_model(model: &Model, id: Uuid) -> Vec<svc_stores::relational::Value> {
    values![&model.module, &model.name, id]
}

fn record(row: &Row) -> Result<Record> {
    let data: serde_json::Value = row.get("data")?;
    Ok(Record {
        id: row.get("id")?,
        fields: data.as_object().cloned().unwrap_or_default(),
        created_at: row.get("created_at")?,
        updated_at: row.get("updated_at")?,
    })
}
