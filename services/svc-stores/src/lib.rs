//! Backing-store ports and their adapters, each judged by one suite.
//!
//! One variable of the environment per store, one embedded adapter each (no server needed), durable across
//! `kill -9`: what was acknowledged is there after the next start. Some have an adapter of a real part, judged by the
//! same suite; the schemes of those that are still to come are a clear configuration error. See docs/stores.md.
//!
//! | port | variable | embedded | open it with |
//! |---|---|---|---|
//! | [`relational`] | `DATABASE_URL` | `sqlite:///abs/path.db`, or `postgres://` | [`Database::connect`] |
//! | [`outbox`] | (in the database) | | [`outbox::append`], [`outbox::relay`] |
//! | [`events`] | `EVENTS_URL` | `sqlite:///abs/events.db` (the event-bus only) | [`events::connect`] |
//! | [`tasks`] | `TASKS_URL` | `sqlite:///abs/tasks.db` | [`tasks::connect`] |
//! | [`cache`] | `CACHE_URL` | `memory://` | [`cache::connect`] |
//! | [`analytics`] | `ANALYTICS_URL` | `sqlite:///abs/analytics.db` | [`analytics::connect`] |
//! | [`objects`] | `OBJECTS_URL` | `file:///abs/folder` | [`objects::connect`] |
//! | [`secrets`] | `SECRETS_URL` | `sealed:///abs/secrets.sealed` | [`secrets::connect`] |
//! | [`flags`] | `FLAGS_URL` | `file:///abs/flags.yaml` | [`flags::connect`] |
//!
//! # The usual service
//!
//! ```
//! use svc_stores::outbox::{self, Event};
//! use svc_stores::relational::Migration;
//! use svc_stores::{Database, Result, TenantId, values};
//!
//! const MIGRATIONS: &[Migration] = &[Migration::new(
//!     1,
//!     "notes",
//!     "CREATE TABLE notes (id UUID PRIMARY KEY, tenant_id UUID NOT NULL, text TEXT NOT NULL,
//!         created_at TIMESTAMPTZ NOT NULL)",
//! )];
//!
//! async fn add_note(database: &Database, tenant: TenantId, text: &str) -> Result<uuid::Uuid> {
//!     let id = uuid::Uuid::now_v7();
//!     let mut transaction = database.tenant(tenant).begin().await?;
//!     // The tenant is always $1; your values begin at $2. Without `tenant_id` the statement is refused.
//!     transaction
//!         .execute(
//!             "INSERT INTO notes (id, tenant_id, text, created_at) VALUES ($2, $1, $3, $4)",
//!             values![id, text, svc_stores::now()],
//!         )
//!         .await?;
//!     let event = Event::new("platform.data.events", "data.note.created", "example", &id.to_string())
//!         .tenant(tenant)
//!         .data(serde_json::json!({ "id": id, "text": text }));
//!     outbox::append(&mut transaction, &event).await?;
//!     transaction.commit().await?;
//!     Ok(id)
//! }
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<()> {
//! # let folder = tempfile::tempdir().unwrap();
//! # let url = format!("sqlite://{}/notes.db", folder.path().display());
//! let database = Database::connect(&url).await?;
//! database.migrate("example", MIGRATIONS).await?;
//!
//! let tenant = TenantId::new(uuid::Uuid::now_v7());
//! let id = add_note(&database, tenant, "buy milk").await?;
//! let row = database
//!     .tenant(tenant)
//!     .fetch_one("SELECT text FROM notes WHERE tenant_id = $1 AND id = $2", values![id])
//!     .await?;
//! assert_eq!(row.get::<String>("text")?, "buy milk");
//!
//! // Another tenant does not see it, and a statement that forgets the tenant does not run.
//! let other = database.tenant(uuid::Uuid::now_v7());
//! assert!(other.fetch_all("SELECT text FROM notes WHERE tenant_id = $1", values![]).await?.is_empty());
//! assert!(other.fetch_all("SELECT text FROM notes", values![]).await.is_err());
//! # Ok(()) }
//! ```
//!
//! Check every URL at start with [`check`], to report all problems of the configuration at once.

pub mod analytics;
pub mod cache;
mod error;
pub mod events;
mod files;
pub mod flags;
mod http;
mod link;
pub mod objects;
pub mod observe;
mod opened;
pub mod outbox;
pub mod relational;
pub mod secrets;
#[cfg(any(test, feature = "suite"))]
pub mod suite;
pub mod tasks;
mod tenant;
mod url;

pub use error::{ConflictKind, Result, StoreError};
pub use opened::Opened;
pub use relational::Database;
pub use tenant::TenantId;
pub use url::{Store, StoreUrl, check};

/// Now, to the microsecond: stores keep no more, so an answer made of this equals what is read back later.
#[must_use]
pub fn now() -> jiff::Timestamp {
    let now = jiff::Timestamp::now();
    jiff::Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now)
}
