//! What can be done with files that are there: read, list, trash, restore, delete for good. The two doors, gRPC and
//! raw HTTP, and the housekeeping lead here.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::json;
use svc_kit::{Problem, RequestContext};
use svc_stores::objects::{ObjectKey, ObjectStore, ObjectStream};
use svc_stores::outbox::{self, Event as Message};
use svc_stores::relational::Transaction;
use svc_stores::{Database, StoreError};
use tonic::Code;
use uuid::Uuid;

use crate::domain::bucket::object_path;
use crate::domain::lifecycle::next;
use crate::domain::{Bucket, Event, File, Next, NotAllowed, Status};
use crate::scanner::Scanner;
use crate::store;

const TOPIC: &str = "platform.files.events";

/// Tells the time. Tests have their own.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// What may be uploaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The largest file, in bytes.
    pub upload: u64,
    /// The largest picture, in bytes.
    pub image: u64,
    /// How many files of one tenant may be on their way or wait for the scanner.
    pub pending: u32,
    /// A file that is not scanned in this time is rejected.
    pub staging: std::time::Duration,
}

/// The files of all tenants. Cheap to clone.
#[derive(Clone)]
pub struct Library {
    pub(crate) database: Database,
    pub(crate) objects: Arc<dyn ObjectStore>,
    pub(crate) scanner: Arc<dyn Scanner>,
    pub(crate) limits: Limits,
    pub(crate) clock: Clock,
}

impl Library {
    /// Over a migrated database.
    #[must_use]
    pub fn new(
        database: Database,
        objects: Arc<dyn ObjectStore>,
        scanner: Arc<dyn Scanner>,
        limits: Limits,
        clock: Clock,
    ) -> Self {
        Self { database, objects, scanner, limits, clock }
    }

    /// A file as its owner may see it: available, or in the trash.
    ///
    /// # Errors
    /// Not found while it is not scanned, `file-rejected` (422) when it was rejected.
    pub async fn get(&self, tenant: Uuid, id: Uuid) -> Result<File, Problem> {
        let file = self.find(tenant, id).await?;
        match file.status {
            Status::Available | Status::Trashed => Ok(file),
            Status::PendingScan => Err(no_such_file()),
            Status::Rejected => Err(rejected(&file)),
        }
    }

    /// A file that is available, and its content.
    ///
    /// # Errors
    /// As [`Library::get`]; a file in the trash has no content to give.
    pub async fn open(&self, tenant: Uuid, id: Uuid) -> Result<(File, ObjectStream), Problem> {
        let file = self.get(tenant, id).await?;
        if file.status != Status::Available {
            return Err(no_such_file());
        }
        let key = key(tenant, &object_path(file.bucket, id)).map_err(store_problem)?;
        match self.objects.get(&key).await.map_err(store_problem)? {
            Some((info, content)) if info.size == file.size => Ok((file, content)),
            Some((info, _)) => Err(Problem::internal(StoreError::Corrupt {
                what: format!("object {}", key.as_str()),
                problem: format!("it has {} bytes, the file {}", info.size, file.size),
            })),
            // It may have been deleted for good since the row was read.
            None => match self.find(tenant, id).await?.status {
                Status::Available => Err(Problem::internal(StoreError::Corrupt {
                    what: format!("object {}", key.as_str()),
                    problem: "it is not there".to_owned(),
                })),
                _ => Err(no_such_file()),
            },
        }
    }

    /// Available files of the tenant, newest first, older than `before`.
    ///
    /// # Errors
    /// Whatever the database says.
    pub async fn list(
        &self,
        tenant: Uuid,
        bucket: Option<Bucket>,
        before: Option<Uuid>,
        limit: u32,
    ) -> Result<Vec<File>, Problem> {
        store::list(&self.database, tenant, bucket, before, limit).await.map_err(store_problem)
    }

    /// Puts a file into the trash. One that is there already stays there, with its time.
    ///
    /// # Errors
    /// As [`Library::get`].
    pub async fn trash(&self, tenant: Uuid, id: Uuid) -> Result<(), Problem> {
        let mut file = self.get(tenant, id).await?;
        if file.status == Status::Trashed {
            return Ok(());
        }
        let from = step(&mut file, Event::Trash)?;
        file.trashed = Some(self.now());
        let message = message("files.file.deleted", &file, json!({ "permanent": false }));
        self.change(from, &file, message).await
    }

    /// Takes a file out of the trash.
    ///
    /// # Errors
    /// When it is not in the trash.
    pub async fn restore(&self, tenant: Uuid, id: Uuid) -> Result<File, Problem> {
        let mut file = self.get(tenant, id).await?;
        let from = step(&mut file, Event::Restore)?;
        file.trashed = None;
        let message = message("files.file.available", &file, json!({ "restored": true }));
        self.change(from, &file, message).await?;
        Ok(file)
    }

    /// Deletes a file and its content for good.
    ///
    /// # Errors
    /// When there is no such file, or it is not scanned yet.
    pub async fn purge(&self, tenant: Uuid, id: Uuid) -> Result<(), Problem> {
        let file = self.find(tenant, id).await?;
        if file.status == Status::PendingScan {
            return Err(no_such_file());
        }
        if self.remove(&file).await.map_err(store_problem)? {
            return Ok(());
        }
        Err(Problem::conflict("The file was changed meanwhile. Read it again and retry."))
    }

    /// Removes the row and dooms the object. Says whether the file was still as given.
    pub(crate) async fn remove(&self, file: &File) -> Result<bool, StoreError> {
        if next(file.status, Event::Purge) != Ok(Next::Gone) {
            return Ok(false);
        }
        let path = object_path(file.bucket, file.id);
        let mut transaction = self.database.tenant(file.tenant).begin().await?;
        if !store::remove(&mut transaction, file.status, file.id).await? {
            transaction.rollback().await?;
            return Ok(false);
        }
        // Of a rejected file nothing is left; dooming what is not there does no harm.
        store::doom(&mut transaction, &path).await?;
        outbox::append(&mut transaction, &message("files.file.deleted", file, json!({ "permanent": true })))
            .await?;
        transaction.commit().await?;
        self.remove_object(file.tenant, &path).await;
        Ok(true)
    }

    /// Removes a doomed object now. When that fails, the housekeeping tries again.
    pub(crate) async fn remove_object(&self, tenant: Uuid, path: &str) {
        let removed = async {
            self.objects.delete(&key(tenant, path)?).await?;
            store::undoom(&self.database, tenant, path).await
        };
        if let Err(error) = removed.await {
            tracing::warn!(%tenant, path, %error, "an object could not be removed yet");
        }
    }

    /// To the microsecond, as the database keeps it: an answer does not change when it is read again.
    pub(crate) fn now(&self) -> Timestamp {
        let now = (self.clock)();
        Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now)
    }

    pub(crate) async fn find(&self, tenant: Uuid, id: Uuid) -> Result<File, Problem> {
        store::get(&self.database, tenant, id).await.map_err(store_problem)?.ok_or_else(no_such_file)
    }

    async fn change(&self, from: Status, file: &File, message: Message) -> Result<(), Problem> {
        let changed = async {
            let mut transaction = self.database.tenant(file.tenant).begin().await?;
            let changed = self.change_within(&mut transaction, from, file, &message).await?;
            transaction.commit().await.map(|()| changed)
        };
        match changed.await {
            Ok(true) => Ok(()),
            Ok(false) => Err(Problem::conflict("The file was changed meanwhile. Read it again and retry.")),
            Err(error) => Err(store_problem(error)),
        }
    }

    /// Writes the new state and its message, if the file is still in the old one.
    pub(crate) async fn change_within(
        &self,
        transaction: &mut Transaction,
        from: Status,
        file: &File,
        message: &Message,
    ) -> Result<bool, StoreError> {
        let changed = store::change(transaction, from, file).await?;
        if changed {
            outbox::append(transaction, message).await?;
        }
        Ok(changed)
    }
}

/// Moves the record to its next state and gives the one before.
pub(crate) fn step(file: &mut File, event: Event) -> Result<Status, NotAllowed> {
    let before = file.status;
    if let Next::To(status) = next(before, event)? {
        file.status = status;
    }
    Ok(before)
}

impl From<NotAllowed> for Problem {
    fn from(refusal: NotAllowed) -> Self {
        Self::failed_precondition(format!("Not possible: {refusal}."))
    }
}

pub(crate) fn key(tenant: Uuid, path: &str) -> Result<ObjectKey, StoreError> {
    ObjectKey::tenant(tenant, path)
}

/// What others learn of a file, with more facts about what happened to it.
pub(crate) fn message(event_type: &str, file: &File, more: serde_json::Value) -> Message {
    let mut data = json!({
        "fileId": file.id,
        "filename": file.filename,
        "mimeType": file.mime_type,
        "size": file.size,
        "bucket": file.bucket.as_str(),
        "sha256": file.sha256,
        "uploadedBy": file.uploaded_by,
    });
    if let (Some(data), serde_json::Value::Object(more)) = (data.as_object_mut(), more) {
        data.extend(more);
    }
    let trace = RequestContext::current().map(|context| context.trace.trace_id());
    Message::new(TOPIC, event_type, "files", &file.id.to_string()).tenant(file.tenant).data(data).trace(trace)
}

pub(crate) fn no_such_file() -> Problem {
    Problem::not_found("There is no such file.")
}

pub(crate) fn rejected(file: &File) -> Problem {
    Problem::new(Code::FailedPrecondition, "file-rejected", "The file was rejected")
        .detail(format!("`{}` was rejected: {}. Its content was removed.", file.filename, file.rejection))
}

pub(crate) fn store_problem(error: StoreError) -> Problem {
    if error.is_transient() {
        return Problem::unavailable("A store is busy; try again.");
    }
    Problem::internal(error)
}
