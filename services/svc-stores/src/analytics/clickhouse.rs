//! Facts in ClickHouse, spoken to over HTTP.
//!
//! One table holds the facts of all tenants and kinds, ordered by them; each fact's fields lie side by side as names and
//! JSON texts. A measure is computed over whole numbers where all are whole, so that cents stay exact, and over floats
//! where some are not. Nothing here needs more than ClickHouse had in 2018.

use std::cmp::Ordering;
use std::fmt;
use std::fmt::Write as _;
use std::time::Duration;

use async_trait::async_trait;
use reqwest::{Client, Url};
use serde_json::{Map, Number, Value as Json, json};
use tokio::sync::OnceCell;

use super::{Analytics, Fact, Function, Question, plain};
use crate::error::{Result, StoreError};
use crate::http;
use crate::link::{Fault, Link};
use crate::tenant::TenantId;
use crate::url::{Remote, Store};

const DEADLINE: Duration = Duration::from_secs(30);
const CONNECT: Duration = Duration::from_secs(2);
/// Times are whole microseconds since 1970: the type for that is younger than this table.
const TABLE: &str = "CREATE TABLE IF NOT EXISTS facts (
    tenant_id UUID, table_name String, at Int64, day Date, names Array(String), texts Array(String)
) ENGINE = MergeTree() PARTITION BY toYYYYMM(day) ORDER BY (tenant_id, table_name, at)";

pub(super) struct ClickHouse {
    link: Link,
    client: Client,
    url: Url,
    user: String,
    password: String,
    table_made: OnceCell<()>,
}

impl fmt::Debug for ClickHouse {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("ClickHouse").field("link", &self.link).finish_non_exhaustive()
    }
}

impl ClickHouse {
    pub(super) async fn open(remote: &Remote) -> Result<Self> {
        let wrong = |problem: String| StoreError::Configuration {
            variable: Store::Analytics.variable(),
            problem: format!("{problem}; use http://<user>:<password>@<host>:<port>/<database>"),
        };
        let database = Some(remote.path()).filter(|name| plain(name));
        let database = database.ok_or_else(|| wrong("names no database".to_owned()))?;
        let mut url = Url::parse(&format!("http://{}/", remote.host()))
            .map_err(|error| wrong(format!("names no usable host ({error})")))?;
        // Whole numbers as numbers, and a statement that fails in its middle as a failure and not as half an answer.
        url.query_pairs_mut()
            .append_pair("database", database)
            .append_pair("output_format_json_quote_64bit_integers", "0")
            .append_pair("wait_end_of_query", "1");
        let store = Self {
            link: Link::new(remote, DEADLINE),
            client: http::client(Store::Analytics, CONNECT, None)?,
            url,
            user: remote.username().unwrap_or_else(|| "default".to_owned()),
            password: remote.password().unwrap_or_default(),
            table_made: OnceCell::new(),
        };
        if let Err(error) = store.make_table().await {
            // It may come up after us; `check` says so until then.
            tracing::warn!(%error, "the table of facts was not looked for");
        }
        Ok(store)
    }

    async fn send(&self, attempted: &str, statement: String) -> Result<String, Fault> {
        let request = self.client.post(self.url.clone());
        // In headers, so that they stand in no log of addresses.
        let request = request
            .header("x-clickhouse-user", &self.user)
            .header("x-clickhouse-key", &self.password)
            .body(statement);
        let response = request.send().await.map_err(http::away)?;
        let status = response.status();
        let text = response.text().await.map_err(http::away)?;
        match status {
            status if status.is_success() => Ok(text),
            // ClickHouse says most of its refusals with this status; what is in them is final.
            status if text.starts_with("Code: ") && !is_passing(&text) => {
                let said = text.lines().next().unwrap_or_default();
                Err(self.link.answered(attempted, &format!("{status}: {said}")))
            }
            status => Err(http::refused(&self.link, attempted, status, &text)),
        }
    }

    async fn make_table(&self) -> Result<()> {
        let attempted = "make the table of facts";
        let make = || self.link.repeat(attempted, || self.send(attempted, TABLE.to_owned()));
        self.table_made.get_or_try_init(|| async { make().await.map(|_| ()) }).await.map(|_| ())
    }
}

/// Whether a refusal is about what is going on in the server, and not about what was asked.
fn is_passing(text: &str) -> bool {
    // Too many queries, timeout, network error, too slow, memory limit, too many parts: by ClickHouse's own numbers.
    const PASSING: [&str; 7] = ["202", "159", "210", "209", "160", "241", "252"];
    let code = text.trim_start_matches("Code: ").split(|letter: char| !letter.is_ascii_digit()).next();
    code.is_some_and(|code| PASSING.contains(&code))
}

/// Texts that are part of a statement must be plain ones; there is nothing to escape in them.
fn table_name(table: &str) -> Result<&str> {
    let fits = !table.is_empty()
        && table.len() <= 200
        && table.chars().all(|letter| letter.is_ascii_alphanumeric() || "._-".contains(letter));
    fits.then_some(table).ok_or_else(|| {
        StoreError::invalid("table", format!("`{table}` is not made of letters, digits, `.`, `_` and `-`"))
    })
}

fn field(name: &str) -> Result<&str> {
    plain(name).then_some(name).ok_or_else(|| super::not_plain(name))
}

/// The JSON text of a field, empty where a fact has none.
fn text_of(name: &str) -> String {
    format!("texts[indexOf(names, '{name}')]")
}

fn statement(tenant: TenantId, table: &str, question: &Question) -> Result<String> {
    let mut columns = Vec::new();
    for (index, name) in question.group_by.iter().enumerate() {
        columns.push(format!("{} AS g{index}", text_of(field(name)?)));
    }
    for (index, (function, name)) in question.measures.iter().enumerate() {
        columns.push(match function {
            Function::Count => format!("count() AS w{index}"),
            function => {
                let (name, text) = (function.name(), text_of(field(name)?));
                format!(
                    "countIf(isNull(toInt64OrNull({text})) AND isNotNull(toFloat64OrNull({text}))) AS n{index}, \
                     {name}(toInt64OrNull({text})) AS w{index}, {name}(toFloat64OrNull({text})) AS f{index}"
                )
            }
        });
    }
    let mut sql = format!(
        "SELECT {} FROM facts WHERE tenant_id = toUUID('{tenant}') AND table_name = '{}'",
        columns.join(", "),
        table_name(table)?
    );
    for (operator, bound) in [(">=", question.from), ("<", question.to)] {
        if let Some(bound) = bound {
            let _ = write!(sql, " AND at {operator} {}", bound.as_microsecond());
        }
    }
    if !question.group_by.is_empty() {
        let groups: Vec<_> = (0..question.group_by.len()).map(|index| format!("g{index}")).collect();
        let _ = write!(sql, " GROUP BY {}", groups.join(", "));
    }
    sql.push_str(" FORMAT JSONEachRow");
    Ok(sql)
}

/// A row of the answer as the port gives it.
fn group(question: &Question, row: &Map<String, Json>) -> Map<String, Json> {
    let column = |kind: char, index: usize| row.get(&format!("{kind}{index}")).cloned().unwrap_or_default();
    let mut group = Map::new();
    for (index, name) in question.group_by.iter().enumerate() {
        let text = column('g', index);
        let value = serde_json::from_str(text.as_str().unwrap_or_default()).unwrap_or_default();
        group.insert(name.clone(), value);
    }
    for (index, (function, name)) in question.measures.iter().enumerate() {
        if *function == Function::Count {
            group.insert("count".to_owned(), column('w', index));
            continue;
        }
        let all_whole = column('n', index).as_u64() == Some(0);
        let kind = if all_whole && *function != Function::Average { 'w' } else { 'f' };
        group.insert(format!("{}_{name}", function.name()), number(kind, column(kind, index)));
    }
    group
}

/// A float stays one, also where JSON writes it without a fraction.
fn number(kind: char, value: Json) -> Json {
    match value.as_f64().filter(|_| kind == 'f').and_then(Number::from_f64) {
        Some(float) => Json::Number(float),
        None => value,
    }
}

/// As SQLite sorts: nothing, then numbers, then texts.
fn by_groups(question: &Question, one: &Map<String, Json>, other: &Map<String, Json>) -> Ordering {
    let rank = |value: &Json| match value {
        Json::Null => 0,
        Json::Bool(_) | Json::Number(_) => 1,
        _ => 2,
    };
    let compare = |one: &Json, other: &Json| match (one, other) {
        (Json::String(one), Json::String(other)) => one.cmp(other),
        _ if rank(one) == rank(other) => {
            let number =
                |value: &Json| value.as_f64().or(value.as_bool().map(|flag| f64::from(u8::from(flag))));
            number(one).partial_cmp(&number(other)).unwrap_or(Ordering::Equal)
        }
        _ => rank(one).cmp(&rank(other)),
    };
    let mut orders = question.group_by.iter().map(|name| compare(&one[name], &other[name]));
    orders.find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
}

#[async_trait]
impl Analytics for ClickHouse {
    /// In one block, which is written as a whole or not at all. Not repeated: a lost answer may follow a write.
    async fn append(&self, tenant: TenantId, table: &str, facts: Vec<Fact>) -> Result<()> {
        let table = table_name(table)?;
        if facts.is_empty() {
            return Ok(());
        }
        self.make_table().await?;
        let mut statement = "INSERT INTO facts FORMAT JSONEachRow\n".to_owned();
        for fact in facts {
            let names: Vec<_> = fact.fields.keys().collect();
            let texts: Vec<_> = fact.fields.values().map(Json::to_string).collect();
            let row = json!({
                "tenant_id": tenant.to_string(),
                "table_name": table,
                "at": fact.at.as_microsecond(),
                "day": fact.at.strftime("%Y-%m-%d").to_string(),
                "names": names,
                "texts": texts,
            });
            statement.push_str(&row.to_string());
            statement.push('\n');
        }
        let attempted = "append facts";
        self.link.once(attempted, self.send(attempted, statement)).await.map(|_| ())
    }

    async fn ask(
        &self,
        tenant: TenantId,
        table: &str,
        question: &Question,
    ) -> Result<Vec<Map<String, Json>>> {
        question.check()?;
        let statement = statement(tenant, table, question)?;
        self.make_table().await?;
        let attempted = "ask a question about facts";
        let answer = self.link.repeat(attempted, || self.send(attempted, statement.clone())).await?;
        let mut groups = Vec::new();
        for line in answer.lines().filter(|line| !line.is_empty()) {
            let row: Map<String, Json> = serde_json::from_str(line).map_err(|error| StoreError::Corrupt {
                what: "answer of ClickHouse".to_owned(),
                problem: error.to_string(),
            })?;
            groups.push(group(question, &row));
        }
        groups.sort_by(|one, other| by_groups(question, one, other));
        Ok(groups)
    }

    async fn check(&self) -> Result<()> {
        self.make_table().await?;
        let attempted = "ask ClickHouse";
        self.link.repeat(attempted, || self.send(attempted, "SELECT 1".to_owned())).await.map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_is_not_plain_gets_into_a_statement() {
        let tenant = TenantId::new(uuid::Uuid::nil());
        let question = |field: &str| Question {
            measures: vec![(Function::Sum, field.to_owned())],
            ..Question::default()
        };
        assert!(statement(tenant, "credits", &question("amount")).is_ok());
        assert!(statement(tenant, "credits' OR 1 --", &question("amount")).is_err());
        assert!(statement(tenant, "credits", &question("x') --")).is_err());
    }

    #[test]
    fn refusals_are_told_from_what_passes() {
        assert!(is_passing("Code: 202, e.displayText() = DB::Exception: Too many simultaneous queries"));
        assert!(is_passing("Code: 241. DB::Exception: Memory limit (total) exceeded"));
        assert!(!is_passing("Code: 47, e.displayText() = DB::Exception: Unknown identifier: 202"));
    }
}
