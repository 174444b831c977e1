//! Refresh tokens under a clock that the test holds.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use iam::{
    accounts::{Accounts, Registration},
    keys::Keys,
    passwords::Passwords,
    store::IdentityStore,
    tokens::Tokens,
};
use jiff::Timestamp;
use svc_kit::{Problem, RequestContext, Secret};
use svc_stores::{Database, cache, secrets};

const DAY: i64 = 24 * 3600;

struct World {
    accounts: Accounts,
    clock: Arc<AtomicI64>,
    _folder: tempfile::TempDir,
}

impl World {
    async fn new() -> World {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().display();
        let database = Database::connect(&format!("sqlite://{path}/iam.db")).await.unwrap();
        let keys =
            Keys::load(&*secrets::connect(&format!("sealed://{path}/secrets")).await.unwrap()).await.unwrap();
        let clock = Arc::new(AtomicI64::new(1_800_000_000));
        let hand = Arc::clone(&clock);
        let accounts = Accounts {
            store: IdentityStore::open(database).await.unwrap(),
            passwords: Passwords::new(1),
            tokens: Tokens::new(keys, "issuer".to_owned(), "audience".to_owned()),
            cache: cache::connect("memory://").unwrap(),
            clock: Arc::new(move || Timestamp::from_second(hand.load(Ordering::SeqCst)).unwrap()),
            new_tenant: Arc::default(),
        };
        World { accounts, clock, _folder: folder }
    }

    async fn registered(&self) -> String {
        let new = Registration {
            email: "ada@example.com".to_owned(),
            password: Secret::new("correct horse battery"),
            name: String::new(),
            organization: "Acme".to_owned(),
        };
        self.accounts.register(new, &RequestContext::of_platform(None)).await.unwrap().refresh_token
    }

    fn pass(&self, seconds: i64) {
        self.clock.fetch_add(seconds, Ordering::SeqCst);
    }

    async fn refresh(&self, token: &str) -> Result<(String, String), Problem> {
        self.accounts.refresh(token).await.map(|granted| (granted.refresh_token, granted.access_token))
    }
}

#[tokio::test]
async fn the_same_token_gives_the_same_pair_for_ten_seconds() {
    let world = World::new().await;
    let first = world.registered().await;
    let pair = world.refresh(&first).await.unwrap();
    world.pass(10);
    assert_eq!(world.refresh(&first).await.unwrap(), pair);
}

#[tokio::test]
async fn a_token_that_comes_again_later_ends_the_whole_session() {
    let world = World::new().await;
    let first = world.registered().await;
    let (second, _) = world.refresh(&first).await.unwrap();
    world.pass(11);
    assert_eq!(world.refresh(&first).await.unwrap_err().slug(), "token-expired");
    let dead = world.refresh(&second).await.unwrap_err();
    assert!(dead.detail_text().contains("session was ended"), "{dead}");
}

#[tokio::test]
async fn a_token_lives_seven_days_and_the_next_one_seven_more() {
    let world = World::new().await;
    let first = world.registered().await;
    world.pass(7 * DAY - 1);
    let (second, _) = world.refresh(&first).await.unwrap();
    world.pass(7 * DAY);
    assert!(world.refresh(&second).await.unwrap_err().detail_text().contains("it has ended"));
    let before = (world.accounts.clock)().checked_add(Duration::from_secs(1)).unwrap();
    assert_eq!(world.accounts.store.forget_ended(before).await.unwrap(), 3, "two tokens and their session");
}
