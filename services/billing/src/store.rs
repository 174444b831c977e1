//! Rows ↔ domain. Plans belong to the platform, all else to a tenant.

use jiff::Timestamp;
use svc_stores::{
    Database, Result, StoreError,
    relational::{Migration, Row, Transaction},
    values,
};
use uuid::Uuid;

use crate::domain::{Interval, Limits, Plan, Resource, Status, Subscription};

/// The schema, in order.
pub const MIGRATIONS: &[Migration] =
    &[Migration::new(1, "billing", include_str!("../migrations/0001_billing.sql"))];

const SUBSCRIPTION: &str =
    "id, tenant_id, plan_id, status, pending_plan_id, current_period_end, past_due_since,
    version, created_at, updated_at";

/// The database of billing. Cheap to clone.
#[derive(Clone)]
pub struct BillingStore {
    database: Database,
}

impl BillingStore {
    /// Brings the schema up to date and adds the plans that are missing. Plans that are there stay as they are.
    ///
    /// # Errors
    ///
    /// When a migration fails.
    pub async fn open(database: Database, plans: &[Plan]) -> Result<BillingStore> {
        database.migrate("billing", MIGRATIONS).await?;
        let mut transaction = database.system().begin().await?;
        for plan in plans {
            let sql = "INSERT INTO plans (id, name, billing_interval, price, currency, limits, features, created_at, updated_at)
                VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (id) DO NOTHING";
            let values = values![
                &plan.id,
                &plan.name,
                plan.interval.as_str(),
                plan.price,
                &plan.currency,
                serde_json::to_value(plan.limits).unwrap_or_default(),
                serde_json::Value::from(plan.features.clone()),
                plan.created_at,
                plan.updated_at
            ];
            transaction.execute(sql, values).await?;
        }
        transaction.commit().await?;
        Ok(BillingStore { database })
    }

    /// Every plan, cheapest first.
    ///
    /// # Errors
    ///
    /// Whatever the database says.
    pub async fn plans(&self) -> Result<Vec<Plan>> {
        let sql = "SELECT * FROM plans ORDER BY price, id";
        self.database.system().fetch_all(sql, values![]).await?.iter().map(plan_of).collect()
    }

    /// A plan.
    ///
    /// # Errors
    ///
    /// Whatever the database says.
    pub async fn plan(&self, id: &str) -> Result<Option<Plan>> {
        let sql = "SELECT * FROM plans WHERE id = $1";
        self.database.system().fetch_optional(sql, values![id]).await?.as_ref().map(plan_of).transpose()
    }

    /// The tenant's subscription.
    ///
    /// # Errors
    ///
    /// Whatever the database says.
    pub async fn subscription(&self, tenant: Uuid) -> Result<Option<Subscription>> {
        let sql = format!("SELECT {SUBSCRIPTION} FROM subscriptions WHERE tenant_id = $1");
        let row = self.database.tenant(tenant).fetch_optional(&sql, values![]).await?;
        row.as_ref().map(subscription_of).transpose()
    }

    /// Subscriptions that time may have moved: a period is over, or a payment is overdue. In the order of tenants,
    /// after `after`.
    ///
    /// # Errors
    ///
    /// Whatever the database says.
    pub async fn due(&self, now: Timestamp, after: Uuid, limit: u32) -> Result<Vec<Subscription>> {
        let sql = format!(
            "SELECT {SUBSCRIPTION} FROM subscriptions
             WHERE tenant_id > $2 AND (status IN ('past_due', 'suspended')
                 OR (status IN ('trialing', 'active') AND current_period_end <= $1))
             ORDER BY tenant_id LIMIT $3"
        );
        self.database
            .system()
            .fetch_all(&sql, values![now, after, limit])
            .await?
            .iter()
            .map(subscription_of)
            .collect()
    }

    /// What the tenant has used, of daily resources on this day.
    ///
    /// # Errors
    ///
    /// Whatever the database says.
    pub async fn usage(&self, tenant: Uuid, day: &str) -> Result<Limits> {
        let sql = "SELECT resource, used FROM usage WHERE tenant_id = $1 AND (period = '' OR period = $2)";
        let rows = self.database.tenant(tenant).fetch_all(sql, values![day]).await?;
        let mut usage = Limits::default();
        for row in rows {
            let name: String = row.get("resource")?;
            if let Ok(resource) = Resource::parse(&name) {
                usage = usage.with(resource, row.get("used")?);
            }
        }
        Ok(usage)
    }

    /// Adds to what the tenant has used, never below zero. Gives whether the report counted: one by the same id
    /// counts once.
    ///
    /// # Errors
    ///
    /// Whatever the database says.
    pub async fn add_usage(
        &self,
        tenant: Uuid,
        resource: Resource,
        amount: i64,
        report: Uuid,
        now: Timestamp,
        day: &str,
    ) -> Result<bool> {
        let mut transaction = self.database.tenant(tenant).begin().await?;
        let seen = "INSERT INTO usage_reports (tenant_id, id, reported_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
        if transaction.execute(seen, values![report, now]).await? == 0 {
            return Ok(false);
        }
        let period = if resource.is_daily() { day } else { "" };
        let find = "SELECT used FROM usage WHERE tenant_id = $1 AND resource = $2 AND period = $3";
        let row = transaction.fetch_optional(find, values![resource.as_str(), period]).await?;
        let before: i64 = row.map_or(Ok(0), |row| row.get("used"))?;
        let used = before.saturating_add(amount).max(0);
        let sql = "INSERT INTO usage (tenant_id, resource, period, used) VALUES ($1, $2, $3, $4)
            ON CONFLICT (tenant_id, resource, period) DO UPDATE SET used = $4";
        transaction.execute(sql, values![resource.as_str(), period, used]).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Deletes reports from before `before`, and what was used on days before `day`.
    ///
    /// # Errors
    ///
    /// Whatever the database says.
    pub async fn forget(&self, before: Timestamp, day: &str) -> Result<u64> {
        let door = self.database.system();
        let reports =
            door.execute("DELETE FROM usage_reports WHERE reported_at < $1", values![before]).await?;
        let days = door.execute("DELETE FROM usage WHERE period <> '' AND period < $1", values![day]).await?;
        Ok(reports + days)
    }

    /// A transaction of one tenant.
    ///
    /// # Errors
    ///
    /// When the database is busy for too long.
    pub async fn begin(&self, tenant: Uuid) -> Result<Transaction> {
        self.database.tenant(tenant).begin().await
    }
}

/// The subscription as it is inside of the transaction.
pub(crate) async fn subscription_within(transaction: &mut Transaction) -> Result<Option<Subscription>> {
    let sql = format!("SELECT {SUBSCRIPTION} FROM subscriptions WHERE tenant_id = $1");
    transaction.fetch_optional(&sql, values![]).await?.as_ref().map(subscription_of).transpose()
}

/// Writes the subscription of the transaction's tenant, in place of the one there was.
pub(crate) async fn save(transaction: &mut Transaction, subscription: &Subscription) -> Result<()> {
    let sql =
        "INSERT INTO subscriptions (tenant_id, id, plan_id, status, pending_plan_id, current_period_end,
            past_due_since, version, created_at, updated_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
        ON CONFLICT (tenant_id) DO UPDATE SET id = $2, plan_id = $3, status = $4, pending_plan_id = $5,
            current_period_end = $6, past_due_since = $7, version = $8, created_at = $9, updated_at = $10";
    let values = values![
        subscription.id,
        &subscription.plan,
        subscription.status.as_str(),
        subscription.pending_plan.clone(),
        subscription.period_end,
        subscription.past_due_since,
        subscription.version,
        subscription.created_at,
        subscription.updated_at
    ];
    transaction.execute(sql, values).await.map(|_| ())
}

fn corrupt(what: &str, problem: impl ToString) -> StoreError {
    StoreError::Corrupt { what: what.to_owned(), problem: problem.to_string() }
}

fn plan_of(row: &Row) -> Result<Plan> {
    let interval: String = row.get("billing_interval")?;
    let limits =
        serde_json::from_value(row.get("limits")?).map_err(|error| corrupt("limits of a plan", error))?;
    let features =
        serde_json::from_value(row.get("features")?).map_err(|error| corrupt("features of a plan", error))?;
    Ok(Plan {
        id: row.get("id")?,
        name: row.get("name")?,
        interval: Interval::parse(&interval).ok_or_else(|| corrupt("plan", "unknown interval"))?,
        price: row.get("price")?,
        currency: row.get("currency")?,
        limits,
        features,
        created_at: row.get("created_at")?,
        updated_at: row.get("updated_at")?,
    })
}

fn subscription_of(row: &Row) -> Result<Subscription> {
    let status: String = row.get("status")?;
    Ok(Subscription {
        id: row.get("id")?,
        tenant: row.get("tenant_id")?,
        plan: row.get("plan_id")?,
        status: Status::parse(&status).ok_or_else(|| corrupt("subscription", "unknown status"))?,
        pending_plan: row.get("pending_plan_id")?,
        period_end: row.get("current_period_end")?,
        past_due_since: row.get("past_due_since")?,
        version: row.get("version")?,
        created_at: row.get("created_at")?,
        updated_at: row.get("updated_at")?,
    })
}
