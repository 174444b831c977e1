//! From staging to available or rejected, and everything that a crash, a scanner that is away, or mere time leaves
//! to be done. Each step is a condition on the row, so that it may be done twice and by two at once.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;
use svc_stores::{Result, StoreError};
use uuid::Uuid;

use crate::domain::bucket::{object_path, staging_path};
use crate::domain::{Event, File, Status, TRASH_TTL};
use crate::library::{Library, key, message, step};
use crate::scanner::Finding;
use crate::store;

/// An upload that takes longer than this is given up.
pub const UPLOAD_TTL: Duration = Duration::from_secs(60 * 60);

/// With more files than this waiting, the newest go first: somebody is waiting for those.
const CROWD: u64 = 1000;

/// How many rows one round takes of each kind.
const BATCH: u32 = 100;

/// What one round of housekeeping did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Round {
    /// Files that are available now.
    pub available: u32,
    /// Files that are rejected now.
    pub rejected: u32,
    /// Files that still wait.
    pub waiting: u32,
    /// Files that left the trash for good.
    pub purged: u32,
    /// Uploads that broke off and were cleared away.
    pub abandoned: u32,
}

impl Library {
    /// Does everything that is left to be done.
    ///
    /// # Errors
    /// Whatever the stores say; what was done stays done.
    pub async fn housekeep(&self) -> Result<Round> {
        let mut round = Round::default();
        let now = self.now();
        for (tenant, path) in store::doomed(&self.database, BATCH).await? {
            self.remove_object(tenant, &path).await;
        }
        for (tenant, id) in store::stale_uploads(&self.database, before(now, UPLOAD_TTL), BATCH).await? {
            self.abandon(tenant, id).await?;
            round.abandoned += 1;
        }
        for file in store::pending_since(&self.database, before(now, self.limits.staging), BATCH).await? {
            let hours = self.limits.staging.as_secs() / 3600;
            self.reject(file, Event::StagingExpired, &format!("it was not scanned within {hours} hours"))
                .await?;
            round.rejected += 1;
        }
        let crowded = store::count_pending(&self.database).await? > CROWD;
        for file in store::pending(&self.database, crowded, BATCH).await? {
            match self.scan(file).await? {
                Status::Rejected => round.rejected += 1,
                Status::PendingScan => round.waiting += 1,
                Status::Available | Status::Trashed => round.available += 1,
            }
        }
        for file in store::trashed_since(&self.database, before(now, TRASH_TTL), BATCH).await? {
            round.purged += u32::from(self.remove(&file).await?);
        }
        Ok(round)
    }

    /// Takes a staged file as far as it goes now, and says where it stands then.
    pub(crate) async fn scan(&self, mut file: File) -> Result<Status> {
        let staged = key(file.tenant, &staging_path(file.id))?;
        let place = key(file.tenant, &object_path(file.bucket, file.id))?;
        match self.objects.get(&staged).await? {
            Some((_, content)) => match self.scanner.scan(content).await {
                Ok(Finding::Clean) => {
                    if let Err(error) = self.objects.rename(&staged, &place).await {
                        // Somebody else may have scanned and moved it meanwhile.
                        if self.objects.head(&place).await?.is_none() {
                            return Err(error);
                        }
                    }
                }
                Ok(Finding::Infected { signature }) => {
                    return self
                        .reject(file, Event::ScannedInfected, &format!("{signature} was found in it"))
                        .await;
                }
                Err(error) => {
                    tracing::warn!(file = %file.id, %error, "a file waits for the scanner");
                    return Ok(Status::PendingScan);
                }
            },
            // A crash came between the move and its record: only clean content is ever moved.
            None if self.objects.head(&place).await?.is_some() => {}
            None => {
                return self
                    .reject(file, Event::StagingExpired, "its content was lost before it was scanned")
                    .await;
            }
        }
        if step(&mut file, Event::ScannedClean).is_err() {
            return self.standing(&file).await;
        }
        file.scanner = self.scanner.name().to_owned();
        let message = message("files.file.available", &file, json!({ "scanner": file.scanner }));
        let mut transaction = self.database.tenant(file.tenant).begin().await?;
        if self.change_within(&mut transaction, Status::PendingScan, &file, &message).await? {
            transaction.commit().await?;
            tracing::info!(file = %file.id, tenant = %file.tenant, scanner = file.scanner, "a file is available");
            return Ok(Status::Available);
        }
        transaction.rollback().await?;
        let status = self.standing(&file).await?;
        if status == Status::Rejected {
            // It expired while it was scanned, and what was moved belongs to nobody.
            self.objects.delete(&place).await?;
        }
        Ok(status)
    }

    async fn reject(&self, mut file: File, event: Event, reason: &str) -> Result<Status> {
        if step(&mut file, event).is_err() {
            return self.standing(&file).await;
        }
        reason.clone_into(&mut file.rejection);
        if event == Event::ScannedInfected {
            self.scanner.name().clone_into(&mut file.scanner);
        }
        let facts = json!({ "reason": reason, "scanner": file.scanner });
        let message = message("files.file.rejected", &file, facts);
        let path = staging_path(file.id);
        let mut transaction = self.database.tenant(file.tenant).begin().await?;
        if !self.change_within(&mut transaction, Status::PendingScan, &file, &message).await? {
            transaction.rollback().await?;
            return self.standing(&file).await;
        }
        store::doom(&mut transaction, &path).await?;
        transaction.commit().await?;
        tracing::warn!(file = %file.id, tenant = %file.tenant, reason, "a file was rejected");
        self.remove_object(file.tenant, &path).await;
        Ok(Status::Rejected)
    }

    /// Clears away an upload that did not become a file.
    pub(crate) async fn abandon(&self, tenant: Uuid, id: Uuid) -> Result<()> {
        let path = staging_path(id);
        let mut transaction = self.database.tenant(tenant).begin().await?;
        if !store::release(&mut transaction, id).await? {
            // It became a file after all, or somebody else cleared it away.
            return transaction.rollback().await;
        }
        store::doom(&mut transaction, &path).await?;
        transaction.commit().await?;
        self.remove_object(tenant, &path).await;
        Ok(())
    }

    async fn standing(&self, file: &File) -> Result<Status> {
        let found = store::get(&self.database, file.tenant, file.id).await?;
        found
            .map(|file| file.status)
            .ok_or_else(|| StoreError::NotFound { what: format!("file {}", file.id) })
    }
}

fn before(now: Timestamp, age: Duration) -> Timestamp {
    now.saturating_sub(age).unwrap_or(Timestamp::MIN)
}
