//! Host names over a real database, with a clock and records that the test controls.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use domain_resolver::MIGRATIONS;
use domain_resolver::domain::{Hostname, Records, Status, Token};
use domain_resolver::domains::{Domains, Round};
use domain_resolver::lookup::{Lookup, LookupError};
use jiff::Timestamp;
use svc_stores::Database;
use tonic::Code;
use uuid::Uuid;

const HOUR: i64 = 3600;

/// Records that the test publishes; a name in `broken` can't be looked up.
#[derive(Default)]
struct FakeDns {
    records: Mutex<HashMap<String, Records>>,
    broken: Mutex<Vec<String>>,
}

#[async_trait]
impl Lookup for FakeDns {
    fn name(&self) -> &str {
        "fake"
    }

    async fn records(&self, hostname: &Hostname, _token: &Token) -> Result<Records, LookupError> {
        if self.broken.lock().unwrap().iter().any(|broken| broken == hostname.as_str()) {
            return Err(LookupError::Unavailable("no route".to_owned()));
        }
        Ok(self.records.lock().unwrap().get(hostname.as_str()).cloned().unwrap_or_default())
    }
}

struct World {
    domains: Domains,
    dns: Arc<FakeDns>,
    seconds: Arc<AtomicI64>,
}

impl World {
    async fn open(folder: &Path) -> World {
        let database = Database::connect(&format!("sqlite://{}/domains.db", folder.display())).await.unwrap();
        database.migrate("domain-resolver", MIGRATIONS).await.unwrap();
        let dns = Arc::new(FakeDns::default());
        let seconds = Arc::new(AtomicI64::new(1_800_000_000));
        let clock = Arc::clone(&seconds);
        let domains = Domains::new(
            database,
            Arc::clone(&dns) as Arc<dyn Lookup>,
            Arc::new(move || Timestamp::from_second(clock.load(Ordering::SeqCst)).unwrap()),
        );
        World { domains, dns, seconds }
    }

    fn pass(&self, seconds: i64) {
        self.seconds.fetch_add(seconds, Ordering::SeqCst);
    }

    /// Publishes what the owner of the name is told to publish.
    fn publish(&self, hostname: &str, token: &Token) {
        let records =
            Records { cname: vec!["custom.platform.io.".to_owned()], txt: vec![token.record_value()] };
        self.dns.records.lock().unwrap().insert(hostname.to_owned(), records);
    }
}

fn round(verified: u32, failed: u32, pending: u32) -> Round {
    Round { verified, failed, pending }
}

#[tokio::test]
async fn a_name_is_verified_by_a_round_once_its_records_are_right() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::open(folder.path()).await;
    let tenant = Uuid::now_v7();
    let added = world.domains.add(tenant, "Shop.Acme.com").await.unwrap();
    assert_eq!((added.hostname.as_str(), added.status), ("shop.acme.com", Status::Pending));

    assert_eq!(world.domains.check_pending().await.unwrap(), round(0, 0, 1));
    let pending = world.domains.get(tenant, added.id).await.unwrap();
    assert!(pending.last_error.contains("_platform-verify.shop.acme.com"), "{}", pending.last_error);
    assert!(pending.checked.is_some());
    assert_eq!(world.domains.owner("shop.acme.com").await.unwrap_err().code(), Code::NotFound);

    world.publish("shop.acme.com", &added.token);
    world.pass(30);
    assert_eq!(world.domains.check_pending().await.unwrap(), round(1, 0, 0));
    let verified = world.domains.get(tenant, added.id).await.unwrap();
    assert_eq!((verified.status, verified.last_error.as_str()), (Status::Verified, ""));
    assert_eq!(verified.verified.unwrap().as_second(), 1_800_000_030);
    assert_eq!(world.domains.owner("SHOP.acme.com").await.unwrap().tenant, tenant);

    // A verified name stays so: rounds no longer look at it.
    world.dns.records.lock().unwrap().clear();
    world.pass(100 * HOUR);
    assert_eq!(world.domains.check_pending().await.unwrap(), round(0, 0, 0));
    assert_eq!(world.domains.verify(tenant, added.id).await.unwrap().status, Status::Verified);
}

#[tokio::test]
async fn after_72_hours_a_name_is_given_up_and_free_again() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::open(folder.path()).await;
    let (squatter, owner) = (Uuid::now_v7(), Uuid::now_v7());
    let squatted = world.domains.add(squatter, "shop.acme.com").await.unwrap();
    assert_eq!(world.domains.add(owner, "shop.acme.com").await.unwrap_err().code(), Code::AlreadyExists);
    assert_eq!(world.domains.add(squatter, "shop.acme.com.").await.unwrap_err().code(), Code::AlreadyExists);

    world.pass(71 * HOUR);
    assert_eq!(world.domains.check_pending().await.unwrap(), round(0, 0, 1));
    world.pass(HOUR);
    assert_eq!(world.domains.check_pending().await.unwrap(), round(0, 1, 0));
    let verify = world.domains.verify(squatter, squatted.id).await.unwrap_err();
    assert_eq!(verify.code(), Code::FailedPrecondition);

    let added = world.domains.add(owner, "shop.acme.com").await.unwrap();
    world.publish("shop.acme.com", &added.token);
    assert_eq!(world.domains.verify(owner, added.id).await.unwrap().status, Status::Verified);
    let squatted = world.domains.get(squatter, squatted.id).await.unwrap();
    assert_eq!(squatted.status, Status::Failed);
}

#[tokio::test]
async fn a_resolver_that_is_away_neither_verifies_nor_fails_a_name() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::open(folder.path()).await;
    let tenant = Uuid::now_v7();
    let broken = world.domains.add(tenant, "a.acme.com").await.unwrap();
    let fine = world.domains.add(tenant, "b.acme.com").await.unwrap();
    world.dns.broken.lock().unwrap().push("a.acme.com".to_owned());
    world.publish("b.acme.com", &fine.token);
    world.pass(100 * HOUR);
    assert_eq!(world.domains.check_pending().await.unwrap(), round(1, 0, 1));
    assert_eq!(world.domains.verify(tenant, broken.id).await.unwrap_err().code(), Code::Unavailable);
    assert_eq!(world.domains.get(tenant, broken.id).await.unwrap().status, Status::Pending);
}

#[tokio::test]
async fn tenants_do_not_see_each_others_names() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::open(folder.path()).await;
    let (ours, theirs) = (Uuid::now_v7(), Uuid::now_v7());
    let domain = world.domains.add(ours, "shop.acme.com").await.unwrap();
    assert_eq!(world.domains.get(theirs, domain.id).await.unwrap_err().code(), Code::NotFound);
    assert_eq!(world.domains.verify(theirs, domain.id).await.unwrap_err().code(), Code::NotFound);
    assert_eq!(world.domains.delete(theirs, domain.id).await.unwrap_err().code(), Code::NotFound);
    assert!(world.domains.list(theirs, None, 10).await.unwrap().is_empty());
    assert_eq!(world.domains.list(ours, None, 10).await.unwrap().len(), 1);

    world.domains.delete(ours, domain.id).await.unwrap();
    assert!(world.domains.add(theirs, "shop.acme.com").await.is_ok(), "a deleted name is free");
}

#[tokio::test]
async fn a_round_goes_over_more_names_than_one_batch() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::open(folder.path()).await;
    for number in 0..205 {
        let domain = world.domains.add(Uuid::now_v7(), &format!("n{number}.acme.com")).await.unwrap();
        if number % 2 == 0 {
            world.publish(domain.hostname.as_str(), &domain.token);
        }
    }
    assert_eq!(world.domains.check_pending().await.unwrap(), round(103, 0, 102));
    assert_eq!(world.domains.check_pending().await.unwrap(), round(0, 0, 102));
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let tenant = Uuid::now_v7();
    let first = World::open(folder.path()).await;
    let domain = first.domains.add(tenant, "shop.acme.com").await.unwrap();
    // Dropped, not closed: as after a kill.
    drop(first);
    let second = World::open(folder.path()).await;
    second.publish("shop.acme.com", &domain.token);
    assert_eq!(second.domains.check_pending().await.unwrap(), round(1, 0, 0));
}
