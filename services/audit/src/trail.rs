//! The trail as rows of the relational store. There is no statement here that changes or removes one, and the
//! schema refuses such statements too.

use std::collections::BTreeMap;

use jiff::Timestamp;
use svc_stores::relational::{Migration, Row, Transaction};
use svc_stores::{Database, Result, StoreError, values};
use uuid::Uuid;

use crate::domain::{ActionFilter, Break, Chain, Entry, GENESIS, Link, Query};

pub(crate) const MIGRATIONS: &[Migration] =
    &[Migration::new(1, "trail", include_str!("../migrations/0001_trail.sql"))
        .for_postgres(include_str!("../migrations/0001_trail.postgres.sql"))];

const COLUMNS: &str = "sequence, audit_id, action, entity_type, entity_id, user_id, ip, user_agent,
    before_text, after_text, metadata_text, occurred_at, previous_hash, hash";
/// How many records are held in memory while a chain is walked.
const STRIDE: u32 = 500;

/// The trails of all tenants.
#[derive(Clone, Debug)]
pub(crate) struct Trail {
    database: Database,
}

/// What became of a walk along a chain.
pub(crate) struct Verdict {
    pub checked: i64,
    pub broken: Option<Break>,
}

/// Where a tenant's chain ends.
struct End {
    sequence: i64,
    hash: String,
}

impl Trail {
    pub(crate) fn new(database: Database) -> Self {
        Self { database }
    }

    /// Adds all of these records or none, in their order. One whose id is in its trail already is not added again.
    /// They are durable when this returns.
    pub(crate) async fn append(&self, entries: Vec<(Uuid, Entry)>) -> Result<()> {
        let mut transaction = self.database.system().begin().await?;
        let mut ends: BTreeMap<Uuid, End> = BTreeMap::new();
        for (tenant, entry) in entries {
            if is_known(&mut transaction, tenant, entry.id).await? {
                continue;
            }
            let end = match ends.remove(&tenant) {
                Some(end) => end,
                None => end_of(&mut transaction, tenant).await?,
            };
            let link = Link::forge(tenant, end.sequence + 1, end.hash, entry);
            insert(&mut transaction, tenant, &link).await?;
            ends.insert(tenant, End { sequence: link.sequence, hash: link.hash });
        }
        transaction.commit().await
    }

    pub(crate) async fn find(&self, tenant: Uuid, id: Uuid) -> Result<Option<Link>> {
        let sql = format!("SELECT {COLUMNS} FROM trail WHERE tenant_id = $1 AND audit_id = $2");
        let row = self.database.tenant(tenant).fetch_optional(&sql, values![id]).await?;
        row.as_ref().map(link).transpose()
    }

    /// Up to `limit` records before `before` that match, newest first.
    pub(crate) async fn list(
        &self,
        tenant: Uuid,
        query: &Query,
        before: i64,
        limit: u32,
    ) -> Result<Vec<Link>> {
        let mut sql = format!("SELECT {COLUMNS} FROM trail WHERE tenant_id = $1 AND sequence < $2");
        let mut values = values![before];
        let mut add = |condition: &str, value: svc_stores::relational::Value| {
            values.push(value);
            // The tenant is $1.
            sql.push_str(&condition.replace('?', &format!("${}", values.len() + 1)));
        };
        match &query.action {
            Some(ActionFilter::Exact(action)) => add(" AND action = ?", action.into()),
            Some(ActionFilter::Prefix(prefix)) => add(" AND substr(action, 1, length(?)) = ?", prefix.into()),
            None => {}
        }
        for (condition, value) in [
            (" AND entity_type = ?", &query.entity_type),
            (" AND entity_id = ?", &query.entity_id),
            (" AND user_id = ?", &query.user_id),
        ] {
            if let Some(value) = value {
                add(condition, value.into());
            }
        }
        for (condition, time) in [(" AND occurred_at >= ?", query.from), (" AND occurred_at < ?", query.to)] {
            if let Some(time) = time {
                add(condition, time.as_microsecond().into());
            }
        }
        values.push(limit.into());
        sql.push_str(&format!(" ORDER BY sequence DESC LIMIT ${}", values.len() + 1));
        let rows = self.database.tenant(tenant).fetch_all(&sql, values).await?;
        rows.iter().map(link).collect()
    }

    /// Walks along the whole chain of a tenant.
    pub(crate) async fn verify(&self, tenant: Uuid) -> Result<Verdict> {
        let sql = format!(
            "SELECT {COLUMNS} FROM trail WHERE tenant_id = $1 AND sequence > $2 ORDER BY sequence LIMIT $3"
        );
        let mut chain = Chain::new(tenant);
        loop {
            let rows = self.database.tenant(tenant).fetch_all(&sql, values![chain.checked(), STRIDE]).await?;
            for row in &rows {
                let followed = match link(row) {
                    Ok(link) => chain.follow(&link),
                    // A row that cannot even be read was not written by us.
                    Err(StoreError::Corrupt { what, problem }) => {
                        Err(Break { sequence: chain.checked() + 1, reason: format!("{what}: {problem}") })
                    }
                    Err(other) => return Err(other),
                };
                if let Err(broken) = followed {
                    return Ok(Verdict { checked: chain.checked(), broken: Some(broken) });
                }
            }
            if rows.is_empty() {
                return Ok(Verdict { checked: chain.checked(), broken: None });
            }
        }
    }
}

async fn is_known(transaction: &mut Transaction, tenant: Uuid, id: Uuid) -> Result<bool> {
    let sql = "SELECT 1 AS known FROM trail WHERE tenant_id = $1 AND audit_id = $2";
    Ok(transaction.for_tenant(tenant).fetch_optional(sql, values![id]).await?.is_some())
}

async fn end_of(transaction: &mut Transaction, tenant: Uuid) -> Result<End> {
    let sql = "SELECT sequence, hash FROM trail WHERE tenant_id = $1 ORDER BY sequence DESC LIMIT 1";
    match transaction.for_tenant(tenant).fetch_optional(sql, values![]).await? {
        Some(row) => Ok(End { sequence: row.get("sequence")?, hash: row.get("hash")? }),
        None => Ok(End { sequence: 0, hash: GENESIS.to_owned() }),
    }
}

async fn insert(transaction: &mut Transaction, tenant: Uuid, link: &Link) -> Result<()> {
    let sql = "INSERT INTO trail (tenant_id, sequence, audit_id, action, entity_type, entity_id, user_id, ip, user_agent,
            before_text, after_text, metadata_text, occurred_at, previous_hash, hash)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)";
    let entry = &link.entry;
    let values = values![
        link.sequence,
        entry.id,
        &entry.action,
        &entry.entity_type,
        &entry.entity_id,
        &entry.user_id,
        &entry.ip,
        &entry.user_agent,
        entry.before.clone(),
        entry.after.clone(),
        entry.metadata.clone(),
        entry.occurred_at.as_microsecond(),
        &link.previous_hash,
        &link.hash
    ];
    transaction.for_tenant(tenant).execute(sql, values).await.map(|_| ())
}

fn link(row: &Row) -> Result<Link> {
    let microseconds: i64 = row.get("occurred_at")?;
    let occurred_at = Timestamp::from_microsecond(microseconds).map_err(|error| StoreError::Corrupt {
        what: "column `occurred_at`".to_owned(),
        problem: error.to_string(),
    })?;
    Ok(Link {
        sequence: row.get("sequence")?,
        entry: Entry {
            id: row.get("audit_id")?,
            action: row.get("action")?,
            entity_type: row.get("entity_type")?,
            entity_id: row.get("entity_id")?,
            user_id: row.get("user_id")?,
            ip: row.get("ip")?,
            user_agent: row.get("user_agent")?,
            before: row.get("before_text")?,
            after: row.get("after_text")?,
            metadata: row.get("metadata_text")?,
            occurred_at,
        },
        previous_hash: row.get("previous_hash")?,
        hash: row.get("hash")?,
    })
}
