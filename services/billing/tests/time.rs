//! What time does to subscriptions, under a clock that the test holds.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use billing::{
    domain::{Resource, Status, Verdict, seed},
    ledger::Ledger,
    store::BillingStore,
};
use jiff::Timestamp;
use svc_stores::{Database, outbox};
use uuid::Uuid;

const DAY: i64 = 24 * 3600;

#[tokio::test]
async fn an_unpaid_trial_is_suspended_and_terminated_and_each_step_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::connect(&format!("sqlite://{}/b.db", folder.path().display())).await.unwrap();
    let hand = Arc::new(AtomicI64::new(1_800_000_000));
    let clock = Arc::clone(&hand);
    let store = BillingStore::open(database.clone(), &seed(Timestamp::UNIX_EPOCH)).await.unwrap();
    let ledger = Ledger {
        store,
        clock: Arc::new(move || Timestamp::from_second(clock.load(Ordering::SeqCst)).unwrap()),
    };
    let (payer, free) = (Uuid::now_v7(), Uuid::now_v7());
    ledger.subscribe(payer, "pro").await.unwrap();
    ledger.current(free).await.unwrap();
    let expected = [
        (13, Status::Trialing, Verdict::Allowed),
        (14, Status::PastDue, Verdict::Allowed),
        (22, Status::Suspended, Verdict::Suspended),
        (52, Status::Terminated, Verdict::Ended),
    ];
    for (day, status, verdict) in expected {
        hand.store(1_800_000_000 + day * DAY, Ordering::SeqCst);
        ledger.advance().await.unwrap();
        assert_eq!(ledger.advance().await.unwrap(), 0, "a second round finds nothing");
        let answer = ledger.check(payer, Some(Resource::Users), 1).await.unwrap();
        assert_eq!((answer.subscription.status, answer.verdict), (status, verdict), "day {day}");
    }
    assert_eq!(ledger.current(free).await.unwrap().status, Status::Active, "nothing was due");
    let told = outbox::pending(&database, 100).await.unwrap();
    let told: Vec<_> = told.iter().filter(|event| event.tenant_id.unwrap().as_uuid() == payer).collect();
    let states: Vec<_> = told.iter().map(|event| event.data["status"].as_str().unwrap()).collect();
    assert_eq!(states, ["trialing", "past_due", "suspended", "terminated"]);

    let anew = ledger.subscribe(payer, "free").await.unwrap();
    assert_eq!(anew.status, Status::Trialing, "what has ended can begin anew");
}

#[tokio::test]
async fn events_are_counted_per_day() {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::connect(&format!("sqlite://{}/b.db", folder.path().display())).await.unwrap();
    let hand = Arc::new(AtomicI64::new(1_800_000_000));
    let clock = Arc::clone(&hand);
    let store = BillingStore::open(database, &seed(Timestamp::UNIX_EPOCH)).await.unwrap();
    let ledger = Ledger {
        store,
        clock: Arc::new(move || Timestamp::from_second(clock.load(Ordering::SeqCst)).unwrap()),
    };
    let tenant = Uuid::now_v7();
    ledger.record(tenant, Resource::EventsPerDay, 10_000, Uuid::now_v7()).await.unwrap();
    ledger.record(tenant, Resource::Records, 7, Uuid::now_v7()).await.unwrap();
    let full = ledger.check(tenant, Some(Resource::EventsPerDay), 1).await.unwrap();
    assert_eq!(full.verdict, Verdict::LimitExceeded);
    hand.fetch_add(DAY, Ordering::SeqCst);
    assert_eq!(ledger.check(tenant, Some(Resource::EventsPerDay), 1).await.unwrap().used, 0);
    assert_eq!(ledger.check(tenant, Some(Resource::Records), 1).await.unwrap().used, 7);
    assert_eq!(ledger.store.forget(ledger.now(), &ledger.today()).await.unwrap(), 3, "two reports and a day");
    assert_eq!(ledger.check(tenant, Some(Resource::Records), 1).await.unwrap().used, 7);
}
