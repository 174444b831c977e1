//! Notifications and templates as they are kept.

use jiff::{SignedDuration, Timestamp};
use svc_stores::relational::{Migration, Row, Scope, Transaction};
use svc_stores::{Database, Result, StoreError, TenantId, values};
use uuid::Uuid;

use crate::adapters::Outgoing;
use crate::domain::{Channel, Priority, Status};

/// The schema.
pub(crate) const MIGRATIONS: &[Migration] = &[
    Migration::new(1, "notifications", include_str!("../migrations/0001_notifications.sql")),
    Migration::new(2, "channels", include_str!("../migrations/0002_channels.sql"))
        .for_postgres(include_str!("../migrations/0002_channels.postgres.sql")),
];

/// How long delivered notifications are kept.
const HISTORY: SignedDuration = SignedDuration::from_hours(90 * 24);
/// How long failed notifications are kept.
const FAILED_HISTORY: SignedDuration = SignedDuration::from_hours(180 * 24);

/// Now, in whole microseconds: the database keeps no more, and an answer must not change when it is read again.
pub(crate) fn now() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now)
}

/// A notification as it is kept.
#[derive(Clone, Debug)]
pub(crate) struct StoredNotification {
    pub id: Uuid,
    pub channel: Channel,
    pub recipient: String,
    pub template: String,
    pub template_version: u32,
    pub subject: String,
    pub body: String,
    pub priority: Priority,
    pub status: Status,
    pub attempts: u32,
    pub last_error: String,
    pub created_at: Timestamp,
    pub delivered_at: Option<Timestamp>,
    pub next_attempt_at: Option<Timestamp>,
}

impl StoredNotification {
    /// As an adapter gets it.
    pub fn outgoing(&self, tenant: TenantId) -> Outgoing {
        Outgoing {
            tenant,
            id: self.id,
            recipient: self.recipient.clone(),
            subject: self.subject.clone(),
            body: self.body.clone(),
            priority: self.priority,
            created_at: self.created_at,
        }
    }
}

/// A version of a template as it is kept.
#[derive(Clone, Debug)]
pub(crate) struct StoredTemplate {
    pub id: Uuid,
    pub name: String,
    pub version: u32,
    pub channels: Vec<String>,
    pub subject: String,
    pub body: String,
    pub created_at: Timestamp,
}

/// Which notifications of a tenant are wanted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filter {
    pub status: Option<Status>,
    pub recipient: Option<String>,
    pub before: Option<Uuid>,
    pub limit: u32,
}

pub(crate) async fn insert_notification(
    transaction: &mut Transaction,
    new: &StoredNotification,
    idempotency_key: Option<&str>,
) -> Result<()> {
    let sql =
        "INSERT INTO notifications (id, tenant_id, channel, recipient, template, template_version, subject,
            body, priority, status, idempotency_key, created_at)
        VALUES ($2, $1, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)";
    let values = values![
        new.id,
        new.channel.as_str(),
        &new.recipient,
        &new.template,
        new.template_version,
        &new.subject,
        &new.body,
        new.priority.as_str(),
        new.status.as_str(),
        idempotency_key,
        new.created_at
    ];
    transaction.execute(sql, values).await.map(|_| ())
}

/// What was queued under this key before.
pub(crate) async fn by_key(transaction: &mut Transaction, key: &str) -> Result<Option<StoredNotification>> {
    let sql = "SELECT * FROM notifications WHERE tenant_id = $1 AND idempotency_key = $2";
    transaction.fetch_optional(sql, values![key]).await?.as_ref().map(read).transpose()
}

pub(crate) async fn notification(scope: &Scope, id: Uuid) -> Result<Option<StoredNotification>> {
    let sql = "SELECT * FROM notifications WHERE tenant_id = $1 AND id = $2";
    scope.fetch_optional(sql, values![id]).await?.as_ref().map(read).transpose()
}

/// Newest first.
pub(crate) async fn list(scope: &Scope, filter: &Filter) -> Result<Vec<StoredNotification>> {
    let sql = "SELECT * FROM notifications WHERE tenant_id = $1 AND id < $2
        AND ($3 = '' OR status = $3) AND ($4 = '' OR recipient = $4) ORDER BY id DESC LIMIT $5";
    let values = values![
        filter.before.unwrap_or(Uuid::max()),
        filter.status.map_or("", Status::as_str),
        filter.recipient.as_deref().unwrap_or_default(),
        filter.limit
    ];
    scope.fetch_all(sql, values).await?.iter().map(read).collect()
}

/// Writes the outcome of an attempt, or that a failed notification waits again.
pub(crate) async fn save_outcome(transaction: &mut Transaction, changed: &StoredNotification) -> Result<()> {
    let sql = "UPDATE notifications SET status = $3, attempts = $4, last_error = $5, delivered_at = $6,
            next_attempt_at = $7
        WHERE tenant_id = $1 AND id = $2";
    let values = values![
        changed.id,
        changed.status.as_str(),
        changed.attempts,
        &changed.last_error,
        changed.delivered_at,
        changed.next_attempt_at
    ];
    transaction.execute(sql, values).await.map(|_| ())
}

/// Notifications of every tenant that wait and were due by then, in the order of their ids.
pub(crate) async fn waiting(
    database: &Database,
    due_by: Timestamp,
    after: Uuid,
    limit: u32,
) -> Result<Vec<(TenantId, StoredNotification)>> {
    let sql = "SELECT * FROM notifications
        WHERE status = 'queued' AND COALESCE(next_attempt_at, created_at) <= $1 AND id > $2 ORDER BY id LIMIT $3";
    let rows = database.system().fetch_all(sql, values![due_by, after, limit]).await?;
    rows.iter().map(|row| Ok((row.get("tenant_id")?, read(row)?))).collect()
}

/// Deletes what is older than the history goes back.
pub(crate) async fn forget_old(database: &Database, now: Timestamp) -> Result<u64> {
    let before = |age: SignedDuration| now.checked_sub(age).unwrap_or(Timestamp::MIN);
    let sql = "DELETE FROM notifications
        WHERE (status = 'delivered' AND created_at < $1) OR (status = 'failed' AND created_at < $2)";
    database.system().execute(sql, values![before(HISTORY), before(FAILED_HISTORY)]).await
}

pub(crate) async fn newest_template(
    transaction: &mut Transaction,
    name: &str,
) -> Result<Option<StoredTemplate>> {
    let sql = "SELECT * FROM templates WHERE tenant_id = $1 AND name = $2 ORDER BY version DESC LIMIT 1";
    transaction.fetch_optional(sql, values![name]).await?.as_ref().map(read_template).transpose()
}

pub(crate) async fn insert_template(transaction: &mut Transaction, new: &StoredTemplate) -> Result<()> {
    let sql = "INSERT INTO templates (id, tenant_id, name, version, channels, subject, body, created_at)
        VALUES ($2, $1, $3, $4, $5, $6, $7, $8)";
    let channels = serde_json::Value::from(new.channels.clone());
    let values = values![new.id, &new.name, new.version, channels, &new.subject, &new.body, new.created_at];
    transaction.execute(sql, values).await.map(|_| ())
}

/// The newest version of each template, by name.
pub(crate) async fn list_templates(scope: &Scope, after: &str, limit: u32) -> Result<Vec<StoredTemplate>> {
    let sql = "SELECT * FROM templates t WHERE t.tenant_id = $1 AND name > $2 AND version =
            (SELECT max(version) FROM templates o WHERE o.tenant_id = t.tenant_id AND o.name = t.name)
        ORDER BY name LIMIT $3";
    scope.fetch_all(sql, values![after, limit]).await?.iter().map(read_template).collect()
}

fn read(row: &Row) -> Result<StoredNotification> {
    Ok(StoredNotification {
        id: row.get("id")?,
        channel: known(row, "channel", Channel::parse)?,
        recipient: row.get("recipient")?,
        template: row.get("template")?,
        template_version: row.get("template_version")?,
        subject: row.get("subject")?,
        body: row.get("body")?,
        priority: known(row, "priority", Priority::parse)?,
        status: known(row, "status", Status::parse)?,
        attempts: row.get("attempts")?,
        last_error: row.get("last_error")?,
        created_at: row.get("created_at")?,
        delivered_at: row.get("delivered_at")?,
        next_attempt_at: row.get("next_attempt_at")?,
    })
}

fn read_template(row: &Row) -> Result<StoredTemplate> {
    let channels: serde_json::Value = row.get("channels")?;
    let channels = channels.as_array().into_iter().flatten();
    Ok(StoredTemplate {
        id: row.get("id")?,
        name: row.get("name")?,
        version: row.get("version")?,
        channels: channels.filter_map(|channel| Some(channel.as_str()?.to_owned())).collect(),
        subject: row.get("subject")?,
        body: row.get("body")?,
        created_at: row.get("created_at")?,
    })
}

pub(crate) fn known<T>(row: &Row, column: &str, parse: impl Fn(&str) -> Option<T>) -> Result<T> {
    let text: String = row.get(column)?;
    parse(&text).ok_or_else(|| StoreError::Corrupt {
        what: format!("column `{column}`"),
        problem: format!("`{text}` is unknown"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn empty() -> (Database, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}/notify.db", folder.path().display());
        let database = Database::connect(&url).await.unwrap();
        database.migrate("notify", MIGRATIONS).await.unwrap();
        (database, folder)
    }

    #[tokio::test]
    async fn the_history_goes_back_90_days_and_that_of_failures_180() {
        let (database, _folder) = empty().await;
        let now = Timestamp::from_second(1_790_000_000).unwrap();
        let tenant = database.tenant(Uuid::now_v7());
        let mut kept = Vec::new();
        for (status, age, is_kept) in [
            ("delivered", 89, true),
            ("delivered", 91, false),
            ("failed", 91, true),
            ("failed", 181, false),
            ("queued", 400, true),
        ] {
            let id = Uuid::now_v7();
            let created = now.checked_sub(SignedDuration::from_hours(age * 24)).unwrap();
            insert(&tenant, id, status, created, None).await;
            if is_kept {
                kept.push(id);
            }
        }
        assert_eq!(forget_old(&database, now).await.unwrap(), 2);
        let left = list(&tenant, &Filter { limit: 9, ..Filter::default() }).await.unwrap();
        assert_eq!(left.iter().rev().map(|one| one.id).collect::<Vec<_>>(), kept);
    }

    async fn insert(scope: &Scope, id: Uuid, status: &str, created: Timestamp, next: Option<Timestamp>) {
        let sql = "INSERT INTO notifications (id, tenant_id, channel, recipient, template, template_version,
                subject, body, priority, status, created_at, next_attempt_at)
            VALUES ($2, $1, 'email', 'ada@example.org', '', 0, '', '', 'normal', $3, $4, $5)";
        scope.execute(sql, values![id, status, created, next]).await.unwrap();
    }

    #[tokio::test]
    async fn what_is_in_time_is_not_said_to_wait() {
        let (database, _folder) = empty().await;
        let at = |second: i64| Timestamp::from_second(1_790_000_000 + second).unwrap();
        let mut overdue = Vec::new();
        for (status, created, next_attempt, is_overdue) in [
            ("queued", 0, None, true),
            ("queued", 200, None, false),
            ("queued", 0, Some(50), true),
            ("queued", 0, Some(500), false),
            ("delivered", 0, None, false),
        ] {
            let id = Uuid::now_v7();
            insert(&database.tenant(Uuid::now_v7()), id, status, at(created), next_attempt.map(at)).await;
            if is_overdue {
                overdue.push(id);
            }
        }
        let found = waiting(&database, at(100), Uuid::nil(), 9).await.unwrap();
        let found: Vec<_> = found.iter().map(|(_, notification)| notification.id).collect();
        assert_eq!(found, overdue);
    }
}
