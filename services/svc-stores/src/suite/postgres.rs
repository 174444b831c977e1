//! Databases of a real PostgreSQL for tests.

use std::sync::{Mutex, PoisonError};

use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use url::Url;
use uuid::Uuid;

/// Empty databases on the server that `TEST_POSTGRES_URL` names, and a role for them that row-level security binds.
/// The URL's own role must be allowed to make both. All of it is removed when this is dropped, also by a panic.
#[derive(Debug)]
pub struct TemporaryPostgres {
    administrator: Url,
    /// Also its password: it is gone after the test.
    role: String,
    databases: Mutex<Vec<String>>,
}

impl TemporaryPostgres {
    /// Makes the role, or gives `None` where `TEST_POSTGRES_URL` is not set.
    ///
    /// # Panics
    /// When the server does not let us.
    pub async fn from_environment() -> Option<Self> {
        let url = std::env::var("TEST_POSTGRES_URL").ok()?;
        let administrator = Url::parse(&url).expect("TEST_POSTGRES_URL is a URL");
        let role = format!("test_{}", Uuid::now_v7().simple());
        let sql = format!("CREATE ROLE {role} LOGIN PASSWORD '{role}' NOSUPERUSER NOBYPASSRLS");
        run(&administrator, &[sql]).await;
        Some(Self { administrator, role, databases: Mutex::default() })
    }

    /// The URL of a new, empty database.
    ///
    /// # Panics
    /// When it cannot be made.
    pub async fn database(&self) -> String {
        let name = format!("test_{}", Uuid::now_v7().simple());
        self.databases.lock().unwrap_or_else(PoisonError::into_inner).push(name.clone());
        run(&self.administrator, &[format!("CREATE DATABASE {name} OWNER {}", self.role)]).await;
        let mut url = self.administrator.clone();
        url.set_path(&name);
        url.set_username(&self.role).expect("a URL with a host takes a user");
        url.set_password(Some(&self.role)).expect("and a password");
        url.to_string()
    }
}

impl Drop for TemporaryPostgres {
    fn drop(&mut self) {
        let databases = std::mem::take(&mut *self.databases.lock().unwrap_or_else(PoisonError::into_inner));
        let mut statements: Vec<String> =
            databases.iter().map(|name| format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).collect();
        statements.push(format!("DROP ROLE {}", self.role));
        let administrator = self.administrator.clone();
        // Waited for, and not on the runtime that is waiting here.
        let removed = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(run(&administrator, &statements));
        })
        .join();
        assert!(removed.is_ok() || std::thread::panicking(), "the databases of this test were not removed");
    }
}

async fn run(administrator: &Url, statements: &[String]) {
    let mut connection =
        PgConnection::connect(administrator.as_str()).await.expect("TEST_POSTGRES_URL answers");
    for sql in statements {
        sqlx::raw_sql(AssertSqlSafe(sql.clone()))
            .execute(&mut connection)
            .await
            .expect("the role may do this");
    }
}
