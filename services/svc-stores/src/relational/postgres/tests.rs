//! On the PostgreSQL of `TEST_POSTGRES_URL`; without it each test says by name that it was left out.
#![allow(clippy::print_stderr, reason = "a test that is left out says so")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::Connection as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use uuid::Uuid;

use super::{Limits, PostgresBackend};
use crate::relational::{Backend as _, Migration};
use crate::suite::TemporaryPostgres;
use crate::{Database, StoreError, TenantId, values};

const NOTES: &[Migration] = &[Migration::new(
    1,
    "notes",
    "CREATE TABLE notes (id UUID PRIMARY KEY, tenant_id UUID NOT NULL, text TEXT NOT NULL)",
)];
const INSERT: &str = "INSERT INTO notes (id, tenant_id, text) VALUES ($2, $1, $3)";
const SHORT: Limits = Limits { turn: Duration::from_secs(2), statement: Duration::from_secs(1) };

macro_rules! server {
    () => {
        match TemporaryPostgres::from_environment().await {
            Some(server) => server,
            None => {
                let thread = std::thread::current();
                eprintln!("left out: {} needs TEST_POSTGRES_URL", thread.name().unwrap_or("a test"));
                return;
            }
        }
    };
}

fn tenant() -> TenantId {
    TenantId::new(Uuid::now_v7())
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_is_relational() {
    let server = server!();
    crate::suite::relational(|| async { Database::connect(&server.database().await).await }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_where_clause_nothing_of_another_tenant_is_seen() {
    let server = server!();
    let url = server.database().await;
    Database::connect(&url).await.unwrap().migrate("test", NOTES).await.unwrap();
    let backend = PostgresBackend::open(&url, Limits::default()).await.unwrap();
    let (one, two) = (tenant(), tenant());
    for (owner, text) in [(one, "one's"), (two, "two's")] {
        backend.execute(Some(owner), INSERT, values![owner, Uuid::now_v7(), text]).await.unwrap();
    }

    // These go past the guard that reads statements: only the database is left to hold them back.
    let all = "SELECT text FROM notes";
    let texts = async |tenant| -> Vec<String> {
        let rows = backend.fetch(tenant, all, values![], false).await.unwrap();
        rows.iter().map(|row| row.get("text").unwrap()).collect()
    };
    assert_eq!(texts(Some(one)).await, ["one's"]);
    assert_eq!(texts(Some(two)).await, ["two's"]);
    assert_eq!(texts(Some(tenant())).await, [""; 0]);
    assert_eq!(texts(None).await.len(), 2, "the platform's door sees both");
    let changed = backend.execute(Some(one), "UPDATE notes SET text = 'changed'", values![]).await.unwrap();
    assert_eq!(changed, 1, "only the own row can be changed");
    assert_eq!(texts(Some(two)).await, ["two's"]);
    let foreign = backend.execute(Some(one), INSERT, values![two, Uuid::now_v7(), "x"]).await.unwrap_err();
    assert!(foreign.to_string().contains("row-level security"), "{foreign}");

    // Doors of one transaction do not leak into each other, and neither do connections of the pool.
    let mut transaction = backend.begin().await.unwrap();
    assert_eq!(transaction.fetch(Some(one), all, values![]).await.unwrap().len(), 1);
    assert_eq!(transaction.fetch(None, all, values![]).await.unwrap().len(), 2);
    assert_eq!(transaction.fetch(Some(two), all, values![]).await.unwrap().len(), 1);
    transaction.rollback().await.unwrap();
    assert_eq!(backend.execute(Some(one), "DELETE FROM notes", values![]).await.unwrap(), 1);
    assert_eq!(texts(None).await, ["two's"]);

    // Whoever connects with the same role and says nothing sees nothing.
    let mut connection = sqlx::PgConnection::connect(&url).await.unwrap();
    let seen = sqlx::query(all).fetch_all(&mut connection).await.unwrap();
    assert!(seen.is_empty(), "the owner of the table is bound too");
}

#[tokio::test(flavor = "multi_thread")]
async fn instances_that_start_together_migrate_once() {
    let server = server!();
    let url: Arc<str> = server.database().await.into();
    let starts: Vec<_> = (0..6)
        .map(|_| {
            let url = Arc::clone(&url);
            tokio::spawn(async move {
                let database = Database::connect(&url).await?;
                database.migrate("test", NOTES).await
            })
        })
        .collect();
    for start in starts {
        start.await.unwrap().unwrap();
    }
    let database = Database::connect(&url).await.unwrap();
    let applied = "SELECT service FROM schema_migrations WHERE service = 'test'";
    assert_eq!(database.system().fetch_all(applied, values![]).await.unwrap().len(), 1);
}

#[tokio::test]
async fn what_is_wrong_names_the_variable_and_never_the_password() {
    for url in ["postgres://u:hunter2@", "postgres://u:hunter2@host", "postgres://u:hunter2@host:x/db"] {
        let said = crate::check(crate::Store::Database, url).unwrap_err().to_string();
        assert!(said.starts_with("DATABASE_URL: ") && !said.contains("hunter2"), "{said}");
    }
    let nobody = "postgres://u:hunter2@127.0.0.1:1/db?sslmode=disable";
    let said = PostgresBackend::open(nobody, SHORT).await.unwrap_err().to_string();
    assert_eq!(said, "DATABASE_URL: 127.0.0.1:1/db: no connection within 2 seconds");

    let server = server!();
    let wrong = server.database().await.replacen(":test_", ":hunter2", 1);
    let said = Database::connect(&wrong).await.unwrap_err().to_string();
    assert!(said.starts_with("DATABASE_URL: ") && said.contains("password authentication failed"), "{said}");
    assert!(!said.contains("hunter2"), "{said}");
    let superuser = std::env::var("TEST_POSTGRES_URL").unwrap();
    let said = Database::connect(&superuser).await.unwrap_err().to_string();
    assert!(said.contains("row-level security does not bind the role"), "{said}");
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    Open,
    /// Nothing passes, and nobody is told.
    Paused,
    /// Connections break, and new ones are closed at once.
    Cut,
}

/// The way to PostgreSQL.
struct Proxy {
    url: String,
    way: watch::Sender<Way>,
}

impl Proxy {
    async fn before(url: &str) -> Self {
        let mut url = url::Url::parse(url).unwrap();
        let target = format!("{}:{}", url.host_str().unwrap(), url.port().unwrap_or(5432));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        url.set_host(Some("127.0.0.1")).unwrap();
        url.set_port(Some(listener.local_addr().unwrap().port())).unwrap();
        let (way, seen) = watch::channel(Way::Open);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(pass(client, target.clone(), seen.clone()));
            }
        });
        Self { url: url.to_string(), way }
    }

    fn set(&self, way: Way) {
        self.way.send(way).unwrap();
    }

    /// Breaks all connections and waits until they are gone.
    async fn cut(&self) {
        self.set(Way::Cut);
        let gone = async {
            // The one that is left is the listener's.
            while self.way.receiver_count() > 1 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), gone).await.expect("connections end when they are cut");
    }
}

async fn pass(mut client: TcpStream, target: String, mut seen: watch::Receiver<Way>) {
    if *seen.borrow_and_update() == Way::Cut {
        return;
    }
    let mut server = TcpStream::connect(target).await.unwrap();
    loop {
        let way = *seen.borrow_and_update();
        let changed = match way {
            Way::Cut => return,
            Way::Paused => seen.changed().await,
            Way::Open => tokio::select! {
                _ = tokio::io::copy_bidirectional(&mut client, &mut server) => return,
                changed = seen.changed() => changed,
            },
        };
        if changed.is_err() {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_connection_is_replaced_and_a_server_that_is_away_is_waited_for() {
    let server = server!();
    let url = server.database().await;
    Database::connect(&url).await.unwrap().migrate("test", NOTES).await.unwrap();
    let proxy = Proxy::before(&url).await;
    let backend = PostgresBackend::open(&proxy.url, SHORT).await.unwrap();
    let owner = tenant();
    let insert = || backend.execute(Some(owner), INSERT, values![owner, Uuid::now_v7(), "x"]);
    let count = async || backend.fetch(Some(owner), "SELECT id FROM notes", values![], false).await;
    insert().await.unwrap();
    count().await.unwrap();

    // Both connections die while they are idle.
    proxy.cut().await;
    proxy.set(Way::Open);
    insert().await.expect("a connection that died while idle is nobody's error");
    assert_eq!(count().await.unwrap().len(), 2);

    // A transaction on its way is lost as a whole, and says that it may be done again.
    let mut transaction = backend.begin().await.unwrap();
    transaction.execute(Some(owner), INSERT, values![owner, Uuid::now_v7(), "x"]).await.unwrap();
    let writing = proxy.way.receiver_count();
    assert!(writing > 1, "the proxy is in between");
    proxy.cut().await;
    let lost =
        transaction.execute(Some(owner), INSERT, values![owner, Uuid::now_v7(), "x"]).await.unwrap_err();
    assert!(lost.is_transient(), "{lost}");
    drop(transaction);
    let away = count().await.unwrap_err();
    assert!(away.is_transient() && away.to_string().contains("127.0.0.1:"), "{away}");
    proxy.set(Way::Open);
    assert_eq!(count().await.unwrap().len(), 2, "back by itself");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_does_not_answer_is_left_after_the_deadline() {
    let server = server!();
    let url = server.database().await;
    Database::connect(&url).await.unwrap().migrate("test", NOTES).await.unwrap();
    let proxy = Proxy::before(&url).await;
    let backend = PostgresBackend::open(&proxy.url, SHORT).await.unwrap();
    let owner = tenant();
    let count = async || backend.fetch(Some(owner), "SELECT id FROM notes", values![], false).await;

    // In the middle of a transaction, so that a connection is surely there.
    let mut transaction = backend.begin().await.unwrap();
    proxy.set(Way::Paused);
    let start = Instant::now();
    let insert = transaction.execute(Some(owner), INSERT, values![owner, Uuid::now_v7(), "x"]).await;
    let silent = insert.unwrap_err();
    assert!(silent.is_transient() && silent.to_string().contains("no answer within 3 seconds"), "{silent}");
    drop(transaction);
    let silent = count().await.unwrap_err();
    assert!(silent.is_transient(), "{silent}");
    assert!(start.elapsed() < Duration::from_secs(15), "nothing waits forever");
    proxy.cut().await;
    proxy.set(Way::Open);
    assert_eq!(count().await.unwrap().len(), 0, "on a new connection");

    // Whether a commit happened whose answer never came is not for us to guess.
    let mut transaction = backend.begin().await.unwrap();
    transaction.execute(Some(owner), INSERT, values![owner, Uuid::now_v7(), "x"]).await.unwrap();
    proxy.set(Way::Paused);
    let unknown = transaction.commit().await.unwrap_err();
    assert!(!unknown.is_transient() && unknown.to_string().contains("nobody knows"), "{unknown}");
    proxy.cut().await;
    proxy.set(Way::Open);
    count().await.unwrap();

    let slow = backend.fetch(None, "SELECT pg_sleep(20)", values![], false).await.unwrap_err();
    assert!(slow.is_transient() && slow.to_string().contains("statement timeout"), "{slow}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_that_postgres_cannot_keep_is_refused_before_it_is_sent() {
    let server = server!();
    let database = Database::connect(&server.database().await).await.unwrap();
    let refused = database.system().fetch_all("SELECT $1 AS text", values!["a\0b"]).await.unwrap_err();
    assert!(matches!(refused, StoreError::Invalid { .. }), "{refused}");
}
