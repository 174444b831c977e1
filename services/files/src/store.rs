//! The rows of files, of uploads on their way, and of objects that are to be removed.

use std::collections::BTreeMap;

use jiff::Timestamp;
use svc_stores::relational::{Row, Transaction};
use svc_stores::{Database, Result, StoreError, values};
use uuid::Uuid;

use crate::domain::{Bucket, File, Status};

const COLUMNS: &str =
    "id, tenant_id, filename, mime_type, size, sha256, bucket, status, rejection, scanner, metadata,
    uploaded_by, created_at, trashed_at";

/// Begins an upload, unless the tenant has `limit` files on their way or waiting already. Says whether it did.
pub async fn reserve(
    database: &Database,
    tenant: Uuid,
    id: Uuid,
    now: Timestamp,
    limit: u32,
) -> Result<bool> {
    let mut transaction = database.tenant(tenant).begin().await?;
    let uploads = "SELECT COUNT(*) AS count FROM uploads WHERE tenant_id = $1";
    let pending = "SELECT COUNT(*) AS count FROM files WHERE tenant_id = $1 AND status = 'pending_scan'";
    let mut count: u64 = transaction.fetch_one(uploads, values![]).await?.get("count")?;
    count += transaction.fetch_one(pending, values![]).await?.get::<u64>("count")?;
    if count >= u64::from(limit) {
        transaction.rollback().await?;
        return Ok(false);
    }
    let sql = "INSERT INTO uploads (tenant_id, id, started_at) VALUES ($1, $2, $3)";
    transaction.execute(sql, values![id, now]).await?;
    transaction.commit().await?;
    Ok(true)
}

/// Ends an upload, whether it became a file or not. Says whether it was still there.
pub async fn release(transaction: &mut Transaction, id: Uuid) -> Result<bool> {
    let sql = "DELETE FROM uploads WHERE tenant_id = $1 AND id = $2";
    Ok(transaction.execute(sql, values![id]).await? > 0)
}

/// Uploads of all tenants that began before `before`, as (tenant, id).
pub async fn stale_uploads(database: &Database, before: Timestamp, limit: u32) -> Result<Vec<(Uuid, Uuid)>> {
    let sql = "SELECT tenant_id, id FROM uploads WHERE started_at < $1 ORDER BY started_at LIMIT $2";
    let rows = database.system().fetch_all(sql, values![before, limit]).await?;
    rows.iter().map(|row| Ok((row.get("tenant_id")?, row.get("id")?))).collect()
}

/// Adds a file.
pub async fn insert(transaction: &mut Transaction, file: &File) -> Result<()> {
    let size = i64::try_from(file.size).map_err(|_| StoreError::invalid("size", "is beyond all bounds"))?;
    let metadata: serde_json::Map<_, _> =
        file.metadata.iter().map(|(key, value)| (key.clone(), value.clone().into())).collect();
    let sql = "INSERT INTO files (tenant_id, id, filename, mime_type, size, sha256, bucket, status, rejection, scanner,
            metadata, uploaded_by, created_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)";
    let values = values![
        file.id,
        &file.filename,
        &file.mime_type,
        size,
        &file.sha256,
        file.bucket.as_str(),
        file.status.as_str(),
        &file.rejection,
        &file.scanner,
        serde_json::Value::Object(metadata),
        file.uploaded_by,
        file.created
    ];
    transaction.execute(sql, values).await.map(|_| ())
}

/// One file of a tenant, in whatever state.
pub async fn get(database: &Database, tenant: Uuid, id: Uuid) -> Result<Option<File>> {
    let sql = format!("SELECT {COLUMNS} FROM files WHERE tenant_id = $1 AND id = $2");
    let row = database.tenant(tenant).fetch_optional(&sql, values![id]).await?;
    row.as_ref().map(file_of).transpose()
}

/// Available files of a tenant, newest first, older than `before`.
pub async fn list(
    database: &Database,
    tenant: Uuid,
    bucket: Option<Bucket>,
    before: Option<Uuid>,
    limit: u32,
) -> Result<Vec<File>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM files
        WHERE tenant_id = $1 AND status = 'available' AND id < $2 AND ($3 = '' OR bucket = $3)
        ORDER BY id DESC LIMIT $4"
    );
    let values = values![before.unwrap_or(Uuid::max()), bucket.map_or("", |bucket| bucket.as_str()), limit];
    let rows = database.tenant(tenant).fetch_all(&sql, values).await?;
    rows.iter().map(file_of).collect()
}

/// Moves a file from one state to another, with what goes along. Says whether it was in the first.
pub async fn change(transaction: &mut Transaction, from: Status, file: &File) -> Result<bool> {
    let sql = "UPDATE files SET status = $4, rejection = $5, scanner = $6, trashed_at = $7
        WHERE tenant_id = $1 AND id = $2 AND status = $3";
    let values =
        values![file.id, from.as_str(), file.status.as_str(), &file.rejection, &file.scanner, file.trashed];
    Ok(transaction.execute(sql, values).await? > 0)
}

/// Removes a file in this state. Says whether it was there.
pub async fn remove(transaction: &mut Transaction, from: Status, id: Uuid) -> Result<bool> {
    let sql = "DELETE FROM files WHERE tenant_id = $1 AND id = $2 AND status = $3";
    Ok(transaction.execute(sql, values![id, from.as_str()]).await? > 0)
}

/// How many files of all tenants wait for the scanner.
pub async fn count_pending(database: &Database) -> Result<u64> {
    let sql = "SELECT COUNT(*) AS count FROM files WHERE status = 'pending_scan'";
    database.system().fetch_one(sql, values![]).await?.get("count")
}

/// Files of all tenants that wait for the scanner.
pub async fn pending(database: &Database, newest_first: bool, limit: u32) -> Result<Vec<File>> {
    let order = if newest_first { "DESC" } else { "ASC" };
    let sql = format!(
        "SELECT {COLUMNS} FROM files WHERE status = 'pending_scan' ORDER BY created_at {order} LIMIT $1"
    );
    let rows = database.system().fetch_all(&sql, values![limit]).await?;
    rows.iter().map(file_of).collect()
}

/// Files of all tenants that wait for the scanner since before `before`.
pub async fn pending_since(database: &Database, before: Timestamp, limit: u32) -> Result<Vec<File>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM files WHERE status = 'pending_scan' AND created_at <= $1
        ORDER BY created_at LIMIT $2"
    );
    let rows = database.system().fetch_all(&sql, values![before, limit]).await?;
    rows.iter().map(file_of).collect()
}

/// Files of all tenants that are in the trash since before `before`.
pub async fn trashed_since(database: &Database, before: Timestamp, limit: u32) -> Result<Vec<File>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM files WHERE status = 'trashed' AND trashed_at <= $1
        ORDER BY trashed_at LIMIT $2"
    );
    let rows = database.system().fetch_all(&sql, values![before, limit]).await?;
    rows.iter().map(file_of).collect()
}

/// Notes that an object is to be removed, with the change that makes it superfluous.
pub async fn doom(transaction: &mut Transaction, path: &str) -> Result<()> {
    let sql = "INSERT INTO doomed_objects (tenant_id, path) VALUES ($1, $2) ON CONFLICT (tenant_id, path) DO NOTHING";
    transaction.execute(sql, values![path]).await.map(|_| ())
}

/// Objects of all tenants that are to be removed.
pub async fn doomed(database: &Database, limit: u32) -> Result<Vec<(Uuid, String)>> {
    let sql = "SELECT tenant_id, path FROM doomed_objects ORDER BY tenant_id, path LIMIT $1";
    let rows = database.system().fetch_all(sql, values![limit]).await?;
    rows.iter().map(|row| Ok((row.get("tenant_id")?, row.get("path")?))).collect()
}

/// Notes that an object is gone.
pub async fn undoom(database: &Database, tenant: Uuid, path: &str) -> Result<()> {
    let sql = "DELETE FROM doomed_objects WHERE tenant_id = $1 AND path = $2";
    database.tenant(tenant).execute(sql, values![path]).await.map(|_| ())
}

fn file_of(row: &Row) -> Result<File> {
    let corrupt = |what: &str, problem: String| StoreError::Corrupt { what: what.to_owned(), problem };
    let bucket: String = row.get("bucket")?;
    let status: String = row.get("status")?;
    let metadata: serde_json::Value = row.get("metadata")?;
    let metadata: BTreeMap<String, String> =
        serde_json::from_value(metadata).map_err(|error| corrupt("metadata", error.to_string()))?;
    Ok(File {
        id: row.get("id")?,
        tenant: row.get("tenant_id")?,
        filename: row.get("filename")?,
        mime_type: row.get("mime_type")?,
        size: row.get("size")?,
        sha256: row.get("sha256")?,
        bucket: Bucket::from_name(&bucket).ok_or_else(|| corrupt("bucket", format!("is `{bucket}`")))?,
        status: Status::from_stored(&status).ok_or_else(|| corrupt("status", format!("is `{status}`")))?,
        rejection: row.get("rejection")?,
        scanner: row.get("scanner")?,
        metadata,
        uploaded_by: row.get("uploaded_by")?,
        created: row.get("created_at")?,
        trashed: row.get("trashed_at")?,
    })
}
