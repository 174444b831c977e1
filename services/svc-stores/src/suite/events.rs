//! What every adapter of the events port must do.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use crate::events::{EventLog, NewEvent, READ_LIMIT, Topic, partition_of};
use crate::{Result, TenantId};

/// Runs the suite. `make` gives an empty log at each call.
///
/// # Panics
/// With the rule that was broken.
pub async fn events<F: Future<Output = Result<Arc<dyn EventLog>>>>(make: impl Fn() -> F) {
    topics_keep_their_partitions(&*with_topic(make().await).await).await;
    events_keep_order_and_content(&*with_topic(make().await).await).await;
    a_batch_is_all_or_nothing(&*with_topic(make().await).await).await;
    an_id_is_added_once(&*with_topic(make().await).await).await;
    groups_have_positions(&*with_topic(make().await).await).await;
    times_lead_to_offsets_and_old_events_go(&*with_topic(make().await).await).await;
    a_read_is_bounded_in_bytes(&*with_topic(make().await).await).await;
    readers_are_woken(with_topic(make().await).await).await;
    concurrent_appends_leave_no_gap(with_topic(make().await).await).await;
}

const TOPIC: &str = "platform.test.events";
const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);

async fn with_topic(log: Result<Arc<dyn EventLog>>) -> Arc<dyn EventLog> {
    let log = log.unwrap();
    log.create_topic(&Topic { name: TOPIC.to_owned(), partitions: 3, retention: WEEK }).await.unwrap();
    log
}

fn event(key: &str, payload: &str) -> NewEvent {
    NewEvent {
        topic: TOPIC.to_owned(),
        key: key.to_owned(),
        id: Uuid::now_v7(),
        tenant_id: Some(TenantId::new(Uuid::now_v7())),
        event_type: "test.thing.done".to_owned(),
        payload: payload.as_bytes().to_vec(),
    }
}

async fn payloads(log: &dyn EventLog, partition: u32, from: u64) -> Vec<String> {
    let events = log.read(TOPIC, partition, from, 1000).await.unwrap();
    events.into_iter().map(|stored| String::from_utf8(stored.event.payload).unwrap()).collect()
}

async fn topics_keep_their_partitions(log: &dyn EventLog) {
    let topic = Topic { name: TOPIC.to_owned(), partitions: 3, retention: WEEK * 2 };
    log.create_topic(&topic).await.unwrap();
    assert_eq!(log.topics().await.unwrap(), std::slice::from_ref(&topic), "the retention may change");
    let other = Topic { partitions: 4, ..topic.clone() };
    assert!(log.create_topic(&other).await.is_err(), "the partitions may not");
    assert!(log.create_topic(&Topic { partitions: 0, ..topic }).await.is_err());
    assert!(log.ends("nowhere").await.unwrap_err().is_not_found());
    assert!(log.partitions("nowhere").await.unwrap_err().is_not_found());
    assert_eq!(log.partitions(TOPIC).await.unwrap(), 3);
    let ends = log.ends(TOPIC).await.unwrap();
    assert_eq!(
        ends.iter().map(|ends| (ends.partition, ends.first, ends.next)).collect::<Vec<_>>(),
        [(0, 0, 0), (1, 0, 0), (2, 0, 0)]
    );
}

async fn events_keep_order_and_content(log: &dyn EventLog) {
    let first = event("wallet-1", "one");
    let appended = log.append(vec![first.clone(), event("wallet-1", "two")]).await.unwrap();
    let partition = partition_of("wallet-1", 3);
    assert_eq!(
        appended.iter().map(|at| (at.partition, at.offset)).collect::<Vec<_>>(),
        [(partition, 0), (partition, 1)]
    );
    log.append(vec![event("wallet-1", "three")]).await.unwrap();
    assert_eq!(payloads(log, partition, 0).await, ["one", "two", "three"]);
    assert_eq!(payloads(log, partition, 2).await, ["three"]);
    assert_eq!(payloads(log, partition, 3).await, [""; 0]);
    assert_eq!(log.read(TOPIC, partition, 0, 2).await.unwrap().len(), 2, "the limit holds");
    assert_eq!(
        log.read(TOPIC, partition, 0, 1).await.unwrap()[0].event,
        first,
        "it comes back as it went in"
    );
}

async fn a_batch_is_all_or_nothing(log: &dyn EventLog) {
    let stray = NewEvent { topic: "nowhere".to_owned(), ..event("a", "stray") };
    assert!(log.append(vec![event("a", "one"), stray]).await.unwrap_err().is_not_found());
    assert!(log.ends(TOPIC).await.unwrap().iter().all(|ends| ends.next == 0));
    assert_eq!(log.append(Vec::new()).await.unwrap(), []);
}

async fn an_id_is_added_once(log: &dyn EventLog) {
    let once = event("a", "one");
    let first = log.append(vec![once.clone()]).await.unwrap();
    let again = log.append(vec![event("a", "two"), once.clone(), once]).await.unwrap();
    assert_eq!(again.iter().map(|at| at.duplicate).collect::<Vec<_>>(), [false, true, true]);
    assert_eq!((again[1].partition, again[1].offset), (first[0].partition, first[0].offset));
    assert_eq!(payloads(log, partition_of("a", 3), 0).await, ["one", "two"]);
}

async fn groups_have_positions(log: &dyn EventLog) {
    assert_eq!(log.positions("g", TOPIC).await.unwrap(), []);
    log.commit("g", TOPIC, 1, 5).await.unwrap();
    log.commit("g", TOPIC, 1, 3).await.unwrap();
    log.commit("g", TOPIC, 0, 1).await.unwrap();
    log.commit("other", TOPIC, 0, 9).await.unwrap();
    assert_eq!(log.positions("g", TOPIC).await.unwrap(), [(0, 1), (1, 5)], "a commit never moves back");
    log.seek("g", TOPIC, 1, 2).await.unwrap();
    assert_eq!(log.positions("g", TOPIC).await.unwrap(), [(0, 1), (1, 2)], "a seek does");
    log.forget_group("g", TOPIC).await.unwrap();
    assert_eq!(log.positions("g", TOPIC).await.unwrap(), []);
    assert_eq!(log.positions("other", TOPIC).await.unwrap(), [(0, 9)]);
}

async fn times_lead_to_offsets_and_old_events_go(log: &dyn EventLog) {
    let partition = partition_of("a", 3);
    log.append(vec![event("a", "old"), event("a", "older")]).await.unwrap();
    let between = log.read(TOPIC, partition, 1, 1).await.unwrap()[0].appended_at;
    while Timestamp::now() <= between + SignedDuration::from_micros(1) {
        std::hint::spin_loop();
    }
    log.append(vec![event("a", "new")]).await.unwrap();
    let after = between + SignedDuration::from_micros(1);
    assert_eq!(log.offset_at(TOPIC, partition, Timestamp::UNIX_EPOCH).await.unwrap(), 0);
    assert_eq!(log.offset_at(TOPIC, partition, after).await.unwrap(), 2);
    let tomorrow = Timestamp::now() + SignedDuration::from_hours(24);
    assert_eq!(log.offset_at(TOPIC, partition, tomorrow).await.unwrap(), 3, "nothing so late: the end");

    let week = SignedDuration::try_from(WEEK).unwrap();
    assert_eq!(log.prune(Timestamp::now()).await.unwrap(), 0);
    assert_eq!(log.prune(after + week).await.unwrap(), 2);
    let ends = log.ends(TOPIC).await.unwrap()[partition as usize];
    assert_eq!((ends.first, ends.next), (2, 3), "offsets are never given again");
    assert_eq!(payloads(log, partition, 0).await, ["new"], "reading begins at the oldest that is kept");
    log.prune(Timestamp::now() + week + week).await.unwrap();
    let appended = log.append(vec![event("a", "newest")]).await.unwrap();
    assert_eq!(appended[0].offset, 3, "not even when all are gone");
}

async fn a_read_is_bounded_in_bytes(log: &dyn EventLog) {
    let partition = partition_of("a", 3);
    let small: Vec<_> = (0..100).map(|number| event("a", &number.to_string())).collect();
    log.append(small).await.unwrap();
    assert_eq!(log.read(TOPIC, partition, 0, 90).await.unwrap().len(), 90, "small ones come together");
    let big = "x".repeat(READ_LIMIT / 4);
    log.append((0..10).map(|_| event("a", &big)).collect()).await.unwrap();
    let mut from = 100;
    let mut sizes = Vec::new();
    loop {
        let events = log.read(TOPIC, partition, from, 1000).await.unwrap();
        let Some(last) = events.last() else { break };
        from = last.offset + 1;
        sizes.push(events.len());
    }
    assert_eq!(sizes, [4, 4, 2], "big ones come in several reads, and none is passed over");
}

async fn readers_are_woken(log: Arc<dyn EventLog>) {
    let mut changes = log.changes();
    let reader = {
        let log = log.clone();
        tokio::spawn(async move {
            loop {
                let found = payloads(&*log, partition_of("a", 3), 0).await;
                if !found.is_empty() {
                    return found;
                }
                changes.changed().await.unwrap();
            }
        })
    };
    log.append(vec![event("a", "wake")]).await.unwrap();
    let found =
        tokio::time::timeout(Duration::from_secs(20), reader).await.expect("a reader is woken").unwrap();
    assert_eq!(found, ["wake"]);
}

async fn concurrent_appends_leave_no_gap(log: Arc<dyn EventLog>) {
    let writers: Vec<_> = (0..8)
        .map(|writer| {
            let log = log.clone();
            tokio::spawn(async move {
                for number in 0..10 {
                    log.append(vec![event(&format!("key-{writer}"), &number.to_string())]).await.unwrap();
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    let mut total = 0;
    for partition in 0..3 {
        let events = log.read(TOPIC, partition, 0, 1000).await.unwrap();
        total += events.len();
        assert!(events.iter().zip(0..).all(|(stored, offset)| stored.offset == offset), "no gap, no repeat");
        for writer in 0..8 {
            let key = format!("key-{writer}");
            let own = events.iter().filter(|stored| stored.event.key == key);
            let numbers: Vec<String> =
                own.map(|stored| String::from_utf8(stored.event.payload.clone()).unwrap()).collect();
            assert!(numbers.is_empty() || numbers == (0..10).map(|n: i32| n.to_string()).collect::<Vec<_>>());
        }
    }
    assert_eq!(total, 80);
}
