//! One upload, from the first byte of its form to its place in staging. The content goes to the objects port as it
//! comes; what is kept of it is its first bytes, its size and its digest.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use multer::{Constraints, Field, Multipart, SizeLimit};
use svc_kit::Problem;
use svc_stores::objects::{ObjectStream, StoredObject};
use tonic::Code;
use uuid::Uuid;

use crate::domain::bucket::staging_path;
use crate::domain::media::{SNIFF_BYTES, is_sniffed_image, media_type};
use crate::domain::{Bucket, File, Status, filename, metadata};
use crate::library::{Library, key, rejected, store_problem};
use crate::store;

/// What a form may hold beside its file, in bytes: the other fields, headers and borders.
const FORM_OVERHEAD: u64 = 64 * 1024;
/// What may come before the content of a part, in bytes. A piece that is read may hold content too, so this is more than
/// heads need.
const HEAD_LIMIT: u64 = 1024 * 1024;

/// How long an upload waits for the scanner before it is answered as pending.
const PATIENCE: Duration = Duration::from_secs(10);

/// An upload that was taken.
#[derive(Clone, Debug)]
pub struct Taken {
    /// The file, available or still pending.
    pub file: File,
}

/// The form's fields, as far as they have been read.
#[derive(Default)]
struct Form {
    bucket: Option<Bucket>,
    metadata: BTreeMap<String, String>,
    content: Option<Content>,
}

/// The form's file, once it lies in staging.
struct Content {
    filename: String,
    mime_type: String,
    stored: StoredObject,
}

impl Library {
    /// Takes a form with the fields `file`, `bucket` and, if wanted, `metadata`, in any order. When it returns a
    /// file, that file survives any crash.
    ///
    /// # Errors
    /// Every rule of the form; `payload-too-large` (413); `file-rejected` (422) when the scanner found something;
    /// unavailable when too many files of the tenant wait. Nothing is left behind then.
    pub async fn take<S>(
        &self,
        tenant: Uuid,
        user: Option<Uuid>,
        boundary: String,
        body: S,
    ) -> Result<Taken, Problem>
    where
        S: Stream<Item = io::Result<Bytes>> + Send + 'static,
    {
        let id = Uuid::now_v7();
        let now = self.now();
        let reserved = store::reserve(&self.database, tenant, id, now, self.limits.pending).await;
        if !reserved.map_err(store_problem)? {
            return Err(Problem::new(Code::Unavailable, "staging-full", "Too many files wait to be scanned")
                .detail(format!(
                    "{} files of this tenant wait already. Try again in a minute.",
                    self.limits.pending
                )));
        }
        let file = match self.stage(tenant, user, id, boundary, body).await {
            Ok(file) => file,
            Err(problem) => {
                if let Err(error) = self.abandon(tenant, id).await {
                    tracing::warn!(upload = %id, %error, "an upload will be cleared away later");
                }
                return Err(problem);
            }
        };
        self.settle(file).await
    }

    async fn stage<S>(
        &self,
        tenant: Uuid,
        user: Option<Uuid>,
        id: Uuid,
        boundary: String,
        body: S,
    ) -> Result<File, Problem>
    where
        S: Stream<Item = io::Result<Bytes>> + Send + 'static,
    {
        let limits = SizeLimit::new()
            .whole_stream(self.limits.upload.saturating_add(FORM_OVERHEAD))
            .for_field("bucket", 64)
            .for_field("metadata", metadata::MAX_BYTES as u64);
        let constraints =
            Constraints::new().size_limit(limits).allowed_fields(vec!["file", "bucket", "metadata"]);
        let head = Arc::new(AtomicU64::new(0));
        let body = one_at_a_time(body, Arc::clone(&head));
        let mut multipart: Multipart<'static> = Multipart::with_constraints(body, boundary, constraints);
        let mut form = Form::default();
        loop {
            head.store(HEAD_LIMIT, Ordering::Relaxed);
            let Some(field) = multipart.next_field().await.map_err(|error| self.form_problem(&error))? else {
                break;
            };
            head.store(u64::MAX, Ordering::Relaxed);
            match field.name().unwrap_or_default() {
                "bucket" => form.bucket = Some(bucket_of(&self.text(field).await?)?),
                "metadata" => {
                    form.metadata = metadata::parse(&self.text(field).await?)
                        .map_err(|error| form_invalid("metadata", error.to_string()))?;
                }
                _ if form.content.is_some() => {
                    return Err(form_invalid("file", "one upload holds one file".to_owned()));
                }
                _ => form.content = Some(self.store(tenant, id, field).await?),
            }
        }
        let problem = Problem::invalid("The form is not complete.");
        let (content, bucket) = match (form.content, form.bucket) {
            (Some(content), Some(bucket)) => (content, bucket),
            (content, bucket) => {
                let missing = [("file", content.is_none()), ("bucket", bucket.is_none())];
                return Err(missing
                    .into_iter()
                    .filter(|(_, missing)| *missing)
                    .fold(problem, |problem, (name, _)| problem.violation(name, "required", "is needed")));
            }
        };
        let file = File {
            id,
            tenant,
            filename: content.filename,
            mime_type: content.mime_type,
            size: content.stored.size,
            sha256: content.stored.sha256,
            bucket,
            status: Status::PendingScan,
            rejection: String::new(),
            scanner: String::new(),
            metadata: form.metadata,
            uploaded_by: user,
            created: self.now(),
            trashed: None,
        };
        let recorded = async {
            let mut transaction = self.database.tenant(tenant).begin().await?;
            let in_time = store::release(&mut transaction, id).await?;
            if in_time {
                store::insert(&mut transaction, &file).await?;
            }
            transaction.commit().await.map(|()| in_time)
        };
        if recorded.await.map_err(store_problem)? {
            return Ok(file);
        }
        Err(Problem::deadline_exceeded("The upload took longer than an hour and was given up."))
    }

    /// Waits a little for the scanner, since most files are scanned at once.
    async fn settle(&self, file: File) -> Result<Taken, Problem> {
        let (tenant, id) = (file.tenant, file.id);
        match tokio::time::timeout(PATIENCE, self.scan(file.clone())).await {
            Ok(Ok(Status::PendingScan)) | Err(_) => return Ok(Taken { file }),
            Ok(Ok(_)) => {}
            // The file is safe; the housekeeping goes on with it.
            Ok(Err(error)) => {
                tracing::warn!(file = %id, %error, "a file could not be taken out of staging yet");
                return Ok(Taken { file });
            }
        }
        let file = self.find(tenant, id).await?;
        if file.status == Status::Rejected { Err(rejected(&file)) } else { Ok(Taken { file }) }
    }

    async fn store(&self, tenant: Uuid, id: Uuid, field: Field<'static>) -> Result<Content, Problem> {
        let filename = filename::clean(field.file_name().unwrap_or_default());
        let declared = field.content_type().map(ToString::to_string);
        let watch = Arc::new(Mutex::new(Watch::default()));
        let key = key(tenant, &staging_path(id)).map_err(store_problem)?;
        let content = watched(field, Arc::clone(&watch), self.limits.upload, self.limits.image);
        let stored = self.objects.put(&key, content, self.limits.upload).await;
        let mut watch = watch.lock().unwrap_or_else(PoisonError::into_inner);
        match (stored, watch.refused.take()) {
            (Ok(stored), None) => {
                let mime_type = media_type(&watch.head, declared.as_deref());
                Ok(Content { filename, mime_type, stored })
            }
            (_, Some(Refused::TooLarge(limit))) => Err(too_large(limit)),
            (_, Some(Refused::Broken(error))) => Err(self.form_problem(&error)),
            (Err(error), None) => Err(store_problem(error)),
        }
    }

    async fn text(&self, field: Field<'static>) -> Result<String, Problem> {
        field.text().await.map_err(|error| self.form_problem(&error))
    }

    fn form_problem(&self, error: &multer::Error) -> Problem {
        match error {
            multer::Error::StreamSizeExceeded { .. } => too_large(self.limits.upload),
            multer::Error::FieldSizeExceeded { limit, field_name } => {
                form_invalid(field_name.as_deref().unwrap_or("file"), format!("has more than {limit} bytes"))
            }
            multer::Error::UnknownField { field_name } => form_invalid(
                field_name.as_deref().unwrap_or_default(),
                "is no field of an upload; the fields are file, bucket and metadata".to_owned(),
            ),
            other => Problem::invalid(format!("The form broke off or can't be read: {other}.")),
        }
    }
}

/// The same stream, never ready twice in a row. The parser takes everything that is ready into its memory before it
/// hands out any of it: a client that is faster than the disk would fill the memory with its whole upload.
///
/// For the same reason it ends with an error once more than `left` bytes were given out: the parser keeps everything up
/// to the end of a part's head.
fn one_at_a_time<S>(body: S, left: Arc<AtomicU64>) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static
where
    S: Stream<Item = io::Result<Bytes>> + Send + 'static,
{
    let mut body = Box::pin(body);
    let mut rest = false;
    futures::stream::poll_fn(move |context| {
        if std::mem::take(&mut rest) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let polled = body.as_mut().poll_next(context);
        rest = matches!(polled, Poll::Ready(Some(Ok(_))));
        if let Poll::Ready(Some(Ok(piece))) = &polled {
            let before = left.load(Ordering::Relaxed);
            let Some(after) = before.checked_sub(piece.len() as u64) else {
                let reason = format!("what stands before a field has more than {HEAD_LIMIT} bytes");
                return Poll::Ready(Some(Err(io::Error::other(reason))));
            };
            left.store(after, Ordering::Relaxed);
        }
        polled
    })
}

/// What is seen of content while it flows.
#[derive(Default)]
struct Watch {
    head: Vec<u8>,
    size: u64,
    refused: Option<Refused>,
}

enum Refused {
    TooLarge(u64),
    Broken(multer::Error),
}

/// The pieces of a field, ended with an error once they are too many. The reason is left in `watch`.
fn watched(field: Field<'static>, watch: Arc<Mutex<Watch>>, upload: u64, image: u64) -> ObjectStream {
    field
        .map(move |piece| {
            let mut watch = watch.lock().unwrap_or_else(PoisonError::into_inner);
            let piece = match piece {
                Ok(piece) => piece,
                Err(error) => {
                    watch.refused = Some(Refused::Broken(error));
                    return Err(io::Error::other("the upload broke off"));
                }
            };
            watch.size += piece.len() as u64;
            let missing = SNIFF_BYTES.saturating_sub(watch.head.len()).min(piece.len());
            watch.head.extend_from_slice(&piece[..missing]);
            let is_image = is_sniffed_image(&media_type(&watch.head, None));
            let limit = if is_image { image.min(upload) } else { upload };
            if watch.size > limit {
                watch.refused = Some(Refused::TooLarge(limit));
                return Err(io::Error::other("the upload is too large"));
            }
            Ok(piece)
        })
        .boxed()
}

fn bucket_of(name: &str) -> Result<Bucket, Problem> {
    Bucket::from_name(name.trim()).ok_or_else(|| {
        let known = Bucket::ALL.map(Bucket::as_str).join(", ");
        form_invalid("bucket", format!("is one of {known}"))
    })
}

fn form_invalid(field: &str, message: String) -> Problem {
    Problem::invalid("The form can't be used as it is.").violation(field, "invalid", message)
}

/// The 413 of an upload.
pub(crate) fn too_large(limit: u64) -> Problem {
    Problem::new(Code::InvalidArgument, "payload-too-large", "The file is too large")
        .detail(format!("A file like this has at most {limit} bytes."))
}
