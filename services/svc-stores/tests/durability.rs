//! A writer is killed with SIGKILL at any moment; whatever it had acknowledged is there, and nothing is half done.
//!
//! The writer is this same test binary, run again with `DURABILITY_FOLDER` set: it writes to a store and says each
//! acknowledged number on stdout. The parent kills it after a few of them, opens the store again and judges.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use svc_stores::events::{self, NewEvent, Topic};
use svc_stores::objects::{self, ObjectKey};
use svc_stores::outbox::{self, Event};
use svc_stores::relational::Migration;
use svc_stores::secrets::{self, Secret};
use svc_stores::tasks::{self, NewTask};
use svc_stores::{Database, values};
use uuid::Uuid;

const FOLDER: &str = "DURABILITY_FOLDER";
const STORE: &str = "DURABILITY_STORE";
const FROM: &str = "DURABILITY_FROM";
const ROUNDS: u64 = 6;

const MIGRATIONS: &[Migration] = &[Migration::new(
    1,
    "pairs",
    "CREATE TABLE pairs (tenant_id UUID NOT NULL, number BIGINT NOT NULL, side BIGINT NOT NULL)",
)];
const TOPIC: &str = "platform.test.events";
/// Big enough to be written in several pieces.
const OBJECT_SIZE: usize = 300_000;

fn tenant() -> Uuid {
    Uuid::from_u128(1)
}

fn url(scheme: &str, folder: &Path) -> String {
    format!("{scheme}://{}/store", folder.display())
}

async fn open_database(folder: &Path) -> Database {
    let database = Database::connect(&url("sqlite", folder)).await.unwrap();
    database.migrate("durability", MIGRATIONS).await.unwrap();
    database
}

/// Two rows and an event in one transaction.
async fn write_pair(database: &Database, number: i64) {
    let mut transaction = database.tenant(tenant()).begin().await.unwrap();
    for side in 0..2 {
        let sql = "INSERT INTO pairs (tenant_id, number, side) VALUES ($1, $2, $3)";
        transaction.execute(sql, values![number, side]).await.unwrap();
    }
    let event = Event::new("platform.test.events", "test.pair.written", "test", "1");
    outbox::append(&mut transaction, &event.data(serde_json::json!({ "number": number }))).await.unwrap();
    transaction.commit().await.unwrap();
}

fn pair_of_events(number: u64) -> Vec<NewEvent> {
    let event = |side: u128| NewEvent {
        topic: TOPIC.to_owned(),
        key: format!("{number}-{side}"),
        id: Uuid::from_u128(u128::from(number) * 2 + side + 10),
        tenant_id: None,
        event_type: "test.pair.written".to_owned(),
        payload: number.to_string().into_bytes(),
    };
    vec![event(0), event(1)]
}

/// The child: writes numbers until it is killed.
#[test]
fn writer() {
    let (Ok(folder), Ok(store), Ok(from)) =
        (std::env::var(FOLDER), std::env::var(STORE), std::env::var(FROM))
    else {
        return;
    };
    let folder = Path::new(&folder);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut numbers = from.parse::<u64>().unwrap()..;
        let mut next = move || numbers.next().unwrap();
        let acknowledge = |number: u64| {
            let mut out = std::io::stdout().lock();
            writeln!(out, "ack {number}").and_then(|()| out.flush()).unwrap();
        };
        match store.as_str() {
            "relational" => {
                let database = open_database(folder).await;
                loop {
                    let number = next();
                    write_pair(&database, i64::try_from(number).unwrap()).await;
                    acknowledge(number);
                }
            }
            "events" => {
                let log = events::connect(&url("sqlite", folder)).await.unwrap();
                let retention = Duration::from_secs(3600);
                log.create_topic(&Topic { name: TOPIC.to_owned(), partitions: 2, retention }).await.unwrap();
                loop {
                    let number = next();
                    log.append(pair_of_events(number)).await.unwrap();
                    acknowledge(number);
                }
            }
            "tasks" => {
                let queue = tasks::connect(&url("sqlite", folder)).await.unwrap();
                loop {
                    let number = next();
                    let task = NewTask { id: Uuid::from_u128(number.into()), ..NewTask::new(number.into()) };
                    queue.enqueue("q", &task).await.unwrap();
                    acknowledge(number);
                }
            }
            "objects" => {
                let store = objects::connect(&url("file", folder)).await.unwrap();
                loop {
                    let number = next();
                    let key = ObjectKey::tenant(tenant(), &format!("n/{number}")).unwrap();
                    let content = vec![u8::try_from(number % 251).unwrap(); OBJECT_SIZE];
                    store.put(&key, objects::once(content), u64::MAX).await.unwrap();
                    acknowledge(number);
                }
            }
            "secrets" => {
                let store = secrets::connect(&url("sealed", folder)).await.unwrap();
                loop {
                    let number = next();
                    let path = format!("n/{}", number % 20);
                    store.put(&path, Secret::new(number.to_string()), None).await.unwrap();
                    acknowledge(number);
                }
            }
            other => unreachable!("unknown store {other}"),
        }
    });
}

/// Runs the writer from `from` on and kills it after `count` acknowledgements; gives all that it acknowledged.
fn write_and_kill(store: &str, folder: &Path, from: u64, count: usize) -> Vec<u64> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "writer", "--nocapture", "--test-threads=1"])
        .env(FOLDER, folder)
        .env(STORE, store)
        .env(FROM, from.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut acknowledged = Vec::new();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    // The first one stands behind `test writer ... `, which the test harness leaves open.
    let number = |line: String| line.rsplit_once("ack ").and_then(|(_, number)| number.parse::<u64>().ok());
    while acknowledged.len() < count {
        let line = lines.next().expect("the writer goes on until it is killed").unwrap();
        acknowledged.extend(number(line));
    }
    // Where in its next write this hits is up to the scheduler; what was said meanwhile counts too.
    child.kill().unwrap();
    child.wait().unwrap();
    acknowledged.extend(lines.map_while(Result::ok).filter_map(number));
    acknowledged
}

/// Kills a writer several times over the same store and judges after each.
async fn killed_again_and_again(store: &str, judge: impl AsyncFn(&Path) -> BTreeSet<u64>) {
    let folder = tempfile::tempdir().unwrap();
    let mut acknowledged = BTreeSet::new();
    for round in 0..ROUNDS {
        let count = usize::try_from(round * 7 % 13 + 1).unwrap();
        acknowledged.extend(write_and_kill(store, folder.path(), round * 1_000_000, count));
        let found = judge(folder.path()).await;
        let lost: Vec<_> = acknowledged.difference(&found).collect();
        assert!(lost.is_empty(), "{store}, round {round}: acknowledged and lost: {lost:?}");
        let more = found.len() - acknowledged.len();
        assert!(
            more <= usize::try_from(round + 1).unwrap(),
            "{store}: at most the write in flight is there too"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn relational_and_outbox() {
    killed_again_and_again("relational", async |folder| {
        let database = open_database(folder).await;
        let rows = database.system().fetch_all("SELECT number, side FROM pairs", values![]).await.unwrap();
        let sides = |side: i64| -> BTreeSet<u64> {
            let own = rows.iter().filter(|row| row.get::<i64>("side").unwrap() == side);
            own.map(|row| row.get("number").unwrap()).collect()
        };
        assert_eq!(sides(0), sides(1), "no transaction is half done");
        let events = outbox::pending(&database, 1_000_000).await.unwrap();
        let told: BTreeSet<u64> = events.iter().map(|event| event.data["number"].as_u64().unwrap()).collect();
        assert_eq!(told, sides(0), "an event exists exactly when its change does");
        database.close().await;
        told
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_log() {
    killed_again_and_again("events", async |folder| {
        let log = events::connect(&url("sqlite", folder)).await.unwrap();
        let mut numbers = Vec::new();
        for partition in 0..2 {
            let events = log.read(TOPIC, partition, 0, u32::MAX).await.unwrap();
            assert!(
                events.iter().zip(0..).all(|(event, offset)| event.offset == offset),
                "offsets have no gap"
            );
            numbers.extend(events.iter().map(|stored| {
                String::from_utf8(stored.event.payload.clone()).unwrap().parse::<u64>().unwrap()
            }));
        }
        let found: BTreeSet<u64> = numbers.iter().copied().collect();
        assert_eq!(numbers.len(), found.len() * 2, "no batch is half done");
        found
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_queue() {
    killed_again_and_again("tasks", async |folder| {
        let queue = tasks::connect(&url("sqlite", folder)).await.unwrap();
        // A lease that has run out already: the tasks stay for the next round.
        let leased = queue.lease("q", u32::MAX, Duration::ZERO).await.unwrap();
        for task in &leased {
            let again = queue.fail(task, "looking only", Duration::ZERO).await;
            assert!(again.is_ok() || task.attempt >= 5);
        }
        let dead = queue.dead("q", u32::MAX).await.unwrap();
        let numbers = leased.iter().map(|task| &task.payload).chain(dead.iter().map(|task| &task.payload));
        numbers.map(|payload| payload.as_u64().unwrap()).collect()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_folder() {
    killed_again_and_again("objects", async |folder| {
        let store = objects::connect(&url("file", folder)).await.unwrap();
        let mut found = BTreeSet::new();
        for info in store.list(&ObjectKey::tenant(tenant(), "n").unwrap()).await.unwrap() {
            let number: u64 = info.key.rsplit('/').next().unwrap().parse().unwrap();
            let key = ObjectKey::tenant(tenant(), &format!("n/{number}")).unwrap();
            let (_, content) = store.get(&key).await.unwrap().unwrap();
            let content = objects::collect(content).await.unwrap();
            assert_eq!(content.len(), OBJECT_SIZE, "no object is half there");
            assert!(content.iter().all(|byte| u64::from(*byte) == number % 251));
            found.insert(number);
        }
        found
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_file() {
    let folder = tempfile::tempdir().unwrap();
    for round in 1..=ROUNDS {
        let acknowledged = write_and_kill("secrets", folder.path(), round * 1_000_000, 5);
        let store = secrets::connect(&url("sealed", folder.path())).await.unwrap();
        for number in acknowledged {
            let kept = store.get(&format!("n/{}", number % 20)).await.unwrap().unwrap();
            let value: u64 = kept.secret.expose_text().unwrap().parse().unwrap();
            assert!(value >= number, "the acknowledged value or a later one");
        }
    }
}
