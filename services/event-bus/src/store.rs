//! Subscriptions, as rows of the relational store.

use svc_stores::relational::{Migration, Row};
use svc_stores::{Database, Result, values};
use uuid::Uuid;

use crate::domain::{Subscription, TopicName};

pub(crate) const MIGRATIONS: &[Migration] = &[Migration::new(
    1,
    "subscriptions",
    "CREATE TABLE subscriptions (
        id UUID PRIMARY KEY, tenant_id UUID NOT NULL, topic TEXT NOT NULL, group_name TEXT NOT NULL,
        types JSONB NOT NULL, max_retries BIGINT NOT NULL, created_at TIMESTAMPTZ NOT NULL,
        UNIQUE (tenant_id, topic, group_name)
    );",
)];

const COLUMNS: &str = "id, topic, group_name, types, max_retries, created_at";

#[derive(Clone, Debug)]
pub(crate) struct Subscriptions {
    database: Database,
}

impl Subscriptions {
    pub(crate) fn new(database: Database) -> Self {
        Self { database }
    }

    /// Adds one. A unique conflict when the group has a subscription on this topic already.
    pub(crate) async fn add(&self, tenant: Uuid, subscription: &Subscription) -> Result<()> {
        let sql =
            "INSERT INTO subscriptions (tenant_id, id, topic, group_name, types, max_retries, created_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7)";
        let values = values![
            subscription.id,
            &subscription.topic.stored,
            &subscription.group,
            serde_json::json!(subscription.types),
            subscription.max_retries,
            subscription.created_at
        ];
        self.database.tenant(tenant).execute(sql, values).await.map(|_| ())
    }

    pub(crate) async fn find(&self, tenant: Uuid, id: Uuid) -> Result<Option<Subscription>> {
        let sql = format!("SELECT {COLUMNS} FROM subscriptions WHERE tenant_id = $1 AND id = $2");
        let row = self.database.tenant(tenant).fetch_optional(&sql, values![id]).await?;
        row.map(|row| subscription(&row, tenant)).transpose()
    }

    /// Up to `limit` subscriptions behind `after`, by id.
    pub(crate) async fn list(
        &self,
        tenant: Uuid,
        after: Option<Uuid>,
        limit: u32,
    ) -> Result<Vec<Subscription>> {
        let sql = format!(
            "SELECT {COLUMNS} FROM subscriptions WHERE tenant_id = $1 AND id > $2 ORDER BY id LIMIT $3"
        );
        let values = values![after.unwrap_or_else(Uuid::nil), limit];
        let rows = self.database.tenant(tenant).fetch_all(&sql, values).await?;
        rows.iter().map(|row| subscription(row, tenant)).collect()
    }

    pub(crate) async fn remove(&self, tenant: Uuid, id: Uuid) -> Result<()> {
        let sql = "DELETE FROM subscriptions WHERE tenant_id = $1 AND id = $2";
        self.database.tenant(tenant).execute(sql, values![id]).await.map(|_| ())
    }
}

fn subscription(row: &Row, tenant: Uuid) -> Result<Subscription> {
    let stored: String = row.get("topic")?;
    let types: serde_json::Value = row.get("types")?;
    let types =
        types.as_array().into_iter().flatten().filter_map(|name| name.as_str().map(str::to_owned)).collect();
    Ok(Subscription {
        id: row.get("id")?,
        topic: TopicName::of_stored(&stored, Some(tenant))
            .ok_or_else(|| svc_stores::StoreError::NotFound { what: format!("topic `{stored}`") })?,
        group: row.get("group_name")?,
        types,
        max_retries: row.get("max_retries")?,
        created_at: row.get("created_at")?,
    })
}
