//! Closing what a service opened.
//!
//! A crash loses nothing, so nobody has to close anything. But a database that is closed has its write-ahead log taken
//! in, and a service that was stopped leaves one file behind instead of three.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use crate::relational::Backend;

tokio::task_local! {
    static CURRENT: Opened;
}

/// Remembers the databases that are connected inside of its [`scope`](Opened::scope).
#[derive(Clone, Debug, Default)]
pub struct Opened(Arc<Mutex<Vec<Arc<dyn Backend>>>>);

impl Opened {
    /// Databases that are connected while the future runs are remembered.
    pub async fn scope<F: Future>(&self, future: F) -> F::Output {
        CURRENT.scope(self.clone(), future).await
    }

    /// Closes them, each after the work in flight. Whoever still asks one afterwards is told that it is not available.
    pub async fn close(&self) {
        let backends = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        for backend in backends {
            backend.close().await;
        }
    }
}

/// Notes a database where somebody wants to close it later.
pub(crate) fn note(backend: &Arc<dyn Backend>) {
    let _ = CURRENT.try_with(|opened| {
        opened.0.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(backend));
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Database, values};

    #[tokio::test]
    async fn a_closed_database_leaves_one_file() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}/a.db", folder.path().display());
        let opened = Opened::default();
        let database = opened.scope(Database::connect(&url)).await.unwrap();
        let sql = "CREATE TABLE notes (id BIGINT PRIMARY KEY)";
        database.system().execute(sql, values![]).await.unwrap();
        database.system().fetch_all("SELECT id FROM notes", values![]).await.unwrap();
        let files = || std::fs::read_dir(folder.path()).unwrap().count();
        assert!(files() > 1, "the write-ahead log is there while it is open");
        opened.close().await;
        assert_eq!(files(), 1);
        assert!(database.check().await.unwrap_err().is_transient(), "it is closed");
        let again = Database::connect(&url).await.unwrap();
        again.system().fetch_all("SELECT id FROM notes", values![]).await.unwrap();
    }
}
