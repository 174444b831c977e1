//! The embedded adapters pass the suites.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::sync::atomic::{AtomicUsize, Ordering};

use svc_stores::{Database, suite};

/// A folder for one suite, in which each case gets a path of its own.
struct Folder {
    folder: tempfile::TempDir,
    used: AtomicUsize,
}

impl Folder {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), used: AtomicUsize::new(0) }
    }

    fn next(&self, scheme: &str) -> String {
        let number = self.used.fetch_add(1, Ordering::SeqCst);
        format!("{scheme}://{}/case-{number}/store", self.folder.path().display())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_is_relational() {
    let folder = Folder::new();
    suite::relational(|| async { Database::connect(&folder.next("sqlite")).await }).await;
}
