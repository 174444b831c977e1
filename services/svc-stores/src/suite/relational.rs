//! What every adapter of the relational port must do.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use jiff::Timestamp;
use serde_json::json;
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::outbox::{self, Event, PublishError, Publisher};
use crate::relational::{Database, Migration};
use crate::{ConflictKind, Result, StoreError, TenantId, values};

const SCHEMA: &[Migration] = &[
    Migration::new(
        1,
        "items",
        "CREATE TABLE items (id UUID PRIMARY KEY, tenant_id UUID NOT NULL, name TEXT NOT NULL, amount BIGINT NOT NULL
            CHECK (amount >= 0), UNIQUE (tenant_id, name));
         CREATE TABLE parts (item_id UUID NOT NULL REFERENCES items (id), tenant_id UUID NOT NULL)",
    ),
    Migration::new(
        2,
        "kinds",
        "CREATE TABLE kinds (a BOOLEAN, b BIGINT, c DOUBLE PRECISION, d TEXT, e BYTEA, f UUID, g TIMESTAMPTZ, h JSONB)",
    ),
];

const INSERT: &str = "INSERT INTO items (id, tenant_id, name, amount) VALUES ($2, $1, $3, $4)";
const COUNT: &str = "SELECT count(*) AS count FROM items WHERE tenant_id = $1";

/// Runs the suite. `make` gives an empty database at each call.
///
/// # Panics
/// With the rule that was broken.
pub async fn relational<F: Future<Output = Result<Database>>>(make: impl Fn() -> F) {
    migrations_are_checked(make().await.unwrap()).await;
    let fresh = || async {
        let database = make().await.unwrap();
        database.migrate("suite", SCHEMA).await.unwrap();
        database
    };
    values_come_back_as_they_went_in(fresh().await).await;
    tenants_do_not_see_each_other(fresh().await).await;
    no_query_without_a_tenant(fresh().await).await;
    conflicts_say_which_rule(fresh().await).await;
    transactions_are_all_or_nothing(fresh().await).await;
    concurrent_writers_lose_no_update(fresh().await).await;
    the_outbox_goes_with_its_transaction(fresh().await).await;
    the_relay_sends_in_order_and_survives_trouble(fresh().await).await;
}

fn tenant() -> TenantId {
    TenantId::new(Uuid::now_v7())
}

async fn migrations_are_checked(database: Database) {
    database.migrate("suite", &SCHEMA[..1]).await.unwrap();
    database.migrate("suite", SCHEMA).await.unwrap();
    database.migrate("suite", SCHEMA).await.expect("running again changes nothing");

    let older = database.migrate("suite", &SCHEMA[..1]).await.unwrap_err().to_string();
    assert!(
        older.contains("version 2") && older.contains("does not know"),
        "a newer database is refused: {older}"
    );

    let changed = [SCHEMA[0], Migration::new(2, "kinds", "CREATE TABLE kinds (a BOOLEAN)")];
    let changed = database.migrate("suite", &changed).await.unwrap_err().to_string();
    assert!(changed.contains("changed after it ran"), "a changed migration is refused: {changed}");

    let broken =
        [SCHEMA[0], SCHEMA[1], Migration::new(3, "broken", "CREATE TABLE half (a BIGINT); NONSENSE")];
    let broken = database.migrate("suite", &broken).await.unwrap_err().to_string();
    assert!(broken.contains("left nothing behind"), "{broken}");
    database
        .system()
        .fetch_all("SELECT a FROM half", values![])
        .await
        .expect_err("a failed migration leaves nothing");

    let gap = database.migrate("gap", &[Migration::new(2, "two", "SELECT 1")]).await.unwrap_err().to_string();
    assert!(gap.contains("its place is 1"), "versions have no gaps: {gap}");
}

async fn values_come_back_as_they_went_in(database: Database) {
    let id = Uuid::now_v7();
    let time = Timestamp::from_microsecond(1_790_000_000_123_456).unwrap();
    let json = json!({ "name": "Zoë", "list": [1, 2.5, null, true], "quote": "it's" });
    let scope = database.system();
    scope
        .execute(
            "INSERT INTO kinds (a, b, c, d, e, f, g, h) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
            values![true, i64::MIN, 2.0, "Zoë's\n\t", vec![0_u8, 255], id, time, &json],
        )
        .await
        .unwrap();
    let row = scope.fetch_one("SELECT * FROM kinds", values![]).await.unwrap();
    assert!(row.get::<bool>("a").unwrap());
    assert_eq!(row.get::<i64>("b").unwrap(), i64::MIN);
    assert!((row.get::<f64>("c").unwrap() - 2.0).abs() < f64::EPSILON);
    assert_eq!(row.get::<String>("d").unwrap(), "Zoë's\n\t");
    assert_eq!(row.get::<Vec<u8>>("e").unwrap(), [0, 255]);
    assert_eq!(row.get::<Uuid>("f").unwrap(), id);
    assert_eq!(row.get::<Timestamp>("g").unwrap(), time);
    assert_eq!(row.get::<serde_json::Value>("h").unwrap(), json);
    assert!(row.get::<i64>("d").is_err(), "a text is no integer");
    assert!(
        row.get::<i64>("nowhere").unwrap_err().to_string().contains("has only a, b"),
        "a wrong name is helped"
    );

    let nulls = vec![crate::relational::Value::Null; 8];
    scope.execute("DELETE FROM kinds", values![]).await.unwrap();
    scope.execute("INSERT INTO kinds VALUES ($1, $2, $3, $4, $5, $6, $7, $8)", nulls).await.unwrap();
    let row = scope.fetch_one("SELECT * FROM kinds", values![]).await.unwrap();
    assert_eq!(row.get::<Option<Uuid>>("f").unwrap(), None);
    assert!(row.get::<String>("d").is_err(), "NULL is no text");
    let few = scope.execute("INSERT INTO kinds (a, b) VALUES ($1, $2)", values![true]).await.unwrap_err();
    assert!(few.to_string().contains("given 1 values"), "a missing value is no NULL: {few}");
}

async fn tenants_do_not_see_each_other(database: Database) {
    let (one, two) = (database.tenant(tenant()), database.tenant(tenant()));
    let id = Uuid::now_v7();
    assert_eq!(one.execute(INSERT, values![id, "a", 1]).await.unwrap(), 1);
    two.execute(INSERT, values![Uuid::now_v7(), "a", 2]).await.unwrap();
    for (scope, amount) in [(&one, 1), (&two, 2)] {
        let rows = scope.fetch_all("SELECT amount FROM items WHERE tenant_id = $1", values![]).await.unwrap();
        let amounts: Vec<i64> = rows.iter().map(|row| row.get("amount").unwrap()).collect();
        assert_eq!(amounts, [amount]);
    }
    let update = "UPDATE items SET amount = 9 WHERE tenant_id = $1 AND id = $2";
    assert_eq!(two.execute(update, values![id]).await.unwrap(), 0, "another tenant's row cannot be changed");
    let delete = "DELETE FROM items WHERE tenant_id = $1 AND id = $2";
    assert_eq!(two.execute(delete, values![id]).await.unwrap(), 0, "nor deleted");
    let missing = two.fetch_one("SELECT * FROM items WHERE tenant_id = $1 AND id = $2", values![id]).await;
    assert!(missing.unwrap_err().is_not_found(), "nor read");
    let all = database.system().fetch_one("SELECT count(*) AS count FROM items", values![]).await.unwrap();
    assert_eq!(all.get::<i64>("count").unwrap(), 2, "the platform's door sees both");
}

async fn no_query_without_a_tenant(database: Database) {
    let scope = database.tenant(tenant());
    for sql in [
        "SELECT * FROM items",
        "SELECT * FROM items WHERE tenant_id = $1 OR amount > 0",
        "UPDATE items SET amount = 0",
        "DELETE FROM items",
        "INSERT INTO items (id, name, amount) VALUES ($1, 'x', 1)",
        "DROP TABLE items",
    ] {
        let refused = scope.fetch_all(sql, values![]).await.unwrap_err();
        assert!(matches!(refused, StoreError::Refused { .. }), "{sql}: {refused}");
        let mut transaction = scope.begin().await.unwrap();
        let refused = transaction.execute(sql, values![]).await.unwrap_err();
        assert!(refused.to_string().contains("statement refused"), "{sql}: {refused}");
        let other_door = transaction.for_tenant(tenant()).execute(sql, values![]).await;
        assert!(other_door.is_err(), "{sql}");
    }
}

async fn conflicts_say_which_rule(database: Database) {
    let scope = database.tenant(tenant());
    scope.execute(INSERT, values![Uuid::now_v7(), "a", 1]).await.unwrap();
    let twice = scope.execute(INSERT, values![Uuid::now_v7(), "a", 1]).await.unwrap_err();
    assert!(twice.is_unique_conflict(), "{twice}");
    let kind = |error: StoreError| match error {
        StoreError::Conflict { kind, .. } => kind,
        other => panic!("expected a conflict, got {other}"),
    };
    let negative = scope.execute(INSERT, values![Uuid::now_v7(), "b", -1]).await.unwrap_err();
    assert_eq!(kind(negative), ConflictKind::Check);
    let reference = "INSERT INTO parts (tenant_id, item_id) VALUES ($1, $2)";
    let reference = scope.execute(reference, values![Uuid::now_v7()]).await.unwrap_err();
    assert_eq!(kind(reference), ConflictKind::Reference);
}

async fn transactions_are_all_or_nothing(database: Database) {
    let scope = database.tenant(tenant());
    let count = || async { scope.fetch_one(COUNT, values![]).await.unwrap().get::<i64>("count").unwrap() };

    let mut transaction = scope.begin().await.unwrap();
    transaction.execute(INSERT, values![Uuid::now_v7(), "a", 1]).await.unwrap();
    let own = transaction.fetch_one(COUNT, values![]).await.unwrap();
    assert_eq!(own.get::<i64>("count").unwrap(), 1, "a transaction sees its own rows");
    assert_eq!(count().await, 0, "nobody else sees them before the commit");
    drop(transaction);
    assert_eq!(count().await, 0, "dropping undoes it");

    let mut transaction = scope.begin().await.unwrap();
    transaction.execute(INSERT, values![Uuid::now_v7(), "a", 1]).await.unwrap();
    transaction.execute(INSERT, values![Uuid::now_v7(), "a", 1]).await.unwrap_err();
    transaction.rollback().await.unwrap();
    assert_eq!(count().await, 0, "rolling back undoes it");

    let mut transaction = scope.begin().await.unwrap();
    let returned = "INSERT INTO items (id, tenant_id, name, amount) VALUES ($2, $1, 'b', 5) RETURNING amount";
    let row = transaction.fetch_one(returned, values![Uuid::now_v7()]).await.unwrap();
    assert_eq!(row.get::<i64>("amount").unwrap(), 5);
    transaction.commit().await.unwrap();
    assert_eq!(count().await, 1, "a commit is seen at once");
    let returned = "UPDATE items SET amount = amount + 1 WHERE tenant_id = $1 RETURNING amount";
    let row = scope.fetch_one(returned, values![]).await.unwrap();
    assert_eq!(row.get::<i64>("amount").unwrap(), 6, "RETURNING works outside of a transaction too");
}

async fn concurrent_writers_lose_no_update(database: Database) {
    let tenant = tenant();
    let id = Uuid::now_v7();
    database.tenant(tenant).execute(INSERT, values![id, "a", 0]).await.unwrap();
    let tasks: Vec<_> = (0..10)
        .map(|_| {
            let scope = database.tenant(tenant);
            tokio::spawn(async move {
                for _ in 0..5 {
                    let mut transaction = scope.begin().await.unwrap();
                    let select = "SELECT amount FROM items WHERE tenant_id = $1 AND id = $2";
                    let row = transaction.fetch_one(select, values![id]).await.unwrap();
                    let amount = row.get::<i64>("amount").unwrap() + 1;
                    let update = "UPDATE items SET amount = $3 WHERE tenant_id = $1 AND id = $2";
                    transaction.execute(update, values![id, amount]).await.unwrap();
                    transaction.commit().await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let row = database.system().fetch_one("SELECT amount FROM items", values![]).await.unwrap();
    assert_eq!(row.get::<i64>("amount").unwrap(), 50);
}

fn event(number: usize) -> Event {
    Event::new("platform.data.events", "data.item.created", "suite", "item-1")
        .data(json!({ "number": number }))
}

async fn the_outbox_goes_with_its_transaction(database: Database) {
    let tenant = tenant();
    let mut transaction = database.tenant(tenant).begin().await.unwrap();
    outbox::append(&mut transaction, &event(1)).await.unwrap();
    transaction.rollback().await.unwrap();
    assert_eq!(outbox::pending(&database, 10).await.unwrap(), [], "what did not happen is not told");

    let told = Event { trace_id: Some("4bf92f35".to_owned()), ..event(2).tenant(tenant) };
    let mut transaction = database.tenant(tenant).begin().await.unwrap();
    outbox::append(&mut transaction, &told).await.unwrap();
    let twice = outbox::append(&mut transaction, &told).await.unwrap_err();
    assert!(twice.is_unique_conflict());
    transaction.commit().await.unwrap();
    let found = outbox::pending(&database, 10).await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!((&found[0].data, found[0].id, found[0].tenant_id), (&told.data, told.id, Some(tenant)));
    assert_eq!(found[0].trace_id, told.trace_id);
    assert_eq!(found[0].occurred_at.as_microsecond(), told.occurred_at.as_microsecond());
    outbox::mark_sent(&database, &[told.id]).await.unwrap();
    assert_eq!(outbox::pending(&database, 10).await.unwrap(), []);
}

/// Is away for the first two calls, then refuses the event number 1 for good.
struct Troubled {
    calls: AtomicUsize,
    taken: tokio::sync::mpsc::UnboundedSender<i64>,
}

#[async_trait::async_trait]
impl Publisher for Arc<Troubled> {
    async fn publish(&self, events: &[Event]) -> std::result::Result<(), PublishError> {
        if self.calls.fetch_add(1, Ordering::SeqCst) < 2 {
            return Err(PublishError::Unavailable("starting".to_owned()));
        }
        let numbers: Vec<i64> = events.iter().map(|event| event.data["number"].as_i64().unwrap()).collect();
        if numbers.contains(&1) {
            return Err(PublishError::Refused("bad number".to_owned()));
        }
        for number in numbers {
            self.taken.send(number).unwrap();
        }
        Ok(())
    }
}

async fn the_relay_sends_in_order_and_survives_trouble(database: Database) {
    let append = |number| {
        let database = &database;
        async move {
            let mut transaction = database.system().begin().await.unwrap();
            outbox::append(&mut transaction, &event(number)).await.unwrap();
            transaction.commit().await.unwrap();
        }
    };
    for number in 0..4 {
        append(number).await;
    }
    let (taken, mut numbers) = tokio::sync::mpsc::unbounded_channel();
    let publisher = Arc::new(Troubled { calls: AtomicUsize::new(0), taken });
    let (stop, stopped) = oneshot::channel::<()>();
    let relay = tokio::spawn(outbox::relay(database.clone(), publisher, async {
        let _ = stopped.await;
    }));
    let mut next =
        async || tokio::time::timeout(std::time::Duration::from_secs(20), numbers.recv()).await.unwrap();
    for expected in [0, 2, 3] {
        assert_eq!(next().await, Some(expected), "in order, without the one that was refused");
    }
    append(7).await;
    assert_eq!(next().await, Some(7), "a commit wakes the relay");
    stop.send(()).unwrap();
    relay.await.unwrap();
    let refused = "SELECT refused FROM outbox WHERE refused IS NOT NULL";
    let row = database.system().fetch_one(refused, values![]).await.unwrap();
    assert_eq!(row.get::<String>("refused").unwrap(), "bad number");
}
