//! One file as its tenant sees it; its bytes are elsewhere.

use std::collections::BTreeMap;

use jiff::Timestamp;
use uuid::Uuid;

use super::bucket::Bucket;
use super::lifecycle::Status;

/// The record of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// UUID v7.
    pub id: Uuid,
    /// Whose it is.
    pub tenant: Uuid,
    /// The name it was uploaded under, cleaned.
    pub filename: String,
    /// The media type, sniffed where that is possible.
    pub mime_type: String,
    /// Bytes.
    pub size: u64,
    /// SHA-256 of the content, in lower-case hexadecimal.
    pub sha256: String,
    /// What it is for.
    pub bucket: Bucket,
    /// Where it stands.
    pub status: Status,
    /// Why it was rejected; empty otherwise.
    pub rejection: String,
    /// What scanned it; empty until then.
    pub scanner: String,
    /// What its owner wrote beside it.
    pub metadata: BTreeMap<String, String>,
    /// Who uploaded it; nothing for a service of the platform.
    pub uploaded_by: Option<Uuid>,
    /// When it was uploaded.
    pub created: Timestamp,
    /// When it was put into the trash.
    pub trashed: Option<Timestamp>,
}

impl File {
    /// The path of its content at the gateway. Nothing until it is available.
    #[must_use]
    pub fn content_path(&self) -> Option<String> {
        (self.status == Status::Available).then(|| format!("/v1/files/{}/content", self.id))
    }
}
