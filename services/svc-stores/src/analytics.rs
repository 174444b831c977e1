//! The analytics port: facts to count and sum. The embedded adapter keeps them in the relational store, and thinly:
//! it groups with `json_extract` over the facts of one table, which is enough for a development platform. The real one
//! is ClickHouse.

mod clickhouse;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::{Map, Value as Json};

use crate::error::{Result, StoreError};
use crate::relational::{Database, Migration, Value};
use crate::tenant::TenantId;
use crate::url::{Store, StoreUrl};
use crate::values;

/// A fact: a flat JSON object that happened at a time.
#[derive(Clone, Debug, PartialEq)]
pub struct Fact {
    /// When.
    pub at: Timestamp,
    /// Its fields.
    pub fields: Map<String, Json>,
}

/// What is computed over a field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Function {
    /// How many facts; needs no field.
    #[default]
    Count,
    /// The sum.
    Sum,
    /// The mean.
    Average,
    /// The least.
    Minimum,
    /// The greatest.
    Maximum,
}

impl Function {
    /// The name in queries and answers: `count`, `sum`, `avg`, `min` or `max`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Sum => "sum",
            Self::Average => "avg",
            Self::Minimum => "min",
            Self::Maximum => "max",
        }
    }
}

/// A question over the facts of one table of one tenant.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Question {
    /// What to compute: a function and its field, empty for a count.
    pub measures: Vec<(Function, String)>,
    /// The fields to group by.
    pub group_by: Vec<String>,
    /// Only facts at this time or later.
    pub from: Option<Timestamp>,
    /// Only facts before this time.
    pub to: Option<Timestamp>,
}

impl Question {
    /// What every adapter refuses alike.
    pub(crate) fn check(&self) -> Result<()> {
        if self.measures.is_empty() {
            return Err(StoreError::invalid("question", "needs at least one measure"));
        }
        Ok(())
    }
}

/// The analytics port.
#[async_trait]
pub trait Analytics: Send + Sync + fmt::Debug {
    /// Adds facts durably.
    ///
    /// # Errors
    /// Whatever the store says.
    async fn append(&self, tenant: TenantId, table: &str, facts: Vec<Fact>) -> Result<()>;

    /// One object per group, sorted by the groups: its fields, and each measure as `count`, `sum_amount` and so on.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for a question without a measure, or a field that is not made of letters, digits
    /// and `_`.
    async fn ask(&self, tenant: TenantId, table: &str, question: &Question)
    -> Result<Vec<Map<String, Json>>>;

    /// Whether the store answers; for readiness.
    ///
    /// # Errors
    /// Whatever the store says.
    async fn check(&self) -> Result<()>;
}

/// Opens the store that `ANALYTICS_URL` names.
///
/// # Errors
/// [`StoreError::Configuration`] when the URL has no adapter or the file cannot be opened.
pub async fn connect(url: &str) -> Result<Arc<dyn Analytics>> {
    if let Some(remote) = StoreUrl::parse(Store::Analytics, url)?.remote() {
        return Ok(Arc::new(clickhouse::ClickHouse::open(remote).await?));
    }
    let database = Database::connect_as(Store::Analytics, url).await?;
    database.migrate_store("svc-stores.analytics", MIGRATIONS).await?;
    Ok(Arc::new(FactTable { database }))
}

const MIGRATIONS: &[Migration] = &[Migration::new(
    1,
    "facts",
    "CREATE TABLE facts (tenant_id UUID NOT NULL, table_name TEXT NOT NULL, at TIMESTAMPTZ NOT NULL, fields JSONB NOT NULL);
     CREATE INDEX facts_by_table ON facts (tenant_id, table_name, at);",
)];

#[derive(Debug)]
struct FactTable {
    database: Database,
}

#[async_trait]
impl Analytics for FactTable {
    async fn append(&self, tenant: TenantId, table: &str, facts: Vec<Fact>) -> Result<()> {
        let mut transaction = self.database.tenant(tenant).begin().await?;
        for fact in facts {
            let sql = "INSERT INTO facts (tenant_id, table_name, at, fields) VALUES ($1, $2, $3, $4)";
            transaction.execute(sql, values![table, fact.at, Json::Object(fact.fields)]).await?;
        }
        transaction.commit().await
    }

    async fn ask(
        &self,
        tenant: TenantId,
        table: &str,
        question: &Question,
    ) -> Result<Vec<Map<String, Json>>> {
        question.check()?;
        let mut columns = Vec::new();
        for field in &question.group_by {
            columns.push(format!("{} AS \"{field}\"", extracted(field)?));
        }
        for (function, field) in &question.measures {
            columns.push(match function {
                Function::Count => "count(*) AS \"count\"".to_owned(),
                other => format!("{}({}) AS \"{0}_{field}\"", other.name(), extracted(field)?),
            });
        }
        let mut values = values![table];
        let mut sql =
            format!("SELECT {} FROM facts WHERE tenant_id = $1 AND table_name = $2", columns.join(", "));
        for (operator, bound) in [(">=", question.from), ("<", question.to)] {
            if let Some(bound) = bound {
                values.push(Value::from(bound));
                sql.push_str(&format!(" AND at {operator} ${}", values.len() + 1));
            }
        }
        if !question.group_by.is_empty() {
            let places: Vec<String> = (1..=question.group_by.len()).map(|place| place.to_string()).collect();
            sql.push_str(&format!(" GROUP BY {0} ORDER BY {0}", places.join(", ")));
        }
        let rows = self.database.tenant(tenant).fetch_all(&sql, values).await?;
        Ok(rows
            .iter()
            .map(|row| {
                let column = |name: &String| (name.clone(), row.value(name).map_or(Json::Null, json));
                row.columns().iter().map(column).collect()
            })
            .collect())
    }

    async fn check(&self) -> Result<()> {
        self.database.check().await
    }
}

/// The name of a field is part of the statement, so only plain names are let in.
fn extracted(field: &str) -> Result<String> {
    if plain(field) { Ok(format!("json_extract(fields, '$.{field}')")) } else { Err(not_plain(field)) }
}

fn plain(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 64
        && name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
}

fn not_plain(field: &str) -> StoreError {
    StoreError::invalid("field", format!("`{field}` is not made of letters, digits and `_`"))
}

fn json(value: &Value) -> Json {
    match value {
        Value::Boolean(flag) => Json::from(*flag),
        Value::Integer(number) => Json::from(*number),
        Value::Real(number) => Json::from(*number),
        Value::Text(text) => Json::from(text.as_str()),
        Value::Json(json) => json.clone(),
        Value::Uuid(id) => Json::from(id.to_string()),
        Value::Timestamp(time) => Json::from(time.to_string()),
        Value::Null | Value::Bytes(_) => Json::Null,
    }
}
